/*
 * leftover.h - what a run of a dead agent may have left alive.
 */
#ifndef AGENT_LEFTOVER_H
#define AGENT_LEFTOVER_H

#include <sys/types.h>

#include <stdint.h>

#define LEFTOVER_VAR	"MARIONETTE_HOLDER"

/* Field 22 of /proc/pid/stat: with the pid it names one process for ever. */
uint64_t leftover_start_time(pid_t);
/*
 * The variable's value for what that holder starts.  Not the run's id: servers
 * that know nothing of each other may give the same to agents of one user.
 */
char	*leftover_mark(pid_t, uint64_t start);
/* Holder, and whatever carries its mark in its environment, or has the uid. */
void	 leftover_kill(pid_t, uint64_t start, uid_t, const char *run_id);

#endif
