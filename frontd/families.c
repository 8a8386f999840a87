/*
 * families.c - merges the counters of the workers: in Prometheus' text format
 * all samples of a name stand together under one TYPE line, and here two
 * workers may have counters of the same name.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "families.h"
#include "log.h"

static char *
append(char *to, const char *s, size_t len)
{
	size_t	 had = to != NULL ? strlen(to) : 0;
	char	*p;

	if ((p = realloc(to, had + len + 1)) == NULL)
		fatal("metrics");
	memcpy(p + had, s, len);
	p[had + len] = '\0';
	return (p);
}

static size_t
name_length(const char *s)
{
	size_t	 n;

	for (n = 0; isalnum((unsigned char)s[n]) || s[n] == '_' ||
	    s[n] == ':'; n++)
		;
	return (n);
}

static int
has_suffix(const char *name, size_t n, const char *suffix)
{
	size_t	 len = strlen(suffix);

	return (n > len && memcmp(name + n - len, suffix, len) == 0);
}

static struct family *
family_find(struct families *f, const char *name, size_t n)
{
	size_t	 i;

	for (i = 0; i < f->n; i++)
		if (strlen(f->list[i].name) == n &&
		    memcmp(f->list[i].name, name, n) == 0)
			return (&f->list[i]);
	return (NULL);
}

static struct family *
family_get(struct families *f, const char *name, size_t n)
{
	struct family	*m;

	if ((m = family_find(f, name, n)) != NULL)
		return (m);
	if ((m = reallocarray(f->list, f->n + 1, sizeof(*m))) == NULL)
		fatal("metrics");
	f->list = m;
	m = &f->list[f->n++];
	m->name = append(NULL, name, n);
	m->head = append(NULL, "", 0);
	m->samples = append(NULL, "", 0);
	return (m);
}

/* The family of a sample: a histogram's parts belong to its name. */
static struct family *
family_of(struct families *f, const char *name, size_t n)
{
	static const char *const	 parts[] = { "_bucket", "_sum",
					    "_count" };
	struct family			*m;
	size_t				 i;

	for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (has_suffix(name, n, parts[i]) && (m = family_find(f, name,
		    n - strlen(parts[i]))) != NULL)
			return (m);
	return (family_get(f, name, n));
}

/* `# TYPE name ...' and `# HELP name ...': the first of each kind is kept. */
static void
add_comment(struct families *f, const char *line, size_t len)
{
	struct family	*m;
	char		 kind[8];
	size_t		 n;

	if (len < 8 || (strncmp(line, "# TYPE ", 7) != 0 &&
	    strncmp(line, "# HELP ", 7) != 0) ||
	    (n = name_length(line + 7)) == 0)
		return;
	m = family_get(f, line + 7, n);
	memcpy(kind, line, 7);
	kind[7] = '\0';
	if (strstr(m->head, kind) != NULL)
		return;
	m->head = append(m->head, line, len);
	m->head = append(m->head, "\n", 1);
}

static void
add_sample(struct families *f, const char *process, const char *line,
    size_t len)
{
	struct family	*m;
	char		 label[64];
	size_t		 n = name_length(line);

	if (n == 0 || n >= len || (line[n] != ' ' && line[n] != '{'))
		return;
	m = family_of(f, line, n);
	snprintf(label, sizeof(label), "{process=\"%s\"%s", process,
	    line[n] == '{' ? "," : "}");
	m->samples = append(m->samples, line, n);
	m->samples = append(m->samples, label, strlen(label));
	if (line[n] == '{')
		n++;
	m->samples = append(m->samples, line + n, len - n);
	m->samples = append(m->samples, "\n", 1);
}

void
families_add(struct families *f, const char *process, const char *text)
{
	size_t	 len;

	for (; text != NULL && *text != '\0'; text += len + (text[len] != 0)) {
		len = strcspn(text, "\n");
		if (*text == '#')
			add_comment(f, text, len);
		else if (len > 0)
			add_sample(f, process, text, len);
	}
}

char *
families_text(struct families *f, size_t *len)
{
	char	*out = append(NULL, "", 0);
	size_t	 i;

	for (i = 0; i < f->n; i++) {
		if (*f->list[i].samples != '\0') {
			out = append(out, f->list[i].head,
			    strlen(f->list[i].head));
			out = append(out, f->list[i].samples,
			    strlen(f->list[i].samples));
		}
		free(f->list[i].name);
		free(f->list[i].head);
		free(f->list[i].samples);
	}
	free(f->list);
	f->list = NULL;
	f->n = 0;
	*len = strlen(out);
	return (out);
}
