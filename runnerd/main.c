/*
 * main.c - runnerd, RunnerMgr: takes its settings, jails itself, and tells the
 * nouns who came and went.
 */
#include <seccomp.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "journal.h"
#include "log.h"
#include "runnerd.h"

struct settings	 settings = { .heartbeat = 15, .lost_after = 600 };

static void
take_option(const char *name, const char *value)
{
	const char	*why;
	unsigned int	 n;

	n = (unsigned int)strtonum(value, 1, 86400, &why);
	if (why != NULL)
		fatalx("option %s: %s is %s", name, value, why);
	if (strcmp(name, "heartbeat-seconds") == 0)
		settings.heartbeat = n;
	else if (strcmp(name, "lost-after-seconds") == 0)
		settings.lost_after = n;
	else
		fatalx("option %s: unknown", name);
}

static void
take_secret(const char *name, const uint8_t *value, size_t len)
{
	if (strcmp(name, "ticket") != 0 || len != sizeof(settings.ticket))
		fatalx("secret %s: unknown or of %zu bytes", name, len);
	memcpy(settings.ticket, value, len);
	settings.has_ticket = 1;
}

static void
pre_jail(void)
{
	if (!settings.has_ticket)
		fatalx("ticket was not given");
	if (sodium_init() == -1)
		fatalx("libsodium");
}

static void
peer_up(struct peer *p)
{
	ask_peer_up(p);
	if (p->proc == PROC_STORAGED)
		runners_load();
	else if (p->proc == PROC_PROVIDERD)
		streams_verify();
}

static void
peer_down(struct peer *p)
{
	if (p->proc == PROC_RUNNER) {
		streams_drop();
		logs_drop();
	} else if (p->proc == PROC_TASKD) {
		runs_peer_down();
		upward_unsent();
	} else if (p->proc == PROC_SESSIOND)
		sessions_peer_down();
	else
		followers_drop(p);
}

static void
janitor(void)
{
	ask_janitor();
	streams_janitor();
	runners_janitor();
	sessions_janitor();
	runs_janitor();
	journals_janitor();
	followers_janitor();
	upward_resend();
}

static const int	 syscalls[] = { -1 };
static const struct jail jail = { "runnerd", syscalls, 64 };
static const struct worker runnerd = {
	.title = "runnerd",
	.jail = &jail,
	.option = take_option,
	.secret = take_secret,
	.pre_jail = pre_jail,
	.peer_up = peer_up,
	.peer_down = peer_down,
	.turn = upward_turn,
	.janitor = janitor,
	.metrics = runners_metrics,
};

int
main(int argc, char **argv)
{
	return (worker_main(argc, argv, &runnerd));
}
