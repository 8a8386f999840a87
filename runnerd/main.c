/*
 * main.c - runnerd, RunnerMgr: owns runners, their claims, runs on their way
 * and the one hub of log lines.
 */
#include <seccomp.h>

#include "run.h"
#include "runnerd.h"

static const int	 syscalls[] = { -1 };
static const struct jail jail = { "runnerd", syscalls, 64 };
static const struct worker runnerd = {
	.title = "runnerd",
	.jail = &jail,
	.option = settings_option,
	.secret = settings_secret,
	.pre_jail = settings_check,
	.peer_up = peers_up,
	.peer_down = peers_down,
	.turn = upward_turn,
	.janitor = peers_janitor,
	.drain = peers_drain,
	.metrics = runners_metrics,
};

int
main(int argc, char **argv)
{
	return (worker_main(argc, argv, &runnerd));
}
