/*
 * loop.c - time, and turning the loop until something is so.  Every wait has a
 * bound: a minute in which nothing of what is waited for happened.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <event2/event.h>

#include "fleet.h"
#include "log.h"
#include "util.h"

#define WAIT_SECONDS	60

uint64_t
now_ns(void)
{
	struct timespec	 ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ((uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec);
}

void
wait_for(const size_t *n, size_t want, const char *what)
{
	wait_until(n, &want, what);
}

void
wait_until(const size_t *n, const size_t *want, const char *what)
{
	uint64_t	 since = now_ns();
	size_t		 seen = *n;

	while (*n < *want) {
		event_base_loop(fleet->base, EVLOOP_ONCE);
		if (fleet->turn != NULL)
			fleet->turn();
		if (*n != seen) {
			seen = *n;
			since = now_ns();
		} else if (now_ns() - since > WAIT_SECONDS * 1000000000ULL)
			fatalx("lost: waited %d s for %s: %zu of %zu",
			    WAIT_SECONDS, what, *n, *want);
	}
}

static void
wait_over(int fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	++*(size_t *)arg;
}

void
wait_ms(unsigned int ms)
{
	struct timeval	 tv = { ms / 1000, (int)(ms % 1000) * 1000 };
	struct event	*ev;
	size_t		 over = 0;

	ev = evtimer_new(fleet->base, wait_over, &over);
	event_add(ev, &tv);
	while (over == 0)
		event_base_loop(fleet->base, EVLOOP_ONCE);
	event_free(ev);
}

/* Synchronous, so that what it samples is of the measurement and no more. */
void
hook(const char *what)
{
	char	*cmd;

	fflush(stdout);
	if (fleet->hook == NULL)
		return;
	cmd = xasprintf("%s %s", fleet->hook, what);
	if (system(cmd) != 0)
		fatalx("%s: failed", cmd);
	free(cmd);
}

void
wrong(const char *fmt, ...)
{
	va_list	 ap;
	char	 text[512];

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	book("wrong %s", text);
	if (!fleet->enduring)
		fatalx("%s", text);
	fleet->wrong++;
	log_warnx("wrong: %s", text);
}
