/*
 * record.h - the runs that this agent knows: the one at work and the newest
 * finished ones, so that none is ever started twice.
 */
#ifndef AGENT_RECORD_H
#define AGENT_RECORD_H

#include <sys/queue.h>
#include <sys/types.h>

#include <stddef.h>
#include <stdint.h>

#include "runner.pb-c.h"

#define RECORDS_MAX	10000

enum record_state { RECORD_ACCEPTED, RECORD_RUNNING, RECORD_DONE };

/* On the list until it is one of more than RECORDS_MAX finished ones. */
struct record {
	TAILQ_ENTRY(record)	 entry;
	char			*run_id;
	char			*session_id;
	uint8_t			*done;	/* packed RunCompleted */
	size_t			 done_len;
	size_t			 whole;	/* of its result, 0: short or cut */
	uint64_t		 epoch;
	uint64_t		 log_last;
	uint64_t		 started_ms;
	uint64_t		 pid_start;	/* its start time, field 22 */
	pid_t			 pid;		/* of the holder */
	uid_t			 uid;		/* of the session; 0 = ours */
	uint32_t		 attempt;
	enum record_state	 state;
};

void		 record_load(const uint8_t *, size_t);
struct record	*record_find(const char *run_id);
struct record	*record_new(const char *run_id, const char *session_id,
		    uint32_t attempt, uint64_t epoch);
/* Journals it as it is now. */
void		 record_put(struct record *);
void		 record_accepted(struct record *);
void		 record_started(struct record *);
/* Journals and sends it; the record is finished. */
void		 record_completed(struct record *,
		    Marionette__V1__RunCompleted *);
/* The same, of one that no program can say more of. */
void		 record_ended(struct record *, const char *status,
		    const char *code, const char *why, int exit_code);
/* A command named a run that we know: say again what became of it. */
void		 record_repeat(struct record *);
void		 record_unwound(const char *run_id, uint32_t attempt,
		    const char *reason);
/* What a dead agent left: killed, and reported lost. */
void		 record_leftovers(void);
void		 record_puts(void);
/* For Hello: all that is not acknowledged. */
Marionette__V1__RunState **record_states(size_t *);
void		 record_states_free(Marionette__V1__RunState **, size_t);

#endif
