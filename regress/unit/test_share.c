/* links: */
/*
 * Nobody has more of a bounded number than is left for the others, and what is given
 * back is there again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "share.h"

/* How many more this tenant gets, all of which it keeps. */
static unsigned int
greedy(struct shares *all, const char *tenant)
{
	unsigned int	 n = 0;

	while (share_take(all, tenant) == 0)
		n++;
	return (n);
}

static void
test_room_is_left(void **state)
{
	struct shares	 all = SHARES_INITIALIZER(1000);
	char		 tenant[33];
	unsigned int	 i;

	(void)state;
	assert_int_equal(greedy(&all, "a"), 500);
	assert_int_equal(greedy(&all, "a"), 0);
	assert_int_equal(greedy(&all, "b"), 250);
	for (i = 0; i < 6; i++) {
		snprintf(tenant, sizeof(tenant), "t%u", i);
		assert_true(greedy(&all, tenant) > 0);
	}
	assert_true(all.count < all.max);
	/* To one that has little, however much they have. */
	assert_int_equal(share_take(&all, "late"), 0);
}

static void
test_given_back(void **state)
{
	struct shares	 all = SHARES_INITIALIZER(8);
	unsigned int	 i;

	(void)state;
	assert_int_equal(greedy(&all, "a"), 4);
	share_give(&all, "a");
	assert_int_equal(greedy(&all, "a"), 1);
	assert_int_equal(greedy(&all, "b"), 2);
	for (i = 0; i < 4; i++)
		share_give(&all, "a");
	assert_int_equal(all.count, 2);
	assert_int_equal(greedy(&all, "b"), 2);
	assert_int_equal(greedy(&all, "a"), 2);
}

int
main(void)
{
	const struct CMUnitTest	 tests[] = {
		cmocka_unit_test(test_room_is_left),
		cmocka_unit_test(test_given_back),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
