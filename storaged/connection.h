/*
 * connection.h - a connection to PostgreSQL, and the lock that one of them holds.
 */
#ifndef CONNECTION_H
#define CONNECTION_H

#include "storaged.h"

/*
 * Every statement finds each of its rows by an index.  To a planner that sees a
 * new database's empty tables other ways would look as cheap, and stay.
 */
#define CONN_OPTIONS							\
	"-c search_path=mn,mn_data -c timezone=UTC -c jit=off "		\
	"-c enable_seqscan=off -c enable_hashjoin=off "			\
	"-c enable_mergejoin=off -c random_page_cost=1 "		\
	"-c cpu_tuple_cost=1 -c lock_timeout=250 "			\
	"-c statement_timeout=10000 "					\
	"-c idle_in_transaction_session_timeout=5000 "

struct group;
enum conn_state { CONN_DOWN, CONN_CONNECTING, CONN_PREPARING, CONN_READY };

/*
 * A connection to PostgreSQL in pipeline mode, made again for ever.  `up' is
 * called when its statements are prepared; `down' when it is lost with what
 * was under way; `result' and `done' for each query in order, `sync' when a
 * batch is over.
 */
struct conn {
	const char		*name;
	const char		*application;	/* for PostgreSQL; NULL: name */
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
	struct group		*group;		/* reader: what it is at */
};

void		 conn_start(struct conn *);
void		 conn_lost(struct conn *, const char *why);
void		 conn_sent(struct conn *, int rc);
void		 conn_tenant(struct conn *, const char *);
void		 conn_sync(struct conn *);
void		 conn_query(struct conn *, const char *sql, int n,
		    const char *const *values);
void		 conn_flush(struct conn *);
void		 conn_janitor(struct conn *);

/* lock.c: the advisory lock of who is at work (promise 2). */
void		 lock_begin(struct conn *);
void		 lock_result(struct conn *, PGresult *);
/* A Sync was answered: is the lock held from now on? */
int		 lock_synced(void);
int		 lock_is_held(void);
void		 lock_lost(void);

#endif
