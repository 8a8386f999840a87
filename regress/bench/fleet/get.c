/*
 * get.c - reads at a fixed rate on kept connections; the time of each counts
 * from when it was to be sent.
 */
#include <stdio.h>
#include <stdlib.h>

#include <event2/event.h>

#include "client.h"
#include "log.h"
#include "util.h"

static struct rest	**idle;
static struct hist	*times;
static struct event	*clock_event;
static const char	*what;
static uint64_t		 begun;
static uint64_t		*due;		/* by request */
static size_t		 nidle, sent, done, want;

static void	 get_more(void);

static uint64_t
get_at(size_t i)
{
	return (begun + (uint64_t)((double)i * 1e9 / fleet->rate));
}

static void
got(struct rest *r, const struct answer *a, void *arg)
{
	uint64_t	*at = arg;

	if (a->status != 200)
		fatalx("GET %s: %d: %.300s", what, a->status, a->body);
	hist_add(times, now_ns() - *at);
	done++;
	idle[nidle++] = r;
	get_more();
}

static void
get_more(void)
{
	uint64_t	 now = now_ns();

	while (nidle > 0 && sent < want && get_at(sent) <= now) {
		due[sent] = get_at(sent);
		rest_send(idle[--nidle], "GET", what, NULL, NULL, got,
		    &due[sent]);
		sent++;
	}
}

static void
get_clock(int fd, short ev, void *arg)
{
	struct timeval	 tv = { 0, 0 };
	uint64_t	 at, now = now_ns();

	(void)fd;
	(void)ev;
	(void)arg;
	get_more();
	if (sent == want)
		return;
	at = get_at(sent);
	tv.tv_usec = at > now ? (suseconds_t)((at - now) / 1000) : 1000;
	event_add(clock_event, &tv);
}

void
get_at_rate(const char *path, size_t n)
{
	size_t	 i;

	what = path;
	want = n;
	times = hist_new();
	due = xcalloc(n, sizeof(*due));
	idle = xcalloc(fleet->connections, sizeof(struct rest *));
	for (i = 0; i < fleet->connections; i++) {
		idle[nidle] = rest_open();
		rest_wait(idle[nidle++]);
	}
	clock_event = evtimer_new(fleet->base, get_clock, NULL);
	begun = now_ns();
	get_clock(-1, 0, NULL);
	wait_for(&done, n, "answers");
	printf("gets_per_second %.0f\n", (double)n * 1e9 /
	    (double)(now_ns() - begun));
	hist_print(times, "get");
	for (i = 0; i < fleet->connections; i++)
		rest_close(idle[i]);
}
