/*
 * store.h - questions to storaged and what each of them is about.
 */
#ifndef STORE_H
#define STORE_H

#include "ask.h"
#include "taskd.h"

struct fate {			/* what becomes of a task whose run ended */
	const char	*status, *task_status, *error_code, *text;
	int		 counted;
};

struct ending {
	struct fate	 fate;
	const char	*next_run;
};

struct kept {			/* a message that outlives its handler */
	enum msg_type	 type;
	size_t		 len;
	uint8_t		*body;
};

/* Arg of an open question; made with it, freed by its last answer. */
struct op {
	char		 task[ID_SIZE], run[ID_SIZE];
	char		 next_run[ID_SIZE], permission[ID_SIZE];
	char		 session[ID_SIZE];	/* of ahead.c */
	char		 then_task[ID_SIZE], then_run[ID_SIZE];
	char		 request[129];
	uint64_t	 ref;		/* of the fact to be acknowledged */
	uint32_t	 life;		/* of runnerd when it came */
	struct fate	 fate;
	const char	*word;		/* TASK_PUT: waiting_for */
	struct kept	 row;		/* came before the answer */
	uint16_t	 status;	/* of the client's answer */
	unsigned int	 bare:1;	/* without what could not be stored */
	unsigned int	 again:1;	/* TASK_AGAIN: wanted from now on */
	struct deed	*deed;		/* for the audit, or NULL */
};

void	 ahead_ask(struct op *, struct session *, const char *task,
	    const char *run);
void	 ahead_came(const struct op *);
void	 ahead_coming(struct op *, struct session *, const char *task,
	    const char *run);
void	 ahead_end(struct op *, const struct task *);
void	 ahead_over(const struct op *, const struct msg_run_row *);
int	 early_keep(struct peer *, uint64_t, enum msg_type, const void *);
void	 early_forget(const struct peer *);
void	 early_replay(void);
struct fate fate_of(const struct task *, const char *);
void	 keep(struct kept *, enum msg_type, const void *);
void	 kept_free(struct kept *);
int	 kept_get(const struct kept *, void *);
void	 op_free(struct op *);
struct op *op_new(const struct task *);
struct task *op_task(const struct op *);
void	 runs_begin(void);
void	 stop_row(const struct msg_task_row *);
void	 store_ask(enum msg_type, const void *, ask_done, void *);
void	 store_assign(struct task *);
void	 store_begin(struct task *, const struct msg_run_started *, uint64_t);
void	 store_end(struct task *, const struct msg_run_completed *,
	    const char *);
void	 store_noted(struct ask *, const struct answer *);
void	 store_step(struct task *, const struct msg_run_progress *, uint64_t);
void	 store_stop(struct task *, const char *);
void	 store_unassign(struct task *);
void	 store_wait(struct task *, const char *);

#endif
