/* links: taskd/api.c taskd/api_permission.c taskd/asked.c taskd/client.c taskd/early.c taskd/fsm.c taskd/keep.c taskd/load.c taskd/permission.c taskd/policy.c taskd/queue.c taskd/retry.c taskd/run.c taskd/session.c taskd/stop.c taskd/store.c taskd/task.c taskd/waiter.c taskd/waiting.c taskd/ahead.c regress/unit/far.c regress/unit/taskd_world.c regress/unit/own_time.c */
/*
 * What comes later than it should, or in another order, or not at all because who
 * was to say it died; and a clock that is set.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "own_time.h"
#include "taskd_world.h"

/* A task is stopped, and gone. */
static void
is_stopped(void)
{
	struct msg_task_row	 row = { .tenant = "t", .session = SESS,
	    .status = "canceled", .timeout = 3600, .attempt = 1,
	    .run_status = "canceled", .runner = "", .code = "", .text = "" };

	expect(PROC_STORAGED, MSG_TASK_STOP);
	row.task = task;
	row.run = run;
	on_task_row(peer_of(PROC_STORAGED), got_ref, &row);
	stored(got_ref, "");
	assert_int_equal(task_count(), 0);
	hush();
}

/* Its session was terminated, and sessiond died before it said so. */
static void
untold(void **state)
{
	(void)state;
	session_is("pending", 0, 3);
	sessions_are_told();
	task_made();
	up(PROC_SESSIOND);
	/* It loads the living ones: ours is none of them. */
	sessions_are_told();
	mono_ms += 5000;
	session_janitor();
	refuses(PROC_STORAGED, MSG_TASK_STOP);
	mono_ms += 6000;
	session_janitor();
	is_stopped();
	/* One that lives is told of. */
	session_is("pending", 0, 3);
	task_made();
	up(PROC_SESSIOND);
	session_is("pending", 0, 3);
	sessions_are_told();
	mono_ms += 11000;
	session_janitor();
	refuses(PROC_STORAGED, MSG_TASK_STOP);
	session_is("active", 0, 4);
	assigned();
	started();
	finish();
}

/* The news of the end of its session comes before that a task was made. */
static void
overtaken(void **state)
{
	uint64_t	 put;

	(void)state;
	session_is("pending", 0, 4);
	put = task_asked("");
	session_is("terminated", 0, 4);
	task_stored(put, "");
	is_stopped();
	/* The same while it is about to be. */
	session_is("active", 0, 4);
	put = task_asked(RNR);
	session_is("active", 2, 4);
	task_stored(put, "");
	is_stopped();
}

static char	 perm[ID_SIZE];

static uint64_t
asks(void)
{
	struct msg_permission_asked	 m = { run,
	    task_find(task)->run.attempt, "q", "tool", "Bash", "x", "{}" };

	on_permission_asked(peer_of(PROC_RUNNERD), 41, &m);
	expect(PROC_STORAGED, MSG_PERMISSION_PUT);
	strlcpy(perm, got.permission_put.permission, sizeof(perm));
	return (got_ref);
}

static void
is_pending(uint64_t ref, uint64_t created_ms, uint32_t suspend_after)
{
	struct msg_permission_row	 row = { .tenant = "t",
	    .permission = perm, .session = SESS, .task = task, .run = run,
	    .request = "q", .status = "pending", .reason = "", .code = "",
	    .text = "", .created_ms = created_ms,
	    .suspend_after = suspend_after };

	on_permission_row(peer_of(PROC_STORAGED), ref, &row);
	stored(ref, "");
}

/* Asked and withdrawn in one breath: nobody is left who waits for an answer. */
static void
withdrawn(void **state)
{
	struct msg_permission_withdrawn	 m = { run, "q" };
	uint64_t			 put, cancel;

	(void)state;
	run_to_work();
	put = asks();
	on_permission_withdrawn(peer_of(PROC_RUNNERD), 42, &m);
	refuses(PROC_RUNNERD, MSG_RUN_NOTED);
	expect(PROC_STORAGED, MSG_PERMISSION_CANCEL);
	cancel = got_ref;
	is_pending(put, wall_ms, 0);
	assert_int_equal(permission_count(), 1);
	stored(cancel, "");
	assert_int_equal(permission_count(), 0);
	assert_int_equal(task_find(task)->run.asking, 0);
	expect(PROC_RUNNERD, MSG_RUN_NOTED);
	expect(PROC_RUNNERD, MSG_RUN_NOTED);
	assert_int_equal(got_ref, 42);
	hush();
	finish();
}

