/* links: taskd/api.c taskd/api_permission.c taskd/asked.c taskd/client.c taskd/early.c taskd/fsm.c taskd/keep.c taskd/load.c taskd/permission.c taskd/policy.c taskd/queue.c taskd/retry.c taskd/run.c taskd/session.c taskd/stop.c taskd/store.c taskd/task.c taskd/waiter.c taskd/waiting.c taskd/ahead.c regress/unit/far.c taskd_msg */
/*
 * The life of runs in taskd: this program is storaged, sessiond, runnerd and
 * the web to it, says what they say and reads what they are told.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "client.h"
#include "far.h"
#include "permission.h"

#define SESS	"sess_00000000000000000000000000"
#define RNR	"rnr_00000000000000000000000000"

static struct taskd	 self = { .suspend_after = 3600, .max_queued = 3,
	.lost_attempts = 3 };
struct taskd		*env = &self;

union far_message {
	_Alignas(8) uint8_t		 any[MSG_STRUCT_MAX];
	struct msg_task_put		 task_put;
	struct msg_run_assign		 run_assign;
	struct msg_run_start		 run_start;
	struct msg_run_end		 run_end;
	struct msg_run_kill		 run_kill;
	struct msg_task_wait		 task_wait;
	struct msg_document		 document;
	struct msg_refused		 refused;
	struct msg_session_want		 session_want;
	struct msg_session_busy		 session_busy;
	struct msg_session_quiet	 session_quiet;
	struct msg_permission_put	 permission_put;
	struct msg_permission_answer	 permission_answer;
};

static void
up(enum proc proc)
{
	far_up(proc, taskd_peer_up);
}

static void
stored(uint64_t ref, const char *code)
{
	struct msg_stored	 m = { .rows = 1, .code = code, .text = "" };

	on_stored(peer_of(PROC_STORAGED), ref, &m);
}

static void
begin(void)
{
	far_init(PROC_TASKD);
	up(PROC_API);
	up(PROC_SESSIOND);
	up(PROC_RUNNERD);
	up(PROC_STORAGED);
}

static void
loaded(void)
{
	expect(PROC_STORAGED, MSG_TASK_LOAD);
	stored(got_ref, "");
	expect(PROC_STORAGED, MSG_PERMISSION_LOAD);
	stored(got_ref, "");
	assert_true(env->loaded);
}

static void
session_is(const char *status, int leaving, uint64_t epoch)
{
	struct msg_session_state	 m = { .tenant = "t", .session = SESS,
	    .agent = "claude", .status = status, .leaving = (uint8_t)leaving,
	    .runner = RNR, .epoch = epoch, .credential = 1, .reason = "" };

	on_session_state(peer_of(PROC_SESSIOND), 0, &m);
}

static uint64_t	 client_ref = 100;
static char	 task[ID_SIZE], run[ID_SIZE];

static void
create(uint64_t scopes)
{
	struct ticket		 who = { .tenant = "t", .key = "k",
	    .name = "someone", .scopes = scopes, .expires = 1 };
	uint8_t			 ticket[TICKET_MAX];
	struct msg_task_create	 m = { .ticket = ticket, .request_id = "r",
	    .idem_key = "", .task = task, .session = SESS, .prompt = "do it",
	    .timeout = 3600, .continue_from = "" };

	id_make(task, "task");
	m.ticket_len = ticket_make(ticket, &who, env->ticket_key);
	on_task_create(peer_of(PROC_API), ++client_ref, &m);
}

/* Committed; runner: and its run was assigned there. */
static void
task_stored(uint64_t ref, const char *runner)
{
	struct msg_task_row	 row = { .tenant = "t", .session = SESS,
	    .status = "pending", .timeout = 3600, .attempt = 1,
	    .run_status = runner[0] != '\0' ? "assigned" : "pending",
	    .code = "", .text = "", .epoch = 4, .created_ms = client_ref };

	row.task = task;
	row.run = run;
	row.runner = runner;
	on_task_row(peer_of(PROC_STORAGED), ref, &row);
	assert_null(task_find(task));
	stored(ref, "");
	assert_non_null(task_find(task));
	expect(PROC_API, MSG_DOCUMENT);
	assert_int_equal(got_ref, client_ref);
	assert_int_equal(got.document.status, 201);
}

/* runner: where its run is to be assigned at once, or nowhere. */
static uint64_t
task_asked(const char *runner)
{
	create(SCOPE_W(SCOPE_TASKS));
	expect(PROC_STORAGED, MSG_TASK_PUT);
	assert_string_equal(got.task_put.task, task);
	strlcpy(run, got.task_put.run, sizeof(run));
	assert_string_equal(got.task_put.runner, runner);
	if (runner[0] != '\0')
		assert_int_equal(got.task_put.epoch, 4);
	return (got_ref);
}

