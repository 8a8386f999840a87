/*
 * taskd_world.h - everybody whom taskd talks to, played by its tests: one
 * session on one runner, and the last task that was made and its run.
 */
#ifndef TASKD_WORLD_H
#define TASKD_WORLD_H

#include "client.h"
#include "far.h"
#include "permission.h"

#define SESS	"sess_00000000000000000000000000"
#define RNR	"rnr_00000000000000000000000000"


union far_message {
	_Alignas(8) uint8_t		 any[MSG_STRUCT_MAX];
	struct msg_task_put		 task_put;
	struct msg_run_assign		 run_assign;
	struct msg_run_start		 run_start;
	struct msg_run_begin		 run_begin;
	struct msg_run_end		 run_end;
	struct msg_run_kill		 run_kill;
	struct msg_task_wait		 task_wait;
	struct msg_document		 document;
	struct msg_refused		 refused;
	struct msg_session_want		 session_want;
	struct msg_session_busy		 session_busy;
	struct msg_session_quiet	 session_quiet;
	struct msg_permission_put	 permission_put;
	struct msg_permission_cancel	 permission_cancel;
	struct msg_permission_sent	 permission_sent;
	struct msg_permission_answer	 permission_answer;
};

extern const uint8_t ticket_key[TICKET_KEY_SIZE];
extern uint64_t	 client_ref;		/* of the last request */
extern char	 task[ID_SIZE], run[ID_SIZE];

/* All peers are up; then what was stored is loaded: nothing. */
void	 begin(void), loaded(void);
void	 up(enum proc);
/* What storaged says of a statement; code "" is success. */
void	 stored(uint64_t ref, const char *code);
void	 session_is(const char *status, int leaving, uint64_t epoch);
void	 sessions_are_told(void);
/* The web asks for a task; or once more for the same, with a key or "". */
void	 create(uint64_t scopes);
void	 create_again(uint64_t scopes, const char *key);
/* The same, up to TASK_PUT, whose ref is returned; runner: where its run is to
 * be assigned at once, or "". */
uint64_t task_asked(const char *runner);
/* That is committed; runner: and its run was assigned there. */
void	 task_stored(uint64_t ref, const char *runner);
/* A task that waits in its session, committed. */
void	 task_made(void);
/* Its run: committed as assigned, told to runnerd, begun, ended. */
void	 run_row(uint64_t ref, const char *of, uint64_t epoch);
void	 assigned(void), started(void);
void	 run_is_sent(uint64_t epoch);
void	 completed(uint64_t ref, const char *status);
/* A task whose run works. */
void	 run_to_work(void);
/* Ends whatever is left, so that each test begins with nothing. */
void	 finish(void);

#endif
