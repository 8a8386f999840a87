/*
 * taskd.h - what the rooms of taskd share.  A task and its newest run are one
 * object: `struct run' is the newest attempt.
 */
#ifndef TASKD_H
#define TASKD_H

#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/tree.h>

#include "ask.h"
#include "id.h"
#include "taskd_msg.h"
#include "ticket.h"

#define KILL_GRACE	10	/* seconds between SIGTERM and SIGKILL */
#define KILL_PATIENCE	60000	/* ms until a canceled run is given up */
#define TIMEOUT_SLACK	60000	/* ms the agent gets to time out by itself */

/* What is known of a session: told by sessiond, thrown away at will. */
enum session_status {
	SESSION_PENDING, SESSION_ACTIVE, SESSION_SUSPENDED, SESSION_RESUMING,
	SESSION_TERMINATED
};

struct task;
RB_HEAD(task_queue, task);

struct session {
	RB_ENTRY(session)	 entry;
	char			 id[ID_SIZE];
	char			 runner[ID_SIZE];
	char			 ahead[ID_SIZE];	/* run asked for, ahead.c */
	char			 coming_task[ID_SIZE], coming_run[ID_SIZE];
	uint64_t		 epoch;
	uint64_t		 unknown_ms;	/* since when nobody told of it */
	uint64_t		 wanted_ms;	/* newest_ms as last told; 0 none */
	const char		*waiting_for;	/* its tasks, as told; NULL */
	enum session_status	 status;
	int			 leaving;	/* 0, 1 suspend, 2 terminate */
	unsigned int		 known:1;	/* a sessiond told of it */
	unsigned int		 told:1;	/* and this one did */
	unsigned int		 credential:1;
	unsigned int		 busy:1;	/* as told */
	struct task_queue	 waiting;	/* the first to run first */
	uint32_t		 length;	/* of it */
	uint32_t		 tasks;		/* that name it */
	struct task		*current;	/* whose run is not pending */
};

enum run_state { RUN_PENDING, RUN_ASSIGNING, RUN_ASSIGNED, RUN_RUNNING,
	RUN_ENDING, RUN_OVER, RUN_STATES };
enum kill { KILL_NONE, KILL_TIMEOUT, KILL_SUSPEND, KILL_CANCEL };

struct run {
	char		 id[ID_SIZE];
	char		 runner[ID_SIZE];
	uint64_t	 epoch;
	uint64_t	 clock_ms;	/* monotonic; execution counted up to */
	uint64_t	 executed_ms;
	uint64_t	 kill_ms;	/* monotonic; when it was asked to die */
	uint32_t	 attempt;
	enum run_state	 state;
	enum kill	 kill;
	unsigned int	 asking, putting; /* permissions: unanswered; not stored */
	unsigned int	 interrupted:1;
	unsigned int	 seen:1;	/* named by its runner just now */
	unsigned int	 started:1;	/* RUN_BEGIN is asked */
	unsigned int	 last:1;	/* RUN_ENDING: so will the task */
	unsigned int	 unprompted:1;	/* its prompt is to be asked for again */
	unsigned int	 owed:1, fresh:1; /* RUN_START, for want of room; the first */
	char		*prompt;	/* until it has started */
};

struct note {				/* a fact to be acknowledged */
	STAILQ_ENTRY(note)	 entry;
	uint64_t		 ref;
	uint32_t		 life;	/* of runnerd */
};

struct task {
	RB_ENTRY(task)		 entry;		/* by id */
	RB_ENTRY(task)		 rentry;	/* by run.id */
	RB_ENTRY(task)		 qentry;	/* in session->waiting */
	char			 id[ID_SIZE];
	char			 tenant[33];
	char			 waiting_for[16];	/* as stored */
	struct session		*session;
	struct run		 run;
	STAILQ_HEAD(, note)	 notes;		/* answered when it has ended */
	TAILQ_HEAD(, permission) permissions;	/* of all its runs */
	uint64_t		 created_ms;
	uint64_t		 wanted_ms;	/* its session is wanted since */
	uint64_t		 not_before;	/* monotonic; assign no sooner */
	uint32_t		 priority, timeout, max_retries, retry_count;
	uint32_t		 lost;
	unsigned int		 queued:1;
	unsigned int		 canceled:1;	/* somebody asked for it */
	unsigned int		 no_key:1;	/* its runner was refused one */
	unsigned int		 stale:1;	/* waiting_for, a second ago */
};

struct taskd {
	uint32_t	 suspend_after, max_queued, lost_attempts;
	int		 loaded, told;	/* what is stored is known; sessions are */
	uint32_t	 life;		/* generation of runnerd's channel */
};
extern struct taskd	*env;

struct fact {			/* of runnerd; ref 0: nobody waits for it */
	uint64_t	 ref;
	const void	*msg;
};
enum run_event { EV_ASSIGN, EV_ASSIGNED, EV_NOT_NOW, EV_STARTED, EV_BEGUN,
	EV_COMPLETED, EV_UNWOUND, EV_UNASSIGNED, EV_LOST, EV_ENDED, EV_KILL,
	RUN_EVENTS };

void	 run_clock(struct task *);
int	 run_event(struct task *, enum run_event, const void *);
void	 run_expect_all(void);
void	 run_janitor(void);
void	 run_kill(struct task *, enum kill);
void	 run_noted(uint64_t, uint32_t);
void	 run_start(struct task *, int fresh);
struct session *session_find(const char *);
struct session *session_get(const char *);
int	 session_is_over(const struct session *);	/* or is about to be */
void	 session_janitor(void);
void	 session_loaded(void);
void	 session_stop_task(struct task *);	/* its session is over */
void	 session_tell(struct session *);
void	 session_wishes(void);
void	 task_again(struct task *, const char *);
size_t	 task_count(void);
void	 task_end(struct task *);
struct task *task_find(const char *);
struct task *task_first(void);
struct task *task_next(struct task *);
struct task *task_of_run(const char *);
struct task *task_row(const struct msg_task_row *);
void	 task_wants(struct task *, uint64_t ms);
void	 taskd_janitor(void);
void	 taskd_turn(void);
size_t	 taskd_metrics(char *, size_t);
void	 taskd_peer_down(struct peer *);
void	 taskd_peer_up(struct peer *);

#endif