/* A task that waits in its session, committed. */
static void
task_made(void)
{
	task_stored(task_asked(""), "");
}

static void
run_row(uint64_t ref, const char *of, uint64_t epoch)
{
	struct msg_run_row	 row = { .task = task, .session = SESS,
	    .runner = RNR, .attempt = task_find(task)->run.attempt,
	    .prompt = "do it", .epoch = epoch };

	row.run = of;
	on_run_row(peer_of(PROC_STORAGED), ref, &row);
}

static void
run_is_sent(uint64_t epoch)
{
	expect(PROC_RUNNERD, MSG_RUN_START);
	assert_string_equal(got.run_start.run, run);
	assert_string_equal(got.run_start.prompt, "do it");
	assert_int_equal(got.run_start.epoch, epoch);
}

static void
assigned(void)
{
	uint64_t	 epoch, ref;

	expect(PROC_STORAGED, MSG_RUN_ASSIGN);
	ref = got_ref;
	epoch = got.run_assign.epoch;
	strlcpy(run, got.run_assign.run, sizeof(run));
	run_row(ref, run, epoch);
	refuses(PROC_RUNNERD, MSG_RUN_START);
	stored(ref, "");
	run_is_sent(epoch);
}

static void
started(void)
{
	struct msg_run_started	 m = { run, RNR,
	    task_find(task)->run.attempt, 1 };

	on_run_started(peer_of(PROC_RUNNERD), 7001, &m);
	refuses(PROC_RUNNERD, MSG_RUN_NOTED);
	expect(PROC_STORAGED, MSG_RUN_BEGIN);
	stored(got_ref, "");
	expect(PROC_RUNNERD, MSG_RUN_NOTED);
	assert_int_equal(got_ref, 7001);
}

static void
completed(uint64_t ref, const char *status)
{
	struct msg_run_completed	 m = { .run = run, .runner = RNR,
	    .attempt = task_find(task)->run.attempt, .status = status,
	    .error_code = "", .error = "", .result = "done",
	    .conversation = "" };

	on_run_completed(peer_of(PROC_RUNNERD), ref, &m);
}

static void
run_to_work(void)
{
	session_is("active", 0, 4);
	task_stored(task_asked(RNR), RNR);
	run_is_sent(4);
	started();
}

/* Ends whatever is left, so that each test begins with nothing. */
static void
finish(void)
{
	completed(1, "completed");
	expect(PROC_STORAGED, MSG_RUN_END);
	stored(got_ref, "");
	assert_int_equal(task_count(), 0);
	refuses(PROC_STORAGED, MSG_NONE);
	refuses(PROC_RUNNERD, MSG_NONE);
	refuses(PROC_SESSIOND, MSG_NONE);
}

/* A fact that comes before the load waits for it and is no stale one. */
static void
early(void **state)
{
	struct msg_run_started	 m = { "run_x", RNR, 1, 1 };

	(void)state;
	on_run_started(peer_of(PROC_RUNNERD), 5, &m);
	refuses(PROC_RUNNERD, MSG_RUN_NOTED);
	loaded();
	expect(PROC_RUNNERD, MSG_RUNS_DONE);
	expect(PROC_RUNNERD, MSG_RUN_NOTED);
	assert_int_equal(got_ref, 5);
}

static void
scope(void **state)
{
	(void)state;
	create(SCOPE_R(SCOPE_TASKS));
	expect(PROC_API, MSG_REFUSED);
	assert_string_equal(got.refused.code, "forbidden");
	assert_non_null(strstr(got.refused.text, "tasks:write"));
	refuses(PROC_STORAGED, MSG_TASK_PUT);
}

