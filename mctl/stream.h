/*
 * Server-sent events, kept up across cuts: sse.c, stream.c.
 */

#ifndef STREAM_H
#define STREAM_H

#include "doc.h"

#define EVENT_MAX	(16UL << 20)	/* bytes of one event */

struct sse {
	struct str	 line;
	struct str	 data;
	struct str	 id;		/* of the event being read */
	struct str	 type;
	long		 retry;		/* ms, 0 until the server says */
	int		 after_cr;
	int		 has_data;
};

/* 0 to go on, 1 to end the stream. */
typedef int (*sse_fn)(void *, const char *, const char *, size_t);

struct stream {
	const char	*path;		/* filters included, lent */
	struct str	 last;		/* position: the last event's id */
	struct str	 body;		/* of a refusal */
	struct sse	 sse;
	sse_fn		 on_event;	/* type, data */
	int		(*on_tick)(void *);	/* four times a second */
	void		*arg;
	void		*curl;
	int64_t		 lost;		/* when the last cut was */
	int		 failures;	/* since anything came */
	int		 stop;
	int		 broken;	/* an event has no end */
	int		 streams;	/* this answer is a stream of events */
};

int	 sse_feed(struct sse *, const char *, size_t, sse_fn, void *,
	    struct str *);
void	 sse_reset(struct sse *);

/* 0: stopped by a callback; 1: nothing more to come; -1: m->rc is set. */
int	 stream_run(struct mctl *, struct stream *);

#endif
