/*
 * hub.c - the ring of recent events, in commit order, as storaged pushes them
 * (promise 14) while anybody follows.  What lies before its low mark is read
 * from storage.  Bounded by number and bytes.
 */
#include <stdlib.h>
#include <string.h>

#include "hub.h"
#include "log.h"
#include "sessiond.h"
#include "worker.h"

#define RING_EVENTS	8192
#define RING_BYTES	(8U << 20)
#define QUIET_MS	60000	/* a follower may soon be back */

TAILQ_HEAD(events, event_item);

static struct events		 ring = TAILQ_HEAD_INITIALIZER(ring);
static unsigned int		 count;
static size_t			 bytes;
static struct position		 low, high;	/* (low, high] is in the ring */
static int			 open_;		/* a horizon was told */
static int			 wanted;	/* as storaged was told */
static uint64_t			 quiet;		/* mono ms, nobody since; 0 */

int
hub_is_open(void)
{
	return (open_);
}

const struct position *
hub_low(void)
{
	return (&low);
}

const struct position *
hub_high(void)
{
	return (&high);
}

static size_t
event_bytes(const struct event_item *e)
{
	return (sizeof(*e) + strlen(e->type) + strlen(e->labels) +
	    e->body_len);
}

static void
drop_oldest(void)
{
	struct event_item	*e = TAILQ_FIRST(&ring);

	low = e->at;
	TAILQ_REMOVE(&ring, e, entry);
	count--;
	bytes -= event_bytes(e);
	free(e->type);
	free(e->labels);
	free(e->body);
	free(e);
}

/* The first event after `at', which is not below the low mark; or NULL. */
struct event_item *
hub_after(const struct position *at)
{
	struct event_item	*e, *found = NULL;

	/* Followers are near the end: look from there. */
	TAILQ_FOREACH_REVERSE(e, &ring, events, entry) {
		if (position_cmp(&e->at, at) <= 0)
			break;
		found = e;
	}
	return (found);
}

static void
drop_all(void)
{
	while (!TAILQ_EMPTY(&ring))
		drop_oldest();
}

static void
tell_wanted(void)
{
	struct msg_event_feed	 m = { (uint8_t)wanted };

	if (peer_is_up(peer_of(PROC_STORAGED)))
		send_event_feed(peer_of(PROC_STORAGED), 0, &m);
}

void
hub_want(void)
{
	quiet = 0;
	if (wanted)
		return;
	wanted = 1;
	tell_wanted();
}

void
hub_tick(void)
{
	uint64_t	 now = worker_mono_ms();

	if (!wanted || followers_count() > 0)
		return;
	if (quiet == 0)
		quiet = now;
	if (now - quiet < QUIET_MS)
		return;
	wanted = open_ = 0;
	drop_all();
	tell_wanted();
}

void
hub_storaged_up(void)
{
	if (wanted)
		tell_wanted();
}

void
on_event_horizon(struct peer *p, uint64_t ref,
    const struct msg_event_horizon *m)
{
	struct position	 at;

	(void)p;
	(void)ref;
	if (position_parse(&at, m->position) == -1)
		fatalx("storaged: horizon %s", m->position);
	if (!wanted)
		return;
	drop_all();
	/* Events are numbered from 1: the horizon itself, n.0, is before. */
	low = at;
	if (!open_ || position_cmp(&high, &low) < 0)
		high = low;
	open_ = 1;
	followers_due();
}

void
on_event_committed(struct peer *p, uint64_t ref,
    const struct msg_event_committed *m)
{
	struct event_item	*e;
	struct position		 at;

	(void)p;
	(void)ref;
	if (position_parse(&at, m->position) == -1)
		fatalx("storaged: position %s", m->position);
	/* Known, or below a horizon that was told: storage has it. */
	if (!open_ || position_cmp(&at, &low) <= 0 ||
	    (!TAILQ_EMPTY(&ring) && position_cmp(&at, &high) <= 0))
		return;
	if ((e = calloc(1, sizeof(*e))) == NULL ||
	    (e->type = strdup(m->type)) == NULL ||
	    (e->labels = malloc(m->labels_len + 1)) == NULL ||
	    (e->body = malloc(m->body_len + 1)) == NULL)
		fatal("event");
	e->at = at;
	strlcpy(e->tenant, m->tenant, sizeof(e->tenant));
	memcpy(e->labels, m->labels, m->labels_len);
	e->labels[m->labels_len] = '\0';
	memcpy(e->body, m->body, m->body_len);
	e->body_len = m->body_len;
	TAILQ_INSERT_TAIL(&ring, e, entry);
	count++;
	bytes += event_bytes(e);
	if (position_cmp(&e->at, &high) > 0)
		high = e->at;
	while (count > RING_EVENTS || bytes > RING_BYTES)
		drop_oldest();
	followers_due();
}
