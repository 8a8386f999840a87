/* links: taskd/api.c taskd/api_permission.c taskd/asked.c taskd/client.c taskd/early.c taskd/fsm.c taskd/keep.c taskd/load.c taskd/permission.c taskd/policy.c taskd/queue.c taskd/retry.c taskd/run.c taskd/session.c taskd/stop.c taskd/store.c taskd/task.c taskd/waiter.c taskd/waiting.c taskd/ahead.c regress/unit/far.c regress/unit/taskd_world.c taskd_msg */
/*
 * The life of runs in taskd.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "taskd_world.h"

/*
 * runnerd says what its runner has to say when it is told of the runs.  The last
 * fact that it heard to be noted.
 */
static uint64_t
runnerd_hears(void)
{
	struct msg_permission_withdrawn	 m = { run, "q" };
	enum msg_type			 is;
	uint64_t			 noted = 0;

	while ((is = far_next(PROC_RUNNERD)) != MSG_NONE) {
		if (is == MSG_RUN_NOTED)
			noted = got_ref;
		if (is != MSG_RUNS_DONE)
			continue;
		on_permission_withdrawn(peer_of(PROC_RUNNERD), 30, &m);
		completed(31, "suspended");
	}
	return (noted);
}

/* What is loaded: a task, whose run asks. */
static void
asking(uint64_t load, int permission)
{
	struct msg_task_row		 t = { .tenant = "t", .session = SESS,
	    .task = "task_z", .status = "running", .timeout = 3600,
	    .run = "run_z", .attempt = 1, .run_status = "running",
	    .runner = RNR, .epoch = 4, .code = "", .text = "",
	    .created_ms = 1, .wanted_ms = 1 };
	struct msg_permission_row	 p = { .tenant = "t",
	    .permission = "perm_z", .session = SESS, .task = "task_z",
	    .run = "run_z", .request = "q", .status = "pending",
	    .reason = "", .code = "", .text = "" };

	if (permission)
		on_permission_row(peer_of(PROC_STORAGED), load, &p);
	else
		on_task_row(peer_of(PROC_STORAGED), load, &t);
	strlcpy(task, t.task, sizeof(task));
	strlcpy(run, t.run, sizeof(run));
}

/*
 * A fact that comes before the load waits for it and is no stale one.  A
 * question whose task has ended is withdrawn.  What a run says is understood
 * when it is known that its session leaves: the question stays.
 */
static void
early(void **state)
{
	struct msg_run_started		 m = { "run_x", RNR, 1, 1 };
	struct msg_permission_row	 row = { .tenant = "t",
	    .permission = "perm_x", .session = SESS, .task = "task_x",
	    .run = "run_y", .request = "q", .status = "pending",
	    .reason = "", .code = "", .text = "" };
	uint64_t			 load;

	(void)state;
	on_run_started(peer_of(PROC_RUNNERD), 5, &m);
	refuses(PROC_RUNNERD, MSG_RUN_NOTED);
	expect(PROC_STORAGED, MSG_TASK_LOAD);
	asking(got_ref, 0);
	stored(got_ref, "");
	expect(PROC_STORAGED, MSG_PERMISSION_LOAD);
	load = got_ref;
	asking(load, 1);
	on_permission_row(peer_of(PROC_STORAGED), load, &row);
	expect(PROC_STORAGED, MSG_PERMISSION_CANCEL);
	assert_string_equal(got.permission_cancel.tenant, "t");
	assert_string_equal(got.permission_cancel.run, "run_y");
	stored(got_ref, "");
	stored(load, "");
	assert_true(env->loaded);
	assert_int_equal(runnerd_hears(), 5);
	refuses(PROC_STORAGED, MSG_PERMISSION_CANCEL);
	session_is("active", 1, 4);
	sessions_are_told();
	assert_int_equal(runnerd_hears(), 30);
	expect(PROC_STORAGED, MSG_RUN_END);
	assert_string_equal(got.run_end.status, "suspended");
	stored(got_ref, "");
	session_is("suspended", 0, 4);
	assert_int_equal(permission_count(), 1);
	refuses(PROC_SESSIOND, MSG_SESSION_WANT);
	session_is("terminated", 0, 4);
	expect(PROC_STORAGED, MSG_TASK_STOP);
	stored(got_ref, "not_found");
	assert_int_equal(task_count(), 0);
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
	/* A session with a task that waits is not idle. */
	expect(PROC_SESSIOND, MSG_SESSION_BUSY);
	assert_int_equal(got.session_busy.busy, 1);
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
	/* It may be there: storaged is asked, which makes none. */
	create_again(SCOPE_W(SCOPE_TASKS), "");
	expect(PROC_STORAGED, MSG_TASK_PUT);
	assert_int_equal(got.task_put.full, 1);
	stored(got_ref, "");
	expect(PROC_API, MSG_DOCUMENT);
	create(SCOPE_W(SCOPE_TASKS));
	expect(PROC_API, MSG_REFUSED);
	assert_string_equal(got.refused.code, "rate_limited");
	refuses(PROC_STORAGED, MSG_TASK_PUT);
	create_again(SCOPE_W(SCOPE_TASKS), "k");
	expect(PROC_STORAGED, MSG_TASK_PUT);
	assert_int_equal(got.task_put.full, 1);
	stored(got_ref, "rate_limited");
	expect(PROC_API, MSG_REFUSED);
	assert_string_equal(got.refused.code, "rate_limited");
	refuses(PROC_STORAGED, MSG_AUDIT_PUT);
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
	    task_find(task)->run.attempt, "q", "tool", tool, "Read: x", "{}" };

	on_permission_asked(peer_of(PROC_RUNNERD), 41, &m);
	expect(PROC_STORAGED, MSG_PERMISSION_PUT);
	assert_string_equal(got.permission_put.decision, decision);
	strlcpy(perm, got.permission_put.permission, sizeof(perm));
}

