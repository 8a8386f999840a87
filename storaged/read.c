/*
 * read.c - statements that read.  Those for one object (MSG_F_MANY) go down a
 * connection of their own, all that wait in one call, and the next gather while
 * it is under way; all others one at a time on each of a few connections, so that
 * a slow listing holds up no commit and no look at one object.  Tenants take turns,
 * so that who asks for many slow ones waits behind himself.  They wait while this
 * server does not hold its lock (somebody else might still commit), while writes of
 * the asker's dead predecessor are under way, and while the asker does not read
 * what it was sent.
 */
#include <string.h>

#include "connection.h"
#include "group.h"
#include "log.h"
#include "worker.h"

#define READERS		3
#define QUEUE_COUNT	10000
#define MANY_MAX	64	/* statements of one call */
#define TRIES		3
#define DEADLINE	9000	/* ms in the queue */
#define TURNS		1024	/* of tenants by their hash; a power of two */

enum kind { KIND_ONE, KIND_MANY, KINDS };

static struct stmts	 queue[KINDS] = {
	TAILQ_HEAD_INITIALIZER(queue[KIND_ONE]),
	TAILQ_HEAD_INITIALIZER(queue[KIND_MANY])
};
static unsigned int	 queued;
static uint64_t		 turns, last[TURNS];	/* when each tenant had one */
static unsigned int	 own[TURNS];		/* of those queued */
static int		 known;		/* what each statement takes */

static void	 reader_up(struct conn *);
static void	 reader_down(struct conn *);
static void	 reader_result(struct conn *, PGresult *);
static void	 reader_done(struct conn *);
static void	 reader_sync(struct conn *);

#define READER(n) {							\
	.name = "marionette read " n,					\
	.options = CONN_OPTIONS "-c default_transaction_read_only=on",	\
	.prepare = MSG_F_READ,						\
	.up = reader_up, .down = reader_down, .result = reader_result,	\
	.done = reader_done, .sync = reader_sync,			\
}

/* The last is for those that go together. */
static struct reader {
	struct conn	 conn;
	struct group	 group;
	struct stmt	*stmt[MANY_MAX];
}			 readers[READERS] = {
	{ .conn = READER("1") }, { .conn = READER("2") },
	{ .conn = READER("3") }
};

void
read_start(void)
{
	int	 i;

	for (i = 0; i < READERS; i++)
		conn_start(&readers[i].conn);
}

int
read_is_known(void)
{
	return (known);
}

unsigned int
read_count(void)
{
	return (queued);
}

static enum kind
kind_of(const struct stmt *s)
{
	return ((msg_descs[s->type].flags & MSG_F_MANY) != 0 ? KIND_MANY :
	    KIND_ONE);
}

static unsigned int
turn_of(const char *tenant)
{
	uint32_t	 h = 2166136261U;	/* FNV-1a */

	for (; *tenant != '\0'; tenant++)
		h = (h ^ (uint8_t)*tenant) * 16777619U;
	return ((h ^ h >> 16) & (TURNS - 1));
}

/* One tenant alone does not take what all are to have. */
static int
is_crowded(unsigned int turn)
{
	return (queued >= QUEUE_COUNT || (queued >= QUEUE_COUNT / 2 &&
	    own[turn] >= QUEUE_COUNT / 4));
}

void
read_add(struct stmt *s)
{
	stats.reads++;
	s->turn = turn_of(s->tenant);
	if (is_crowded(s->turn)) {
		answer_refuse(s, "unavailable", "the database is behind; try "
		    "again", 2);
		statement_free(s);
		return;
	}
	TAILQ_INSERT_TAIL(&queue[kind_of(s)], s, entry);
	queued++;
	own[s->turn]++;
}

static void
unqueue(struct stmt *s)
{
	TAILQ_REMOVE(&queue[kind_of(s)], s, entry);
	queued--;
	own[s->turn]--;
}

/* May s be asked, and together with what the group has already? */
static int
fits(const struct group *g, const struct stmt *s)
{
	if (write_is_settling(s->from) || answers_wait(s->from) ||
	    peer_is_full(peer_of(s->from)))
		return (0);
	return (g->n == 0 || (s->type == g->type && !s->cut &&
	    strcmp(s->tenant, g->tenant) == 0));
}

/* The oldest of the tenant whose turn was longest ago. */
static struct stmt *
first(const struct group *g, enum kind kind)
{
	struct stmt	*s, *best = NULL;

	TAILQ_FOREACH(s, &queue[kind], entry)
		if (fits(g, s) && (best == NULL ||
		    last[s->turn] < last[best->turn]))
			best = s;
	if (best != NULL)
		last[best->turn] = ++turns;
	return (best);
}

static void
gather(struct reader *r, enum kind kind)
{
	struct group	*g = &r->group;
	struct stmt	*s, *next;
	unsigned int	 most = kind == KIND_MANY ? MANY_MAX : 1;

	g->n = 0;
	g->stmt = r->stmt;
	g->res = NULL;
	for (s = first(g, kind); s != NULL; s = next) {
		next = TAILQ_NEXT(s, entry);
		if (!fits(g, s))
			continue;
		unqueue(s);
		g->type = s->type;
		g->tenant = s->tenant;
		s->place = g->n;
		s->row = -1;
		g->stmt[g->n++] = s;
		/* One that failed among others is asked alone. */
		if (g->n == most || s->cut)
			break;
	}
}

