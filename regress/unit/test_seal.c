/* links: providerd/config.c providerd/seal.c providerd/vault.c -lcrypto */
/*
 * Credentials at rest and on the way to a runner: what is sealed opens for
 * its own tenant, record and runner, and for nobody else.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sodium.h>
#include <string.h>

#include "providerd.h"

/* What KEY_SEAL needs of other files is not under test. */
const uint8_t *
hello_sealing_key(const char *runner)
{
	(void)runner;
	return (NULL);
}

int
hold_find(struct held *h, const char *tenant, const char *session,
    const char *key_ref)
{
	(void)h;
	(void)tenant;
	(void)session;
	(void)key_ref;
	return (-1);
}

void
refuse(struct peer *p, uint64_t ref, const char *code, const char *text)
{
	(void)p;
	(void)ref;
	(void)code;
	(void)text;
}

struct ask *
ask_find(const struct peer *p, uint64_t ref)
{
	(void)p;
	(void)ref;
	return (NULL);
}

struct peer *
ask_client(const struct ask *a)
{
	(void)a;
	return (NULL);
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
	(void)done;
	(void)arg;
	return (NULL);
}

int
peer_send(struct peer *p, uint64_t ref, enum msg_type type, const void *m,
    int fd)
{
	(void)p;
	(void)ref;
	(void)type;
	(void)m;
	(void)fd;
	return (0);
}

static const uint8_t	 key[] = "sk-ant-0123456789";

static int
setup(void **state)
{
	(void)state;
	if (sodium_init() == -1)
		return (-1);
	vault_init();
	randombytes_buf(vault_keyring()->encryption, 32);
	return (0);
}

static void
at_rest(void **state)
{
	uint8_t	 dk[DATA_KEY_SEALED], other[DATA_KEY_SEALED];
	uint8_t	 sealed[SEALED_MAX], *plain = vault_take(KEY_MAX);
	size_t	 n, i, before = vault_used();

	(void)state;
	config_new_data_key(dk, "a");
	config_new_data_key(other, "a");
	n = config_seal(sealed, "a", "acfg_1", dk, sizeof(dk), key,
	    sizeof(key));
	assert_int_equal(n, sizeof(key) + 41);
	assert_int_equal(config_open(plain, "a", "acfg_1", dk, sizeof(dk),
	    sealed, n), sizeof(key));
	assert_memory_equal(plain, key, sizeof(key));
	/* Another tenant, another record, another data key. */
	assert_int_equal(config_open(plain, "b", "acfg_1", dk, sizeof(dk),
	    sealed, n), -1);
	assert_int_equal(config_open(plain, "a", "acfg_2", dk, sizeof(dk),
	    sealed, n), -1);
	assert_int_equal(config_open(plain, "a", "acfg_1", other,
	    sizeof(other), sealed, n), -1);
	assert_int_equal(config_seal(sealed, "b", "acfg_1", dk, sizeof(dk),
	    key, sizeof(key)), 0);
	/* Any bit of it, any end of it. */
	for (i = 0; i < n; i++) {
		sealed[i] ^= 1;
		assert_int_equal(config_open(plain, "a", "acfg_1", dk,
		    sizeof(dk), sealed, n), -1);
		sealed[i] ^= 1;
		assert_int_equal(config_open(plain, "a", "acfg_1", dk,
		    sizeof(dk), sealed, i), -1);
	}
	assert_int_equal(vault_used(), before);
	vault_keyring()->encryption[0] ^= 1;
	assert_int_equal(config_open(plain, "a", "acfg_1", dk, sizeof(dk),
	    sealed, n), -1);
	vault_keyring()->encryption[0] ^= 1;
	vault_give(plain, KEY_MAX);
}

static void
to_a_runner(void **state)
{
	static const char	 expected[] = "{\"api_key\":\"a\\\"b\\\\\","
				    "\"base_url\":\"http://x\"}";
	uint8_t	 pk[32], sk[32], out[CREDENTIAL_MAX + crypto_box_SEALBYTES];
	uint8_t	 plain[256];
	size_t	 n;

	(void)state;
	crypto_box_keypair(pk, sk);
	n = credential_seal(out, pk, (const uint8_t *)"a\"b\\", 4,
	    "http://x");
	assert_int_equal(n, sizeof(expected) - 1 + crypto_box_SEALBYTES);
	assert_int_equal(crypto_box_seal_open(plain, out, n, pk, sk), 0);
	assert_memory_equal(plain, expected, sizeof(expected) - 1);
	out[n - 1] ^= 1;
	assert_int_not_equal(crypto_box_seal_open(plain, out, n, pk, sk), 0);
}

static void
fit(void **state)
{
	static uint8_t	 longest[KEY_MAX + 1];

	(void)state;
	memset(longest, 'x', sizeof(longest));
	assert_true(credential_is_fit(key, sizeof(key) - 1, ""));
	assert_true(credential_is_fit(longest, KEY_MAX, "https://h/"));
	assert_false(credential_is_fit(longest, KEY_MAX + 1, ""));
	assert_false(credential_is_fit((const uint8_t *)"a\nb", 3, ""));
	assert_false(credential_is_fit((const uint8_t *)"a\xff", 2, ""));
	assert_false(credential_is_fit(key, 4, "http://a b"));
	memset(longest, '"', KEY_MAX);
	assert_false(credential_is_fit(longest, KEY_MAX, ""));
}

static void
vault(void **state)
{
	uint8_t	*p[2048], *q;
	size_t	 n, before = vault_used();

	(void)state;
	for (n = 0; n < 2048 && (p[n] = vault_take(KEY_MAX)) != NULL; n++)
		memset(p[n], 0xa5, KEY_MAX);
	assert_in_range(n, 400, 512);
	assert_null(vault_take(KEY_MAX));
	q = p[7];
	vault_give(p[7], KEY_MAX);
	p[7] = vault_take(100);
	assert_ptr_equal(p[7], q);
	assert_int_equal(p[7][0], 0);	/* wiped */
	vault_give(p[7], 100);
	while (n-- > 0)
		if (n != 7)
			vault_give(p[n], KEY_MAX);
	assert_int_equal(vault_used(), before);
}

int
main(void)
{
	const struct CMUnitTest	 tests[] = {
		cmocka_unit_test(at_rest),
		cmocka_unit_test(to_a_runner),
		cmocka_unit_test(fit),
		cmocka_unit_test(vault),
	};

	return (cmocka_run_group_tests(tests, setup, NULL));
}
