/*
 * waiter.c - requests that wait until a session is where it was asked to go
 * (?wait=seconds).  They are answered with the session as it is then; bounded.
 */
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "sessiond.h"

#define WAITERS_MAX	4096

struct waiter {
	TAILQ_ENTRY(waiter)	 entry;
	enum proc		 client;
	uint64_t		 ref;
	char			 tenant[33];
	char			 session[ID_SIZE];
	uint64_t		 until;		/* monotonic ms */
};

static TAILQ_HEAD(, waiter)	 waiters = TAILQ_HEAD_INITIALIZER(waiters);
static unsigned int		 nwaiters;

/* 1: it waits; 0: there is nothing to wait for, or no room. */
int
waiter_add(struct peer *p, uint64_t ref, const struct session *s,
    uint32_t seconds)
{
	struct waiter	*w;

	if (seconds == 0 || s == NULL || nwaiters == WAITERS_MAX)
		return (0);
	if ((s->status == ACTIVE && s->wish == WISH_NONE) ||
	    s->status == SUSPENDED)
		return (0);
	if ((w = calloc(1, sizeof(*w))) == NULL)
		fatal("waiter");
	w->client = p->proc;
	w->ref = ref;
	strlcpy(w->tenant, s->tenant, sizeof(w->tenant));
	strlcpy(w->session, s->id, sizeof(w->session));
	w->until = worker_mono_ms() + seconds * 1000ULL;
	TAILQ_INSERT_TAIL(&waiters, w, entry);
	nwaiters++;
	return (1);
}

static void
wake(struct waiter *w)
{
	struct msg_session_read	 m;

	TAILQ_REMOVE(&waiters, w, entry);
	nwaiters--;
	m.tenant = w->tenant;
	m.session = w->session;
	relay(peer_of(w->client), w->ref, MSG_SESSION_READ, &m);
	free(w);
}

void
waiters_wake(const char *session)
{
	struct session	*s = session_find(session);
	struct waiter	*w, *next;

	if (s != NULL && (s->status == PENDING || s->status == RESUMING ||
	    (s->status == ACTIVE && s->wish != WISH_NONE)))
		return;
	TAILQ_FOREACH_SAFE(w, &waiters, entry, next)
		if (strcmp(w->session, session) == 0)
			wake(w);
}

void
waiters_tick(void)
{
	struct waiter	*w, *next;

	TAILQ_FOREACH_SAFE(w, &waiters, entry, next)
		if (w->until <= worker_mono_ms())
			wake(w);
}

void
waiters_peer_down(const struct peer *p)
{
	struct waiter	*w, *next;

	TAILQ_FOREACH_SAFE(w, &waiters, entry, next)
		if (w->client == p->proc) {
			TAILQ_REMOVE(&waiters, w, entry);
			nwaiters--;
			free(w);
		}
}
