/* links: */
/*
 * Ids sort by the time they were made, say their kind, and do not repeat;
 * tokens are what their hash says.
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

#include <sodium.h>
#include <unistd.h>

#include "id.h"

static void
made(void **state)
{
	char	 a[ID_SIZE], b[ID_SIZE];
	int	 i;

	(void)state;
	id_make(a, "sess");
	assert_int_equal(strlen(a), 4 + 1 + 26);
	/* Also those of one millisecond, as tasks that come together are. */
	for (i = 0; i < 1000; i++) {
		usleep(i % 20 == 0 ? 1100 : 1);
		id_make(b, "sess");
		assert_true(id_is(b, "sess"));
		assert_true(strcmp(a, b) < 0);
		memcpy(a, b, sizeof(a));
	}
}

static void
checked(void **state)
{
	(void)state;
	assert_true(id_is("task_0123456789abcdefghjkmnpqrs", "task"));
	assert_false(id_is("task_0123456789abcdefghjkmnpqrs", "sess"));
	assert_false(id_is("task_0123456789abcdefghjkmnpqr", "task"));
	assert_false(id_is("task_0123456789abcdefghjkmnpqrst", "task"));
	assert_false(id_is("task_0123456789abcdefghjkmnpqri", "task"));
	assert_false(id_is("task_0123456789ABCDEFGHJKMNPQRS", "task"));
	assert_false(id_is("task-0123456789abcdefghjkmnpqrs", "task"));
	assert_false(id_is("task_0123456789abcdefghjkmnpq/s", "task"));
	assert_false(id_is("", "task"));
}

static void
tokens(void **state)
{
	char		 a[TOKEN_SIZE], b[TOKEN_SIZE];
	unsigned char	 ha[32], hb[32], want[32];

	(void)state;
	token_make(a, "mk", ha);
	token_make(b, "mk", hb);
	assert_int_equal(strncmp(a, "mk_", 3), 0);
	assert_int_equal(strlen(a), 3 + 43);
	assert_string_not_equal(a, b);
	crypto_hash_sha256(want, (unsigned char *)a, strlen(a));
	assert_memory_equal(want, ha, 32);
	assert_memory_not_equal(ha, hb, 32);
}

int
main(void)
{
	const struct CMUnitTest	 tests[] = {
		cmocka_unit_test(made),
		cmocka_unit_test(checked),
		cmocka_unit_test(tokens),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
