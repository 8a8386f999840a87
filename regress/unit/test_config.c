/* links: providerd/api.c providerd/config.c providerd/hold.c providerd/seal.c providerd/vault.c regress/unit/far.c regress/unit/own_time.c -lcrypto */
/*
 * Agent configurations are made however many keys of sessions are held, and
 * nobody makes so many at once that others have to wait for it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "far.h"
#include "own_time.h"
#include "providerd.h"

#define KEY	"sk-ant-of-the-operator-0001"

union far_message {
	_Alignas(8) uint8_t		 any[MSG_STRUCT_MAX];
	struct msg_refused		 refused;
	struct msg_data_key_put		 data_key_put;
	struct msg_agent_config_put	 config_put;
};

static uint8_t	 ticket[TICKET_MAX];
static size_t	 ticket_len;

/* Nobody runs here. */
const uint8_t *
hello_sealing_key(const char *runner)
{
	(void)runner;
	return (NULL);
}

/* Whose requests follow. */
static void
tenant_is(const char *tenant)
{
	struct ticket	 t = { .key = "key", .name = "me",
			    .scopes = UINT64_MAX, .expires = UINT64_MAX };

	strlcpy(t.tenant, tenant, sizeof(t.tenant));
	ticket_len = ticket_make(ticket, &t, vault_keyring()->ticket);
}

/* Does this tenant get another key held? */
static int
hold(const char *tenant, size_t len)
{
	static unsigned int	 n;
	static uint8_t		 key[KEY_MAX];
	char			 ref[ID_SIZE];
	struct msg_key_hold	 m = { .ticket = ticket, .request_id = "",
				    .key_ref = ref, .key = key,
				    .key_len = len, .base_url = "" };

	tenant_is(tenant);
	m.ticket_len = ticket_len;
	memset(key, 'k', sizeof(key));
	snprintf(ref, sizeof(ref), "key_%026u", n++);
	on_key_hold(peer_of(PROC_API), 1, &m);
	return (far_next(PROC_API) == MSG_KEY_HELD);
}

/* Until nobody gets one. */
static void
fill(void)
{
	static const size_t	 sizes[] = { KEY_MAX, 1 };
	char			 tenant[8];
	unsigned int		 i, k;

	for (i = 0; i < 8; i++)
		for (k = 0; k < 2; k++) {
			snprintf(tenant, sizeof(tenant), "t%u", i);
			while (hold(tenant, sizes[k]))
				;
		}
}

static void
create(const char *tenant, uint64_t ref, const char *key)
{
	struct msg_agent_config_create	 m = { .ticket = ticket,
		.request_id = "", .idem_key = "", .idem_hash = ticket,
		.name = "house", .agent = "claude", .model = "", .base_url = "",
		.key = (const uint8_t *)key, .key_len = strlen(key) };

	tenant_is(tenant);
	m.ticket_len = ticket_len;
	on_agent_config_create(peer_of(PROC_ADMIN), ref, &m);
}

static void
stored(uint64_t ref)
{
	struct msg_stored	 m = { .rows = 1, .code = "", .text = "" };

	on_stored(peer_of(PROC_STORAGED), ref, &m);
}

/* The tenant's data key is this one: what is stored opens with it. */
static void
is_sealed(uint64_t ref, const uint8_t *data_key)
{
	struct msg_data_key_row	 row = { "t", data_key, DATA_KEY_SEALED };
	uint8_t			 plain[KEY_MAX];

	on_data_key_row(peer_of(PROC_STORAGED), ref, &row);
	/* storaged died before it said that this was all. */
	on_data_key_row(peer_of(PROC_STORAGED), ref, &row);
	stored(ref);
	expect(PROC_STORAGED, MSG_AGENT_CONFIG_PUT);
	assert_int_equal(config_open(plain, "t", got.config_put.agent_config,
	    data_key, DATA_KEY_SEALED, got.config_put.sealed,
	    got.config_put.sealed_len), strlen(KEY));
	assert_memory_equal(plain, KEY, strlen(KEY));
	assert_string_equal(got.config_put.key_hint, "...0001");
	stored(got_ref);
	expect(PROC_ADMIN, MSG_DOCUMENT);
	hush();
}

/* With the data key that came with it, or one that there was before. */
static void
test_full(void **state)
{
	uint8_t	 data_key[DATA_KEY_SEALED], before[DATA_KEY_SEALED];

	(void)state;
	fill();
	config_new_data_key(before, "t");
	create("t", 1, KEY);
	expect(PROC_STORAGED, MSG_DATA_KEY_PUT);
	assert_int_equal(got.data_key_put.data_key_len, sizeof(data_key));
	memcpy(data_key, got.data_key_put.data_key, sizeof(data_key));
	is_sealed(got_ref, data_key);
	create("t", 2, KEY);
	expect(PROC_STORAGED, MSG_DATA_KEY_PUT);
	is_sealed(got_ref, before);
}

/* A data key that does not open seals nothing. */
static void
test_wrong_data_key(void **state)
{
	uint8_t			 other[DATA_KEY_SEALED];
	struct msg_data_key_row	 row = { "t", other, sizeof(other) };

	(void)state;
	config_new_data_key(other, "another");
	create("t", 1, KEY);
	expect(PROC_STORAGED, MSG_DATA_KEY_PUT);
	on_data_key_row(peer_of(PROC_STORAGED), got_ref, &row);
	stored(got_ref);
	expect(PROC_ADMIN, MSG_REFUSED);
	assert_string_equal(got.refused.code, "internal_error");
	refuses(PROC_STORAGED, MSG_AGENT_CONFIG_PUT);
}

/* How many of one tenant's are begun until it is refused. */
static unsigned int
begin_many(const char *tenant, const char *key)
{
	unsigned int	 n;

	for (n = 0; n < 10000; n++) {
		create(tenant, n, key);
		if (far_next(PROC_ADMIN) == MSG_REFUSED)
			break;
	}
	assert_string_equal(got.refused.code, "unavailable");
	hush();
	return (n);
}

/* The database stands: nobody takes what all are to have, nor all of it. */
static void
test_many(void **state)
{
	char		 tenant[8];
	unsigned int	 all, n, i;

	(void)state;
	all = n = begin_many("greedy", KEY);
	assert_in_range(n, 100, 1000);
	create("t", 1, KEY);
	assert_int_equal(far_next(PROC_ADMIN), MSG_NONE);
	for (i = 0; i < 8; i++) {
		snprintf(tenant, sizeof(tenant), "t%u", i);
		all += begin_many(tenant, "");
	}
	assert_in_range(all, n, 2 * n);
	time_passes(20000);
	ask_janitor();
	hush();
	assert_int_equal(begin_many("greedy", KEY), n);
	time_passes(20000);
	ask_janitor();
	hush();
}

static void
up(struct peer *p)
{
	(void)p;
}

static int
setup(void **state)
{
	(void)state;
	if (sodium_init() == -1)
		return (-1);
	vault_init();
	web_key(vault_keyring()->ticket);
	randombytes_buf(vault_keyring(), sizeof(struct keyring));
	far_up(PROC_API, up);
	far_up(PROC_ADMIN, up);
	far_up(PROC_STORAGED, up);
	return (0);
}

int
main(void)
{
	const struct CMUnitTest	 tests[] = {
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_wrong_data_key),
		cmocka_unit_test(test_many),
	};

	far_init(PROC_PROVIDERD);
	return (cmocka_run_group_tests(tests, setup, NULL));
}
