/* links: runnerd/upward.c imsg/runner.proto -lprotobuf-c */
/*
 * Facts of agents: acknowledged in order and only when noted, taken once,
 * sent again to a new taskd, the end of a run after its last line.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "journal.h"
#include "run.h"
#include "session.h"

static struct runner	 runner;
static struct peer	 taskd = { .proc = PROC_TASKD };
static uint64_t		 acked, sent[64], log_last;
static unsigned int	 nsent, nacks, known, own;
static uint32_t		 credit;
static enum msg_type	 types[64];
static char		 run[] = "run_00000000000000000000000001";

struct peer *
peer_of(enum proc proc)
{
	assert_int_equal(proc, PROC_TASKD);
	return (&taskd);
}

int
peer_is_full(const struct peer *p)
{
	(void)p;
	return (0);
}

int
peer_send_packed(struct peer *p, uint64_t ref, enum msg_type type,
    const uint8_t *body, size_t len)
{
	(void)p;
	(void)body;
	(void)len;
	assert_in_range(nsent, 0, 63);
	types[nsent] = type;
	sent[nsent++] = ref;
	return (0);
}

uint64_t
worker_mono_ms(void)
{
	return (1);
}

struct runner *
runner_by_slot(uint32_t slot)
{
	return (slot == runner.slot ? &runner : NULL);
}

struct runner *
runner_next(struct runner *r)
{
	return (r == NULL ? &runner : NULL);
}

int
runs_are_known(void)
{
	return ((int)known);
}

int
run_is_of(const char *id, const struct runner *r)
{
	(void)r;
	return (own && strcmp(id, run) == 0);
}

void
run_taken(const char *id, int started)
{
	(void)id;
	(void)started;
}

uint32_t
run_attempt(const char *id)
{
	(void)id;
	return (1);
}

void
run_over(const char *id)
{
	(void)id;
}

void
session_suspended(struct runner *r, const char *id, uint64_t epoch)
{
	(void)r;
	(void)id;
	(void)epoch;
}

int
journal_has(const char *id, uint64_t up_to)
{
	(void)id;
	return (up_to <= log_last);
}

void
stream_credit(struct stream *s, uint32_t bytes)
{
	(void)s;
	credit += bytes;
}

void
stream_command(struct runner *r, Marionette__V1__ServerCommand *c)
{
	(void)r;
	assert_int_equal(c->body_case,
	    MARIONETTE__V1__SERVER_COMMAND__BODY_ACK);
	acked = c->ack->up_to;
	nacks++;
}

static int
fresh(void **state)
{
	static char	 stream;

	(void)state;
	while (!TAILQ_EMPTY(&runner.facts) && runner.slot != 0)
		upward_hello(&runner, runner.last + 1000);
	memset(&runner, 0, sizeof(runner));
	TAILQ_INIT(&runner.facts);
	runner.slot = 3;
	runner.stream = (struct stream *)(void *)&stream;
	acked = nsent = nacks = credit = 0;
	log_last = 0;
	known = own = 1;
	return (0);
}

static const char *
progress(uint64_t number)
{
	Marionette__V1__RunnerMessage	 m;
	Marionette__V1__RunProgress	 p;

	marionette__v1__runner_message__init(&m);
	marionette__v1__run_progress__init(&p);
	p.run_id = run;
	m.number = number;
	m.body_case = MARIONETTE__V1__RUNNER_MESSAGE__BODY_RUN_PROGRESS;
	m.run_progress = &p;
	return (upward_take(&runner, &m, 10));
}

static const char *
completed(uint64_t number, uint64_t last)
{
	Marionette__V1__RunnerMessage	 m;
	Marionette__V1__RunCompleted	 c;

	marionette__v1__runner_message__init(&m);
	marionette__v1__run_completed__init(&c);
	c.run_id = run;
	c.log_last = last;
	m.number = number;
	m.body_case = MARIONETTE__V1__RUNNER_MESSAGE__BODY_RUN_COMPLETED;
	m.run_completed = &c;
	return (upward_take(&runner, &m, 10));
}

static void
note(uint64_t ref)
{
	struct msg_run_noted	 m = { 0 };

	on_run_noted(&taskd, ref, &m);
	upward_turn();
}

static void
in_order(void **state)
{
	(void)state;
	upward_hello(&runner, 1);
	assert_null(progress(1));
	assert_null(progress(2));
	assert_null(progress(3));
	assert_int_equal(nsent, 3);
	assert_int_equal(credit, 30);
	note(sent[2]);
	note(sent[1]);
	assert_int_equal(nacks, 0);
	note(sent[0]);
	assert_int_equal(nacks, 1);
	assert_int_equal(acked, 3);
	note(sent[0]);			/* stale: of no consequence */
	assert_int_equal(nacks, 1);
}

