/*
 * input.c - an input as numbers and strings.  What it gives has exactly its
 * size, so that a sanitizer sees a read behind it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

void
fuzz_broken(const char *claim, const char *file, int line)
{
	fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, claim);
	abort();
}

unsigned int
input_u8(struct input *in)
{
	if (in->n == 0)
		return (0);
	in->n--;
	return (*in->p++);
}

unsigned int
input_u16(struct input *in)
{
	unsigned int	 high = input_u8(in);

	return (high << 8 | input_u8(in));
}

uint8_t *
input_bytes(struct input *in, size_t max, size_t *len)
{
	size_t	 n = max < in->n ? max : in->n;
	uint8_t	*p;

	if ((p = malloc(n + 1)) == NULL)
		abort();
	if (n > 0)
		memcpy(p, in->p, n);
	p[n] = '\0';
	in->p += n;
	in->n -= n;
	if (len != NULL)
		*len = n;
	return (p);
}

char *
input_str(struct input *in)
{
	const uint8_t	*end = in->n > 0 ? memchr(in->p, '\0', in->n) : NULL;
	char		*s;

	s = (char *)input_bytes(in, end != NULL ? (size_t)(end - in->p) :
	    in->n, NULL);
	if (end != NULL)
		input_u8(in);
	return (s);
}
