/* links: */
/*
 * Tickets: what was put in comes out, nothing else is taken, and scopes mean
 * what they say.
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

#include "ticket.h"

static const uint8_t	 key[TICKET_KEY_SIZE] = { 1, 2, 3 };
static const uint8_t	 other[TICKET_KEY_SIZE] = { 1, 2, 4 };

static void
whole(void **state)
{
	struct ticket	 t = { .scopes = 0x5a5a, .expires = 100 }, back;
	uint8_t		 buf[TICKET_MAX];
	size_t		 n, i;

	(void)state;
	memset(t.tenant, 't', sizeof(t.tenant) - 1);
	memset(t.key, 'k', sizeof(t.key) - 1);
	memset(t.name, 'n', sizeof(t.name) - 1);
	n = ticket_make(buf, &t, key);
	assert_true(n <= TICKET_MAX);
	assert_int_equal(ticket_open(&back, buf, n, key, 99), 0);
	assert_string_equal(back.tenant, t.tenant);
	assert_string_equal(back.key, t.key);
	assert_string_equal(back.name, t.name);
	assert_int_equal(back.scopes, t.scopes);
	assert_int_equal(ticket_open(&back, buf, n, key, 100), -1);
	assert_int_equal(errno, ETIMEDOUT);
	assert_int_equal(ticket_open(&back, buf, n, other, 99), -1);
	assert_int_equal(errno, EBADMSG);
	for (i = 0; i < n; i++) {
		buf[i] ^= 0x10;
		assert_int_equal(ticket_open(&back, buf, n, key, 99), -1);
		assert_int_equal(errno, EBADMSG);
		buf[i] ^= 0x10;
		assert_int_equal(ticket_open(&back, buf, i, key, 99), -1);
	}
	assert_int_equal(ticket_open(&back, buf, n + 1, key, 99), -1);
}

static void
scopes(void **state)
{
	static const char *const	 bad[] = { "x", "tasks", "tasks:",
	    "tasks:x", ":read", "tasks:readx", "admin:read", "admin:write",
	    "runners:write", "events:write", "tasks:read,tasks:write", "**",
	    "tasks:read\tx" };
	uint64_t			 all, b;
	size_t				 i;

	(void)state;
	assert_int_equal(scopes_parse("", &b), 0);
	assert_int_equal(b, 0);
	assert_int_equal(scopes_parse(" tasks:read  sessions:write ", &b), 0);
	assert_int_equal(b, SCOPE_R(SCOPE_TASKS) | SCOPE_W(SCOPE_SESSIONS));
	assert_int_equal(scopes_parse("tasks:*", &b), 0);
	assert_int_equal(b, SCOPE_R(SCOPE_TASKS) | SCOPE_W(SCOPE_TASKS));
	/* A star never means administration; administration means all. */
	assert_int_equal(scopes_parse("*", &all), 0);
	assert_int_equal(all & SCOPE_W(SCOPE_ADMIN), 0);
	assert_int_equal(scopes_parse("admin:*", &b), 0);
	assert_int_equal(b & all, all);
	assert_int_not_equal(b & SCOPE_W(SCOPE_ADMIN), 0);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(scopes_parse(bad[i], &b), -1);
	assert_string_equal(scope_name(SCOPE_R(SCOPE_TASKS)), "tasks:read");
	assert_string_equal(scope_name(SCOPE_W(SCOPE_ADMIN)), "admin:*");
	assert_string_equal(scope_name(0), "nothing");
}

int
main(void)
{
	const struct CMUnitTest	 tests[] = {
		cmocka_unit_test(whole),
		cmocka_unit_test(scopes),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
