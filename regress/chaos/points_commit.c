/*
 * points_commit.c - storaged dies before a statement is sent to the database,
 * between sending its batch and the answer, or between the commit and telling
 * of it.  Linked only into a build with CRASH=1 (points.mk).
 */
#include "group.h"
#include "connection.h"
#include "points.h"

void	 __real_statement_send(struct conn *, struct stmt *);
void	 __wrap_statement_send(struct conn *, struct stmt *);
void	 __real_statement_send_many(struct conn *, const struct group *);
void	 __wrap_statement_send_many(struct conn *, const struct group *);
void	 __real_conn_sync(struct conn *);
void	 __wrap_conn_sync(struct conn *);
void	 __real_answer_rows(const struct stmt *, PGresult *, int, int);
void	 __wrap_answer_rows(const struct stmt *, PGresult *, int, int);

static int	 dying;		/* with the Sync of this batch */

static void
look(enum msg_type type)
{
	if (points_is(type, POINTS_COMMIT_BEFORE))
		points_die();
	if (points_is(type, POINTS_COMMIT_UNKNOWN))
		dying = 1;
}

void
__wrap_statement_send(struct conn *c, struct stmt *s)
{
	look(s->type);
	__real_statement_send(c, s);
}

void
__wrap_statement_send_many(struct conn *c, const struct group *g)
{
	look(g->type);
	__real_statement_send_many(c, g);
}

void
__wrap_conn_sync(struct conn *c)
{
	__real_conn_sync(c);
	if (dying)
		points_die();
}

/* The first answer of a batch comes when all of it is committed. */
void
__wrap_answer_rows(const struct stmt *s, PGresult *res, int first, int n)
{
	if (points_is(s->type, POINTS_COMMIT_AFTER))
		points_die();
	__real_answer_rows(s, res, first, n);
}
