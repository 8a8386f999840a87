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

/*
 * What an owner asked for, as parameters, until it is answered.
 */
struct stmt {
	TAILQ_ENTRY(stmt)	 entry;
	enum msg_type		 type;
	enum proc		 from;
	uint64_t		 ref;
	uint64_t		 since;		/* monotonic ms */
	unsigned int		 tries;		/* that failed and may pass */
	unsigned int		 cut:1;		/* begins a batch of its own */
	unsigned int		 orphan:1;	/* its asker is gone */
	unsigned int		 sent:1;	/* once; its outcome may be */
	PGresult		*res;		/* until the commit is known */
	const char		*tenant;	/* "*": a system statement */
	int			 nparams;
	const char		*values[PARAM_MAX];
	int			 lengths[PARAM_MAX];
	int			 formats[PARAM_MAX];
	size_t			 bytes;
	char			 data[];
};
TAILQ_HEAD(stmts, stmt);

enum conn_state { CONN_DOWN, CONN_CONNECTING, CONN_PREPARING, CONN_READY };

/*
 * A connection to PostgreSQL in pipeline mode, made again for ever.  `up' is
 * called when its statements are prepared; `down' when it is lost with what
 * was under way; `result' and `done' for each query in order, `sync' when a
 * batch is over.
 */
struct conn {
	const char		*name;
	const char		*options;	/* -c name=value ... */
	unsigned int		 prepare;	/* MSG_F_WRITE or MSG_F_READ */
	void			(*up)(struct conn *);
	void			(*down)(struct conn *);
	void			(*result)(struct conn *, PGresult *);
	void			(*done)(struct conn *);
	void			(*sync)(struct conn *);
	enum conn_state		 state;
	PGconn			*pg;
	struct event		*ev_read, *ev_write, *ev_timer;
	unsigned int		 outstanding;	/* queries and Syncs */
	unsigned int		 broken;	/* libpq refused a question */
	unsigned int		 prepared;	/* results of preparation seen */
	unsigned int		 backoff_ms;
	unsigned int		 failures;
	uint64_t		 since;		/* of the attempt */
	struct stmt		*stmt;		/* reader: what it is at */
};

/* Counters since the start, for /metrics. */
struct stats {
	uint64_t	 statements, reads, commits, batches_failed, refused;
	uint64_t	 batch_statements, reconnects, events, retries;
	unsigned int	 batch_max;
};
extern struct stats stats;

/* config.c */
void		 config_option(const char *, const char *);
void		 config_secret(const char *, const uint8_t *, size_t);
void		 config_done(int);
int64_t		 config_server_id(void);
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
void		 statement_send(struct conn *, struct stmt *);

/* answer.c */
void		 answer_rows(struct stmt *, const PGresult *);
void		 answer_refuse(const struct stmt *, const char *code,
		    const char *text, unsigned int retry_after);
void		 answer_failed(const struct stmt *, const PGresult *);
int		 answer_may_pass(const char *sqlstate);	/* later? */

/* connection.c */
void		 conn_start(struct conn *);
void		 conn_lost(struct conn *, const char *why);
void		 conn_sent(struct conn *, int rc);
void		 conn_tenant(struct conn *, const char *);
void		 conn_sync(struct conn *);
void		 conn_query(struct conn *, const char *sql, int n,
		    const char *const *values);
void		 conn_flush(struct conn *);
void		 conn_janitor(struct conn *);

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

/* lock.c: the advisory lock of this server's id (promise 2). */
void		 lock_begin(struct conn *);
void		 lock_result(struct conn *, PGresult *);
int		 lock_is_held(void);
void		 lock_lost(void);

/* read.c */
void		 read_start(void);
void		 read_add(struct stmt *);
void		 read_turn(void);
void		 read_janitor(void);
void		 read_forget(enum proc);
unsigned int	 read_count(void);

/* feed.c: events to sessiond; the database's janitor. */
void		 feed_start(void);
void		 feed_reset(void);
void		 feed_kick(void);
void		 feed_turn(void);
void		 feed_janitor(void);

#endif
