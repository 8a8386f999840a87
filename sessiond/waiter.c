/*
 * waiter.c - requests that wait until a session is where it was asked to go
 * (?wait=seconds).  They are answered with the session as it is then; bounded.
 */
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "sessiond.h"
#include "share.h"

#define WAITERS_MAX	4096

struct waiter {
	TAILQ_ENTRY(waiter)	 entry;
	enum proc		 client;
	uint64_t		 ref;
	char			 tenant[33];
	char			 session[ID_SIZE];
	uint64_t		 until;		/* monotonic ms */
	enum goal		 goal;
};

static TAILQ_HEAD(, waiter)	 waiters = TAILQ_HEAD_INITIALIZER(waiters);
static struct shares		 shares = SHARES_INITIALIZER(WAITERS_MAX);

/* Is it where it was asked to go? */
static int
session_is_settled(const struct session *s)
{
	return (s == NULL || (s->wish == WISH_NONE &&
	    (s->status == ACTIVE || s->status == SUSPENDED)));
}

/* 1: it waits; 0: there is nothing to wait for, or no room. */
int
waiter_add(struct peer *p, uint64_t ref, const struct session *s,
    uint32_t seconds, enum goal goal)
{
	struct waiter	*w;

	if (seconds == 0 || s == NULL || session_is_settled(s) ||
	    share_take(&shares, s->tenant) == -1)
		return (0);
	if ((w = calloc(1, sizeof(*w))) == NULL)
		fatal("waiter");
	w->client = p->proc;
	w->ref = ref;
	strlcpy(w->tenant, s->tenant, sizeof(w->tenant));
	strlcpy(w->session, s->id, sizeof(w->session));
	w->goal = goal;
	w->until = worker_mono_ms() + seconds * 1000ULL;
	TAILQ_INSERT_TAIL(&waiters, w, entry);
	return (1);
}

/* Removed for good: there is nothing left to show. */
static void
wake(struct waiter *w)
{
	struct msg_session_read	 m;
	struct session		*s = session_find(w->session);
	struct peer		*p = peer_of(w->client);

	TAILQ_REMOVE(&waiters, w, entry);
	share_give(&shares, w->tenant);
	m.tenant = w->tenant;
	m.session = w->session;
	if (w->goal == GOAL_REMOVE && s == NULL)
		document(p, w->ref, 204, 0, (const uint8_t *)"", 0);
	else
		relay_as(p, w->ref, w->goal == GOAL_READ ||
		    session_is_settled(s) ? 200 : 202, MSG_SESSION_READ, &m);
	free(w);
}

void
waiters_wake(const char *session)
{
	struct waiter	*w, *next;

	if (TAILQ_EMPTY(&waiters) || !session_is_settled(session_find(session)))
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
			share_give(&shares, w->tenant);
			free(w);
		}
}
