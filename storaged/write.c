/*
 * write.c - the one connection that writes.  What was asked in a turn goes out
 * with one Sync; while it is under way the next batch gathers.  A batch is one
 * transaction; nobody is answered before its commit is known.  A batch that
 * fails is cut around the statement that failed, or in halves when that is not
 * known, and goes again; only a statement that fails alone is refused.  Lost
 * with the connection, it is sent again: statements are idempotent.
 */
#include <string.h>

#include "connection.h"
#include "group.h"
#include "log.h"
#include "worker.h"

#define QUEUE_BYTES	(64U << 20)
#define QUEUE_COUNT	10000
#define BATCH_BYTES	(4U << 20)
#define AWAIT		1	/* ms between two batches, at most */
#define AWAIT_FROM	5	/* statements in the one before */
#define TRIES		5	/* of a statement that may pass later */
#define PAUSE		60	/* ms before it is tried again */
#define GONE		9000	/* ms without database: nothing waits longer */
#define TOUCH		2000	/* ms: that often others see that we live */
#define HEARD		1500	/* ms: until who was refused has asked again */

static struct stmts	 queue = TAILQ_HEAD_INITIALIZER(queue);
static struct stmts	 batch = TAILQ_HEAD_INITIALIZER(batch);
static unsigned int	 queued, batched;
static size_t		 queued_bytes;
static unsigned int	 ncalls;	/* that the batch is */
static unsigned int	 at;		/* of them: whose results come */
static unsigned int	 tenants;	/* set_config()s before its result */
static struct group	*failed;	/* the first that did */
static int		 commit_failed;
static char		 failed_state[6];
static uint64_t		 hold_until;	/* a pause before the next batch */
static uint64_t		 gone_since;
static uint64_t		 batch_since;	/* or since it was touched */
static int		 touching;
static unsigned int	 settling[PROC_MAX];	/* orphans in the batch */
static struct event	*ev_pause;
static unsigned int	 awaited;		/* statements of the next batch */
static uint64_t		 await_until;		/* by when it goes in any case */
static struct behind {			/* what an owner asks while it is refused */
	uint64_t	 ref;		/* the first that was; 0: none */
	uint64_t	 until;		/* or it has given that one up */
}			 behind[PROC_MAX];

static void	 write_up(struct conn *);
static void	 write_down(struct conn *);
static void	 write_result(struct conn *, PGresult *);
static void	 write_done(struct conn *);
static void	 write_sync(struct conn *);

static struct conn	 conn = {
	.name = "marionette write",
	.options = CONN_OPTIONS "-c plan_cache_mode=force_generic_plan",
	.prepare = MSG_F_WRITE,
	.up = write_up, .down = write_down, .result = write_result,
	.done = write_done, .sync = write_sync,
};

static void
pause_over(evutil_socket_t fd, short what, void *arg)
{
	/* The turn's hook goes on. */
	(void)fd;
	(void)what;
	(void)arg;
}

void
write_start(void)
{
	conn.application = config_application();
	gone_since = worker_mono_ms();
	if ((ev_pause = event_new(worker_base(), -1, 0, pause_over, NULL)) ==
	    NULL)
		fatalx("write: no event");
	conn_start(&conn);
}

int
write_is_ours(void)
{
	return (conn.state == CONN_READY && lock_is_held());
}

int
write_is_settling(enum proc from)
{
	return (settling[from] > 0);
}

void
write_count(unsigned int *n, size_t *bytes)
{
	*n = queued + batched;
	*bytes = queued_bytes;
}

int
write_is_idle(void)
{
	return (queued == 0 && batched == 0);
}

/*
 * Is there a place for it?  What its owner had sent before it heard that another
 * was refused has none either, or it would be done before that one.
 */
static int
has_place(const struct stmt *s)
{
	struct behind	*b = &behind[s->from];
	uint64_t	 now = worker_mono_ms();

	if (queued >= QUEUE_COUNT || queued_bytes + s->bytes > QUEUE_BYTES) {
		if (b->ref == 0 || s->ref < b->ref)
			b->ref = s->ref;
		b->until = now + HEARD;
		return (0);
	}
	if (b->ref != 0 && s->ref > b->ref && now < b->until)
		return (0);
	b->ref = 0;
	return (1);
}

void
write_add(struct stmt *s)
{
	stats.statements++;
	if (!has_place(s)) {
		answer_refuse(s, "unavailable", "the database is behind; try "
		    "again", 2);
		statement_free(s);
		return;
	}
	TAILQ_INSERT_TAIL(&queue, s, entry);
	queued++;
	queued_bytes += s->bytes;
}

static void
unqueue(struct stmt *s)
{
	TAILQ_REMOVE(&queue, s, entry);
	queued--;
	queued_bytes -= s->bytes;
}

