/*
 * fuzz_conf.c - marionette.conf(5): one file, or two with a line `---' between,
 * the second being the reload.  What was taken is printed, and printing is
 * taken again as the same.
 * covers: parent/conf.c gen/parse.c
 */
#include <sys/mman.h>

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"
#include "parent.h"

static FILE	*complaints;

static struct conf *
parse(const char *p, size_t n)
{
	struct conf	*c;
	FILE		*real = stderr;
	char		 path[32];
	int		 fd;

	if ((fd = memfd_create("conf", 0)) == -1 ||
	    write(fd, p, n) != (ssize_t)n)
		err(1, "memfd");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	stderr = complaints;
	c = conf_parse(path);
	stderr = real;
	/* A refusal says why. */
	CLAIM(c != NULL || ftell(complaints) > 0);
	CLAIM(c == NULL || memchr(p, '\0', n) == NULL);
	rewind(complaints);
	close(fd);
	return (c);
}

static char *
print(const struct conf *c, size_t *n)
{
	char	*s;
	FILE	*f;

	if ((f = open_memstream(&s, n)) == NULL)
		err(1, NULL);
	conf_print(c, f);
	fclose(f);
	return (s);
}

static void
same_again(const struct conf *c)
{
	struct conf	*d;
	char		*s, *t;
	size_t		 n, m;

	s = print(c, &n);
	d = parse(s, n);
	CLAIM(d != NULL);
	t = print(d, &m);
	CLAIM(n == m && memcmp(s, t, n) == 0);
	free(s);
	free(t);
	conf_free(d);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static char	 buf[1 << 16];
	struct conf	*old, *fresh;
	const uint8_t	*cut;
	size_t		 len;

	fuzz_begin();
	if (complaints == NULL &&
	    (complaints = fmemopen(buf, sizeof(buf), "w")) == NULL)
		err(1, NULL);
	cut = n > 0 ? memmem(p, n, "\n---\n", 5) : NULL;
	len = cut != NULL ? (size_t)(cut - p) + 1 : n;
	if ((old = parse((const char *)p, len)) == NULL)
		return (0);
	same_again(old);
	if (cut != NULL && (fresh = parse((const char *)cut + 5,
	    n - (size_t)(cut + 5 - p))) != NULL) {
		conf_keep(fresh, old);
		same_again(fresh);
		conf_free(fresh);
	}
	conf_free(old);
	return (0);
}
