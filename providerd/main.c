/*
 * main.c - providerd, ProviderMgr: takes its keys from the parent, warms up
 * libcrypto and libsodium, locks the vault, jails itself.  `providerd -I' is
 * the one-shot that makes what is missing on a first start.
 */
#include <openssl/crypto.h>
#include <seccomp.h>
#include <sodium.h>
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

static void
take_secret(const char *name, const uint8_t *value, size_t len)
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

static void
configured(int reload)
{
	struct keyring	*kr;

	vault_init();
	kr = vault_keyring();
	if (!kr->has_encryption || !kr->has_ticket)
		fatalx("encryption-key or ticket was not given");
	if (!ca_is_complete())
		fatalx("ca-key and ca-cert do not belong together");
	if (reload)
		ca_tell(peer_of(PROC_RUNNERD));
}

static void
peer_up(struct peer *p)
{
	if (p->proc == PROC_RUNNERD)
		ca_tell(p);
	ask_peer_up(p);
}

static void
peer_down(struct peer *p)
{
	if (p->proc == PROC_RUNNERD)
		hello_forget_all();
}

static void
janitor(void)
{
	ask_janitor();
	hold_janitor();
}

static size_t
metrics(char *buf, size_t size)
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

void
on_stored(struct peer *p, uint64_t ref, const struct msg_stored *m)
{
	ask_stored(p, ref, m);
}

void
on_refused(struct peer *p, uint64_t ref, const struct msg_refused *m)
{
	ask_refused(p, ref, m);
}

static const int	 syscalls[] = { -1 };
static const struct jail jail = { "providerd", syscalls, 64 };
static const struct worker providerd = {
	.title = "providerd",
	.jail = &jail,
	.secret = take_secret,
	.configured = configured,
	.peer_up = peer_up,
	.peer_down = peer_down,
	.janitor = janitor,
	.metrics = metrics,
};

int
main(int argc, char **argv)
{
	/* No configuration file: what libcrypto does is decided here. */
	if (sodium_init() == -1 ||
	    OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) != 1) {
		fprintf(stderr, "providerd: libsodium or libcrypto\n");
		return (1);
	}
	if (argc > 1 && strcmp(argv[1], "-I") == 0)
		return (bootstrap(argc, argv));
	return (worker_main(argc, argv, &providerd));
}
