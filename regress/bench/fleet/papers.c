/*
 * papers.c - runners' identities in a directory, a file each: the id, then key,
 * certificate and CA in PEM.  A later fleet with this directory is the same
 * runners.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "runner.h"
#include "util.h"

#define PAPERS_MAX	65536

static char *
papers_path(const struct runner *r)
{
	return (xasprintf("%s/runner-%zu", fleet->papers, r->index));
}

/* The PEM block at *p, which is then behind it. */
static char *
papers_block(const char **p)
{
	const char	*begin, *end;

	if ((begin = strstr(*p, "-----BEGIN")) == NULL ||
	    (end = strstr(begin, "-----END")) == NULL ||
	    (end = strchr(end, '\n')) == NULL)
		return (NULL);
	*p = end + 1;
	return (xstrndup(begin, (size_t)(end + 1 - begin)));
}

int
papers_load(struct runner *r)
{
	const char	*p;
	char		*ca, *cert, *key, *path, *text;

	if (fleet->papers == NULL)
		return (0);
	path = papers_path(r);
	if ((text = file_read(path, PAPERS_MAX, NULL)) == NULL) {
		free(path);
		return (0);
	}
	p = text;
	key = papers_block(&p);
	cert = papers_block(&p);
	ca = papers_block(&p);
	text[strcspn(text, "\n")] = '\0';
	if (key == NULL || cert == NULL || ca == NULL)
		fatalx("%s: no runner's identity", path);
	runner_is(r, text, key, cert, ca);
	free(ca);
	free(cert);
	free(key);
	free(text);
	free(path);
	return (1);
}

void
papers_store(const struct runner *r, const char *key, const char *cert,
    const char *ca)
{
	FILE	*f;
	char	*path, *tmp;

	if (fleet->papers == NULL)
		return;
	path = papers_path(r);
	tmp = xasprintf("%s.new", path);
	if ((f = fopen(tmp, "w")) == NULL || fprintf(f, "%s\n%s%s%s", r->id,
	    key, cert, ca) < 0 || fclose(f) == EOF || rename(tmp, path) == -1)
		fatal("%s", path);
	free(tmp);
	free(path);
}
