/*
 * child.h - a storaged of the test's own: this program is its parent and its
 * owners, over socketpairs.
 */
#ifndef CHILD_H
#define CHILD_H

#include <sys/types.h>

#include "id.h"
#include "message.h"
#include "peer.h"

/* An end of a channel; frames are taken from `in'. */
struct chan {
	int		 fd;
	uint8_t		*in;
	size_t		 len;
};

struct child {
	pid_t		 pid;
	const char	*instance;	/* of its server; NULL: one of ours */
	const char	*server_id;	/* NULL: 77 */
	struct chan	 parent, control[PROC_MAX], bulk[PROC_MAX];
};

/* Prints a line for each, counts both kinds. */
void	 ok(int cond, const char *what);
extern int	 failures, count;

uint64_t now_ms(void);
/* A variable of the environment that run.sh sets; its absence is fatal. */
const char *env(const char *);
/* A command of the environment; its status. */
int	 shell(const char *);
/* SQL as the owner of the database; its status. */
int	 sql(const char *);
/* Is this, what follows a SELECT, true in the database, within ms? */
int	 holds(int ms, const char *fmt, ...)
	    __attribute__((format(printf, 2, 3)));

void	 say(struct chan *, enum msg_type, uint64_t ref, const void *);
/* The next message within ms, in `body'; MSG_NONE when there is none. */
enum msg_type hear(struct chan *, int ms, uint64_t *ref);
union body {
	uint8_t		 bytes[MSG_STRUCT_MAX];
	uint64_t	 align;
};
extern union body	 body;
/* Is there something to hear within ms?  It is left there. */
int	 is_told(const struct chan *, int ms);
/* What was heard last is gone: its channel may be closed. */
void	 drop_used(void);
/* Waits for STORED or REFUSED of ref: the code, NULL without an answer. */
const char *answer(struct chan *, uint64_t ref, int ms, uint32_t *rows);

void	 child_start(struct child *);
int	 child_ready(struct child *, int ms);
/* Ends it, with a signal or by closing its channel: the status. */
int	 child_end(struct child *, int sig);
/* What is said while it stands still it reads in one turn, and in one batch. */
void	 child_stop(struct child *), child_go_on(struct child *);
/* A metric of its own by its name, and whether it is this within ms. */
uint64_t metric(struct child *, const char *name);
int	 metric_is(struct child *, const char *name, uint64_t, int ms);
/* A new life of that peer. */
void	 peer_connect(struct child *, enum proc, uint32_t generation);

/* What owners say: tenant t1 for odd refs, t2 for even ones. */
void	 audit(struct child *, enum proc, uint64_t ref, const char *id,
	    const char *detail);
/* Tenant t1. */
void	 session_put(struct child *, uint64_t ref, const char *id);

/* together.c: statements that are one call */
void	 test_together(struct child *);
/* load.c: more than a queue holds */
void	 test_load(struct child *);
/* standby.c: several servers, one at work; leaves the last in *child */
void	 test_standby(struct child *);

#endif
