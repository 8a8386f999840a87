/* links: taskd/retry.c */
/*
 * What becomes of a task whose run has ended.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "store.h"

static struct taskd	 self = { .lost_attempts = 3 };
struct taskd		*env = &self;

static struct session	 s;
static struct task	 t;

static int
fresh(void **state)
{
	(void)state;
	memset(&s, 0, sizeof(s));
	memset(&t, 0, sizeof(t));
	s.status = SESSION_ACTIVE;
	t.session = &s;
	return (0);
}

static void
check(const char *reported, const char *status, const char *task, int counted)
{
	struct fate	 f = fate_of(&t, reported);

	assert_string_equal(f.status, status);
	assert_string_equal(f.task_status, task);
	assert_int_equal(f.counted, counted);
}

static void
plain(void **state)
{
	(void)state;
	check("completed", "completed", "completed", 0);
	check("failed", "failed", "failed", 0);
	check("timeout", "timeout", "failed", 0);
	check("canceled", "failed", "failed", 0);
	check("nonsense", "failed", "failed", 0);
}

static void
retries(void **state)
{
	(void)state;
	t.max_retries = 2;
	check("failed", "failed", "pending", 1);
	check("timeout", "timeout", "pending", 1);
	t.retry_count = 1;
	check("failed", "failed", "pending", 1);
	t.retry_count = 2;
	check("failed", "failed", "failed", 0);
	check("completed", "completed", "completed", 0);
}

/* Lost runs do not use up retries, and at most three are lost. */
static void
losses(void **state)
{
	(void)state;
	check("lost", "lost", "pending", 0);
	t.lost = 1;
	check("lost", "lost", "pending", 0);
	t.lost = 2;
	check("lost", "lost", "failed", 0);
	assert_string_equal(fate_of(&t, "lost").error_code, "runner_lost");
}

static void
cancels(void **state)
{
	(void)state;
	t.max_retries = 5;
	t.canceled = 1;
	check("failed", "canceled", "canceled", 0);
	check("lost", "canceled", "canceled", 0);
	check("completed", "completed", "completed", 0);
	t.canceled = 0;
	s.leaving = 2;
	check("failed", "canceled", "canceled", 0);
	s.leaving = 0;
	s.status = SESSION_TERMINATED;
	check("lost", "canceled", "canceled", 0);
}

static void
suspends(void **state)
{
	(void)state;
	t.lost = 2;
	t.run.kill = KILL_SUSPEND;
	check("canceled", "suspended", "pending", 0);
	check("lost", "suspended", "pending", 0);
	check("completed", "completed", "completed", 0);
	t.canceled = 1;
	check("lost", "canceled", "canceled", 0);
}

int
main(void)
{
	const struct CMUnitTest	 tests[] = {
		cmocka_unit_test_setup(plain, fresh),
		cmocka_unit_test_setup(retries, fresh),
		cmocka_unit_test_setup(losses, fresh),
		cmocka_unit_test_setup(cancels, fresh),
		cmocka_unit_test_setup(suspends, fresh),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
