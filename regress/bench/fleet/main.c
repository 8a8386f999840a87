/*
 * main.c - fleet: fake runners, a REST load and followers in one process and
 * one thread, so that their clocks agree.  See ../README.md.
 *
 *	fleet -a host:port -r host:port -c ca.pem [option ...] command
 *
 * MARIONETTE_API_KEY and MARIONETTE_RUNNER_TOKEN are taken from the
 * environment.  Exits 1 when anything was lost, and says what.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <event2/event.h>
#include <sodium.h>

#include "client.h"
#include "log.h"
#include "runner.h"
#include "util.h"

#define CUT_PERCENT	10

struct fleet	*fleet;

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

	n = (size_t)strtonum(s, 0, 100000000, &e);
	if (e != NULL)
		fatalx("%s: %s is %s", what, s, e);
	return (n);
}

static void
usage(void)
{
	fprintf(stderr, "usage: fleet -a host:port -r host:port -c ca.pem "
	    "[-euv] [-A agent] [-b book]\n"
	    "    [-f followers] [-i directory] [-K pid] "
	    "[-k connections]\n"
	    "    [-l every] [-n runners] [-p probe] [-q every] [-R rate] "
	    "[-s sessions]\n"
	    "    [-S script] [-t tasks] [-x hook]\n"
	    "    tasks | trickle | lines | follow | ask | get | hold | "
	    "outage\n");
	exit(2);
}

static void
number_option(struct fleet *f, int c, const char *arg)
{
	switch (c) {
	case 'f': f->followers = count(arg, "followers"); break;
	case 'K': f->victim = (pid_t)count(arg, "process"); break;
	case 'k': f->connections = count(arg, "connections"); break;
	case 'l': f->log_every = count(arg, "logs"); break;
	case 'n': f->nrunners = count(arg, "runners"); break;
	case 'q': f->ask_every = count(arg, "questions"); break;
	case 'R': f->rate = (double)count(arg, "rate"); break;
	case 's': f->nsessions = count(arg, "sessions"); break;
	case 't': f->ntasks = count(arg, "tasks"); break;
	default: usage();
	}
}

static void
options(struct fleet *f, int argc, char **argv)
{
	int	 c;

	while ((c = getopt(argc, argv, "A:a:b:c:ef:i:K:k:l:n:p:q:R:r:S:s:t:uvx:"))
	    != -1)
		switch (c) {
		case 'A': f->agent = optarg; break;
		case 'a': f->api_host = split(optarg, &f->api_port); break;
		case 'b': book_open(optarg); break;
		case 'c': f->ca = optarg; break;
		case 'e': f->enduring = 1; break;
		case 'i': f->papers = optarg; break;
		case 'p': f->probe = optarg; break;
		case 'r': f->host = split(optarg, &f->port); break;
		case 'S': f->script = optarg; break;
		case 'u': f->unread = 1; break;
		case 'v': log_setverbose(1); break;
		case 'x': f->hook = optarg; break;
		default: number_option(f, c, optarg); break;
		}
	if (optind != argc - 1 || f->api_host == NULL || f->host == NULL ||
	    f->ca == NULL)
		usage();
}

static void
secrets(struct fleet *f)
{
	const char	*token = getenv("MARIONETTE_RUNNER_TOKEN");
	char		*dot;

	f->key = getenv("MARIONETTE_API_KEY");
	if (f->key == NULL || token == NULL)
		fatalx("MARIONETTE_API_KEY and MARIONETTE_RUNNER_TOKEN are "
		    "needed");
	f->token = xstrdup(token);
	if ((dot = strchr(f->token, '.')) == NULL)
		fatalx("the runner token names no CA");
	*dot = '\0';
	f->pin = dot + 1;
}

/* A cut: some of all connections break as if a cable was pulled. */
static void
on_cut(int sig, short what, void *arg)
{
	(void)sig;
	(void)what;
	(void)arg;
	runners_cut(CUT_PERCENT);
	conns_cut(CUT_PERCENT);
}

static void
on_stop(int sig, short what, void *arg)
{
	(void)sig;
	(void)what;
	(void)arg;
	fleet->stopping = 1;
}

static void
begin(struct fleet *f)
{
	static struct event	*cut, *term, *intr;
	struct event_config	*config;
	struct rlimit		 rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) == 0) {
		rl.rlim_cur = rl.rlim_max;
		setrlimit(RLIMIT_NOFILE, &rl);
	}
	signal(SIGPIPE, SIG_IGN);
	/* Rates and pauses are finer than a millisecond. */
	config = event_config_new();
	event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER);
	if (sodium_init() == -1 ||
	    (f->base = event_base_new_with_config(config)) == NULL)
		fatalx("cannot begin");
	event_config_free(config);
	snprintf(f->mark, sizeof(f->mark), "%08x", randombytes_random());
	cut = evsignal_new(f->base, SIGUSR1, on_cut, NULL);
	term = evsignal_new(f->base, SIGTERM, on_stop, NULL);
	intr = evsignal_new(f->base, SIGINT, on_stop, NULL);
	event_add(cut, NULL);
	event_add(term, NULL);
	event_add(intr, NULL);
	book("begin %s %zu %d", f->mark, f->nrunners, f->enduring);
}

int
main(int argc, char *argv[])
{
	static struct fleet	 f = {
		.nrunners = 50, .nsessions = 50, .ntasks = 1000,
		.connections = 16, .script = "lines=20 bytes=100",
		.agent = "custom:fleet"
	};

	fleet = &f;
	log_init("fleet", 0, 0);
	options(&f, argc, argv);
	secrets(&f);
	begin(&f);
	if (f.nrunners > 0)
		runners_start();
	if (f.nsessions > 0)
		sessions_create();
	if (command_run(argv[optind]) == -1)
		usage();
	if (!f.unread && tasks_count() > 0) {
		logs_check();
		f.wrong += verify();
	}
	if (f.nsessions > 0)
		sessions_end();
	book("end %zu", f.wrong);
	return (f.wrong > 0 ? 1 : 0);
}
