/* storaged.h - what the files of storaged share. */
#ifndef STORAGED_H
#define STORAGED_H

#include <event2/event.h>
#include <libpq-fe.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "message.h"
#include "peer.h"

#define PARAM_MAX	24	/* fields of a statement */
#define BATCH_COUNT	256	/* statements of one transaction */

struct group;

/*
 * What an owner asked for, as parameters, until it is answered.  Integers are
 * text; those of a statement that goes with others (MSG_F_MANY) are eight bytes
 * in network order.
 */
struct stmt {
	TAILQ_ENTRY(stmt)	 entry;
	struct group		*group;		/* of its batch */
	unsigned int		 place;		/* in the group, from 0 */
	int			 row;		/* of its result; -1 none */
	unsigned int		 turn;		/* a read: whose turn it waits for */
	enum msg_type		 type;
	enum proc		 from;
	uint64_t		 ref;
	uint64_t		 since;		/* monotonic ms */
	unsigned int		 tries;		/* that failed and may pass */
	unsigned int		 cut:1;		/* begins a batch; a read: is alone */
	unsigned int		 orphan:1;	/* its asker is gone */
	unsigned int		 sent:1;	/* once; its outcome may be */
	const char		*tenant;	/* "*": a system statement */
	int			 nparams;
	const char		*values[PARAM_MAX];
	int			 lengths[PARAM_MAX];
	int			 formats[PARAM_MAX];
	size_t			 bytes;
	char			 data[];
};
TAILQ_HEAD(stmts, stmt);

/* Counters since the start, for /metrics. */
struct stats {
	uint64_t	 statements, calls, reads, commits, batches_failed;
	uint64_t	 refused;
	uint64_t	 batch_statements, reconnects, events, retries;
	unsigned int	 batch_max;
};
extern struct stats stats;

/* config.c */
void		 config_option(const char *, const char *);
void		 config_secret(const char *, const uint8_t *, size_t);
void		 config_done(int);
int		 config_server_id(void);
const char	*config_instance(void);
const char	*config_application(void);
int		 config_log_days(void);
/* A blocking connection as the owner; lent keywords for the worker's. */
PGconn		*config_connect_owner(void);
PGconn		*config_connect_start(const char *name, const char *options);
const char	*config_role(void);

/* migrate.c: before the jail; waits for the database for ever. */
void		 migrate(void);

/* statement.c */
void		 statement_describe(enum msg_type, const PGresult *);
struct stmt	*statement_new(const struct peer *, uint64_t, enum msg_type,
		    const void *, const char **why);
void		 statement_free(struct stmt *);
const char	*statement_text(enum msg_type, char *, size_t);
struct conn;
void		 statement_send(struct conn *, struct stmt *);
void		 statement_send_many(struct conn *, const struct group *);

/* answer.c: rows from first on, n of them, or in later turns the rest */
void		 answer_rows(const struct stmt *, PGresult *, int first, int n);
/* In place of PQclear(): when no answer waits that needs it. */
void		 answer_clear(PGresult *);
/* code and text are literals. */
void		 answer_refuse(const struct stmt *, const char *code,
		    const char *text, unsigned int retry_after);
void		 answer_failed(const struct stmt *, const PGresult *);
int		 answer_may_pass(const char *sqlstate);	/* later? */
void		 answers_init(void);
void		 answers_turn(void);
void		 answers_forget(enum proc);
/* It has not read what it was told: nothing more is asked for it. */
int		 answers_wait(enum proc);

/* write.c: the one connection that writes, in order, in batches. */
void		 write_start(void);
void		 write_add(struct stmt *);
void		 write_turn(void);
void		 write_janitor(void);
void		 write_forget(enum proc);
int		 write_is_ours(void);	/* the lock is held */
/* Statements of a dead owner are still under way. */
int		 write_is_settling(enum proc);
void		 write_count(unsigned int *n, size_t *bytes);
int		 write_is_idle(void);

/* read.c */
void		 read_start(void);
void		 read_add(struct stmt *);
void		 read_turn(void);
void		 read_janitor(void);
void		 read_forget(enum proc);
/* A connection has prepared them: what is asked can be made a statement. */
int		 read_is_known(void);
unsigned int	 read_count(void);

/* feed.c: events to sessiond; the database's janitor. */
void		 feed_start(void);
void		 feed_reset(void);
void		 feed_kick(void);
void		 feed_turn(void);
void		 feed_janitor(void);
/* Not only in a minute: a day of the log is missing, since the clock leapt. */
void		 feed_housekeep(void);

#endif
