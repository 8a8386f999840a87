/*
 * peek.c - one member of a JSON text, without parsing the rest: the generator
 * reads tens of thousands of documents a second.  Ids, states and actions are
 * plain text; whatever else is needed goes through jansson.
 */
#include <stdio.h>
#include <string.h>

#include "client.h"

/* Behind `"name" :', or NULL. */
static const char *
peek_find(const char *s, const char *end, const char *name)
{
	const char	*p;
	char		 want[64];
	size_t		 n;

	n = (size_t)snprintf(want, sizeof(want), "\"%s\"", name);
	while ((p = memmem(s, (size_t)(end - s), want, n)) != NULL) {
		s = p + n;
		for (p = s; p < end && *p == ' '; p++)
			;
		if (p == end || *p != ':')
			continue;	/* A value that says the same. */
		for (p++; p < end && *p == ' '; p++)
			;
		return (p);
	}
	return (NULL);
}

static int
peek_string(const char *p, const char *end, char *out, size_t size)
{
	const char	*q;
	size_t		 n;

	out[0] = '\0';
	if (p == NULL || p == end || *p != '"' ||
	    (q = memchr(p + 1, '"', (size_t)(end - p - 1))) == NULL)
		return (-1);
	n = (size_t)(q - p - 1);
	if (n >= size)
		return (-1);
	memcpy(out, p + 1, n);
	out[n] = '\0';
	return (0);
}

int
peek(const char *s, size_t len, const char *name, char *out, size_t size)
{
	return (peek_string(peek_find(s, s + len, name), s + len, out, size));
}

int
peek_in(const char *s, size_t len, const char *outer, const char *inner,
    char *out, size_t size)
{
	const char	*p = peek_find(s, s + len, outer);

	out[0] = '\0';
	if (p == NULL || *p != '{')
		return (-1);
	return (peek(p, (size_t)(s + len - p), inner, out, size));
}