/* How long a person has not answered is no matter of the time of day. */
static void
clock_is_set(void **state)
{
	(void)state;
	run_to_work();
	is_pending(asks(), wall_ms, 3600);
	hush();
	wall_ms += 86400000;
	permission_janitor();
	refuses(PROC_SESSIOND, MSG_SESSION_IDLE);
	wall_ms -= 172800000;
	mono_ms += 3601000;
	permission_janitor();
	expect(PROC_SESSIOND, MSG_SESSION_IDLE);
	hush();
	finish();
}

/*
 * An answer may be long, and many wait for a runner that comes back: a full
 * queue is not given more, and what is owed goes when there is room.
 */
static void
long_answers(void **state)
{
	static uint8_t			 input[60000];
	struct msg_run_seen		 seen = { run, RNR, 1, "running" };
	struct msg_permission_row	 row = { .tenant = "t",
	    .permission = perm, .session = SESS, .task = task, .run = run,
	    .request = "q", .status = "approved", .reason = "", .code = "",
	    .text = "", .input = input, .input_len = sizeof(input) };
	uint64_t			 put;
	int				 i;

	(void)state;
	run_to_work();
	put = asks();
	memset(input, ' ', sizeof(input));
	on_permission_row(peer_of(PROC_STORAGED), put, &row);
	stored(put, "");
	for (i = 0; i < 200; i++)
		on_run_seen(peer_of(PROC_RUNNERD), 0, &seen);
	assert_true(peer_queued(peer_of(PROC_RUNNERD)) <
	    PEER_QUEUE_SOFT + 2 * sizeof(input));
	hush();
	permission_janitor();
	expect(PROC_RUNNERD, MSG_PERMISSION_ANSWER);
	permission_janitor();
	refuses(PROC_RUNNERD, MSG_PERMISSION_ANSWER);
	finish();
}

/*
 * A storaged that refuses what the one before it may have done, before it died, says
 * nothing of that: the client is not told that nothing was done.
 */
static void
refused_after_a_death(void **state)
{
	struct msg_refused	 m = { .code = "unavailable",
	    .text = "the database is behind; try again", .retry_after = 2 };
	uint64_t		 put;

	(void)state;
	session_is("pending", 0, 3);
	put = task_asked("");
	on_refused(peer_of(PROC_STORAGED), put, &m);
	expect(PROC_API, MSG_REFUSED);
	assert_string_equal(got.refused.code, "unavailable");
	put = task_asked("");
	up(PROC_STORAGED);
	expect(PROC_STORAGED, MSG_TASK_PUT);
	on_refused(peer_of(PROC_STORAGED), put, &m);
	refuses(PROC_API, MSG_REFUSED);
	ask_janitor();
	expect(PROC_STORAGED, MSG_TASK_PUT);
	task_stored(put, "");
	session_is("active", 0, 4);
	assigned();
	started();
	finish();
}

/* What was refused for now goes before what is asked behind it. */
static void
in_order(void **state)
{
	struct msg_refused		 busy = { .code = "unavailable",
	    .text = "the database does not answer; try again",
	    .retry_after = 5 };
	struct msg_permission_withdrawn	 m = { run, "q" };
	uint64_t			 put;

	(void)state;
	run_to_work();
	put = asks();
	on_refused(peer_of(PROC_STORAGED), put, &busy);
	on_permission_withdrawn(peer_of(PROC_RUNNERD), 42, &m);
	refuses(PROC_STORAGED, MSG_PERMISSION_CANCEL);
	ask_janitor();
	expect(PROC_STORAGED, MSG_PERMISSION_PUT);
	is_pending(got_ref, wall_ms, 0);
	expect(PROC_STORAGED, MSG_PERMISSION_CANCEL);
	stored(got_ref, "");
	assert_int_equal(permission_count(), 0);
	hush();
	finish();
}

