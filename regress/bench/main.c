/*
 * main.c - fleet: fake runners and a REST load in one process.
 *
 *	fleet -a host:port -r host:port -c ca.pem [-n runners] [-s samples]
 *	    [-t tasks] [-l lines] [-m bytes] [-k connections] [-x]
 *
 * MARIONETTE_API_KEY and MARIONETTE_RUNNER_TOKEN are taken from the
 * environment.  -x: for profiles, nothing is read again.  Exits 1 when anything
 * was lost, and says what.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <event2/event.h>
#include <sodium.h>

#include "bench.h"
#include "log.h"
#include "util.h"

#define WAIT_SECONDS	60	/* without any progress */

struct bench	*bench;

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
	uint64_t	 since = now_ns();
	size_t		 seen = *n;

	while (*n < want) {
		event_base_loop(bench->base, EVLOOP_ONCE);
		if (*n != seen) {
			seen = *n;
			since = now_ns();
		} else if (now_ns() - since > WAIT_SECONDS * 1000000000ULL)
			fatalx("lost: waited %d s for %s: %zu of %zu",
			    WAIT_SECONDS, what, *n, want);
	}
}

static void
pause_over(int fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	++*(size_t *)arg;
}

/* The loop goes on meanwhile. */
void
pause_ms(unsigned int ms)
{
	struct timeval	 tv = { ms / 1000, (int)(ms % 1000) * 1000 };
	struct event	*ev;
	size_t		 over = 0;

	ev = evtimer_new(bench->base, pause_over, &over);
	event_add(ev, &tv);
	wait_for(&over, 1, "time to pass");
	event_free(ev);
}

static const char *
split(char *s, const char **port)
{
	char	*colon;

	if ((colon = strrchr(s, ':')) == NULL)
		fatalx("%s: expected host:port", s);
	*colon = '\0';
	*port = colon + 1;
	return (s);
}

static size_t
count(const char *s, const char *what)
{
	const char	*e;
	size_t		 n;

	n = (size_t)strtonum(s, 0, 1000000, &e);
	if (e != NULL)
		fatalx("%s: %s is %s", what, s, e);
	return (n);
}

static void
options(struct bench *b, int argc, char **argv)
{
	char	*token, *dot;
	int	 c;

	while ((c = getopt(argc, argv, "a:c:k:l:m:n:r:s:t:x")) != -1)
		switch (c) {
		case 'a': b->api_host = split(optarg, &b->api_port); break;
		case 'c': b->ca = optarg; break;
		case 'k': b->connections = count(optarg, "connections"); break;
		case 'l': b->lines = (unsigned)count(optarg, "lines"); break;
		case 'm': b->line_bytes = (unsigned)count(optarg, "bytes");
			break;
		case 'n': b->nrunners = count(optarg, "runners"); break;
		case 'r': b->host = split(optarg, &b->port); break;
		case 's': b->samples = count(optarg, "samples"); break;
		case 't': b->maxtasks = count(optarg, "tasks"); break;
		case 'x': b->unread = 1; break;
		default:
			exit(2);
		}
	b->key = getenv("MARIONETTE_API_KEY");
	token = getenv("MARIONETTE_RUNNER_TOKEN");
	if (b->api_host == NULL || b->host == NULL || b->ca == NULL ||
	    b->key == NULL || token == NULL)
		fatalx("-a, -r, -c, MARIONETTE_API_KEY and "
		    "MARIONETTE_RUNNER_TOKEN are needed");
	b->token = xstrdup(token);
	if ((dot = strchr(b->token, '.')) == NULL)
		fatalx("the runner token names no CA");
	*dot = '\0';
	b->pin = dot + 1;
}

int
main(int argc, char *argv[])
{
	struct bench	 b = {
		.nrunners = 50, .samples = 1000, .maxtasks = 5000,
		.lines = 20, .line_bytes = 100, .connections = 16
	};
	size_t		 wrong;

	bench = &b;
	log_init("fleet", 0, 0);
	options(&b, argc, argv);
	if (sodium_init() == -1 || (b.base = event_base_new()) == NULL)
		fatalx("cannot begin");
	b.maxtasks += b.samples + b.samples / 10;
	b.tasks = xcalloc(b.maxtasks, sizeof(*b.tasks));
	runners_start();
	sessions_create();
	if (b.samples > 0) {
		measure_dispatch();
		measure_get();
	}
	if (b.ntasks < b.maxtasks)
		measure_load();
	if (b.unread)
		return (0);
	wrong = verify();
	return (wrong > 0 ? 1 : 0);
}
