/* links: providerd/config.c providerd/hold.c providerd/seal.c providerd/vault.c -lcrypto */
/*
 * Keys that users bring: how many are held, whose, and that a vault which is
 * full of them still seals.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "providerd.h"

#define VAULT	(4U << 20)

static uint8_t		 pk[32], sk[32];
static int		 verified = 1;		/* the runner's Hello */
static const char	*code, *why;		/* of the last answer */
static uint8_t		 plain[CREDENTIAL_MAX];
static size_t		 plain_len;
static struct ask	 loading = { .client_ref = 9 };

const uint8_t *
hello_sealing_key(const char *runner)
{
	(void)runner;
	return (verified ? pk : NULL);
}

int
authorised(struct peer *p, uint64_t ref, const uint8_t *ticket, size_t len,
    uint64_t scopes, struct ticket *who)
{
	(void)p;
	(void)ref;
	(void)scopes;
	memset(who, 0, sizeof(*who));
	memcpy(who->tenant, ticket, len);
	return (1);
}

void
refuse(struct peer *p, uint64_t ref, const char *c, const char *text)
{
	(void)p;
	(void)ref;
	code = c;
	why = text;
}

struct ask *
ask_find(const struct peer *p, uint64_t ref)
{
	(void)p;
	(void)ref;
	return (&loading);
}

struct peer *
ask_client(const struct ask *a)
{
	(void)a;
	return ((struct peer *)&loading);	/* is only handed on */
}

struct ask *
ask_for(struct peer *client, uint64_t ref, enum proc to, enum msg_type type,
    const void *m, unsigned int seconds, ask_done done, void *arg)
{
	(void)client;
	(void)ref;
	(void)to;
	(void)type;
	(void)m;
	(void)seconds;
	loading.done = done;
	loading.arg = arg;
	return (&loading);
}

int
peer_send(struct peer *p, uint64_t ref, enum msg_type type, const void *m,
    int fd)
{
	const struct msg_key_sealed	*s = m;

	(void)p;
	(void)ref;
	(void)fd;
	code = "";
	if (type != MSG_KEY_SEALED)
		return (0);
	plain_len = s->sealed_len - crypto_box_SEALBYTES;
	assert_int_equal(crypto_box_seal_open(plain, s->sealed, s->sealed_len,
	    pk, sk), 0);
	return (0);
}

uint64_t
worker_mono_ms(void)
{
	return (1);
}

static unsigned int	 keys;

/* One more of n bytes, for a session of its own; its code. */
static const char *
hold(const char *tenant, size_t n)
{
	static uint8_t		 key[KEY_MAX];
	struct msg_key_hold	 m = { .ticket = (const uint8_t *)tenant,
	    .ticket_len = strlen(tenant), .request_id = "", .key = key,
	    .key_len = n, .base_url = "" };
	struct msg_key_claim	 c = { .tenant = tenant };
	char			 ref[ID_SIZE], session[ID_SIZE];

	memset(key, 'k', sizeof(key));
	snprintf(ref, sizeof(ref), "key_%026u", keys);
	snprintf(session, sizeof(session), "sess_%026u", keys);
	m.key_ref = c.key_ref = ref;
	c.session = session;
	on_key_hold(NULL, 1, &m);
	if (code[0] != '\0')
		return (code);
	on_key_claim(NULL, 2, &c);
	keys++;
	return (code);
}

static void
drop_all(void)
{
	struct msg_key_drop	 m;
	char			 ref[ID_SIZE];

	m.key_ref = ref;
	while (keys > 0) {
		snprintf(ref, sizeof(ref), "key_%026u", --keys);
		on_key_drop(NULL, 0, &m);
	}
	assert_int_equal(hold_count(), 0);
}

/* Every tenant brings what it may, long keys and short ones. */
static void
fill(void)
{
	static const size_t	 sizes[] = { KEY_MAX, 256 };
	char			 tenant[8];
	unsigned int		 i, k;

	for (i = 0; i < 32; i++)
		for (k = 0; k < 2; k++) {
			snprintf(tenant, sizeof(tenant), "t%u", i);
			while (hold(tenant, sizes[k])[0] == '\0')
				;
			assert_string_equal(code, "unavailable");
		}
	assert_true(vault_used() > VAULT - 512);
}

static void
seal(const char *tenant, const char *session, const char *key_ref,
    const char *config)
{
	struct msg_key_seal	 m = { tenant, session, "rnr", config,
	    key_ref };

	code = "nothing";
	plain_len = 0;
	on_key_seal(NULL, 3, &m);
}

