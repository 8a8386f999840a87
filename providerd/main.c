/*
 * main.c - providerd, ProviderMgr: the one process that sees secrets in plain.
 * `providerd -I' is the one-shot that makes what is missing on a first start.
 */
#include <openssl/crypto.h>
#include <seccomp.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "providerd.h"

static void
peer_up(struct peer *p)
{
	if (p->proc == PROC_RUNNERD)
		ca_tell(p);
	else if (p->proc == PROC_SESSIOND)
		holds_doubt();
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

static const int	 syscalls[] = { -1 };
static const struct jail jail = { "providerd", syscalls, 64 };
static const struct worker providerd = {
	.title = "providerd",
	.jail = &jail,
	.secret = keys_secret,
	.configured = keys_configured,
	.peer_up = peer_up,
	.peer_down = peer_down,
	.janitor = janitor,
	.metrics = keys_metrics,
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
