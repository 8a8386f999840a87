/* links: sessiond/admin.c sessiond/auth.c sessiond/key.c sessiond/reply.c regress/unit/far.c regress/unit/own_time.c */
/*
 * A key that is revoked while it is looked up: who revokes is told first, and the
 * database answers from before.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "far.h"
#include "sessiond.h"

#define KEY	"key_00000000000000000000000000"
#define OTHER	"key_00000000000000000000000001"

static struct sessiond	 self;
struct sessiond		*env = &self;

union far_message {
	_Alignas(8) uint8_t		 any[MSG_STRUCT_MAX];
	struct msg_key_check		 key_check;
	struct msg_auth_revoked		 revoked;
	struct msg_authenticated	 authenticated;
	struct msg_refused		 refused;
};

static void
came_up(struct peer *p)
{
	ask_peer_up(p);
}

static void
stored(uint64_t ref)
{
	struct msg_stored	 m = { .rows = 1, .code = "", .text = "" };

	ask_stored(peer_of(PROC_STORAGED), ref, &m);
}

/* What the database has of the key, and that this is all. */
static void
found(uint64_t ref, int revoked)
{
	struct msg_key_row	 m = { .key = KEY, .tenant = "t", .name = "n",
	    .scopes = "*", .revoked = (uint8_t)revoked };

	on_key_row(peer_of(PROC_STORAGED), ref, &m);
	stored(ref);
}

/* Somebody comes with the key; the ref of what storaged is asked. */
static uint64_t
comes(void)
{
	struct msg_auth_key	 m = { .hash = (const uint8_t *)
	    "0123456789abcdef0123456789abcdef", .hash_len = 32, .tenant = "",
	    .address = "", .request_id = "r" };

	on_auth_key(peer_of(PROC_API), 7, &m);
	expect(PROC_STORAGED, MSG_KEY_FIND);
	return (got_ref);
}

static void
let_in(void)
{
	expect(PROC_API, MSG_AUTHENTICATED);
	assert_int_equal(got_ref, 7);
	assert_string_equal(got.authenticated.key, KEY);
}

static void
turned_away(void)
{
	expect(PROC_API, MSG_REFUSED);
	assert_int_equal(got_ref, 7);
	assert_string_equal(got.refused.code, "token_revoked");
}

/* The ref of what storaged is asked. */
static uint64_t
revoke(const char *key)
{
	struct ticket		 who = { .tenant = "t", .key = "k",
	    .name = "someone", .scopes = SCOPE_W(SCOPE_ADMIN),
	    .expires = UINT64_MAX };
	uint8_t			 ticket[TICKET_MAX];
	struct msg_key_revoke	 m = { .ticket = ticket, .request_id = "r",
	    .key = key, .reason = "" };

	m.ticket_len = ticket_make(ticket, &who,
	    env->ticket_key[PROC_SESSIOND]);
	on_key_revoke(peer_of(PROC_ADMIN), 8, &m);
	expect(PROC_STORAGED, MSG_KEY_END);
	return (got_ref);
}

static void
revoked(uint64_t end, const char *key)
{
	stored(end);
	expect(PROC_API, MSG_AUTH_REVOKED);
	assert_string_equal(got.revoked.key, key);
	expect(PROC_ADMIN, MSG_AUTH_REVOKED);
}

static uint64_t
asked_again(void)
{
	refuses(PROC_API, MSG_AUTHENTICATED);
	expect(PROC_STORAGED, MSG_KEY_CHECK);
	assert_string_equal(got.key_check.key, KEY);
	return (got_ref);
}

static void
in_order(void **state)
{
	uint64_t	 find, end;

	(void)state;
	find = comes();
	end = revoke(KEY);
	found(find, 0);
	let_in();
	revoked(end, KEY);
}

static void
overtaken(void **state)
{
	uint64_t	 find;

	(void)state;
	find = comes();
	revoked(revoke(KEY), KEY);
	found(find, 0);
	found(asked_again(), 1);
	turned_away();
}

static void
overtaken_again(void **state)
{
	uint64_t	 find, check;

	(void)state;
	find = comes();
	revoked(revoke(OTHER), OTHER);
	found(find, 0);
	check = asked_again();
	revoked(revoke(KEY), KEY);
	found(check, 0);
	found(asked_again(), 1);
	turned_away();
}

static void
another(void **state)
{
	uint64_t	 find;

	(void)state;
	find = comes();
	revoked(revoke(OTHER), OTHER);
	found(find, 0);
	found(asked_again(), 0);
	let_in();
	/* What was revoked before is of no matter. */
	found(comes(), 0);
	let_in();
}

/* Of a stream that goes on. */
static void
renewed(void **state)
{
	struct ticket		 who = { .tenant = "t", .key = KEY,
	    .name = "n", .scopes = 0, .expires = UINT64_MAX };
	uint8_t			 ticket[TICKET_MAX];
	struct msg_auth_renew	 m = { .ticket = ticket };
	uint64_t		 check;

	(void)state;
	m.ticket_len = ticket_make(ticket, &who,
	    env->ticket_key[PROC_SESSIOND]);
	on_auth_renew(peer_of(PROC_API), 7, &m);
	expect(PROC_STORAGED, MSG_KEY_CHECK);
	check = got_ref;
	revoked(revoke(KEY), KEY);
	found(check, 0);
	found(asked_again(), 1);
	turned_away();
}

int
main(void)
{
	const struct CMUnitTest	 tests[] = {
		cmocka_unit_test(in_order),
		cmocka_unit_test(overtaken),
		cmocka_unit_test(overtaken_again),
		cmocka_unit_test(another),
		cmocka_unit_test(renewed),
	};

	far_init(PROC_SESSIOND);
	web_key(env->ticket_key[PROC_SESSIOND]);
	far_up(PROC_API, came_up);
	far_up(PROC_ADMIN, came_up);
	far_up(PROC_STORAGED, came_up);
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