static void
seal_config(const char *tenant, const uint8_t *dk, const uint8_t *sealed,
    size_t len)
{
	struct msg_agent_config_row	 row = { "acfg", "", sealed, len, dk,
	    DATA_KEY_SEALED };
	struct answer			 ans = { .code = "", .text = "" };

	seal(tenant, "sess_x", "", "acfg");
	on_agent_config_row(NULL, 4, &row);
	loading.done(&loading, &ans);
}

/* Nobody's held keys keep anybody from work. */
static void
full(void **state)
{
	uint8_t	 dk[DATA_KEY_SEALED], sealed[SEALED_MAX];
	char	 ref[ID_SIZE], session[ID_SIZE];
	size_t	 n, before = vault_used();

	(void)state;
	config_new_data_key(dk, "a");
	n = config_seal(sealed, "a", "acfg", dk, sizeof(dk),
	    (const uint8_t *)"secret", 6);
	assert_true(n > 0);
	fill();
	snprintf(ref, sizeof(ref), "key_%026u", 0);
	snprintf(session, sizeof(session), "sess_%026u", 0);
	seal("t0", session, ref, "");
	assert_string_equal(code, "");
	assert_int_equal(plain_len, KEY_MAX + 28);
	seal_config("a", dk, sealed, n);
	assert_string_equal(code, "");
	assert_memory_equal(plain, "{\"api_key\":\"secret\"", 19);
	assert_int_equal(config_seal(sealed, "a", "acfg", dk, sizeof(dk),
	    (const uint8_t *)"secret", 6), n);
	drop_all();
	assert_int_equal(vault_used(), before);
}

/* sessiond died, and with it the word that a session had ended. */
static void
not_claimed_again(void **state)
{
	struct msg_key_claims_done	 done = { 0 };
	struct msg_key_claim		 c = { .tenant = "t" };
	struct held			 h;
	char				 ref[2][ID_SIZE], session[2][ID_SIZE];
	unsigned int			 i;

	(void)state;
	for (i = 0; i < 2; i++) {
		snprintf(ref[i], ID_SIZE, "key_%026u", i);
		snprintf(session[i], ID_SIZE, "sess_%026u", i);
		assert_string_equal(hold("t", 64), "");
	}
	holds_doubt();
	c.key_ref = ref[1];
	c.session = session[1];
	on_key_claim(NULL, 2, &c);
	assert_int_equal(hold("t", 64)[0], '\0');	/* brought just now */
	on_key_claims_done(NULL, 0, &done);
	assert_int_equal(hold_find(&h, "t", session[0], ref[0]), -1);
	assert_int_equal(hold_find(&h, "t", session[1], ref[1]), 0);
	assert_int_equal(hold_count(), 2);
	drop_all();
}

/* Only a key that is not there is asked for. */
static void
codes(void **state)
{
	uint8_t	 dk[DATA_KEY_SEALED], sealed[SEALED_MAX];
	size_t	 n;

	(void)state;
	config_new_data_key(dk, "a");
	n = config_seal(sealed, "a", "acfg", dk, sizeof(dk),
	    (const uint8_t *)"secret", 6);
	seal("t0", "sess_y", "key_y", "");
	assert_string_equal(code, "credential_required");
	seal_config("b", dk, sealed, n);
	assert_string_equal(code, "credential_required");
	/* Its runner went while the configuration was loaded. */
	seal("a", "sess_x", "", "acfg");
	verified = 0;
	on_agent_config_row(NULL, 4, &(struct msg_agent_config_row){ "acfg",
	    "", sealed, n, dk, sizeof(dk) });
	loading.done(&loading, &(struct answer){ .code = "", .text = "" });
	verified = 1;
	assert_string_equal(code, "unavailable");
}

/* Those who take all that they may leave room for others. */
static void
share(void **state)
{
	char		 tenant[] = "greedy0";
	unsigned int	 n;

	(void)state;
	for (; tenant[6] < '6'; tenant[6]++) {
		while (hold(tenant, KEY_MAX)[0] == '\0')
			;
		assert_string_equal(code, "unavailable");
		assert_non_null(strstr(why, "half as much as is left"));
	}
	for (n = 0; n < 200; n++)
		assert_string_equal(hold("other", 20), "");
	assert_string_equal(hold("greedy0", 20), "unavailable");
	drop_all();
}

static int
setup(void **state)
{
	(void)state;
	if (sodium_init() == -1)
		return (-1);
	vault_init();
	randombytes_buf(vault_keyring()->encryption, 32);
	crypto_box_keypair(pk, sk);
	return (0);
}

int
main(void)
{
	const struct CMUnitTest	 tests[] = {
		cmocka_unit_test(not_claimed_again),
		cmocka_unit_test(full),
		cmocka_unit_test(codes),
		cmocka_unit_test(share),
	};

	return (cmocka_run_group_tests(tests, setup, NULL));
}
