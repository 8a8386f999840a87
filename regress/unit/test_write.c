/* links: storaged/write.c storaged/group.c regress/unit/own_conn.c regress/unit/own_time.c -lpq */
/*
 * Writes that find no room: this program is the connection, and says when a batch is
 * committed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "connection.h"
#include "group.h"
#include "own_conn.h"
#include "own_time.h"
#include "worker.h"		/* own_time.c has it */

static struct event_base *base;
static struct conn	*conn;
static unsigned int	 refusals;
static uint64_t		 next_ref, answered;	/* the last write that was */

struct event_base *
worker_base(void)
{
	return (base);
}

const char *
config_application(void)
{
	return ("test");
}

void
conn_start(struct conn *c)
{
	conn = c;
	c->state = CONN_READY;
}

void
conn_query(struct conn *c, const char *sql, int n, const char *const *values)
{
	(void)c;
	(void)sql;
	(void)n;
	(void)values;
}

void
lock_begin(struct conn *c)
{
	(void)c;
}

void
lock_result(struct conn *c, PGresult *res)
{
	(void)c;
	PQclear(res);
}

int
lock_synced(void)
{
	return (1);
}

int
lock_is_held(void)
{
	return (1);
}

void
lock_lost(void)
{
}

void
feed_kick(void)
{
}

void
feed_housekeep(void)
{
}

void
answer_rows(const struct stmt *s, PGresult *res, int first, int n)
{
	(void)res;
	(void)first;
	(void)n;
	if (s->from != PROC_TASKD)
		return;
	/* In the order in which their owner asked, without a gap. */
	assert_int_equal(s->ref, answered + 1);
	answered = s->ref;
}

void
answer_refuse(const struct stmt *s, const char *code, const char *text,
    unsigned int retry_after)
{
	(void)s;
	(void)text;
	assert_string_equal(code, "unavailable");
	assert_int_equal(retry_after, 2);
	refusals++;
}

void
answer_failed(const struct stmt *s, const PGresult *res)
{
	(void)s;
	(void)res;
	fail_msg("a write failed");
}

/* 1: it has a place, 0: it was refused. */
static int
asks(enum proc from, uint64_t ref)
{
	struct stmt	*s = calloc(1, sizeof(*s));
	unsigned int	 before = refusals;

	assert_non_null(s);
	s->type = MSG_TASK_WAIT;
	s->from = from;
	s->ref = ref;
	s->tenant = "a";
	s->since = worker_mono_ms();
	write_add(s);
	return (refusals == before);
}

/* The next batch goes and is committed. */
static void
commits(void)
{
	unsigned int	 i;

	time_passes(2);
	conn_calls = 0;
	write_turn();
	assert_true(conn_calls > 0);
	for (i = 0; i < conn_calls; i++) {
		conn->result(conn, PQmakeEmptyPGresult(NULL,
		    PGRES_TUPLES_OK));
		conn->done(conn);
	}
	conn->sync(conn);
}

static void
all_committed(void)
{
	while (!write_is_idle())
		commits();
}

static int
begin(void **state)
{
	(void)state;
	assert_non_null(base = event_base_new());
	write_start();
	return (0);
}

/* Until one has no place; its ref is returned. */
static uint64_t
fills(void)
{
	while (asks(PROC_TASKD, ++next_ref))
		;
	return (next_ref);
}

/* What was sent before its owner heard of the refusal does not overtake. */
static void
in_order(void **state)
{
	uint64_t	 first = fills();

	(void)state;
	commits();
	assert_int_equal(asks(PROC_TASKD, ++next_ref), 0);
	/* Others have nothing to do with that. */
	assert_int_equal(asks(PROC_SESSIOND, 1), 1);
	commits();
	assert_int_equal(asks(PROC_TASKD, ++next_ref), 0);
	/* The owner asks again, in order. */
	time_passes(1000);
	for (; first <= next_ref; first++)
		assert_int_equal(asks(PROC_TASKD, first), 1);
	assert_int_equal(asks(PROC_TASKD, ++next_ref), 1);
	all_committed();
	assert_int_equal(answered, next_ref);
}

/* One that nobody asks again holds nobody up for long. */
static void
given_up(void **state)
{
	uint64_t	 lost = fills();

	(void)state;
	all_committed();
	assert_int_equal(answered, lost - 1);
	assert_int_equal(asks(PROC_TASKD, next_ref + 1), 0);
	time_passes(2000);
	answered = lost;
	assert_int_equal(asks(PROC_TASKD, ++next_ref), 1);
	all_committed();
}

/* Nor does a new life of the owner, whose numbers are its own. */
static void
new_life(void **state)
{
	(void)state;
	fills();
	write_forget(PROC_TASKD);
	next_ref += 1000;
	answered = next_ref;
	assert_int_equal(asks(PROC_TASKD, ++next_ref), 1);
	all_committed();
	assert_int_equal(answered, next_ref);
}

int
main(void)
{
	const struct CMUnitTest	 tests[] = {
		cmocka_unit_test(in_order),
		cmocka_unit_test(given_up),
		cmocka_unit_test(new_life),
	};

	return (cmocka_run_group_tests(tests, begin, NULL));
}
