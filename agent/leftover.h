/*
 * leftover.h - what a run of a dead agent may have left alive.
 */
#ifndef AGENT_LEFTOVER_H
#define AGENT_LEFTOVER_H

#include <sys/types.h>

#include <stdint.h>

#define LEFTOVER_VAR	"MARIONETTE_RUN_ID"

/* Field 22 of /proc/pid/stat: with the pid it names one process for ever. */
uint64_t leftover_start_time(pid_t);
/* Holder, and whatever carries the run's id in its environment or its uid. */
void	 leftover_kill(pid_t, uint64_t start, uid_t, const char *run_id);

#endif
