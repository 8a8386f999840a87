/* links: taskd/api.c taskd/api_permission.c taskd/asked.c taskd/client.c taskd/early.c taskd/fsm.c taskd/keep.c taskd/load.c taskd/permission.c taskd/policy.c taskd/queue.c taskd/retry.c taskd/run.c taskd/session.c taskd/stop.c taskd/store.c taskd/task.c taskd/waiter.c taskd/waiting.c taskd/ahead.c regress/unit/far.c regress/unit/taskd_world.c taskd_msg */
/*
 * Runs that are assigned before their turn: in the commit that makes the task,
 * or in the one that ends the run before it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "taskd_world.h"

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
	assert_string_equal(got.run_end.task, first->task);
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

int
main(void)
{
	const struct CMUnitTest	 tests[] = {
		cmocka_unit_test(ahead),
		cmocka_unit_test(then),
		cmocka_unit_test(coming),
		cmocka_unit_test(orphan),
	};

	begin();
	loaded();
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
