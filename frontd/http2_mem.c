/*
 * http2_mem.c - nghttp2's memory, wiped when it is freed: header fields hold
 * tokens.  Fails as malloc does; http2.c makes that fatal.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "http2.h"

union h2_block {
	size_t		 size;
	max_align_t	 align;
};

static void *
h2_malloc(size_t size, void *arg)
{
	union h2_block	*b;

	(void)arg;
	if ((b = malloc(sizeof(*b) + size)) == NULL)
		return (NULL);
	b->size = size;
	return (b + 1);
}

static void
h2_free(void *p, void *arg)
{
	union h2_block	*b = p;

	(void)arg;
	if (p == NULL)
		return;
	b--;
	freezero(b, sizeof(*b) + b->size);
}

static void *
h2_calloc(size_t n, size_t size, void *arg)
{
	void	*p;

	if (size != 0 && n > SIZE_MAX / 2 / size)
		return (NULL);
	if ((p = h2_malloc(n * size, arg)) != NULL)
		memset(p, 0, n * size);
	return (p);
}

static void *
h2_realloc(void *p, size_t size, void *arg)
{
	union h2_block	*b = p;
	void		*q;

	if ((q = h2_malloc(size, arg)) == NULL || p == NULL)
		return (q);
	b--;
	memcpy(q, p, b->size < size ? b->size : size);
	h2_free(p, arg);
	return (q);
}

nghttp2_mem	 h2_mem = { NULL, h2_malloc, h2_free, h2_calloc,
	h2_realloc };
