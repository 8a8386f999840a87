/* links: frontd/when.c */
/*
 * A key ends when its maker said, and not at another time that looked like it.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "body.h"

/* Expected: date -u -d TIME +%s. */
static void
test_times(void **state)
{
	static const struct {
		const char	*s;
		time_t		 t;
	}	 times[] = {
		{ "1970-01-01T00:00:00Z", 0 },
		{ "2036-02-29T12:34:56Z", 2087901296 },
		{ "2036-02-29T12:34:56.123456789Z", 2087901296 },
		{ "2036-02-29T12:34:56+05:30", 2087881496 },
		{ "2036-02-29T12:34:56.5-23:59", 2087987636 },
		{ "2036-12-31T23:59:60Z", 2114380800 },
		{ "9999-12-31T23:59:59Z", 253402300799 },
	};
	size_t	 i;

	(void)state;
	for (i = 0; i < sizeof(times) / sizeof(times[0]); i++)
		assert_int_equal(when_read(times[i].s), times[i].t);
}

static void
test_others(void **state)
{
	static const char *const	 others[] = {
		"", "Z", "now", "2036-02-31T00:00:00Z", "2035-02-29T00:00:00Z",
		"2036-04-31T00:00:00Z", "2036-00-01T00:00:00Z",
		"2036-13-01T00:00:00Z", "2036-01-00T00:00:00Z",
		"2036-01-01T24:00:00Z", "2036-01-01T00:60:00Z",
		"2036-01-01T00:00:61Z", "2036-01-01T00:00:00",
		"2036-01-01T00:00:00.Z", "2036-01-01T00:00:00Zx",
		"2036-01-01T00:00:00+99:99", "2036-01-01T00:00:00+24:00",
		"2036-01-01T00:00:00+-1:-1", "2036-01-01T00:00:00+ 1: 2",
		"2036-01-01T00:00:00+0100", "2036-01-01T00:00:00+01:0",
		"2036-01-01T00:00:00+01:00x", " 2036-01-01T00:00:00Z",
		"2036- 1- 2T 3: 4: 5Z", "2036-1-2T3:4:5Z", "+036-01-01T00:00:00Z",
		"2036-01-01 00:00:00Z", "2036-01-01t00:00:00Z",
		"12036-01-01T00:00:00Z", "1969-12-31T23:59:59Z",
		"1970-01-01T00:00:00+00:01", "2036-01-01", "2036-01-01T00:00",
	};
	size_t	 i;

	(void)state;
	for (i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (when_read(others[i]) != -1)
			fail_msg("\"%s\" was taken", others[i]);
}

int
main(void)
{
	const struct CMUnitTest	tests[] = {
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_others),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
