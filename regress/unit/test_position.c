/* links: sessiond/position.c */
/*
 * Positions of events: parsed, ordered, hidden, and shown only to the tenant
 * that they were made for.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hub.h"
#include "sessiond.h"

static struct sessiond	 self;
struct sessiond		*env = &self;

static void
texts(void **state)
{
	static const char *const	 bad[] = { "", ".", "1", "1.", ".1",
	    "1.2x", "x1.2", "-1.2", "1.-2", " 1.2", "1. 2", "+1.2", "1.2.3",
	    "18446744073709551616.1", "1.18446744073709551616" };
	struct position			 at;
	char				 text[POSITION_SIZE];
	size_t				 i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(position_parse(&at, bad[i]), -1);
	assert_int_equal(position_parse(&at,
	    "18446744073709551615.18446744073709551615"), 0);
	position_text(&at, text);
	assert_string_equal(text, "18446744073709551615.18446744073709551615");
}

static void
order(void **state)
{
	struct position	 a = { 9, 5 }, b = { 10, 1 }, c = { 10, 2 };

	(void)state;
	assert_true(position_cmp(&a, &b) < 0);
	assert_true(position_cmp(&c, &b) > 0);
	assert_int_equal(position_cmp(&b, &b), 0);
}

static void
hidden(void **state)
{
	struct position	 at = { 1234567, 42 }, back, near = { 1234567, 43 };
	char		 one[POSITION_SIZE], two[POSITION_SIZE], was;
	size_t		 i;

	(void)state;
	memset(env->position_key, 7, sizeof(env->position_key));
	position_hide(&at, "a", one);
	assert_int_equal(strlen(one), 56);
	assert_int_equal(position_show(&back, "a", one), 0);
	assert_int_equal(position_cmp(&at, &back), 0);
	assert_int_equal(position_show(&back, "b", one), -1);
	assert_int_equal(position_show(&back, "", one), -1);
	/* Neighbours have nothing in common. */
	position_hide(&near, "a", two);
	assert_memory_not_equal(one, two, 8);
	assert_memory_not_equal(one + 24, two + 24, 16);
	position_hide(&at, "b", two);
	assert_memory_not_equal(one + 24, two + 24, 16);
	for (i = 0; i < 56; i++) {
		was = one[i];
		one[i] = was == '0' ? '1' : '0';
		assert_int_equal(position_show(&back, "a", one), -1);
		one[i] = was;
	}
	one[55] = '\0';
	assert_int_equal(position_show(&back, "a", one), -1);
	assert_int_equal(position_show(&back, "a", ""), -1);
	assert_int_equal(position_show(&back, "a", "1.2"), -1);
}

int
main(void)
{
	const struct CMUnitTest	 tests[] = {
		cmocka_unit_test(texts),
		cmocka_unit_test(order),
		cmocka_unit_test(hidden),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