static void
over(void)
{
	groups_clear();
	batched = ncalls = at = 0;
	failed = NULL;
	commit_failed = 0;
}

/* Back to the head of the queue, in order; orphans are let go. */
static void
requeue(void)
{
	struct stmt	*s;

	while ((s = TAILQ_LAST(&batch, stmts)) != NULL) {
		TAILQ_REMOVE(&batch, s, entry);
		if (s->orphan) {
			settling[s->from]--;
			statement_free(s);
			continue;
		}
		TAILQ_INSERT_HEAD(&queue, s, entry);
		queued++;
		queued_bytes += s->bytes;
	}
	over();
}

/*
 * A batch: up to a bound, or to a statement that begins its own.  Who has not
 * read its answers waits with all that it asked.
 */
static void
gather(void)
{
	struct stmt	*s, *next;
	size_t		 bytes = 0;

	TAILQ_FOREACH_SAFE(s, &queue, entry, next) {
		if (answers_wait(s->from))
			continue;
		if (batched == BATCH_COUNT || bytes >= BATCH_BYTES ||
		    (batched > 0 && s->cut))
			break;
		unqueue(s);
		s->cut = 0;
		bytes += s->bytes;
		TAILQ_INSERT_TAIL(&batch, s, entry);
		batched++;
	}
	if (batched > stats.batch_max)
		stats.batch_max = batched;
}

/* The tenant is set before the first call and whenever it differs. */
static int
wants_tenant(unsigned int call)
{
	return (call == 0 || strcmp(group_at(call - 1)->tenant,
	    group_at(call)->tenant) != 0);
}

static void
begin_results(unsigned int call)
{
	at = call;
	tenants = call < ncalls && wants_tenant(call);
}

void
write_turn(void)
{
	const struct group	*g;
	unsigned int		 i;

	if (!write_is_ours() || batched > 0 || touching || queued == 0 ||
	    worker_mono_ms() < hold_until)
		return;
	if (queued < awaited && worker_mono_ms() < await_until)
		return;
	gather();
	if (batched == 0)
		return;
	ncalls = groups_make(&batch);
	stats.calls += ncalls;
	for (i = 0; i < ncalls; i++) {
		g = group_at(i);
		if (wants_tenant(i))
			conn_tenant(&conn, g->tenant);
		if ((msg_descs[g->type].flags & MSG_F_MANY) != 0)
			statement_send_many(&conn, g);
		else
			statement_send(&conn, g->stmt[0]);
	}
	begin_results(0);
	batch_since = worker_mono_ms();
	conn_sync(&conn);
}

static void
write_up(struct conn *c)
{
	lock_begin(c);
}

static void
write_down(struct conn *c)
{
	(void)c;
	if (gone_since == 0)
		gone_since = worker_mono_ms();
	lock_lost();
	touching = 0;
	requeue();
}

static void
write_result(struct conn *c, PGresult *res)
{
	ExecStatusType	 st = PQresultStatus(res);
	struct group	*g = group_at(at);
	const char	*state;

	if (!lock_is_held()) {
		lock_result(c, res);
		return;
	}
	if (touching) {
		/* Of no batch, whatever it says. */
		PQclear(res);
		return;
	}
	if (st == PGRES_TUPLES_OK && g != NULL && tenants == 0) {
		PQclear(g->res);
		g->res = res;
		return;
	}
	if (st == PGRES_FATAL_ERROR && failed == NULL && !commit_failed) {
		state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
		strlcpy(failed_state, state != NULL ? state : "",
		    sizeof(failed_state));
		failed = g;
		commit_failed = g == NULL;
		if (batched == 1) {
			/* Kept: it tells why. */
			failed = group_at(0);
			PQclear(failed->res);
			failed->res = res;
			return;
		}
	}
	PQclear(res);
}

static void
write_done(struct conn *c)
{
	(void)c;
	if (at == ncalls)
		return;
	if (tenants > 0)
		tenants--;
	else
		begin_results(at + 1);
}

static void
answer(struct stmt *s)
{
	const struct group	*g = s->group;

	if ((msg_descs[s->type].flags & MSG_F_MANY) == 0)
		answer_rows(s, g->res, 0, PQntuples(g->res));
	else
		answer_rows(s, g->res, s->row, s->row >= 0);
}

/*
 * Under load the answers of a batch bring about the next one, which waits a moment
 * for as many: at once it would go with those that come first, and two halves
 * would take turns, each at the price of a batch.
 */
static void
await(unsigned int n)
{
	struct timeval	 tv = { 0, AWAIT * 1000 };

	awaited = n >= AWAIT_FROM ? n : 0;
	if (awaited == 0)
		return;
	await_until = worker_mono_ms() + AWAIT;
	event_add(ev_pause, &tv);
}

