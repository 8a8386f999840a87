/* links: runnerd/api.c runnerd/choose.c runnerd/enrol.c runnerd/follow.c runnerd/watch.c runnerd/fsm.c runnerd/journal.c runnerd/kept.c runnerd/line.c runnerd/logs.c runnerd/peers.c runnerd/run.c runnerd/runner.c runnerd/seal.c runnerd/session.c runnerd/settings.c runnerd/stream.c runnerd/token.c runnerd/upward.c runnerd/wire.c imsg/runner.proto regress/unit/far.c regress/unit/own_time.c -lprotobuf-c */
/*
 * A session is given back while a new runnerd still learns which runners there
 * are: what it is told of them then is older than what it asks for.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "far.h"
#include "own_time.h"
#include "run.h"
#include "session.h"
#include "runnerd_msg.h"

#define S	"sess_00000000000000000000000000"
#define LOOSE	"sess_00000000000000000000000002"
#define FAST	"sess_00000000000000000000000003"
#define R	"rnr_00000000000000000000000000"
#define R2	"rnr_00000000000000000000000002"
#define R3	"rnr_00000000000000000000000003"
#define RUN	"run_00000000000000000000000000"

union far_message {
	_Alignas(8) uint8_t		 any[MSG_STRUCT_MAX];
	struct msg_session_detach	 detach;
	struct msg_runner_lost		 lost;
	struct msg_session_released	 released;
	struct msg_run_completed	 completed;
};

static void
stored(uint64_t ref)
{
	struct msg_stored	 m = { .rows = 1, .code = "", .text = "" };

	on_stored(peer_of(PROC_STORAGED), ref, &m);
}

static void
row(uint64_t load, const char *id, uint8_t n, const char *session)
{
	uint8_t			 hash[32] = { n };
	struct msg_runner_row	 m = { .runner = id, .tenant = "t",
		.pool = "p", .name = "n", .agents = "claude", .status = "busy",
		.session = session, .epoch = 3, .certificate = hash,
		.certificate_len = 32, .cert_hash = hash, .cert_hash_len = 32 };

	on_runner_row(peer_of(PROC_STORAGED), load, &m);
}

static void
attachment(const char *session, const char *runner)
{
	struct msg_session_attachment	 m = { .tenant = "t",
		.session = session, .runner = runner, .epoch = 3,
		.agent = "claude", .model = "", .agent_config = "",
		.key_ref = "" };

	on_session_attachment(peer_of(PROC_SESSIOND), 0, &m);
}

static void
test_early(void **state)
{
	struct msg_session_release	 release = { .tenant = "t", .session = S,
		.runner = R, .epoch = 3, .to = "terminated", .reason = "" };
	uint64_t			 load;

	(void)state;
	far_up(PROC_SESSIOND, peers_up);
	far_up(PROC_STORAGED, peers_up);
	expect(PROC_STORAGED, MSG_RUNNER_LOAD);
	load = got_ref;
	attachment(LOOSE, R2);
	attachment(FAST, R3);
	on_session_release(peer_of(PROC_SESSIOND), 0, &release);
	refuses(PROC_STORAGED, MSG_SESSION_DETACH);
	refuses(PROC_SESSIOND, MSG_RUNNER_LOST);
	row(load, R, 0, S);
	row(load, R2, 2, "");
	row(load, R3, 3, FAST);
	stored(load);
	expect(PROC_STORAGED, MSG_SESSION_DETACH);
	assert_string_equal(got.detach.session, S);
	assert_int_equal(got.detach.epoch, 3);
	assert_string_equal(runner_find(R)->session, S);
	stored(got_ref);
	assert_string_equal(runner_find(R)->session, "");
	assert_int_equal(runner_find(R)->state, RUNNER_IDLE);
}

/*
 * Who had given it back died before it said so: sessiond takes it for attached,
 * the runner's row does not, whichever of them comes first.
 */
static void
test_untold(void **state)
{
	(void)state;
	expect(PROC_SESSIOND, MSG_RUNNER_LOST);
	assert_string_equal(got.lost.session, LOOSE);
	assert_string_equal(got.lost.runner, R2);
	assert_int_equal(got.lost.epoch, 3);
	assert_null(session_find(LOOSE));
	assert_non_null(session_find(FAST));
	expect(PROC_SESSIOND, MSG_SESSION_RELEASED);
	refuses(PROC_SESSIOND, MSG_RUNNER_LOST);
	attachment(LOOSE, R2);
	expect(PROC_SESSIOND, MSG_RUNNER_LOST);
}

/*
 * Who had given it back died before it said so, and then it was to be given back
 * in another way: how it was is told, not how it was wished anew.
 */
static void
test_otherwise(void **state)
{
	struct msg_session_release	 release = { .tenant = "t",
		.session = LOOSE, .runner = R2, .epoch = 3, .to = "terminated",
		.reason = "" };
	struct msg_stored		 m = { .code = "",
		.text = "suspended" };

	(void)state;
	on_session_release(peer_of(PROC_SESSIOND), 0, &release);
	expect(PROC_STORAGED, MSG_SESSION_DETACH);
	on_stored(peer_of(PROC_STORAGED), got_ref, &m);
	expect(PROC_SESSIOND, MSG_SESSION_RELEASED);
	assert_string_equal(got.released.to, "suspended");
	assert_int_equal(got.released.epoch, 3);
}

