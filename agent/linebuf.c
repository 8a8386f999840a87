/*
 * linebuf.c - bytes from a program become lines of at most 16 MiB.  What is
 * longer is cut, said, and dropped up to its newline.
 */
#include <stdlib.h>
#include <string.h>

#include "run.h"
#include "util.h"

static void
lines_grow(struct lines *l, size_t more)
{
	size_t	 want = l->len + more;

	if (want <= l->size)
		return;
	l->size = want < 16384 ? 16384 : want * 2;
	l->buf = xrealloc(l->buf, l->size);
}

static void
lines_give(struct run *r, struct stream *st, lines_cb cb)
{
	struct lines	*l = &st->lines;

	if (l->over)
		run_system(r, "warn", "The line before this one was longer "
		    "than 16 MiB; the rest of it was dropped.");
	else
		cb(r, st, l->len > 0 ? l->buf : "", l->len);
	l->over = 0;
	l->len = 0;
	if (l->size > 1024 * 1024) {	/* One long line is no reason. */
		free(l->buf);
		l->buf = NULL;
		l->size = 0;
	}
}

static void
lines_part(struct run *r, struct stream *st, const char *p, size_t n,
    lines_cb cb)
{
	struct lines	*l = &st->lines;
	size_t		 room;

	if (l->over || n == 0)
		return;
	room = LINE_MAX_BYTES - l->len;
	lines_grow(l, n < room ? n : room);
	memcpy(l->buf + l->len, p, n < room ? n : room);
	l->len += n < room ? n : room;
	if (n > room) {
		cb(r, st, l->buf, l->len);
		l->len = 0;
		l->over = 1;
	}
}

void
lines_add(struct run *r, struct stream *st, const char *p, size_t n,
    lines_cb cb)
{
	const char	*nl;

	while ((nl = memchr(p, '\n', n)) != NULL) {
		lines_part(r, st, p, (size_t)(nl - p), cb);
		lines_give(r, st, cb);
		n -= (size_t)(nl - p) + 1;
		p = nl + 1;
	}
	if (n > 0)
		lines_part(r, st, p, n, cb);
}

void
lines_end(struct run *r, struct stream *st, lines_cb cb)
{
	if (st->lines.len > 0 || st->lines.over)
		lines_give(r, st, cb);
	free(st->lines.buf);
	memset(&st->lines, 0, sizeof(st->lines));
}
