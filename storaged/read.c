/*
 * read.c - statements that read, one at a time on each of a few connections,
 * so that a slow listing holds up no commit.  They wait while this server does
 * not hold its lock (somebody else might still commit), while writes of the
 * asker's dead predecessor are under way, and while the asker does not read
 * what it was sent.
 */
#include <string.h>

#include "connection.h"
#include "log.h"
#include "worker.h"

#define READERS		3
#define QUEUE_COUNT	10000
#define TRIES		3
#define DEADLINE	9000	/* ms in the queue */

static struct stmts	 queue = TAILQ_HEAD_INITIALIZER(queue);
static unsigned int	 queued;

static void	 reader_up(struct conn *);
static void	 reader_down(struct conn *);
static void	 reader_result(struct conn *, PGresult *);
static void	 reader_done(struct conn *);
static void	 reader_sync(struct conn *);

#define READER(n) {							\
	.name = "marionette read " n,					\
	.options = "-c search_path=mn,mn_data -c timezone=UTC "		\
	    "-c jit=off -c lock_timeout=250 "				\
	    "-c statement_timeout=10000 "				\
	    "-c idle_in_transaction_session_timeout=5000 "		\
	    "-c default_transaction_read_only=on",			\
	.prepare = MSG_F_READ,						\
	.up = reader_up, .down = reader_down, .result = reader_result,	\
	.done = reader_done, .sync = reader_sync,			\
}

static struct conn	 readers[READERS] = {
	READER("1"), READER("2"), READER("3")
};

void
read_start(void)
{
	int	 i;

	for (i = 0; i < READERS; i++)
		conn_start(&readers[i]);
}

unsigned int
read_count(void)
{
	return (queued);
}

void
read_add(struct stmt *s)
{
	stats.reads++;
	if (queued >= QUEUE_COUNT) {
		answer_refuse(s, "unavailable", "the database is behind; try "
		    "again", 2);
		statement_free(s);
		return;
	}
	TAILQ_INSERT_TAIL(&queue, s, entry);
	queued++;
}

static void
unqueue(struct stmt *s)
{
	TAILQ_REMOVE(&queue, s, entry);
	queued--;
}

static struct stmt *
next_one(void)
{
	struct stmt	*s;

	TAILQ_FOREACH(s, &queue, entry)
		if (!write_is_settling(s->from) &&
		    !peer_is_full(peer_of(s->from)))
			return (s);
	return (NULL);
}

void
read_turn(void)
{
	struct stmt	*s;
	int		 i;

	if (!write_is_ours())
		return;
	for (i = 0; i < READERS; i++) {
		if (readers[i].state != CONN_READY || readers[i].stmt != NULL)
			continue;
		if ((s = next_one()) == NULL)
			return;
		unqueue(s);
		readers[i].stmt = s;
		conn_tenant(&readers[i], s->tenant);
		statement_send(&readers[i], s);
		conn_sync(&readers[i]);
	}
}

static void
reader_up(struct conn *c)
{
	/* The turn's hook gives it work. */
	(void)c;
}

static void
back(struct stmt *s)
{
	PQclear(s->res);
	s->res = NULL;
	if (s->orphan) {
		statement_free(s);
		return;
	}
	TAILQ_INSERT_HEAD(&queue, s, entry);
	queued++;
}

static void
reader_down(struct conn *c)
{
	struct stmt	*s = c->stmt;

	c->stmt = NULL;
	if (s == NULL)
		return;
	if (++s->tries < TRIES) {
		back(s);
		return;
	}
	answer_refuse(s, "unavailable", "the database went away; try again",
	    2);
	statement_free(s);
}

/* The last result is the statement's, or the error that stopped it. */
static void
reader_result(struct conn *c, PGresult *res)
{
	if (c->stmt == NULL || PQresultStatus(res) == PGRES_PIPELINE_ABORTED) {
		PQclear(res);
		return;
	}
	PQclear(c->stmt->res);
	c->stmt->res = res;
}

static void
reader_done(struct conn *c)
{
	(void)c;
}

static void
reader_sync(struct conn *c)
{
	struct stmt	*s = c->stmt;
	const char	*state;

	if (s == NULL)
		return;
	c->stmt = NULL;
	if (PQresultStatus(s->res) == PGRES_TUPLES_OK)
		answer_rows(s, s->res, 0, PQntuples(s->res));
	else {
		state = PQresultErrorField(s->res, PG_DIAG_SQLSTATE);
		if (state != NULL && answer_may_pass(state) &&
		    strcmp(state, "57014") != 0 && ++s->tries < TRIES) {
			back(s);
			return;
		}
		answer_failed(s, s->res);
	}
	statement_free(s);
}

void
read_forget(enum proc from)
{
	struct stmt	*s, *next;
	int		 i;

	TAILQ_FOREACH_SAFE(s, &queue, entry, next)
		if (s->from == from) {
			unqueue(s);
			statement_free(s);
		}
	for (i = 0; i < READERS; i++)
		if (readers[i].stmt != NULL && readers[i].stmt->from == from)
			readers[i].stmt->orphan = 1;
}

void
read_janitor(void)
{
	struct stmt	*s, *next;
	uint64_t	 now = worker_mono_ms();
	int		 i;

	for (i = 0; i < READERS; i++)
		conn_janitor(&readers[i]);
	TAILQ_FOREACH_SAFE(s, &queue, entry, next) {
		if (now - s->since < DEADLINE)
			continue;
		unqueue(s);
		answer_refuse(s, "unavailable", "the database does not "
		    "answer; try again", 5);
		statement_free(s);
	}
}
