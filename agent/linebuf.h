/*
 * linebuf.h - a stream of a program, taken apart into lines.
 */
#ifndef AGENT_LINEBUF_H
#define AGENT_LINEBUF_H

#include <stddef.h>

#define LINE_MAX_BYTES	(16 * 1024 * 1024)

struct event;
struct run;

struct lines {
	char	*buf;
	size_t	 len;
	size_t	 size;
	int	 over;		/* the rest of an over-long line is dropped */
};

/* One of a run's two; -1 when it has ended. */
struct stream {
	struct event	*ev;
	struct lines	 lines;
	int		 fd;
};

/* A line without its newline, lent. */
typedef void	(*lines_cb)(struct run *, struct stream *, const char *, size_t);
void	 lines_add(struct run *, struct stream *, const char *, size_t,
	    lines_cb);
void	 lines_end(struct run *, struct stream *, lines_cb);

#endif
