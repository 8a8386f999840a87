/*
 * main.c - taskd, TaskMgr: tasks, their runs and the permission requests of
 * these.  It owns what state they are in, keeps nothing but what storaged would
 * tell it again, and talks to the web, sessiond, runnerd and storaged.
 */
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "taskd.h"
#include "web.h"
#include "worker.h"

static struct taskd	 self = { .suspend_after = 3600, .max_queued = 1000,
	.lost_attempts = 3 };
struct taskd		*env = &self;

static void
option(const char *name, const char *value)
{
	const char	*why = NULL;
	uint32_t	 n;

	n = (uint32_t)strtonum(value, 0, UINT32_MAX, &why);
	if (why != NULL)
		fatalx("option %s: %s is %s", name, value, why);
	if (strcmp(name, "suspend-after-seconds") == 0)
		env->suspend_after = n;
	else if (strcmp(name, "max-queued-tasks") == 0)
		env->max_queued = n;
	else if (strcmp(name, "lost-attempts") == 0)
		env->lost_attempts = n;
	else
		fatalx("option %s is not known", name);
}

static void
secret(const char *name, const uint8_t *value, size_t len)
{
	static uint8_t	 ticket[TICKET_KEY_SIZE];

	if (strcmp(name, "ticket") != 0 || len != sizeof(ticket))
		fatalx("secret %s is not known or has a wrong size", name);
	memcpy(ticket, value, len);
	web_key(ticket);
}

static const int	 syscalls[] = { -1 };
static const struct jail jail = { "taskd", syscalls, 64 };
static const struct worker taskd = {
	.title = "taskd",
	.jail = &jail,
	.option = option,
	.secret = secret,
	.peer_up = taskd_peer_up,
	.peer_down = taskd_peer_down,
	.turn = taskd_turn,
	.janitor = taskd_janitor,
	.metrics = taskd_metrics,
};

int
main(int argc, char **argv)
{
	return (worker_main(argc, argv, &taskd));
}
