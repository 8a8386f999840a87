/*
 * main.c - tunneld, TunnelMgr: tunnels, their tokens, quotas and byte counts.
 * It starts, jails itself and answers the parent; no message of the table is
 * its own yet, so it holds no channel to anybody else.
 */
#include <seccomp.h>

#include "worker.h"

static const int	 syscalls[] = { -1 };
static const struct jail jail = { "tunneld", syscalls, 64 };
static const struct worker tunneld = {
	.title = "tunneld",
	.jail = &jail,
};

int
main(int argc, char **argv)
{
	return (worker_main(argc, argv, &tunneld));
}
