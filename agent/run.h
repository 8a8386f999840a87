/*
 * run.h - the attached session and the run at work in it.
 */
#ifndef AGENT_RUN_H
#define AGENT_RUN_H

#include <sys/queue.h>
#include <sys/tree.h>
#include <sys/types.h>

#include <jansson.h>

#include "agent.h"
#include "kind.h"
#include "linebuf.h"
#include "record.h"
#include "spool.h"

#define ASK_ID_MAX	128

struct evbuffer;
struct event;

/* From AttachSession to DetachSession, over restarts of the agent. */
struct session {
	char		*id;
	char		*agent;		/* "claude" */
	char		*model;
	char		*dir;		/* <workspace root>/<id> */
	json_t		*vars;		/* environment, strings */
	struct secret	 secret;
	uint64_t	 epoch;
	uid_t		 uid;		/* 0: the agent's own */
};

/*
 * A question to a person; its run's until that ends: an answer may come again,
 * and no id is used twice.  Once it is settled nothing but the id is left.
 */
struct ask {
	RB_ENTRY(ask)		 by_id;
	TAILQ_ENTRY(ask)	 entry;		/* until it is settled */
	char			*id;		/* on the wire */
	char			*program_id;	/* what the program calls it */
	uint64_t		 number;	/* of the message that asked last */
	const char		*kind;		/* lent for good */
	char			*tool, *action;
	char			*json;		/* its input, small as text */
	json_t			*input;		/* of that, for its answer */
	int			 answered;	/* or withdrawn: it is settled */
	int			 withdrawn;	/* by the program itself */
};

/* From ExecuteTask to RunCompleted. */
struct run {
	TAILQ_HEAD(, ask)	 asks;		/* without an answer */
	RB_HEAD(ask_ids, ask)	 ask_ids;	/* all */
	struct record		*rec;
	struct session		*session;
	const struct program	*program;
	struct spool		*spool;
	char			*key;		/* what its program has; or NULL */
	char			*task_id;
	char			*prompt;
	char			*context_json;
	void			*kd;		/* the kind's own */
	struct evbuffer		*in;		/* to the program */
	struct event		*ev_in;
	struct event		*ev_ctl;
	struct event		*ev_clock;	/* timeout_seconds */
	struct event		*ev_kill;
	struct event		*ev_end;	/* pipes that stay open */
	struct stream		 out;
	struct stream		 err;
	/* What it came to. */
	char			*status;	/* set: ended by us, as this */
	char			*error_code;
	char			*error;
	char			*result;
	char			*conversation;
	uint64_t		 tokens_input;
	uint64_t		 tokens_output;
	uint64_t		 cost_microusd;
	uint64_t		 clock_ms;	/* execution, until since */
	uint64_t		 clock_since;	/* 0: it stands */
	uint64_t		 progress_at;
	unsigned int		 pending;	/* asks without an answer */
	unsigned int		 asked;		/* all */
	unsigned int		 ask_number;	/* last put after an id */
	uint32_t		 timeout_s;
	uint32_t		 grace_s;
	int			 fd_in;
	int			 fd_ctl;
	int			 fd_spec;	/* the holder waits here */
	int			 interrupted;
	int			 stood_still;	/* too long, with us */
	int			 progress_done;	/* 100 % was told last */
	int			 kill_step;
	int			 in_close;	/* when all is written */
	int			 exited;
	int			 wait_status;
	int			 failed;	/* the kind says so */
	int			 succeeded;	/* or so, before we ended it */
};

/* session.c */
const char *session_attach(const Marionette__V1__AttachSession *);
void	 session_detach(uint64_t epoch, int remove);
/* It waits to be attached no more. */
void	 session_withdraw(const char *id, uint64_t epoch);
void	 session_forget(const char *id);	/* it is not attached */
void	 session_run_ended(void);
void	 session_load(const uint8_t *, size_t);
void	 session_puts(void);
void	 session_start(void);		/* once, after the journal */
char	*session_id(struct session *);
uint64_t session_epoch(const struct session *);

/* run.c */
void	 run_new(const Marionette__V1__ExecuteTask *, struct session *);
void	 run_go(void);
void	 run_finish(struct run *);
char	*run_id(struct run *);

/* run_io.c */
int	 run_spawn(struct run *);
void	 run_read(struct run *);	/* starts the events */
void	 run_resume(struct run *);	/* there is room again */
void	 run_write(struct run *, const char *, size_t);
void	 run_write_json(struct run *, json_t *);
void	 run_close_in(struct run *);	/* when all is written */
void	 run_tell(struct run *);	/* the journal has it */
void	 run_ctl(struct run *, char);
void	 run_io_free(struct run *);

/* run_kill.c: the clock, and the ways to end */
void	 run_clock_start(struct run *);
void	 run_clock_stop(struct run *);
uint64_t run_clock(const struct run *);
void	 run_kill(struct run *, const char *status, uint32_t grace);
void	 run_expect_end(struct run *);	/* it said its result: 10 s to go */
void	 run_watch_offline(void);	/* once, at start */

/* run_log.c */
struct logged {
	const char	*stream;
	const char	*level;
	const char	*kind;
	const char	*text;		/* or NULL */
};
void	 run_log(struct run *, const struct logged *, const char *, size_t);
void	 run_system(struct run *, const char *level, const char *);
void	 run_line(struct run *, struct stream *, const char *, size_t);
void	 run_progress(struct run *, unsigned int percent, const char *step);

/* ask.c */
void	 ask_new(struct run *, const char *id, const char *kind,
	    const char *tool, json_t *input, const char *action);
void	 ask_again(void);	/* a new stream: what the server should know */
void	 ask_withdrawn(struct run *, const char *program_id);
void	 ask_answer(const Marionette__V1__PermissionAnswer *);
void	 ask_end_all(struct run *);

#endif
