/*
 * config.c - agent credentials at rest: XChaCha20-Poly1305 under a data key of
 * the tenant, which is sealed the same way under the encryption key.  The
 * associated data names tenant and record, so that ciphertext that was moved
 * to another row does not open.  Layout: u8 version, 24 bytes nonce, sealed.
 */
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "providerd.h"

#define VERSION		1
#define NONCE		crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define TAG		crypto_aead_xchacha20poly1305_ietf_ABYTES
#define AAD_MAX		128

_Static_assert(1 + NONCE + DATA_KEY_SIZE + TAG == DATA_KEY_SEALED, "layout");
_Static_assert(1 + NONCE + KEY_MAX + TAG == SEALED_MAX, "layout");

static size_t
seal(uint8_t *out, const uint8_t key[32], const char *aad,
    const uint8_t *plain, size_t len)
{
	out[0] = VERSION;
	randombytes_buf(out + 1, NONCE);
	crypto_aead_xchacha20poly1305_ietf_encrypt(out + 1 + NONCE, NULL,
	    plain, len, (const uint8_t *)aad, strlen(aad), NULL, out + 1, key);
	return (1 + NONCE + len + TAG);
}

static ssize_t
open_sealed(uint8_t *out, size_t size, const uint8_t key[32], const char *aad,
    const uint8_t *sealed, size_t len)
{
	if (len < 1 + NONCE + TAG || sealed[0] != VERSION ||
	    len - 1 - NONCE - TAG > size)
		return (-1);
	if (crypto_aead_xchacha20poly1305_ietf_decrypt(out, NULL, NULL,
	    sealed + 1 + NONCE, len - 1 - NONCE, (const uint8_t *)aad,
	    strlen(aad), sealed + 1, key) != 0)
		return (-1);
	return ((ssize_t)(len - 1 - NONCE - TAG));
}

static void
data_key_aad(char out[AAD_MAX], const char *tenant)
{
	snprintf(out, AAD_MAX, "marionette-data-key-v1 %s", tenant);
}

static void
config_aad(char out[AAD_MAX], const char *tenant, const char *id)
{
	snprintf(out, AAD_MAX, "marionette-agent-key-v1 %s %s", tenant, id);
}

static void
data_key_wipe(void)
{
	sodium_memzero(vault_desk()->data_key, DATA_KEY_SIZE);
}

/* The plain data key, on the desk until wiped; NULL when it does not open. */
static const uint8_t *
data_key_open(const char *tenant, const uint8_t *sealed, size_t len)
{
	char	 aad[AAD_MAX];
	uint8_t	*key = vault_desk()->data_key;

	data_key_aad(aad, tenant);
	if (open_sealed(key, DATA_KEY_SIZE, vault_keyring()->encryption, aad,
	    sealed, len) != DATA_KEY_SIZE) {
		data_key_wipe();
		return (NULL);
	}
	return (key);
}

void
config_new_data_key(uint8_t out[DATA_KEY_SEALED], const char *tenant)
{
	char	 aad[AAD_MAX];
	uint8_t	 key[DATA_KEY_SIZE];

	data_key_aad(aad, tenant);
	randombytes_buf(key, sizeof(key));
	seal(out, vault_keyring()->encryption, aad, key, sizeof(key));
	sodium_memzero(key, sizeof(key));
}

size_t
config_seal(uint8_t *out, const char *tenant, const char *id,
    const uint8_t *data_key, size_t data_key_len, const uint8_t *key,
    size_t key_len)
{
	char		 aad[AAD_MAX];
	const uint8_t	*dk;
	size_t		 n;

	if (key_len > KEY_MAX ||
	    (dk = data_key_open(tenant, data_key, data_key_len)) == NULL)
		return (0);
	config_aad(aad, tenant, id);
	n = seal(out, dk, aad, key, key_len);
	data_key_wipe();
	return (n);
}

int
config_seal_anew(uint8_t *sealed, size_t sealed_len, const char *tenant,
    const char *id, const uint8_t from[DATA_KEY_SEALED],
    const uint8_t *data_key, size_t data_key_len)
{
	uint8_t	*key = vault_desk()->key;
	ssize_t	 n;
	int	 rc = -1;

	n = config_open(key, tenant, id, from, DATA_KEY_SEALED, sealed,
	    sealed_len);
	if (n != -1 && config_seal(sealed, tenant, id, data_key, data_key_len,
	    key, (size_t)n) == sealed_len)
		rc = 0;
	sodium_memzero(key, KEY_MAX);
	return (rc);
}

ssize_t
config_open(uint8_t *out, const char *tenant, const char *id,
    const uint8_t *data_key, size_t data_key_len, const uint8_t *sealed,
    size_t sealed_len)
{
	char		 aad[AAD_MAX];
	const uint8_t	*dk;
	ssize_t		 n;

	if ((dk = data_key_open(tenant, data_key, data_key_len)) == NULL)
		return (-1);
	config_aad(aad, tenant, id);
	n = open_sealed(out, KEY_MAX, dk, aad, sealed, sealed_len);
	data_key_wipe();
	return (n);
}