static void
permissions(void **state)
{
	struct msg_permission_taken	 taken = { perm, RNR };
	struct msg_permission_taken	 strange = { perm, SESS };
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
	d.ticket_len = ticket_make(ticket, &who, ticket_key);
	on_permission_decide(peer_of(PROC_API), 77, &d);
	refuses(PROC_RUNNERD, MSG_PERMISSION_ANSWER);
	expect(PROC_STORAGED, MSG_PERMISSION_SETTLE);
	permission_is(got_ref, perm, "approved");
	expect(PROC_RUNNERD, MSG_PERMISSION_ANSWER);
	expect(PROC_API, MSG_DOCUMENT);
	assert_int_equal(got_ref, 77);
	assert_int_equal(task_find(task)->run.asking, 0);
	/* Until it is taken, and by its runner, whenever that is seen. */
	on_permission_taken(peer_of(PROC_RUNNERD), 45, &strange);
	expect(PROC_STORAGED, MSG_PERMISSION_SENT);
	stored(got_ref, "");
	on_run_seen(peer_of(PROC_RUNNERD), 0, &seen);
	expect(PROC_RUNNERD, MSG_PERMISSION_ANSWER);
	on_permission_taken(peer_of(PROC_RUNNERD), 43, &taken);
	expect(PROC_STORAGED, MSG_PERMISSION_SENT);
	on_run_seen(peer_of(PROC_RUNNERD), 0, &seen);
	refuses(PROC_RUNNERD, MSG_PERMISSION_ANSWER);
	stored(got_ref, "");
	hush();
	finish();
	assert_int_equal(permission_count(), 0);
}

/* Heard, which is known only when the run has ended: no next one may use it. */
static void
taken_late(void **state)
{
	struct msg_permission_taken	 taken = { perm, RNR };

	(void)state;
	run_to_work();
	asks("Read", "approved");
	permission_is(got_ref, perm, "approved");
	hush();
	finish();
	on_permission_taken(peer_of(PROC_RUNNERD), 44, &taken);
	refuses(PROC_RUNNERD, MSG_RUN_NOTED);
	expect(PROC_STORAGED, MSG_PERMISSION_SENT);
	assert_string_equal(got.permission_sent.runner, RNR);
	stored(got_ref, "");
	expect(PROC_RUNNERD, MSG_RUN_NOTED);
	assert_int_equal(got_ref, 44);
}

/* More than the database stores: then runnerd is not listened to. */
static void
much_is_open(void **state)
{
	static char			 input[60 * 1024];
	static uint64_t			 refs[420];
	struct msg_permission_asked	 m = { run, 0, "q", "tool", "Bash", "x",
	    input };
	struct peer			*runnerd = peer_of(PROC_RUNNERD);
	int				 i;

	(void)state;
	run_to_work();
	m.attempt = task_find(task)->run.attempt;
	memset(input, ' ', sizeof(input) - 1);
	for (i = 0; !runnerd->paused; taskd_turn()) {
		assert_in_range(i, 0, 419);
		on_permission_asked(runnerd, 41, &m);
		expect(PROC_STORAGED, MSG_PERMISSION_PUT);
		refs[i++] = got_ref;
	}
	assert_true(i > 300);
	while (i > 0)
		stored(refs[--i], "invalid_state");
	taskd_turn();
	assert_false(runnerd->paused);
	hush();
	finish();
}

/* Of a run that asks without end the rest is denied, until some are answered. */
static void
many_questions(void **state)
{
	int	 i;

	(void)state;
	run_to_work();
	for (i = 0; i < 128; i++) {
		asks("Bash", "");
		permission_is(got_ref, perm, "pending");
		hush();
	}
	asks("Bash", "denied");
	permission_is(got_ref, perm, "denied");
	expect(PROC_RUNNERD, MSG_PERMISSION_ANSWER);
	assert_int_equal(got.permission_answer.approved, 0);
	/* Which nobody has to answer, it does not wait. */
	asks("Read", "approved");
	finish();
	assert_int_equal(permission_count(), 0);
}

