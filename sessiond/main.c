/*
 * main.c - sessiond: configuration, the jail, peers.
 */
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hub.h"
#include "log.h"
#include "sessiond.h"

struct sessiond		*env;

static void
option(const char *name, const char *value)
{
	if (strcmp(name, "operator-gid") != 0 &&
	    strcmp(name, "control-uid") != 0)
		fatalx("option %s is not known", name);
	control_operator(name, value);
}

static void
ticket_key(const char *owner, const uint8_t *key, size_t len)
{
	int	 proc;

	if ((proc = proc_by_name(owner)) == -1 || len != TICKET_KEY_SIZE)
		fatalx("ticket-%s: %d bytes for an owner are expected", owner,
		    TICKET_KEY_SIZE);
	memcpy(env->ticket_key[proc], key, len);
}

static void
secret(const char *name, const uint8_t *value, size_t len)
{
	if (strncmp(name, "ticket-", 7) == 0)
		ticket_key(name + 7, value, len);
	else if (strcmp(name, "admin-user") == 0)
		admin_add(value, len);
	else if (strcmp(name, "master-key") == 0)
		admin_master(value, len);
	else if (strcmp(name, "position-key") == 0 &&
	    len == sizeof(env->position_key))
		memcpy(env->position_key, value, len);
	else
		fatalx("secret %s is not known", name);
}

static void
configured(int reload)
{
	web_key(env->ticket_key[PROC_SESSIOND]);
	admin_configured(reload);
}

static void
listener(const char *name, const char *address, int tls, int fd)
{
	(void)name;
	(void)address;
	(void)tls;
	control_listen(fd);
}

static void
begin(void)
{
	admin_reset();
	control_reset();
}

static void
post_jail(void)
{
	password_watch();
	control_watch();
}

static void
peer_up(struct peer *p)
{
	ask_peer_up(p);
	if (p->proc == PROC_STORAGED) {
		sessions_load();
		hub_storaged_up();
	}
	sessions_peer_up(p);
}

static void
peer_down(struct peer *p)
{
	waiters_peer_down(p);
	followers_peer_down(p);
}

static void
turn(void)
{
	sessions_tell_some();
	followers_turn();
}

static void
janitor(void)
{
	ask_janitor();
	sessions_tick();
	waiters_tick();
	followers_due();
	hub_tick();
}

static size_t
metrics(char *buf, size_t size)
{
	unsigned int	 asks, n[STATUS_MAX] = { 0 };
	struct session	*s;
	size_t		 bytes;
	int		 len;

	ask_count(&asks, &bytes);
	RB_FOREACH(s, sessions, &env->sessions)
		n[s->status]++;
	len = snprintf(buf, size, "marionette_sessions{status=\"pending\"} %u\n"
	    "marionette_sessions{status=\"active\"} %u\n"
	    "marionette_sessions{status=\"suspended\"} %u\n"
	    "marionette_sessions{status=\"resuming\"} %u\n"
	    "marionette_event_followers %u\n"
	    "marionette_sessiond_questions %u\n"
	    "marionette_sessiond_question_bytes %zu\n", n[PENDING], n[ACTIVE],
	    n[SUSPENDED], n[RESUMING], followers_count(), asks, bytes);
	return (len < 0 || (size_t)len >= size ? 0 : (size_t)len);
}

void
on_stored(struct peer *p, uint64_t ref, const struct msg_stored *m)
{
	ask_stored(p, ref, m);
}

void
on_refused(struct peer *p, uint64_t ref, const struct msg_refused *m)
{
	ask_refused(p, ref, m);
}

static const int	 calls[] = { SCMP_SYS(accept4), SCMP_SYS(getsockopt),
    -1 };
static const struct jail jail = { "sessiond", calls, 1024 };
static const struct worker sessiond = {
	.title = "sessiond",
	.jail = &jail,
	.begin = begin,
	.option = option,
	.secret = secret,
	.listener = listener,
	.configured = configured,
	.pre_jail = password_fork,
	.post_jail = post_jail,
	.peer_up = peer_up,
	.peer_down = peer_down,
	.turn = turn,
	.janitor = janitor,
	.metrics = metrics,
};

int
main(int argc, char **argv)
{
	static struct sessiond	 self;

	env = &self;
	RB_INIT(&env->sessions);
	return (worker_main(argc, argv, &sessiond));
}
