/*
 * Options and operands of one command line: long ones, some with a letter,
 * in any order, --name=value or --name value, -- ends them.  The options
 * that every command has may stand anywhere; a command's own win.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "doc.h"

static const struct opt *
opt_find(const struct opt *o, const char *name, size_t len)
{
	for (; o != NULL && o->name != NULL; o++) {
		if (strlen(o->name) == len && strncmp(o->name, name, len) == 0)
			return (o);
	}
	return (NULL);
}

static const struct opt *
opt_letter(const struct opt *o, char c)
{
	for (; o != NULL && o->name != NULL; o++)
		if (o->letter == c)
			return (o);
	return (NULL);
}

static int
unknown_option(struct mctl *m, const char *name, size_t len,
    const struct opt *own, const struct opt *global)
{
	const char	*best = NULL;
	char		*word;
	size_t		 far = 4;
	int		 rc;

	word = xasprintf("%.*s", (int)len, name);
	for (; own != NULL && own->name != NULL; own++)
		best = suggest(word, own->name, best, &far);
	for (; global->name != NULL; global++)
		best = suggest(word, global->name, best, &far);
	if (best != NULL)
		rc = usage_error(m, "unknown option --%s; did you mean --%s?",
		    word, best);
	else
		rc = usage_error(m, "unknown option --%s", word);
	free(word);
	return (rc);
}

static int
keep(struct mctl *m, struct args *a, const struct opt *o, const char *value)
{
	if (a->ngiven == MAX_OPTIONS)
		return (usage_error(m, "too many options"));
	a->given[a->ngiven].opt = o;
	a->given[a->ngiven].value = value;
	a->ngiven++;
	return (0);
}

/* argv[*i] is an option; global ones go to m->global. */
static int
take(struct mctl *m, struct args *a, const struct opt *own,
    const struct opt *global, char **argv, int argc, int *i)
{
	const struct opt *o;
	struct args	 *to = a;
	const char	 *s = argv[*i], *value = NULL;
	size_t		  len = 1;

	if (s[1] == '-') {
		s += 2;
		len = strcspn(s, "=");
		if (s[len] == '=')
			value = s + len + 1;
		if ((o = opt_find(own, s, len)) == NULL) {
			o = opt_find(global, s, len);
			to = &m->global;
		}
		if (o == NULL)
			return (unknown_option(m, s, len, own, global));
	} else {
		s++;
		if ((o = opt_letter(own, *s)) == NULL) {
			o = opt_letter(global, *s);
			to = &m->global;
		}
		if (o == NULL)
			return (usage_error(m, "unknown option -%c", *s));
		if (s[1] != '\0' && o->arg == NULL)
			return (usage_error(m, "-%c takes no value", *s));
		if (s[1] != '\0')
			value = s + 1;
	}
	if (o->arg == NULL && value != NULL)
		return (usage_error(m, "--%s takes no value", o->name));
	if (o->arg != NULL && value == NULL) {
		if (*i + 1 >= argc)
			return (usage_error(m, "--%s needs %s", o->name,
			    o->arg));
		value = argv[++*i];
	}
	return (keep(m, to, o, value));
}

/*
 * Parse argv from 0 on.  With a == &m->global parsing ends at the first
 * operand, whose index is returned; otherwise 0.  -1: an error was told.
 */
int
args_parse(struct mctl *m, struct args *a, const struct opt *own,
    const struct opt *global, int argc, char **argv)
{
	int	 i, ended = 0;

	for (i = 0; i < argc; i++) {
		if (!ended && strcmp(argv[i], "--") == 0)
			ended = 1;
		else if (!ended && argv[i][0] == '-' && argv[i][1] != '\0') {
			if (take(m, a, own, global, argv, argc, &i) != 0)
				return (-1);
		} else if (a == &m->global)
			return (i);
		else if (a->noperands == MAX_OPERANDS) {
			usage_error(m, "too many operands");
			return (-1);
		} else
			a->operand[a->noperands++] = argv[i];
	}
	return (a == &m->global ? argc : 0);
}

/* The last value given, or NULL. */
const char *
args_str(const struct args *a, const char *name)
{
	int	 i;

	for (i = a->ngiven - 1; i >= 0; i--)
		if (strcmp(a->given[i].opt->name, name) == 0)
			return (a->given[i].value);
	return (NULL);
}

int
args_has(const struct args *a, const char *name)
{
	int	 i;

	for (i = 0; i < a->ngiven; i++)
		if (strcmp(a->given[i].opt->name, name) == 0)
			return (1);
	return (0);
}

/* Every value of a repeated option; *i starts at 0. */
const char *
args_next(const struct args *a, const char *name, int *i)
{
	while (*i < a->ngiven) {
		if (strcmp(a->given[*i].opt->name, name) == 0)
			return (a->given[(*i)++].value);
		(*i)++;
	}
	return (NULL);
}

/* A number, or *n as it was when the option is not there. */
int
args_num(struct mctl *m, const struct args *a, const char *name, long long min,
    long long max, long long *n)
{
	const char	*s, *errstr;
	long long	 v;

	if ((s = args_str(a, name)) == NULL)
		return (0);
	v = strtonum(s, min, max, &errstr);
	if (errstr != NULL)
		return (usage_error(m, "--%s %s: expected a number from %lld "
		    "to %lld", name, s, min, max));
	*n = v;
	return (0);
}

/* --label k=v, repeated, into doc.labels. */
int
args_labels(struct mctl *m, const struct args *a, json_t *doc)
{
	const char	*s, *eq;
	json_t		*labels = NULL;
	char		*key;
	int		 i = 0;

	while ((s = args_next(a, "label", &i)) != NULL) {
		if ((eq = strchr(s, '=')) == NULL || eq == s)
			return (usage_error(m, "--label %s: expected "
			    "key=value", s));
		if (labels == NULL) {
			labels = json_object();
			json_object_set_new(doc, "labels", labels);
		}
		key = xasprintf("%.*s", (int)(eq - s), s);
		if (json_object_set_new(labels, key, json_string(eq + 1)) != 0) {
			free(key);
			return (usage_error(m, "--label: not UTF-8"));
		}
		free(key);
	}
	return (0);
}

/* A whole file, or stdin for "-"; a string of at most MAX_TEXT bytes. */
int
args_file(struct mctl *m, const char *path, char **text)
{
	struct str	 s = { 0 };
	char		 buf[16384];
	ssize_t		 n;
	int		 fd = STDIN_FILENO;

	if (strcmp(path, "-") != 0 &&
	    (fd = open(path, O_RDONLY | O_CLOEXEC)) == -1)
		return (usage_error(m, "%s: %s", path, strerror(errno)));
	while ((n = read(fd, buf, sizeof(buf))) > 0 && s.len <= MAX_TEXT)
		str_add(&s, buf, (size_t)n);
	if (fd != STDIN_FILENO)
		close(fd);
	if (n == -1) {
		str_free(&s);
		return (usage_error(m, "%s: %s", path, strerror(errno)));
	}
	if (s.len > MAX_TEXT || (s.len > 0 && memchr(s.data, '\0', s.len) != NULL)) {
		str_free(&s);
		return (usage_error(m, "%s: more than 1 MiB, or not text",
		    path));
	}
	str_add(&s, "", 0);
	*text = s.data;
	return (0);
}
