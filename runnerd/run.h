/*
 * run.h - runs and what agents say of them: run.c and upward.c.
 */
#ifndef RUN_H
#define RUN_H

#include "runnerd.h"

struct session;

/* run.c */
/* Does taskd believe this run, so may this runner speak of it? */
int	 run_is_of(const char *id, const struct runner *);
void	 runs_hello(struct runner *, const Marionette__V1__Hello *);
/* What the agent said of it: it has it, it runs, it is over. */
void	 run_taken(const char *id, int started);
void	 run_over(const char *id);
uint32_t run_attempt(const char *id);
void	 runs_attached(const char *session);
void	 runs_lost(struct runner *);
void	 runs_janitor(void);
void	 runs_peer_down(void);
int	 runs_are_known(void);
/*
 * Has the run there ended in a way that counts, or may it have while the runner
 * is away, and taskd is not told yet?
 */
int	 runs_owe_end(const struct runner *, const struct session *, int away);
/* upward.c */
void	 upward_hello(struct runner *, uint64_t first_unacked);
/* NULL, or why the stream must end. */
const char *upward_take(struct runner *,
	    const Marionette__V1__RunnerMessage *, size_t bytes);
void	 upward_resend(void);		/* taskd knows its runs again */
void	 upward_turn(void);
void	 upward_log_committed(const char *run);
int	 upward_has_completion(const struct runner *, const char *run);
/* The same; its log, which may never come, is waited for no more. */
int	 upward_end(struct runner *, const char *run);
void	 upward_unsent(void);		/* taskd is down */
#endif
