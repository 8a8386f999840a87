/* links: frontd/families.c */
/*
 * Prometheus text of several workers made into one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "families.h"

static void
merge(const char *a, const char *b, const char *expected)
{
	struct families	 f = { 0 };
	char		*text;
	size_t		 len;

	families_add(&f, "a", a);
	families_add(&f, "b", b);
	text = families_text(&f, &len);
	assert_string_equal(text, expected);
	assert_int_equal(len, strlen(expected));
	free(text);
}

static void
test_same_name(void **state)
{
	(void)state;
	merge("# TYPE x counter\nx 1\n", "# TYPE x counter\nx 2\n",
	    "# TYPE x counter\nx{process=\"a\"} 1\nx{process=\"b\"} 2\n");
}

static void
test_labels(void **state)
{
	(void)state;
	merge("x{k=\"v\"} 1\n", NULL, "x{process=\"a\",k=\"v\"} 1\n");
}

static void
test_histogram(void **state)
{
	(void)state;
	merge("# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_sum 2\nh_count 1\n",
	    "y 1", "# TYPE h histogram\nh_bucket{process=\"a\",le=\"1\"} 1\n"
	    "h_sum{process=\"a\"} 2\nh_count{process=\"a\"} 1\n"
	    "y{process=\"b\"} 1\n");
}

static void
test_nonsense(void **state)
{
	(void)state;
	merge("no\n=\n# x\n\n#\n", "# TYPE lonely gauge\n", "");
}

int
main(void)
{
	const struct CMUnitTest	 tests[] = {
		cmocka_unit_test(test_same_name),
		cmocka_unit_test(test_labels),
		cmocka_unit_test(test_histogram),
		cmocka_unit_test(test_nonsense),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