/* Nor does one that hears no answer fill the memory. */
static void
many_answers(void **state)
{
	struct msg_permission_asked	 m = { run, 1, "q", "tool", "Read",
	    "x", "{}" };
	struct msg_permission_taken	 taken = { perm, RNR };
	int				 i;

	(void)state;
	run_to_work();
	for (i = 0; i < 256; i++) {
		asks("Read", "approved");
		permission_is(got_ref, perm, "approved");
		hush();
	}
	on_permission_asked(peer_of(PROC_RUNNERD), 46, &m);
	refuses(PROC_STORAGED, MSG_PERMISSION_PUT);
	expect(PROC_RUNNERD, MSG_PERMISSION_ANSWER);
	assert_int_equal(got.permission_answer.approved, 0);
	expect(PROC_RUNNERD, MSG_RUN_NOTED);
	assert_int_equal(got_ref, 46);
	/* One is heard: there is room. */
	on_permission_taken(peer_of(PROC_RUNNERD), 47, &taken);
	expect(PROC_STORAGED, MSG_PERMISSION_SENT);
	stored(got_ref, "");
	asks("Read", "approved");
	permission_is(got_ref, perm, "approved");
	hush();
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
	/* It had not loaded its sessions and knew none of that name. */
	session_is("active", 0, 7);
	expect(PROC_SESSIOND, MSG_SESSION_BUSY);
	assert_int_equal(got.session_busy.busy, 1);
	finish();
}

#define PROMPTS	1150		/* of them is more than a channel holds */

static void
session_of(unsigned int n, const char *status, uint64_t epoch)
{
	char			 id[ID_SIZE];
	struct msg_session_state m = { .tenant = "t", .session = id,
	    .agent = "claude", .status = status, .runner = RNR,
	    .epoch = epoch, .credential = 1, .reason = "" };

	snprintf(id, sizeof(id), "sess_1%025u", n);
	on_session_state(peer_of(PROC_SESSIOND), 0, &m);
}

/* A task in a session of its own, whose run is assigned as it is made. */
static void
prompted(unsigned int n, const char *prompt)
{
	struct ticket		 who = { .tenant = "t", .name = "n",
	    .scopes = SCOPE_W(SCOPE_TASKS), .expires = UINT64_MAX };
	uint8_t			 ticket[TICKET_MAX];
	char			 id[ID_SIZE], session[ID_SIZE];
	struct msg_task_create	 m = { .ticket = ticket, .request_id = "r",
	    .idem_key = "", .task = id, .session = session,
	    .prompt = prompt, .continue_from = "" };
	struct msg_task_row	 row = { .tenant = "t", .task = id,
	    .session = session, .run = run, .status = "pending",
	    .attempt = 1, .run_status = "assigned", .runner = RNR,
	    .epoch = 4, .code = "", .text = "" };

	session_of(n, "active", 4);
	snprintf(session, sizeof(session), "sess_1%025u", n);
	id_make(id, "task");
	m.ticket_len = ticket_make(ticket, &who, ticket_key);
	on_task_create(peer_of(PROC_API), ++client_ref, &m);
	expect(PROC_STORAGED, MSG_TASK_PUT);
	strlcpy(run, got.task_put.run, sizeof(run));
	on_task_row(peer_of(PROC_STORAGED), got_ref, &row);
	stored(got_ref, "");
}

/*
 * Large prompts of runs that have not begun: runnerd is told of them as it reads,
 * and so is the next one that comes up, and neither is taken for one that does not.
 */
static void
many_prompts(void **state)
{
	static char	 prompt[60 * 1024];
	unsigned int	 i, n, tick, fresh = 0;

	(void)state;
	memset(prompt, 'x', sizeof(prompt) - 1);
	for (i = 0; i < PROMPTS; i++)
		prompted(i, prompt);
	assert_true(peer_queued(peer_of(PROC_RUNNERD)) <
	    PEER_QUEUE_SOFT + 2 * sizeof(prompt));
	up(PROC_RUNNERD);
	expect(PROC_RUNNERD, MSG_RUNS_DONE);
	for (n = tick = 0; n < PROMPTS; tick++) {
		assert_true(tick < 100);
		while (far_next(PROC_RUNNERD) == MSG_RUN_START) {
			fresh += got.run_start.fresh;
			n++;
		}
		taskd_janitor();
	}
	refuses(PROC_RUNNERD, MSG_RUN_START);
	/* What the one before was never told is told for the first time. */
	assert_in_range(fresh, PROMPTS - 150, PROMPTS - 130);
	for (i = 0; i < PROMPTS; i++)
		session_of(i, "terminated", 5);
	while (task_count() > 0) {
		assert_int_not_equal(far_next(PROC_STORAGED), MSG_NONE);
		stored(got_ref, "");
	}
	hush();
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
		cmocka_unit_test(unwound),
		cmocka_unit_test(permissions),
		cmocka_unit_test(taken_late),
		cmocka_unit_test(many_questions),
		cmocka_unit_test(much_is_open),
		cmocka_unit_test(many_answers),
		cmocka_unit_test(lives),
		cmocka_unit_test(again),
		cmocka_unit_test(many_prompts),
	};

	begin();
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
