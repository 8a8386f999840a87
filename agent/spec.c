/*
 * spec.c - puts together and takes apart what a holder is told.
 */
#include <stdio.h>
#include <string.h>

#include <sodium.h>

#include "log.h"
#include "spec.h"

void
spec_init(struct spec *s)
{
	if ((s->buf = sodium_malloc(SPEC_MAX)) == NULL)
		fatalx("memory: locked pages for a run (see ulimit -l)");
	s->len = 0;
	s->full = 0;
}

void
spec_free(struct spec *s)
{
	sodium_free(s->buf);
	s->buf = NULL;
}

void
spec_put(struct spec *s, enum spec_field f, const char *value)
{
	size_t	 n = strlen(value) + 1;

	/* One byte stays free for the end. */
	if (s->full || n + 3 > SPEC_MAX - s->len) {
		s->full = 1;
		return;
	}
	s->buf[s->len++] = (char)f;
	memcpy(s->buf + s->len, value, n);
	s->len += n;
}

void
spec_env(struct spec *s, const char *name, const char *value)
{
	size_t	 n = strlen(name), v = strlen(value) + 1;

	if (s->full || n + v + 4 > SPEC_MAX - s->len) {
		s->full = 1;
		return;
	}
	s->buf[s->len++] = SPEC_ENV;
	memcpy(s->buf + s->len, name, n);
	s->len += n;
	s->buf[s->len++] = '=';
	memcpy(s->buf + s->len, value, v);
	s->len += v;
}

const char *
spec_next(const struct spec *s, const char *at)
{
	at = at == NULL ? s->buf : at + strlen(at) + 1;
	if (at >= s->buf + s->len || at[0] == SPEC_END)
		return (NULL);
	return (at);
}