static void
life(void **state)
{
	uint64_t	 put;

	(void)state;
	session_is("pending", 0, 3);
	put = task_asked("");
	assert_string_equal(got.task_put.waiting_for, "runner");
	task_stored(put, "");
	expect(PROC_SESSIOND, MSG_SESSION_WANT);
	refuses(PROC_STORAGED, MSG_RUN_ASSIGN);
	session_is("active", 0, 4);
	assigned();
	expect(PROC_SESSIOND, MSG_SESSION_BUSY);
	assert_int_equal(got.session_busy.busy, 1);
	started();
	completed(9001, "completed");
	completed(9002, "completed");
	refuses(PROC_RUNNERD, MSG_RUN_NOTED);
	expect(PROC_STORAGED, MSG_RUN_END);
	assert_string_equal(got.run_end.task_status, "completed");
	assert_string_equal(got.run_end.next_run, "");
	stored(got_ref, "");
	expect(PROC_RUNNERD, MSG_RUN_NOTED);
	assert_int_equal(got_ref, 9001);
	expect(PROC_RUNNERD, MSG_RUN_NOTED);
	assert_int_equal(got_ref, 9002);
	expect(PROC_RUNNERD, MSG_TASK_ENDED);
	refuses(PROC_STORAGED, MSG_RUN_END);
	expect(PROC_SESSIOND, MSG_SESSION_BUSY);
	assert_int_equal(got.session_busy.busy, 0);
	assert_int_equal(task_count(), 0);
}

/* One run at a time, and the queue has a bound. */
static void
queue(void **state)
{
	(void)state;
	run_to_work();
	task_made();
	task_made();
	task_made();
	create(SCOPE_W(SCOPE_TASKS));
	expect(PROC_API, MSG_REFUSED);
	assert_string_equal(got.refused.code, "rate_limited");
	refuses(PROC_STORAGED, MSG_RUN_ASSIGN);
	/* The session ends: all of them do. */
	session_is("terminated", 0, 5);
	while (task_count() > 0) {
		enum msg_type	 is = far_next(PROC_STORAGED);
		uint64_t	 ref = got_ref;

		assert_int_not_equal(is, MSG_NONE);
		stored(ref, is == MSG_TASK_STOP ? "not_found" : "");
	}
	refuses(PROC_SESSIOND, MSG_NONE);
	refuses(PROC_RUNNERD, MSG_NONE);
}

static void
suspend(void **state)
{
	(void)state;
	run_to_work();
	refuses(PROC_SESSIOND, MSG_SESSION_QUIET);
	session_is("active", 1, 4);
	expect(PROC_RUNNERD, MSG_RUN_KILL);
	assert_string_equal(got.run_kill.reason, "suspended");
	refuses(PROC_SESSIOND, MSG_SESSION_QUIET);
	completed(31, "canceled");
	expect(PROC_STORAGED, MSG_RUN_END);
	assert_string_equal(got.run_end.status, "suspended");
	assert_string_equal(got.run_end.task_status, "pending");
	assert_int_equal(got.run_end.counted, 0);
	stored(got_ref, "");
	expect(PROC_SESSIOND, MSG_SESSION_QUIET);
	assert_int_equal(got.session_quiet.epoch, 4);
	session_is("suspended", 0, 4);
	assert_int_equal(task_find(task)->run.attempt, 2);
	session_is("active", 0, 5);
	assigned();
	started();
	finish();
}

/* What is assigned in the commit that makes it; or is not made after all. */
static void
ahead(void **state)
{
	uint64_t	 put;

	(void)state;
	session_is("active", 0, 4);
	stored(task_asked(RNR), "not_found");
	expect(PROC_API, MSG_REFUSED);
	refuses(PROC_RUNNERD, MSG_RUN_START);
	assert_int_equal(task_count(), 0);
	/* The session is to leave before anything is committed. */
	put = task_asked(RNR);
	session_is("active", 1, 4);
	refuses(PROC_SESSIOND, MSG_SESSION_QUIET);
	task_stored(put, RNR);
	refuses(PROC_RUNNERD, MSG_RUN_START);
	refuses(PROC_SESSIOND, MSG_SESSION_QUIET);
	expect(PROC_STORAGED, MSG_RUN_UNASSIGN);
	stored(got_ref, "");
	expect(PROC_SESSIOND, MSG_SESSION_QUIET);
	task_find(task)->not_before = 0;
	session_is("active", 0, 5);
	assigned();
	started();
	finish();
	/* Somebody else had the session: it waits, and is asked for. */
	session_is("active", 0, 4);
	task_stored(task_asked(RNR), "");
	assigned();
	started();
	finish();
}

struct both {
	char	 task[ID_SIZE], run[ID_SIZE];
};

/* `task' and `run' are these from now on; those that were are returned. */
static struct both
turn_to(const struct both *to)
{
	struct both	 was;

	strlcpy(was.task, task, sizeof(was.task));
	strlcpy(was.run, run, sizeof(was.run));
	if (to != NULL) {
		strlcpy(task, to->task, sizeof(task));
		strlcpy(run, to->run, sizeof(run));
	}
	return (was);
}