/* What was refused for now may have been sent before what was not. */
static void
refused_before(void **state)
{
	struct msg_refused		 busy = { .code = "unavailable",
	    .text = "the database is behind; try again", .retry_after = 2 };
	struct msg_permission_withdrawn	 m = { run, "q" };
	struct msg_stored		 none = { .code = "", .text = "" };
	uint64_t			 put;

	(void)state;
	run_to_work();
	put = asks();
	on_permission_withdrawn(peer_of(PROC_RUNNERD), 42, &m);
	expect(PROC_STORAGED, MSG_PERMISSION_CANCEL);
	on_refused(peer_of(PROC_STORAGED), put, &busy);
	on_stored(peer_of(PROC_STORAGED), got_ref, &none);
	refuses(PROC_RUNNERD, MSG_RUN_NOTED);
	ask_janitor();
	expect(PROC_STORAGED, MSG_PERMISSION_PUT);
	is_pending(got_ref, wall_ms, 0);
	expect(PROC_STORAGED, MSG_PERMISSION_CANCEL);
	assert_string_equal(got.permission_cancel.run, run);
	stored(got_ref, "");
	assert_int_equal(permission_count(), 0);
	expect(PROC_RUNNERD, MSG_RUN_NOTED);
	assert_int_equal(got_ref, 41);
	expect(PROC_RUNNERD, MSG_RUN_NOTED);
	assert_int_equal(got_ref, 42);
	hush();
	finish();
}

/*
 * The web stands still while pages come for it: it is not told more than it can be
 * told, and is none that does not read.
 */
static void
many_reads(void **state)
{
	static uint8_t		 doc[60 * 1024];
	struct ticket		 who = { .tenant = "t", .name = "n",
	    .scopes = SCOPE_R(SCOPE_TASKS), .expires = UINT64_MAX };
	uint8_t			 ticket[TICKET_MAX];
	struct msg_task_list	 m = { .ticket = ticket, .request_id = "" };
	struct msg_stored	 page = { .rows = 1, .code = "", .text = "",
	    .doc = doc, .doc_len = sizeof(doc) };
	unsigned int		 i, n, documents = 0;
	enum msg_type		 is;

	(void)state;
	memset(doc, 'x', sizeof(doc));
	m.ticket_len = ticket_make(ticket, &who, ticket_key);
	for (i = 0; i < 1150; i++) {
		on_task_list(peer_of(PROC_API), ++client_ref, &m);
		expect(PROC_STORAGED, MSG_TASK_PAGE);
		on_stored(peer_of(PROC_STORAGED), got_ref, &page);
	}
	for (n = 0; (is = far_next(PROC_API)) != MSG_NONE; n++)
		documents += is == MSG_DOCUMENT;
	assert_int_equal(n, i);
	assert_in_range(documents, 500, 600);
	assert_string_equal(got.refused.code, "unavailable");
}

/* What has begun cannot be unwound: it is lost, and done again. */
static void
unwound(void **state)
{
	struct msg_run_started	 begins = { run, RNR, 1, 1 };
	struct msg_run_unwound	 m = { run, 1, "unknown" };
	uint64_t		 begin;

	(void)state;
	session_is("active", 0, 4);
	task_stored(task_asked(RNR), RNR);
	run_is_sent(4);
	on_run_started(peer_of(PROC_RUNNERD), 7001, &begins);
	expect(PROC_STORAGED, MSG_RUN_BEGIN);
	begin = got_ref;
	on_run_unwound(peer_of(PROC_RUNNERD), 7002, &m);
	stored(begin, "");
	expect(PROC_STORAGED, MSG_RUN_END);
	assert_string_equal(got.run_end.status, "lost");
	assert_string_equal(got.run_end.task_status, "pending");
	stored(got_ref, "");
	assigned();
	started();
	/* Also when it is known to everybody that it runs. */
	m.attempt = 2;
	on_run_unwound(peer_of(PROC_RUNNERD), 7003, &m);
	expect(PROC_STORAGED, MSG_RUN_END);
	assert_string_equal(got.run_end.status, "lost");
	stored(got_ref, "");
	assigned();
	started();
	finish();
}

int
main(void)
{
	const struct CMUnitTest	 tests[] = {
		cmocka_unit_test(untold),
		cmocka_unit_test(overtaken),
		cmocka_unit_test(withdrawn),
		cmocka_unit_test(clock_is_set),
		cmocka_unit_test(in_order),
		cmocka_unit_test(refused_before),
		cmocka_unit_test(long_answers),
		cmocka_unit_test(refused_after_a_death),
		cmocka_unit_test(many_reads),
		cmocka_unit_test(unwound),
	};

	begin();
	loaded();
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
