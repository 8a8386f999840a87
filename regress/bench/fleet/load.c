/*
 * load.c - tasks at a fixed rate, whose times are kept and counted from, or as
 * fast as answers come; with a bound on how far the posts are ahead of what the
 * runners have done.
 */
#include <stdlib.h>

#include <event2/event.h>

#include "client.h"
#include "log.h"
#include "util.h"

#define AHEAD		20	/* a session's queue, in the closed loop */

static struct event	*clock_event;
static uint64_t		 begun;
static size_t		 want;		/* tasks_count() in the end */
static size_t		 first;		/* of this load */

static int
closed_due(uint64_t *due)
{
	size_t	 n = tasks_count();

	if (n >= want || fleet->stopping || (fleet->nrunners > 0 &&
	    n - fleet->ended >= fleet->nsessions * AHEAD))
		return (0);
	*due = now_ns();
	return (1);
}

static uint64_t
open_at(size_t i)
{
	return (begun + (uint64_t)((double)(i - first) * 1e9 / fleet->rate));
}

static int
open_due(uint64_t *due)
{
	size_t	 n = tasks_count();

	if (n >= want || fleet->stopping || open_at(n) > now_ns())
		return (0);
	*due = open_at(n);
	return (1);
}

static void
open_clock(int fd, short what, void *arg)
{
	struct timeval	 tv;
	uint64_t	 at, now;

	(void)fd;
	(void)what;
	(void)arg;
	post_more();
	if (tasks_count() >= want || fleet->stopping)
		return;
	at = open_at(tasks_count());
	now = now_ns();
	/* All connections are busy: a free one asks by itself. */
	at = at > now ? at - now : 1000000;
	tv.tv_sec = (time_t)(at / 1000000000);
	tv.tv_usec = (suseconds_t)(at / 1000 % 1000000);
	event_add(clock_event, &tv);
}

/* Stopped: what was posted is waited for, and nothing more. */
static void
load_turn(void)
{
	if (fleet->stopping)
		want = tasks_count();
	post_more();
}

void
load_post(size_t n)
{
	if (clock_event == NULL) {
		posters_open(fleet->connections, fleet->rate > 0 ? open_due :
		    closed_due);
		clock_event = evtimer_new(fleet->base, open_clock, NULL);
		/* A task's end may be what the next one waits for. */
		fleet->turn = load_turn;
	}
	first = tasks_count();
	want = first + n;
	begun = now_ns();
	if (fleet->rate > 0)
		open_clock(-1, 0, NULL);
	else
		post_more();
	wait_until(&fleet->answered, &want, "201s");
}

void
load_end(void)
{
	if (fleet->nrunners > 0)
		wait_until(&fleet->ended, &want, "tasks to end");
}

uint64_t
load_begun(void)
{
	return (begun);
}
