/*
 * runner.h - fake runners: each with an identity, a connection of the agent's
 * own client code, messages that wait for their acknowledgement, the one session
 * it may hold, and its runs.
 */
#ifndef RUNNER_H
#define RUNNER_H

#include <sys/queue.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include <openssl/evp.h>

#include "fleet.h"
#include "h2.h"
#include "runner.pb-c.h"

typedef Marionette__V1__RunnerMessage	 RunnerMessage;
typedef Marionette__V1__ServerCommand	 ServerCommand;
typedef Marionette__V1__ExecuteTask	 ExecuteTask;

struct run;
struct runner;

/* A numbered message up, until it is acknowledged. */
struct letter {
	TAILQ_ENTRY(letter)	 entry;
	uint64_t		 number;
	struct run		*run;	/* whose end it is, or NULL */
	size_t			 len;
	int			 sent;
	char			 unwound[FLEET_ID];	/* RunUnwound's, or empty */
	uint8_t			 data[];
};
TAILQ_HEAD(letters, letter);

enum run_state { RUN_ACCEPTED, RUN_RUNNING, RUN_DONE };

/* One attempt at a task; known until it is one of more than RUNS_KEPT. */
struct run {
	TAILQ_ENTRY(run)	 entry;
	TAILQ_ENTRY(run)	 spool;		/* lines are not acknowledged */
	struct runner		*runner;
	struct event		 timer;
	struct script		 script;
	enum run_state		 state;
	char			 id[FLEET_ID];
	char			 session[FLEET_ID];
	char			 mark[MARK_SIZE];
	const char		*status;	/* of its RunCompleted */
	const char		*code;
	uint64_t		 epoch;
	uint64_t		 begun;		/* ns: its lines */
	uint64_t		 written, sent, acked, booked;	/* lines */
	size_t			 task;		/* ours, or NO_TASK */
	uint32_t		 attempt;
	uint32_t		 asked;		/* questions, so far */
	unsigned int		 waited:1, delayed:1, asking:1, spooled:1,
				 closed:1;	/* its end is acknowledged */
};
TAILQ_HEAD(runs, run);

/* Lives as long as the process. */
struct runner {
	char			 id[FLEET_ID];
	char			*pem;		/* its key, until it is enrolled */
	EVP_PKEY		*key;
	struct tls_config	*tls;
	size_t			 index;
	struct h2		*h2;
	struct grpc_call	*control, *logs;
	struct event		 timer;		/* heartbeat, or dial again */
	unsigned int		 backoff;	/* seconds */
	unsigned int		 heartbeat, lost_after;
	uint64_t		 offline;	/* ns: since */
	int			 up;		/* welcome */
	int			 draining;
	int			 starting;	/* never yet welcome */
	char			 session[FLEET_ID];
	uint64_t		 epoch;
	struct letters		 letters;
	uint64_t		 number;	/* last used */
	struct runs		 runs;		/* the newest first */
	struct runs		 spool;
	size_t			 nruns;
	struct run		*run;		/* at work */
};

/* runner.c: all of them, and the connection of one */
void	 runners_start(void);
void	 runner_dial(struct runner *, struct tls_config *,
	    int (*check)(struct tls *, void *, char *, size_t),
	    void (*up)(void *));
/* key, certificate and CA in PEM: it can connect now. */
void	 runner_is(struct runner *, const char *id, const char *key,
	    const char *cert, const char *ca);
void	 runner_drop(struct runner *, const char *why);
/* A share of all connections is cut as if a cable was. */
void	 runners_cut(unsigned int percent);

/* enrol.c, papers.c: who it is */
void	 enrol(struct runner *);
int	 papers_load(struct runner *);	/* 1 enrolled before, 0 not */
void	 papers_store(const struct runner *, const char *key, const char *cert,
	    const char *ca);

/* letter.c */
void	 runner_put(struct runner *, RunnerMessage *);	/* without a number */
void	 letter_put(struct runner *, RunnerMessage *, struct run *);
void	 letters_ack(struct runner *, uint64_t up_to);
void	 letters_again(struct runner *);	/* a new stream: all of them */
/* Is it not yet acknowledged that this run was not begun? */
int	 letters_unwind(const struct runner *, const char *run);

/* command.c: what the server says on Connect */
void	 command(struct runner *, const ServerCommand *);

/* run.c */
struct run *run_find(struct runner *, const char *id);
void	 run_execute(struct runner *, const ExecuteTask *);
void	 run_again(struct run *);
void	 run_refuse(struct runner *, const char *id, uint32_t attempt,
	    const char *reason);
void	 run_end(struct run *, const char *status, const char *code);
void	 run_closed(struct run *);
void	 run_answer(struct runner *,
	    const Marionette__V1__PermissionAnswer *);
/* All that it must still tell the server. */
int	 run_is_open(const struct run *);

/* line.c */
void	 lines_send(struct run *);
void	 lines_send_all(struct runner *);
void	 lines_again(struct runner *);
void	 lines_ack(struct runner *, const char *run, uint64_t up_to);

#endif