static void
reader_turn(struct reader *r, enum kind kind)
{
	struct conn	*c = &r->conn;

	if (c->state != CONN_READY || c->group != NULL)
		return;
	gather(r, kind);
	if (r->group.n == 0)
		return;
	c->group = &r->group;
	conn_tenant(c, r->group.tenant);
	if (kind == KIND_MANY)
		statement_send_many(c, &r->group);
	else
		statement_send(c, r->group.stmt[0]);
	conn_sync(c);
}

void
read_turn(void)
{
	int	 i;

	if (!write_is_ours())
		return;
	for (i = 0; i < READERS - 1 && !TAILQ_EMPTY(&queue[KIND_ONE]); i++)
		reader_turn(&readers[i], KIND_ONE);
	if (!TAILQ_EMPTY(&queue[KIND_MANY]))
		reader_turn(&readers[READERS - 1], KIND_MANY);
}

static void
reader_up(struct conn *c)
{
	/* The turn's hook gives it work. */
	(void)c;
	known = 1;
}

/* Asked again, in the order it was; or its asker is gone. */
static void
again(struct group *g)
{
	struct stmt	*s;
	unsigned int	 i;

	for (i = g->n; i > 0; i--) {
		s = g->stmt[i - 1];
		if (s->orphan) {
			statement_free(s);
			continue;
		}
		s->cut |= g->n > 1;
		TAILQ_INSERT_HEAD(&queue[kind_of(s)], s, entry);
		queued++;
		own[s->turn]++;
	}
}

static void
refuse(struct group *g, const char *text)
{
	unsigned int	 i;

	for (i = 0; i < g->n; i++) {
		answer_refuse(g->stmt[i], "unavailable", text, 2);
		statement_free(g->stmt[i]);
	}
}

/* Not often: what kills the connection again and again is given up. */
static int
tries_left(struct group *g)
{
	unsigned int	 i, left = 1;

	for (i = 0; i < g->n; i++)
		left &= ++g->stmt[i]->tries < TRIES;
	return (left != 0);
}

static void
reader_down(struct conn *c)
{
	struct group	*g = c->group;

	c->group = NULL;
	if (g == NULL)
		return;
	PQclear(g->res);
	if (tries_left(g))
		again(g);
	else
		refuse(g, "the database went away; try again");
}

/* The last result is the call's, or the error that stopped it. */
static void
reader_result(struct conn *c, PGresult *res)
{
	if (c->group == NULL ||
	    PQresultStatus(res) == PGRES_PIPELINE_ABORTED) {
		PQclear(res);
		return;
	}
	PQclear(c->group->res);
	c->group->res = res;
}

static void
reader_done(struct conn *c)
{
	(void)c;
}

static void
answer(struct group *g)
{
	struct stmt	*s;
	unsigned int	 i;
	int		 many;

	many = (msg_descs[g->type].flags & MSG_F_MANY) != 0;
	if (many)
		group_rows(g);
	for (i = 0; i < g->n; i++) {
		s = g->stmt[i];
		if (many)
			answer_rows(s, g->res, s->row, s->row >= 0);
		else
			answer_rows(s, g->res, 0, PQntuples(g->res));
		statement_free(s);
	}
}

static void
reader_sync(struct conn *c)
{
	struct group	*g = c->group;
	const char	*state;

	if (g == NULL)
		return;
	c->group = NULL;
	if (PQresultStatus(g->res) == PGRES_TUPLES_OK)
		answer(g);
	else {
		state = PQresultErrorField(g->res, PG_DIAG_SQLSTATE);
		if (g->n > 1 || (state != NULL && answer_may_pass(state) &&
		    strcmp(state, "57014") != 0 && tries_left(g)))
			again(g);
		else {
			answer_failed(g->stmt[0], g->res);
			statement_free(g->stmt[0]);
		}
	}
	answer_clear(g->res);
}

void
read_forget(enum proc from)
{
	struct stmt	*s, *next;
	struct group	*g;
	unsigned int	 k;
	int		 i;

	for (i = 0; i < KINDS; i++)
		TAILQ_FOREACH_SAFE(s, &queue[i], entry, next)
			if (s->from == from) {
				unqueue(s);
				statement_free(s);
			}
	for (i = 0; i < READERS; i++)
		if ((g = readers[i].conn.group) != NULL)
			for (k = 0; k < g->n; k++)
				if (g->stmt[k]->from == from)
					g->stmt[k]->orphan = 1;
}

void
read_janitor(void)
{
	struct stmt	*s, *next;
	uint64_t	 now = worker_mono_ms();
	int		 i;

	for (i = 0; i < READERS; i++)
		conn_janitor(&readers[i].conn);
	for (i = 0; i < KINDS; i++)
		TAILQ_FOREACH_SAFE(s, &queue[i], entry, next) {
			if (now - s->since < DEADLINE)
				continue;
			unqueue(s);
			answer_refuse(s, "unavailable", "the database does "
			    "not answer; try again", 5);
			statement_free(s);
		}
}