static void
run_expected(void)
{
	struct msg_run_expected	 m = { .tenant = "t", .run = RUN,
		.task = "task_00000000000000000000000000", .session = FAST,
		.runner = R3, .attempt = 1, .epoch = 3, .started = 1 };
	struct msg_runs_done	 done = { 0 };

	on_run_expected(peer_of(PROC_TASKD), 0, &m);
	on_runs_done(peer_of(PROC_TASKD), 0, &done);
}

static void
say(Marionette__V1__RunnerMessage *m, uint64_t number)
{
	m->number = number;
	assert_null(upward_take(runner_find(R3), m, 10));
}

/* Its log is looked up: whether its last line is there is not known yet. */
static uint64_t
completed(uint64_t number)
{
	Marionette__V1__RunnerMessage	 m;
	Marionette__V1__RunCompleted	 c;
	char				 run[] = RUN;

	marionette__v1__runner_message__init(&m);
	marionette__v1__run_completed__init(&c);
	c.run_id = run;
	c.attempt = 1;
	c.log_last = 5;
	m.body_case = MARIONETTE__V1__RUNNER_MESSAGE__BODY_RUN_COMPLETED;
	m.run_completed = &c;
	say(&m, number);
	expect(PROC_STORAGED, MSG_RUN_FIND);
	return (got_ref);
}

static void
log_is(uint64_t ref, uint64_t last)
{
	struct msg_run_found	 m = { .run = RUN, .tenant = "t",
		.task = "task_00000000000000000000000000", .runner = R3,
		.attempt = 1, .log_last = last };

	on_run_found(peer_of(PROC_STORAGED), ref, &m);
	stored(ref);
}

static void
suspended(uint64_t number)
{
	Marionette__V1__RunnerMessage	 m;
	Marionette__V1__SessionSuspended s;
	char				 session[] = FAST;

	marionette__v1__runner_message__init(&m);
	marionette__v1__session_suspended__init(&s);
	s.session_id = session;
	s.epoch = 3;
	m.body_case = MARIONETTE__V1__RUNNER_MESSAGE__BODY_SESSION_SUSPENDED;
	m.session_suspended = &s;
	say(&m, number);
}

/* Suspended by a person while the log of its run, which is over, is late. */
static uint64_t
leaves(uint64_t number)
{
	struct msg_session_release	 release = { .tenant = "t",
		.session = FAST, .runner = R3, .epoch = 3, .to = "suspended",
		.reason = "" };
	uint64_t			 found;

	runner_has(runner_find(R3), FAST);
	attachment(FAST, R3);
	run_expected();
	found = completed(number);
	on_session_release(peer_of(PROC_SESSIOND), 0, &release);
	suspended(number + 1);
	time_passes(31000);
	peers_janitor();
	refuses(PROC_STORAGED, MSG_SESSION_DETACH);
	return (found);
}

static void
has_left(void)
{
	peers_janitor();
	expect(PROC_STORAGED, MSG_SESSION_DETACH);
	assert_string_equal(got.detach.session, FAST);
	assert_string_equal(got.detach.to, "suspended");
	stored(got_ref);
	assert_null(session_find(FAST));
}

static void
test_late_log(void **state)
{
	struct msg_run_noted	 noted = { 0 };
	uint64_t		 ref;

	(void)state;
	far_up(PROC_TASKD, peers_up);
	ref = leaves(1);
	log_is(ref, 5);
	expect(PROC_TASKD, MSG_RUN_COMPLETED);
	assert_string_equal(got.completed.run, RUN);
	ref = got_ref;
	peers_janitor();
	refuses(PROC_STORAGED, MSG_SESSION_DETACH);
	on_run_noted(peer_of(PROC_TASKD), ref, &noted);
	has_left();
}

/* Nobody waits for the log of a run that is canceled, or lost. */
static void
test_no_log(void **state)
{
	struct msg_run_kill	 canceled = { .run = RUN, .runner = R3,
		.reason = "canceled", .grace = 5 };

	(void)state;
	log_is(leaves(3), 3);
	peers_janitor();
	refuses(PROC_STORAGED, MSG_SESSION_DETACH);
	on_run_kill(peer_of(PROC_TASKD), 0, &canceled);
	has_left();
	run_over(RUN);
	log_is(leaves(5), 3);
	runs_lost(runner_find(R3));
	has_left();
}

int
main(void)
{
	const struct CMUnitTest	 tests[] = {
		cmocka_unit_test(test_early),
		cmocka_unit_test(test_untold),
		cmocka_unit_test(test_otherwise),
		cmocka_unit_test(test_late_log),
		cmocka_unit_test(test_no_log),
	};

	far_init(PROC_RUNNERD);
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
