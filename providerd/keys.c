/*
 * keys.c - the keys that the parent gives this process: encryption key, ticket
 * key, the CA's.  They go into the vault, and to libcrypto's own locked heap.
 * A missing or wrong one is fatal before the jail.
 */
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "providerd.h"

static void
take_key(uint8_t *out, int *has, const char *name, const uint8_t *value,
    size_t len)
{
	if (len != 32)
		fatalx("secret %s: %zu bytes instead of 32", name, len);
	memcpy(out, value, 32);
	*has = 1;
}

void
keys_secret(const char *name, const uint8_t *value, size_t len)
{
	struct keyring	*kr;

	vault_init();
	kr = vault_keyring();
	if (strcmp(name, "encryption-key") == 0)
		take_key(kr->encryption, &kr->has_encryption, name, value,
		    len);
	else if (strcmp(name, "ticket") == 0)
		take_key(kr->ticket, &kr->has_ticket, name, value, len);
	else if (strcmp(name, "ca-key") == 0)
		ca_set_key(value, len);
	else if (strcmp(name, "ca-cert") == 0)
		ca_set_certificate(value, len);
	else
		fatalx("secret %s: unknown", name);
}

void
keys_configured(int reload)
{
	struct keyring	*kr;

	vault_init();
	kr = vault_keyring();
	if (!kr->has_encryption || !kr->has_ticket)
		fatalx("encryption-key or ticket was not given");
	web_key(kr->ticket);
	if (!ca_is_complete())
		fatalx("ca-key and ca-cert do not belong together");
	if (reload)
		ca_tell(peer_of(PROC_RUNNERD));
}

size_t
keys_metrics(char *buf, size_t size)
{
	size_t		 bytes;
	unsigned int	 asks;
	int		 n;

	ask_count(&asks, &bytes);
	n = snprintf(buf, size,
	    "# TYPE marionette_keys_held gauge\n"
	    "marionette_keys_held %u\n"
	    "# TYPE marionette_vault_bytes gauge\n"
	    "marionette_vault_bytes %zu\n"
	    "# TYPE marionette_questions gauge\n"
	    "marionette_questions{process=\"providerd\"} %u\n",
	    hold_count(), vault_used(), asks);
	return (n < 0 || (size_t)n >= size ? 0 : (size_t)n);
}