/* In the order in which they were asked. */
static void
committed(void)
{
	struct stmt	*s;
	unsigned int	 i;
	int		 events = 0;

	stats.commits++;
	stats.batch_statements += batched;
	for (i = 0; i < ncalls; i++)
		if ((msg_descs[group_at(i)->type].flags & MSG_F_MANY) != 0)
			group_rows(group_at(i));
	while ((s = TAILQ_FIRST(&batch)) != NULL) {
		TAILQ_REMOVE(&batch, s, entry);
		events |= s->type != MSG_LOG_APPEND &&
		    s->type != MSG_RUNNER_BEAT && s->type != MSG_AUDIT_PUT;
		if (s->orphan)
			settling[s->from]--;
		answer(s);
		statement_free(s);
	}
	await(batched);
	over();
	if (events)
		feed_kick();
}

static void
hold(void)
{
	struct timeval	 tv = { 0, PAUSE * 1000 };

	hold_until = worker_mono_ms() + PAUSE;
	event_add(ev_pause, &tv);
}

/* There is no partition for these lines: it is made when the janitor comes. */
static int
is_dayless(const struct stmt *s)
{
	return (s->type == MSG_LOG_APPEND &&
	    strcmp(failed_state, "23514") == 0);
}

/* The one statement of its batch: now or never. */
static void
failed_alone(void)
{
	struct stmt	*s = TAILQ_FIRST(&batch);

	if (is_dayless(s))
		feed_housekeep();
	if ((is_dayless(s) || answer_may_pass(failed_state)) &&
	    ++s->tries < TRIES) {
		stats.retries++;
		requeue();
		hold();
		return;
	}
	TAILQ_REMOVE(&batch, s, entry);
	if (s->orphan)
		settling[s->from]--;
	answer_failed(s, group_at(0)->res);
	statement_free(s);
	over();
}

static void
failed_batch(void)
{
	struct stmt	*s, *next;
	unsigned int	 i;

	stats.batches_failed++;
	log_debug("write: a batch of %u failed, SQLSTATE %s", batched,
	    failed_state);
	if (batched == 1) {
		failed_alone();
		return;
	}
	if (failed == NULL || failed->n > 1) {
		s = TAILQ_FIRST(&batch);
		for (i = 0; i < batched / 2; i++)
			s = TAILQ_NEXT(s, entry);
	} else {
		s = failed->stmt[0];
		if ((next = TAILQ_NEXT(s, entry)) != NULL ||
		    (next = TAILQ_FIRST(&queue)) != NULL)
			next->cut = 1;
	}
	s->cut = 1;
	requeue();
}

static void
write_sync(struct conn *c)
{
	(void)c;
	if (!lock_is_held()) {
		if (lock_synced())
			gone_since = 0;
		return;
	}
	if (touching) {
		touching = 0;
		return;
	}
	if (failed != NULL || commit_failed)
		failed_batch();
	else
		committed();
}

/* An owner died: what it asked and nobody sent is forgotten. */
void
write_forget(enum proc from)
{
	struct stmt	*s, *next;

	behind[from].ref = 0;
	TAILQ_FOREACH_SAFE(s, &queue, entry, next)
		if (s->from == from) {
			unqueue(s);
			statement_free(s);
		}
	TAILQ_FOREACH(s, &batch, entry)
		if (s->from == from && !s->orphan) {
			s->orphan = 1;
			settling[from]++;
		}
}

/* No database, or one that has stopped in the middle of a batch. */
static int
is_gone(uint64_t now)
{
	if (!write_is_ours())
		return (gone_since != 0 && now - gone_since >= GONE);
	return ((batched > 0 || touching) && now - batch_since >= GONE);
}

/* Who stands by takes a connection that is silent for dead (lock.c). */
static void
touch(uint64_t now)
{
	if (!write_is_ours() || batched > 0 || touching ||
	    now - batch_since < TOUCH)
		return;
	touching = 1;
	batch_since = now;
	conn_query(&conn, "SELECT 1", 0, NULL);
	conn_sync(&conn);
}

/*
 * Without a database nothing waits for ever: what was never sent is refused
 * and may be asked again; of what was sent the outcome is not known, and it
 * stays.
 */
void
write_janitor(void)
{
	struct stmt	*s, *next;
	uint64_t	 now = worker_mono_ms();
	int		 refused[PROC_MAX] = { 0 };

	conn_janitor(&conn);
	touch(now);
	if (!is_gone(now))
		return;
	TAILQ_FOREACH_SAFE(s, &queue, entry, next) {
		/* With one all that its owner asked behind it, for the order. */
		if (s->sent || (now - s->since < GONE && !refused[s->from]))
			continue;
		refused[s->from] = 1;
		unqueue(s);
		answer_refuse(s, "unavailable", "the database does not "
		    "answer; try again", 5);
		statement_free(s);
	}
}
