/*
 * main.c - marionette-agent: dials out to a Marionette server, runs coding
 * agents there for its sessions, each in a room of its own.
 *
 * Its jail: it must start programs, build namespaces and change users, so it
 * cannot be confined as the workers are.  What it does: jail.c; no core dumps,
 * not readable by other processes of its user, secrets in locked memory, every
 * descriptor closed on exec.  What it starts gets no privileges at all
 * (no_new_privs, empty bounding set, own uid, namespaces: room.c).
 */
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <event2/event.h>
#include <jansson.h>
#include <sodium.h>
#include <tls.h>

#include "agent.h"
#include "kind.h"
#include "log.h"
#include "place.h"
#include "record.h"
#include "room.h"
#include "run.h"
#include "spool.h"
#include "util.h"

#define STOP_GRACE	3
#define STOP_MAX	7	/* for a run's end: a full disk may keep it */
#define STOP_LINGER	2	/* seconds to tell the server */

struct agent	*env;

/* jansson's memory may have held a key. */
static void
main_free(void *p)
{
	if (p != NULL)
		explicit_bzero(p, malloc_usable_size(p));
	free(p);
}

static void
main_signal(evutil_socket_t sig, short what, void *arg)
{
	(void)what;
	(void)arg;
	agent_stop(strsignal(sig));
}

void
agent_stop(const char *why)
{
	static const struct timeval	 max = { STOP_MAX, 0 };

	if (env->stopping) {
		event_base_loopbreak(env->base);
		return;
	}
	log_info("stopping: %s", why);
	env->stopping = 1;
	if (env->run != NULL) {
		/* What it cannot report before, the next agent does. */
		event_base_loopexit(env->base, &max);
		run_kill(env->run, "lost", STOP_GRACE);
	} else
		event_base_loopbreak(env->base);
}

static void
main_replay(int type, const uint8_t *data, size_t len)
{
	switch (type) {
	case 'M': outbox_load(data, len); break;
	case 'A': outbox_load_ack(data, len); break;
	case 'R': record_load(data, len); break;
	case 'S': session_load(data, len); break;
	case 'L': spool_load_ack(data, len); break;
	default: break;		/* Of a newer agent; it says so elsewhere. */
	}
}

static void
main_signals(void)
{
	struct event	*ev;
	int		 sigs[] = { SIGTERM, SIGINT };
	size_t		 i;

	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	for (i = 0; i < sizeof(sigs) / sizeof(sigs[0]); i++) {
		ev = evsignal_new(env->base, sigs[i], main_signal, NULL);
		event_add(ev, NULL);
	}
}

static void
main_harden(void)
{
	static const struct rlimit	 none = { 0, 0 };

	if (setrlimit(RLIMIT_CORE, &none) == -1)
		log_warn("core dumps");
	/* After the probe: a map of users is written through our own /proc. */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == -1)
		log_warn("prctl");
}

static void
main_walls(void)
{
	char	 mode = room_probe(env->ws_root, geteuid() == 0 &&
		    env->uid_count > 0 ? env->uid_low : 0);

	if (mode == ROOM_UID && env->uid_count == 0)
		mode = ROOM_NONE;	/* Root, but without users to give. */
	switch (mode) {
	case ROOM_NAMESPACE:
		env->sandbox_mode = xstrdup("namespace");
		break;
	case ROOM_UID:
		env->sandbox_mode = xstrdup("uid");
		/* They must get through to their directories, and no more. */
		if (strncmp(env->ws_root, env->state_dir,
		    strlen(env->state_dir)) == 0 &&
		    fchmod(env->state_fd, 0711) == -1)
			log_warn("state directory %s", env->state_dir);
		log_warnx("namespaces are not allowed here: sessions are kept "
		    "apart by their users only, and work in %s/<session>",
		    env->ws_root);
		if (!room_is_reached(env->ws_root, env->uid_low))
			log_warnx("these users may not pass on the way to %s, "
			    "so that no session has its HOME: give another "
			    "--state or --workspace-root", env->ws_root);
		break;
	default:
		env->sandbox_mode = xstrdup("none");
		log_warnx("neither users of their own nor namespaces are to be "
		    "had here: sessions are not kept apart, and work in "
		    "%s/<session>", env->ws_root);
		break;
	}
}

static void
main_check(int enrolled)
{
	size_t	 i;

	printf("server %s:%s%s\nstate %s (%s)\nworkspaces %s (%s)\n",
	    env->host, env->port, env->insecure ? " insecure" : "",
	    env->state_dir, enrolled ? env->runner_id : "not enrolled",
	    env->ws_root, env->sandbox_mode);
	for (i = 0; i < env->nprograms; i++)
		printf("agent %s %s\n", env->programs[i].name,
		    env->programs[i].path);
	exit(0);
}

/* What a run's end left to say is said, if there is a server to hear it. */
static void
main_farewell(void)
{
	struct timeval	 tv = { STOP_LINGER, 0 };

	turn_want();
	event_base_loop(env->base, EVLOOP_NONBLOCK);
	event_base_loopexit(env->base, &tv);
	while (link_is_up() && (outbox_first() != 0 || spool_queued() != 0) &&
	    !event_base_got_exit(env->base))
		event_base_loop(env->base, EVLOOP_ONCE);
	link_stop();
	event_base_loop(env->base, EVLOOP_NONBLOCK);
}

int
main(int argc, char **argv)
{
	int	 enrolled;

	if (argc == 1 && strcmp(argv[0], HOLDER_NAME) == 0) {
		if (sodium_init() == -1)
			_exit(1);
		holder_main();
	}
	json_set_alloc_funcs(xmalloc, main_free);
	env = xcalloc(1, sizeof(*env));
	log_init("marionette-agent", 0, 0);
	if (sodium_init() == -1 || tls_init() == -1)
		fatalx("cryptography cannot be initialised");
	options_parse(env, argc, argv);
	log_setverbose(env->verbose);
	umask(077);
	if (env->nprograms == 0)
		kind_find(env);
	state_open();
	place_init();
	main_walls();
	main_harden();
	jail_enter();
	if ((env->base = event_base_new()) == NULL)
		fatalx("memory: events");
	enrolled = state_load();
	if (env->check_only)
		main_check(enrolled);
	main_signals();
	if (!enrolled)
		enroll();
	else if (env->token != NULL) {
		freezero(env->token, strlen(env->token));
		env->token = NULL;
	}
	journal_open(main_replay);
	spool_open_all();
	session_start();
	record_leftovers();
	turn_init();
	turn_want();
	run_watch_offline();
	link_start();
	event_base_dispatch(env->base);
	main_farewell();
	log_info("stopped");
	return (0);
}
