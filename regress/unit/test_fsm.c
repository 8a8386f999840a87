/* links: taskd/api.c taskd/api_permission.c taskd/asked.c taskd/client.c taskd/early.c taskd/fsm.c taskd/keep.c taskd/load.c taskd/permission.c taskd/policy.c taskd/queue.c taskd/retry.c taskd/run.c taskd/session.c taskd/stop.c taskd/store.c taskd/task.c taskd/waiter.c taskd/waiting.c taskd_msg */
/*
 * The life of runs in taskd: this program is storaged, sessiond, runnerd and
 * the web to it, says what they say and reads what they are told.
 */
#include <sys/socket.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client.h"
#include "permission.h"

#define SESS	"sess_00000000000000000000000000"
#define RNR	"rnr_00000000000000000000000000"

static struct taskd	 self = { .suspend_after = 3600, .max_queued = 3,
	.lost_attempts = 3 };
struct taskd		*env = &self;

static int		 far[PROC_MAX];
static uint32_t		 generation;
static uint8_t		 frame[1 << 16];
static uint64_t		 got_ref;
static union {
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
}			 got;

static void
closed(struct peer *p, const char *why)
{
	fail_msg("%s: %s", p->name, why != NULL ? why : "closed");
}

static const struct peer_ops	 ops = { closed };

static void
up(enum proc proc)
{
	struct peer	*p = peer_of(proc);
	int		 sv[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	if (p->up) {
		peer_close(p);
		close(far[proc]);
	}
	peer_open(p, 0, sv[0], ++generation);
	far[proc] = sv[1];
	p->up = 1;
	taskd_peer_up(p);
}

/* What this process is told next, in `got'; MSG_NONE: nothing. */
static enum msg_type
next(enum proc proc)
{
	uint32_t	 len;
	uint16_t	 type;

	peers_flush();
	if (recv(far[proc], frame, FRAME_HEADER, MSG_DONTWAIT) == -1)
		return (MSG_NONE);
	memcpy(&len, frame, 4);
	memcpy(&type, frame + 4, 2);
	memcpy(&got_ref, frame + 8, 8);
	len -= FRAME_HEADER;
	assert_true(len <= sizeof(frame));
	if (len > 0)
		assert_int_equal(recv(far[proc], frame, len, MSG_WAITALL), len);
	assert_int_equal(msg_unpack(&msg_descs[type], frame, len, got.any), 0);
	return ((enum msg_type)type);
}

/* Skips what is not of this type, but not to the end. */
static void
expect(enum proc proc, enum msg_type type)
{
	enum msg_type	 is;

	while ((is = next(proc)) != type)
		if (is == MSG_NONE)
			fail_msg("%s was not told %s", proc_names[proc],
			    msg_descs[type].name);
}

static void
refuses(enum proc proc, enum msg_type type)
{
	enum msg_type	 is;

	while ((is = next(proc)) != MSG_NONE)
		if (is == type)
			fail_msg("%s was told %s", proc_names[proc],
			    msg_descs[type].name);
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
	peer_init(NULL, PROC_TASKD, &ops);
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
	    .idem_key = "", .session = SESS, .prompt = "do it",
	    .timeout = 3600, .continue_from = "" };

	m.ticket_len = ticket_make(ticket, &who, env->ticket_key);
	on_task_create(peer_of(PROC_API), ++client_ref, &m);
}

static void
task_stored(uint64_t ref)
{
	struct msg_task_row	 row = { .tenant = "t", .session = SESS,
	    .status = "pending", .timeout = 3600, .attempt = 1,
	    .run_status = "pending", .runner = "", .code = "", .text = "",
	    .created_ms = client_ref };

	row.task = task;
	row.run = run;
	on_task_row(peer_of(PROC_STORAGED), ref, &row);
	assert_null(task_find(task));
	stored(ref, "");
	assert_non_null(task_find(task));
	expect(PROC_API, MSG_DOCUMENT);
	assert_int_equal(got_ref, client_ref);
	assert_int_equal(got.document.status, 201);
}

static uint64_t
task_asked(void)
{
	create(SCOPE_W(SCOPE_TASKS));
	expect(PROC_STORAGED, MSG_TASK_PUT);
	strlcpy(task, got.task_put.task, sizeof(task));
	strlcpy(run, got.task_put.run, sizeof(run));
	return (got_ref);
}

/* A task of the session, committed. */
static void
task_made(void)
{
	task_stored(task_asked());
}

static void
assigned(void)
{
	struct msg_run_row	 row = { .task = task, .session = SESS,
	    .runner = RNR, .attempt = task_find(task)->run.attempt,
	    .prompt = "do it" };
	uint64_t		 ref;

	expect(PROC_STORAGED, MSG_RUN_ASSIGN);
	ref = got_ref;
	strlcpy(run, got.run_assign.run, sizeof(run));
	row.run = run;
	row.epoch = got.run_assign.epoch;
	on_run_row(peer_of(PROC_STORAGED), ref, &row);
	refuses(PROC_RUNNERD, MSG_RUN_START);
	stored(ref, "");
	expect(PROC_RUNNERD, MSG_RUN_START);
	assert_string_equal(got.run_start.prompt, "do it");
	assert_int_equal(got.run_start.epoch, row.epoch);
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
	task_made();
	assigned();
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
	(void)state;
	session_is("pending", 0, 3);
	task_made();
	expect(PROC_SESSIOND, MSG_SESSION_WANT);
	expect(PROC_STORAGED, MSG_TASK_WAIT);
	assert_string_equal(got.task_wait.waiting_for, "runner");
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
		enum msg_type	 is = next(PROC_STORAGED);
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
	struct msg_run_row	 row = { .task = task, .run = run,
	    .session = SESS, .runner = RNR, .epoch = 4, .attempt = 1,
	    .prompt = "do it" };
	uint64_t		 assign, put;

	(void)state;
	session_is("active", 0, 4);
	put = task_asked();
	expect(PROC_STORAGED, MSG_RUN_ASSIGN);
	assign = got_ref;
	assert_string_equal(got.run_assign.run, run);
	stored(put, "not_found");
	expect(PROC_API, MSG_REFUSED);
	stored(assign, "");
	refuses(PROC_RUNNERD, MSG_RUN_START);
	assert_int_equal(task_count(), 0);
	/* The session is to leave before anything is committed. */
	put = task_asked();
	expect(PROC_STORAGED, MSG_RUN_ASSIGN);
	assign = got_ref;
	session_is("active", 1, 4);
	refuses(PROC_SESSIOND, MSG_SESSION_QUIET);
	task_stored(put);
	refuses(PROC_SESSIOND, MSG_SESSION_QUIET);
	on_run_row(peer_of(PROC_STORAGED), assign, &row);
	stored(assign, "");
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
	task_made();
	assigned();
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
		cmocka_unit_test(orphan),
		cmocka_unit_test(unwound),
		cmocka_unit_test(permissions),
		cmocka_unit_test(lives),
		cmocka_unit_test(again),
	};

	begin();
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