static void
once(void **state)
{
	(void)state;
	upward_hello(&runner, 1);
	assert_null(progress(1));
	assert_null(progress(1));
	assert_int_equal(nsent, 1);
	note(sent[0]);
	assert_int_equal(acked, 1);
	acked = 0;
	assert_null(progress(1));	/* its Ack was lost: said again */
	upward_turn();
	assert_int_equal(acked, 1);
	assert_int_equal(nsent, 1);
	assert_non_null(progress(3));	/* a gap */
	assert_non_null(progress(0));
}

static void
after_restart(void **state)
{
	(void)state;
	upward_hello(&runner, 41);
	assert_int_equal(runner.acked, 40);
	assert_non_null(progress(40 + 2));
	assert_null(progress(41));
	/* Nothing was unacknowledged: any number may come first. */
	fresh(state);
	upward_hello(&runner, 0);
	assert_null(progress(77));
	assert_int_equal(nsent, 1);
	note(sent[0]);
	assert_int_equal(acked, 77);
	/* It reconnects while one is under way. */
	assert_null(progress(78));
	upward_hello(&runner, 78);
	assert_null(progress(78));
	assert_int_equal(nsent, 2);
	note(sent[1]);
	assert_int_equal(acked, 78);
}

static void
taskd_dies(void **state)
{
	(void)state;
	upward_hello(&runner, 1);
	progress(1);
	progress(2);
	note(sent[0]);
	known = 0;
	upward_unsent();
	progress(3);
	assert_int_equal(nsent, 2);
	known = 1;
	upward_resend();
	assert_int_equal(nsent, 4);
	assert_int_equal(sent[2], sent[1]);
	note(sent[3]);
	note(sent[2]);
	assert_int_equal(acked, 3);
}

static void
end_comes_last(void **state)
{
	(void)state;
	upward_hello(&runner, 1);
	assert_null(completed(1, 5));
	assert_int_equal(nsent, 0);
	assert_true(upward_has_completion(&runner, run));
	log_last = 4;
	upward_log_committed(run);
	assert_int_equal(nsent, 0);
	log_last = 5;
	upward_log_committed(run);
	assert_int_equal(nsent, 1);
	assert_int_equal(types[0], MSG_RUN_COMPLETED);
	note(sent[0]);
	assert_int_equal(acked, 1);
	/* Nobody tells: its journal was given up. */
	assert_null(completed(2, 6));
	assert_int_equal(nsent, 1);
	log_last = 6;
	upward_resend();
	assert_int_equal(nsent, 2);
}

static void
not_its_own(void **state)
{
	(void)state;
	upward_hello(&runner, 1);
	own = 0;
	assert_null(completed(1, 0));
	upward_turn();
	assert_int_equal(nsent, 0);
	assert_int_equal(acked, 1);	/* acknowledged, and goes nowhere */
}

static void
bounded(void **state)
{
	uint64_t	 i;

	(void)state;
	upward_hello(&runner, 1);
	known = 0;
	for (i = 1; i <= 4096; i++)
		assert_null(progress(i));
	assert_non_null(progress(i));
	assert_int_equal(nsent, 0);
}

int
main(void)
{
	const struct CMUnitTest	 tests[] = {
		cmocka_unit_test_setup_teardown(in_order, fresh, fresh),
		cmocka_unit_test_setup_teardown(once, fresh, fresh),
		cmocka_unit_test_setup_teardown(after_restart, fresh, fresh),
		cmocka_unit_test_setup_teardown(taskd_dies, fresh, fresh),
		cmocka_unit_test_setup_teardown(end_comes_last, fresh, fresh),
		cmocka_unit_test_setup_teardown(not_its_own, fresh, fresh),
		cmocka_unit_test_setup_teardown(bounded, fresh, fresh),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