/* The first ends, and its end asks for the second. */
static uint64_t
ends_for(const struct both *first, const struct both *second)
{
	turn_to(first);
	completed(61, "completed");
	expect(PROC_STORAGED, MSG_RUN_END);
	assert_string_equal(got.run_end.run, first->run);
	assert_string_equal(got.run_end.session, SESS);
	assert_string_equal(got.run_end.then_run, second->run);
	assert_string_equal(got.run_end.then_task, second->task);
	assert_string_equal(got.run_end.then_runner, RNR);
	assert_int_equal(got.run_end.then_epoch, 4);
	turn_to(second);
	return (got_ref);
}

/* The end of a run asks for the one that waits behind it. */
static void
then(void **state)
{
	struct both	 first, second;
	uint64_t	 ref;

	(void)state;
	run_to_work();
	first = turn_to(NULL);
	ref = task_asked("");
	assert_string_equal(got.task_put.waiting_for, "session");
	task_stored(ref, "");
	second = turn_to(NULL);
	ref = ends_for(&first, &second);
	run_row(ref, run, 4);
	refuses(PROC_RUNNERD, MSG_RUN_START);
	stored(ref, "");
	run_is_sent(4);
	refuses(PROC_STORAGED, MSG_RUN_ASSIGN);
	started();
	finish();
}

/* The same for one that is only being made; the statements keep their order. */
static void
coming(void **state)
{
	struct both	 first, second;
	uint64_t	 put, end;

	(void)state;
	run_to_work();
	first = turn_to(NULL);
	put = task_asked("");
	second = turn_to(NULL);
	end = ends_for(&first, &second);
	task_stored(put, "");
	refuses(PROC_STORAGED, MSG_RUN_ASSIGN);
	run_row(end, run, 4);
	stored(end, "");
	run_is_sent(4);
	started();
	/* And when its end is on its way, the next task asks for itself. */
	completed(62, "completed");
	expect(PROC_STORAGED, MSG_RUN_END);
	end = got_ref;
	assert_string_equal(got.run_end.then_run, "");
	put = task_asked(RNR);
	stored(end, "");
	refuses(PROC_STORAGED, MSG_RUN_ASSIGN);
	task_stored(put, RNR);
	run_is_sent(4);
	started();
	finish();
}

/* The runner was taken away with the run on it. */
static void
orphan(void **state)
{
	(void)state;
	run_to_work();
	session_is("resuming", 0, 4);
	expect(PROC_STORAGED, MSG_RUN_END);
	assert_string_equal(got.run_end.status, "lost");
	assert_string_equal(got.run_end.task_status, "pending");
	stored(got_ref, "");
	assert_int_equal(task_find(task)->lost, 1);
	session_is("active", 0, 6);
	assigned();
	started();
	finish();
}

/* What the agent would not take goes back into the queue, as it was. */
static void
unwound(void **state)
{
	struct msg_run_unwound	 m = { run, 1, "credential" };

	(void)state;
	session_is("active", 0, 4);
	task_stored(task_asked(RNR), RNR);
	run_is_sent(4);
	on_run_unwound(peer_of(PROC_RUNNERD), 0, &m);
	expect(PROC_STORAGED, MSG_RUN_UNASSIGN);
	stored(got_ref, "");
	expect(PROC_STORAGED, MSG_TASK_WAIT);
	assert_string_equal(got.task_wait.waiting_for, "credential");
	refuses(PROC_STORAGED, MSG_RUN_ASSIGN);
	task_find(task)->not_before = 0;
	session_is("active", 0, 4);
	assigned();
	started();
	finish();
}

static void
permission_is(uint64_t ref, const char *id, const char *status)
{
	struct msg_permission_row	 row = { .tenant = "t",
	    .permission = id, .session = SESS, .task = task, .run = run,
	    .request = "q", .status = status, .reason = "", .code = "",
	    .text = "" };

	on_permission_row(peer_of(PROC_STORAGED), ref, &row);
	stored(ref, "");
}

static char	 perm[ID_SIZE];

static void
asks(const char *tool, const char *decision)
{
	struct msg_permission_asked	 m = { run,
	    task_find(task)->run.attempt, "q", "tool", tool, "x", "{}" };

	on_permission_asked(peer_of(PROC_RUNNERD), 41, &m);
	expect(PROC_STORAGED, MSG_PERMISSION_PUT);
	assert_string_equal(got.permission_put.decision, decision);
	strlcpy(perm, got.permission_put.permission, sizeof(perm));
}

