/*
 * The tables of commands, one file a noun, and the way from words on the
 * command line to an entry.  A noun may be two words (admin keys); a word
 * that nobody knows is answered with the nearest that somebody does.
 */

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "doc.h"

extern const struct cmd_entry cmd_sessions[], cmd_tasks[], cmd_logs[], cmd_permissions[],
    cmd_runners[], cmd_events[], cmd_me[], cmd_run_entry[], cmd_keys[],
    cmd_agent_configs[], cmd_password[], cmd_server[], cmd_config[],
    cmd_completion[], cmd_version[];

const struct cmd_entry *const cmd_tables[] = {
	cmd_run_entry, cmd_sessions, cmd_tasks, cmd_logs, cmd_permissions,
	cmd_runners, cmd_events, cmd_me, cmd_keys, cmd_agent_configs,
	cmd_password, cmd_server, cmd_config, cmd_completion, cmd_version, NULL
};

static size_t
min3(size_t a, size_t b, size_t c)
{
	if (b < a)
		a = b;
	return (c < a ? c : a);
}

/* Levenshtein's distance, of words of at most 31 characters. */
static size_t
distance(const char *a, const char *b)
{
	size_t	 row[32], i, j, diag, up, n = strlen(b);

	if (strlen(a) > 31 || n > 31)
		return (SIZE_MAX);
	for (j = 0; j <= n; j++)
		row[j] = j;
	for (i = 0; a[i] != '\0'; i++) {
		diag = row[0];
		row[0] = i + 1;
		for (j = 0; j < n; j++) {
			up = row[j + 1];
			row[j + 1] = min3(row[j] + 1, up + 1,
			    diag + (a[i] != b[j]));
			diag = up;
		}
	}
	return (row[n]);
}

/* The nearer to `word' of `candidate' and `best', if it is near enough. */
const char *
suggest(const char *word, const char *candidate, const char *best, size_t *far)
{
	size_t	 d;

	d = strncmp(word, candidate, strlen(word)) == 0 && word[0] != '\0' ?
	    0 : distance(word, candidate);
	if (d >= *far || d > 1 + strlen(word) / 3)
		return (best);
	*far = d;
	return (candidate);
}

int
usage_error(struct mctl *m, const char *fmt, ...)
{
	struct str	 s = { 0 };
	va_list		 ap;
	char		*text;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) == -1)
		text = NULL;
	va_end(ap);
	fputs("mctl: ", stderr);
	text_puts(stderr, text == NULL ? "usage" : text);
	free(text);
	if (m->cmd != NULL) {
		str_puts(&s, m->cmd->noun);
		if (m->cmd->verb != NULL)
			str_printf(&s, " %s", m->cmd->verb);
	}
	fprintf(stderr, "\nTry `mctl help%s%s'.\n", s.len != 0 ? " " : "",
	    s.len != 0 ? s.data : "");
	str_free(&s);
	return (EX_USE);
}

/* How many of the words make up this noun; 0: another noun. */
static int
noun_words(const char *noun, int argc, char **argv)
{
	const char	*sp;
	size_t		 len;

	if ((sp = strchr(noun, ' ')) == NULL)
		return (strcmp(noun, argv[0]) == 0);
	len = (size_t)(sp - noun);
	if (argc < 2 || strlen(argv[0]) != len ||
	    strncmp(noun, argv[0], len) != 0)
		return (0);
	return (strcmp(sp + 1, argv[1]) == 0 ? 2 : 0);
}

/* noun is there, but not with this verb, which may be NULL. */
static int
no_such_verb(struct mctl *m, const char *noun, const char *verb)
{
	struct str		 s = { 0 };
	const struct cmd_entry	*e;
	const char		*best = NULL;
	size_t			 far = 5, i;

	for (i = 0; cmd_tables[i] != NULL; i++) {
		for (e = cmd_tables[i]; e->noun != NULL; e++) {
			if (e->verb == NULL || strcmp(e->noun, noun) != 0)
				continue;
			str_printf(&s, "%s%s", s.len != 0 ? ", " : "",
			    e->verb);
			if (verb != NULL)
				best = suggest(verb, e->verb, best, &far);
		}
	}
	if (verb == NULL)
		usage_error(m, "%s: what? One of: %s", noun, s.data);
	else if (best != NULL)
		usage_error(m, "%s has no `%s'; did you mean `%s'?", noun,
		    verb, best);
	else
		usage_error(m, "%s has no `%s'; it has %s", noun, verb,
		    s.data);
	str_free(&s);
	return (EX_USE);
}

