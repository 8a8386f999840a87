/*
 * buf.c - a queue of bytes in one piece of memory.  Prompts and keys pass
 * through these, so bytes that leave a buffer, or are left behind when it
 * grows, are wiped.  Owned by whoever embeds it; only memory can fail, which
 * is fatal.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"
#include "log.h"

#define BUF_FIRST	2048
#define BUF_KEEP	(16 * 1024)	/* an empty buffer keeps this much */

uint8_t *
buf_head(const struct buf *b)
{
	return (b->data + b->off);
}

void
buf_free(struct buf *b)
{
	if (b->data != NULL)
		explicit_bzero(b->data + b->off, b->len);
	free(b->data);
	memset(b, 0, sizeof(*b));
}

/* Room for n more bytes at the end. */
static void
buf_grow(struct buf *b, size_t n)
{
	uint8_t	*data;
	size_t	 size;

	if (b->size - b->off - b->len >= n)
		return;
	if (b->off >= b->len && b->size - b->len >= n) {
		/* No overlap: the old place can be wiped. */
		memcpy(b->data, b->data + b->off, b->len);
		explicit_bzero(b->data + b->off, b->len);
		b->off = 0;
		return;
	}
	/* Half as much again, or a busy queue would be copied all the time. */
	for (size = BUF_FIRST; size < b->len + b->len / 2 + n; size *= 2)
		;
	if ((data = malloc(size)) == NULL)
		fatal("buffer of %zu bytes", size);
	if (b->len > 0) {
		memcpy(data, b->data + b->off, b->len);
		explicit_bzero(b->data + b->off, b->len);
	}
	free(b->data);
	b->data = data;
	b->off = 0;
	b->size = size;
}

void
buf_add(struct buf *b, const void *p, size_t n)
{
	if (n == 0)
		return;
	buf_grow(b, n);
	memcpy(b->data + b->off + b->len, p, n);
	b->len += n;
}

void
buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list	 ap;
	size_t	 room;
	int	 n;

	buf_grow(b, 256);
	room = b->size - b->off - b->len;
	va_start(ap, fmt);
	n = vsnprintf((char *)b->data + b->off + b->len, room, fmt, ap);
	va_end(ap);
	if (n < 0)
		fatalx("buffer: format");
	if ((size_t)n >= room) {
		buf_grow(b, (size_t)n + 1);
		va_start(ap, fmt);
		n = vsnprintf((char *)b->data + b->off + b->len, (size_t)n + 1,
		    fmt, ap);
		va_end(ap);
	}
	b->len += (size_t)n;
}

void
buf_drain(struct buf *b, size_t n)
{
	if (n == 0)
		return;
	explicit_bzero(b->data + b->off, n);
	b->off += n;
	b->len -= n;
	if (b->len > 0)
		return;
	b->off = 0;
	if (b->size > BUF_KEEP)
		buf_free(b);
}
