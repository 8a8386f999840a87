/*
 * will.c - a POST that must be done: while the server says 429, 503 or 504, or
 * nothing, it is said again with the same Idempotency-Key, until there is a yes
 * or a no.  That is in the enduring mood; where something is measured a 503 is a
 * failure, and is waited for only around it: 64 sessions that end with 20,000
 * tasks are more than the database's queue.
 */
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>
#include <event2/event_struct.h>
#include <sodium.h>

#include "client.h"
#include "log.h"
#include "util.h"

#define PAUSE_MS	50
#define PAUSE_MAX_MS	2000

/* Until it is answered. */
struct will {
	struct rest	*rest;
	struct event	 again;
	char		*path, *idem, *body;
	will_done	 done;
	void		*arg;
	unsigned int	 pause;		/* ms */
};

static void	 will_answered(struct rest *, const struct answer *, void *);

static void
will_send(int fd, short what, void *arg)
{
	struct will	*w = arg;

	(void)fd;
	(void)what;
	rest_send(w->rest, "POST", w->path, w->idem, w->body, will_answered, w);
}

static void
will_pause(struct will *w, const struct answer *a)
{
	struct timeval	 tv;
	unsigned int	 ms = w->pause;

	if (a->retry_after != 0 && a->retry_after * 1000 < PAUSE_MAX_MS)
		ms = a->retry_after * 1000;
	ms = ms / 2 + randombytes_uniform(ms / 2 + 1);
	w->pause = w->pause * 2 > PAUSE_MAX_MS ? PAUSE_MAX_MS : w->pause * 2;
	tv.tv_sec = ms / 1000;
	tv.tv_usec = (suseconds_t)(ms % 1000) * 1000;
	evtimer_add(&w->again, &tv);
}

static void
will_answered(struct rest *r, const struct answer *a, void *arg)
{
	struct will	*w = arg;

	(void)r;
	if ((fleet->enduring && (a->status == 0 || a->status == 429 ||
	    a->status == 503 || a->status == 504)) ||
	    (fleet->patient && a->status == 503)) {
		book("unanswered %s %d", w->idem, a->status);
		will_pause(w, a);
		return;
	}
	w->done(a, w->arg);
	free(w->path);
	free(w->idem);
	free(w->body);
	free(w);
}

void
will_post(struct rest *r, const char *path, const char *idem, const char *body,
    will_done done, void *arg)
{
	struct will	*w;

	w = xcalloc(1, sizeof(*w));
	evtimer_assign(&w->again, fleet->base, will_send, w);
	w->rest = r;
	w->path = xstrdup(path);
	w->idem = xstrdup(idem);
	w->body = xstrdup(body);
	w->done = done;
	w->arg = arg;
	w->pause = PAUSE_MS;
	will_send(-1, 0, w);
}
