/*
 * worker.c - start, reload and restart are one path (architecture 1.7, 9):
 * PROC_START, options, secrets, descriptors, PROC_CONFIGURED, then the jail,
 * then peers.  EOF on the parent's channel ends the worker.  A peer that breaks
 * the protocol is named to the parent, which decides who is to end.
 */
#include <sys/prctl.h>
#include <sys/socket.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "worker.h"
#include "worker_msg.h"

#define PARENT_FD	3
#define METRICS_MAX	32768

static const struct worker	*env;
static struct event_base	*base;
static enum proc		 self;
static pid_t			 ppid;
static struct {
	uint32_t	 uid, gid;
	enum jail_mode	 mode;
	char		 root[257];
}				 jail;
static int			 started, configured, running, is_ready,
				 draining;
static uint64_t			 now_ms, mono_ms;

enum proc
worker_self(void)
{
	return (self);
}

struct event_base *
worker_base(void)
{
	return (base);
}

static uint64_t
clock_ms(clockid_t id)
{
	struct timespec	 ts;

	clock_gettime(id, &ts);
	return ((uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000);
}

static void
turn_time(void)
{
	now_ms = clock_ms(CLOCK_REALTIME);
	mono_ms = clock_ms(CLOCK_MONOTONIC);
}

uint64_t
worker_now_ms(void)
{
	return (now_ms);
}

uint64_t
worker_mono_ms(void)
{
	return (mono_ms);
}

void
worker_jail_child(const struct jail *j)
{
	sandbox_enter(j, jail.mode, jail.root, jail.uid, jail.gid, getppid());
}

void
worker_ready(void)
{
	struct msg_proc_ready	 m = { 0 };

	if (is_ready)
		return;
	is_ready = 1;
	send_proc_ready(peer_of(PROC_PARENT), 0, &m);
}

void
worker_drained(void)
{
	struct msg_proc_drained	 m = { 0 };

	send_proc_drained(peer_of(PROC_PARENT), 0, &m);
}

int
worker_draining(void)
{
	return (draining);
}

void
on_proc_start(struct peer *p, uint64_t ref, const struct msg_proc_start *m)
{
	int	 proc;

	(void)p;
	(void)ref;
	if (m->table_len != sizeof(msg_table_hash) ||
	    memcmp(m->table, msg_table_hash, sizeof(msg_table_hash)) != 0)
		fatalx("built from another messages.master than the parent");
	if ((proc = proc_by_name(m->name)) == -1 || (int)self != proc)
		fatalx("the parent says that this is %s", m->name);
	jail.uid = m->uid;
	jail.gid = m->gid;
	jail.mode = (enum jail_mode)m->jail;
	strlcpy(jail.root, m->root, sizeof(jail.root));
	started = 1;
	log_init(proc_names[self], m->verbose, m->json);
}

void
on_proc_configure(struct peer *p, uint64_t ref,
    const struct msg_proc_configure *m)
{
	(void)p;
	(void)ref;
	log_init(proc_names[self], log_getverbose(), m->json);
	if (env->begin != NULL)
		env->begin();
}

void
on_proc_option(struct peer *p, uint64_t ref, const struct msg_proc_option *m)
{
	(void)p;
	(void)ref;
	if (env->option == NULL)
		fatalx("option %s: none is expected", m->name);
	env->option(m->name, m->value);
}

void
on_proc_secret(struct peer *p, uint64_t ref, const struct msg_proc_secret *m)
{
	(void)p;
	(void)ref;
	if (env->secret == NULL)
		fatalx("secret %s: none is expected", m->name);
	env->secret(m->name, m->value, m->value_len);
}

void
on_proc_listener(struct peer *p, uint64_t ref,
    const struct msg_proc_listener *m, int fd)
{
	(void)p;
	(void)ref;
	if (env->listener == NULL)
		fatalx("listener %s: none is expected", m->name);
	env->listener(m->name, m->address, m->tls, fd);
}

void
on_proc_fd(struct peer *p, uint64_t ref, const struct msg_proc_fd *m, int fd)
{
	(void)p;
	(void)ref;
	if (env->fd == NULL)
		fatalx("descriptor %s: none is expected", m->name);
	env->fd(m->name, fd);
}

void
on_proc_configured(struct peer *p, uint64_t ref,
    const struct msg_proc_configured *m)
{
	(void)p;
	(void)ref;
	(void)m;
	/* Nothing is to be done without a jail because nobody named one. */
	if (!started)
		fatalx("the parent has not said what this is");
	if (env->configured != NULL)
		env->configured(configured);
	configured = 1;
}

static void
peer_came_up(struct peer *p)
{
	p->up = 1;
	log_debug("%s is up", p->name);
	if (env->peer_up != NULL)
		env->peer_up(p);
}

static void
peer_went_down(struct peer *p)
{
	int	 was = p->up;

	peer_close(p);
	if (!was)
		return;
	log_debug("%s is down", p->name);
	if (env->peer_down != NULL)
		env->peer_down(p);
}

void
on_proc_peer(struct peer *parent, uint64_t ref, const struct msg_proc_peer *m,
    int fd)
{
	struct peer	*p;
	int		 edge;

	(void)parent;
	(void)ref;
	if (m->peer >= PROC_MAX || (edge = proc_edges[self][m->peer]) == 0)
		fatalx("a channel to %u is not in the table", m->peer);
	p = peer_of((enum proc)m->peer);
	/* The old generation goes down before the new one comes up. */
	if ((p->ctl.fd != -1 && p->ctl.generation != m->generation) ||
	    (p->bulk.fd != -1 && p->bulk.generation != m->generation)) {
		peer_drain(p);
		peer_went_down(p);
	}
	peer_open(p, m->bulk, fd, m->generation);
	if (p->ctl.fd != -1 && (edge == 1 || p->bulk.fd != -1))
		peer_came_up(p);
}

void
on_proc_ping(struct peer *p, uint64_t ref, const struct msg_proc_ping *m)
{
	static char		 text[METRICS_MAX];
	struct msg_proc_pong	 pong;
	size_t			 queued = 0;
	int			 i;

	(void)ref;
	for (i = 0; i < PROC_MAX; i++)
		queued += peer_queued(peer_of((enum proc)i));
	pong.sent_us = m->sent_us;
	pong.queued = (uint32_t)queued;
	pong.metrics = (const uint8_t *)text;
	pong.metrics_len = env->metrics != NULL ?
	    env->metrics(text, sizeof(text)) : 0;
	send_proc_pong(p, 0, &pong);
}

void
on_proc_verbose(struct peer *p, uint64_t ref, const struct msg_proc_verbose *m)
{
	(void)p;
	(void)ref;
	log_setverbose(m->verbose);
}

void
on_proc_drain(struct peer *p, uint64_t ref, const struct msg_proc_drain *m)
{
	(void)p;
	(void)ref;
	(void)m;
	draining = 1;
	if (env->drain != NULL)
		env->drain();
	else
		worker_drained();
}

static void
channel_closed(struct peer *p, const char *why)
{
	struct msg_proc_accused	 m;

	if (p->proc == PROC_PARENT) {
		/* No peer and no client is owed anything without a parent. */
		if (running)
			event_base_loopbreak(base);
		running = 0;
		return;
	}
	if (why != NULL) {
		log_warnx("channel to %s: %s", p->name, why);
		m.peer = (uint8_t)p->proc;
		m.generation = p->ctl.generation;
		m.why = why;
		send_proc_accused(peer_of(PROC_PARENT), 0, &m);
	}
	peer_went_down(p);
}

static const struct peer_ops	 worker_ops = { channel_closed };

static void
tick(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	if (env->janitor != NULL)
		env->janitor();
}

static void
loop(void)
{
	struct timeval	 second = { 1, 0 };
	struct event	*ev;

	if ((ev = event_new(base, -1, EV_PERSIST, tick, NULL)) == NULL ||
	    event_add(ev, &second) == -1)
		fatalx("no event");
	for (running = 1; running;) {
		if (env->turn != NULL)
			env->turn();
		peers_flush();
		if (event_base_loop(base, EVLOOP_ONCE) == -1)
			fatalx("event loop");
		turn_time();
	}
	event_free(ev);
}

/* Who made the channel is who started us; it may well be process 1. */
static int
parent_lives(void)
{
	struct ucred	 cred;
	socklen_t	 len = sizeof(cred);

	return (getsockopt(PARENT_FD, SOL_SOCKET, SO_PEERCRED, &cred,
	    &len) == 0 && cred.pid == ppid);
}

static void
begin(int argc, char **argv)
{
	int	 ch, proc = -1;

	while ((ch = getopt(argc, argv, "P:")) != -1)
		if (ch == 'P')
			proc = proc_by_name(optarg);
	if (proc == -1 || argc != optind || !parent_lives()) {
		fprintf(stderr, "%s is started by marionetted(8)\n",
		    env->title);
		exit(1);
	}
	self = (enum proc)proc;
	log_init(proc_names[self], 0, 0);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) == -1)
		fatal("prctl");
}

int
worker_main(int argc, char **argv, const struct worker *w)
{
	struct peer	*parent;

	env = w;
	ppid = getppid();
	begin(argc, argv);
	turn_time();
	if ((base = event_base_new()) == NULL)
		fatalx("event base");
	peer_init(base, self, &worker_ops);
	parent = peer_of(PROC_PARENT);
	peer_open(parent, 0, PARENT_FD, 0);
	parent->up = 1;
	while (!configured)
		if (peer_wait(parent) == -1)
			return (0);
	if (env->pre_jail != NULL)
		env->pre_jail();
	sandbox_enter(env->jail, jail.mode, jail.root, jail.uid, jail.gid,
	    ppid);
	if (env->post_jail != NULL)
		env->post_jail();
	if (env->ready == NULL || env->ready())
		worker_ready();
	loop();
	return (0);
}