static int
no_such_noun(struct mctl *m, int argc, char **argv)
{
	const struct cmd_entry	*e;
	const char		*best = NULL;
	char			*word;
	size_t			 far = 5, i;
	int			 two;

	two = strcmp(argv[0], "admin") == 0;
	if (two && argc < 2)
		return (usage_error(m, "admin: what? One of: keys, "
		    "runner-tokens, agent-configs, password"));
	word = xasprintf("%s%s%s", argv[0], two ? " " : "",
	    two ? argv[1] : "");
	for (i = 0; cmd_tables[i] != NULL; i++)
		for (e = cmd_tables[i]; e->noun != NULL; e++)
			best = suggest(word, e->noun, best, &far);
	if (best != NULL)
		usage_error(m, "there is no `%s'; did you mean `%s'?", word,
		    best);
	else
		usage_error(m, "there is no `%s'", word);
	free(word);
	return (EX_USE);
}

/* Find the entry; *used: words that named it. */
static const struct cmd_entry *
cmd_find(struct mctl *m, int argc, char **argv, int *used)
{
	const struct cmd_entry	*e, *here = NULL;
	const char		*verb;
	size_t			 i;
	int			 n;

	for (i = 0; cmd_tables[i] != NULL; i++) {
		for (e = cmd_tables[i]; e->noun != NULL; e++) {
			if ((n = noun_words(e->noun, argc, argv)) == 0)
				continue;
			verb = argc > n ? argv[n] : NULL;
			*used = n + (e->verb != NULL);
			if (e->verb == NULL || (verb != NULL &&
			    strcmp(e->verb, verb) == 0))
				return (e);
			if (here == NULL)
				here = e;
		}
	}
	if (here == NULL)
		no_such_noun(m, argc, argv);
	else {
		n = noun_words(here->noun, argc, argv);
		no_such_verb(m, here->noun, argc > n && argv[n][0] != '-' ? argv[n] :
		    NULL);
	}
	return (NULL);
}

static int
operands_check(struct mctl *m, const struct args *a)
{
	const struct cmd_entry	*e = m->cmd;

	if (a->noperands < e->min)
		return (usage_error(m, "%s%s%s needs %s", e->noun,
		    e->verb != NULL ? " " : "", e->verb != NULL ? e->verb : "",
		    e->operands));
	if (a->noperands > e->max)
		return (usage_error(m, "one word too many: %s",
		    a->operand[e->max]));
	return (0);
}

static int
globals_check(struct mctl *m)
{
	const char	*s;
	int		 i;

	if ((s = args_str(&m->global, "output")) != NULL) {
		for (i = 0; output_names[i] != NULL; i++)
			if (strcmp(s, output_names[i]) == 0)
				break;
		if (output_names[i] == NULL)
			return (usage_error(m, "-o %s: expected table, wide, "
			    "json or yaml", s));
		m->output = (enum output)i;
	}
	m->quiet = args_has(&m->global, "quiet");
	if (args_has(&m->global, "server") && args_has(&m->global, "socket"))
		return (usage_error(m, "--server or --socket, not both"));
	return (0);
}

/* argv: the words from the noun on. */
int
cmd_run(struct mctl *m, int argc, char **argv)
{
	static struct args	 a;
	int			 used;

	if ((m->cmd = cmd_find(m, argc, argv, &used)) == NULL)
		return (EX_USE);
	if (args_parse(m, &a, m->cmd->opts, global_opts, argc - used,
	    argv + used) == -1)
		return (EX_USE);
	if (args_has(&m->global, "help")) {
		help_command(stdout, m->cmd);
		return (EX_DONE);
	}
	if (operands_check(m, &a) != 0 || globals_check(m) != 0)
		return (EX_USE);
	if ((m->cmd->flags & CMD_LOCAL) == 0 && endpoint_find(m) != 0)
		return (m->rc);
	return (m->cmd->exec(m, &a));
}