static void
permissions(void **state)
{
	struct msg_permission_taken	 taken = { perm };
	struct msg_run_seen		 seen = { run, RNR, 1, "running" };
	struct ticket			 who = { .tenant = "t", .name = "n",
	    .scopes = SCOPE_W(SCOPE_PERMISSIONS), .expires = 1 };
	uint8_t				 ticket[TICKET_MAX];
	struct msg_permission_decide	 d = { .ticket = ticket,
	    .request_id = "", .permission = perm, .approved = 1,
	    .reason = "", .on_behalf_of = "" };

	(void)state;
	run_to_work();
	asks("Read", "approved");
	permission_is(got_ref, perm, "approved");
	expect(PROC_RUNNERD, MSG_PERMISSION_ANSWER);
	assert_int_equal(got.permission_answer.approved, 1);
	on_permission_taken(peer_of(PROC_RUNNERD), 42, &taken);
	expect(PROC_STORAGED, MSG_PERMISSION_SENT);
	stored(got_ref, "");

	asks("Bash", "");
	permission_is(got_ref, perm, "pending");
	refuses(PROC_RUNNERD, MSG_PERMISSION_ANSWER);
	expect(PROC_STORAGED, MSG_TASK_WAIT);
	assert_string_equal(got.task_wait.waiting_for, "permission");
	assert_int_equal(task_find(task)->run.asking, 1);
	d.ticket_len = ticket_make(ticket, &who, env->ticket_key);
	on_permission_decide(peer_of(PROC_API), 77, &d);
	refuses(PROC_RUNNERD, MSG_PERMISSION_ANSWER);
	expect(PROC_STORAGED, MSG_PERMISSION_SETTLE);
	permission_is(got_ref, perm, "approved");
	expect(PROC_RUNNERD, MSG_PERMISSION_ANSWER);
	expect(PROC_API, MSG_DOCUMENT);
	assert_int_equal(got_ref, 77);
	assert_int_equal(task_find(task)->run.asking, 0);
	/* Until it is taken, whenever its runner is seen. */
	on_run_seen(peer_of(PROC_RUNNERD), 0, &seen);
	expect(PROC_RUNNERD, MSG_PERMISSION_ANSWER);
	on_permission_taken(peer_of(PROC_RUNNERD), 43, &taken);
	on_run_seen(peer_of(PROC_RUNNERD), 0, &seen);
	refuses(PROC_RUNNERD, MSG_PERMISSION_ANSWER);
	finish();
	assert_int_equal(permission_count(), 0);
}

/* Another life of runnerd chooses the same refs for other facts. */
static void
lives(void **state)
{
	(void)state;
	run_to_work();
	completed(55, "completed");
	up(PROC_RUNNERD);
	expect(PROC_RUNNERD, MSG_RUN_EXPECTED);
	expect(PROC_RUNNERD, MSG_RUNS_DONE);
	expect(PROC_STORAGED, MSG_RUN_END);
	stored(got_ref, "");
	refuses(PROC_RUNNERD, MSG_RUN_NOTED);
	assert_int_equal(task_count(), 0);
}

/* storaged dies with our question: the same is asked again, and answered. */
static void
again(void **state)
{
	uint64_t	 ref;

	(void)state;
	run_to_work();
	completed(56, "completed");
	expect(PROC_STORAGED, MSG_RUN_END);
	ref = got_ref;
	up(PROC_STORAGED);
	refuses(PROC_STORAGED, MSG_TASK_LOAD);
	up(PROC_STORAGED);
	expect(PROC_STORAGED, MSG_RUN_END);
	assert_int_equal(got_ref, ref);
	stored(ref, "");
	expect(PROC_RUNNERD, MSG_RUN_NOTED);
	assert_int_equal(got_ref, 56);
	/* sessiond comes back: wishes and work are told whole. */
	session_is("suspended", 0, 4);
	task_made();
	up(PROC_SESSIOND);
	expect(PROC_SESSIOND, MSG_SESSION_WANT);
	assert_string_equal(got.session_want.session, SESS);
	assert_int_not_equal(got.session_want.newest_ms, 0);
	session_is("active", 0, 7);
	assigned();
	up(PROC_SESSIOND);
	expect(PROC_SESSIOND, MSG_SESSION_BUSY);
	finish();
}

int
main(void)
{
	const struct CMUnitTest	 tests[] = {
		cmocka_unit_test(early),
		cmocka_unit_test(scope),
		cmocka_unit_test(life),
		cmocka_unit_test(queue),
		cmocka_unit_test(suspend),
		cmocka_unit_test(ahead),
		cmocka_unit_test(then),
		cmocka_unit_test(coming),
		cmocka_unit_test(orphan),
		cmocka_unit_test(unwound),
		cmocka_unit_test(permissions),
		cmocka_unit_test(lives),
		cmocka_unit_test(again),
	};

	begin();
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
