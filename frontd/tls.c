/*
 * tls.c - the TLS server context of this process, made from bytes that the
 * parent handed over, and made anew on reload; connections keep the one they
 * began with: libtls looks at it until a handshake is over (its names, its
 * protocols), so it is freed when the last of them is gone.  On the runner
 * listener a client certificate is asked for but not demanded, because enrolment
 * comes before it.  Fails with a message in the log, and what served before goes
 * on serving.
 */
#include <sys/queue.h>

#include <stdlib.h>
#include <string.h>

#include "engine.h"
#include "log.h"

#define CIPHERS	"secure"

struct context {
	TAILQ_ENTRY(context)	 entry;
	struct tls		*tls;
	unsigned int		 users;		/* connections */
};

/* The first is what new connections get; others are used still. */
static TAILQ_HEAD(, context)	contexts = TAILQ_HEAD_INITIALIZER(contexts);

struct tls *
tls_server_get(void)
{
	struct context	*x = TAILQ_FIRST(&contexts);

	return (x == NULL ? NULL : x->tls);
}

static struct context *
context_find(const struct tls *server)
{
	struct context	*x;

	TAILQ_FOREACH(x, &contexts, entry)
		if (x->tls == server)
			return (x);
	fatalx("tls: a context that is gone");
}

static void
context_free_unused(struct context *x)
{
	if (x->users > 0 || x == TAILQ_FIRST(&contexts))
		return;
	TAILQ_REMOVE(&contexts, x, entry);
	tls_free(x->tls);
	free(x);
}

void
tls_server_use(struct tls *server)
{
	context_find(server)->users++;
}

void
tls_server_done(struct tls *server)
{
	struct context	*x = context_find(server);

	x->users--;
	context_free_unused(x);
}

static void
context_new(struct tls *server)
{
	struct context	*x, *old = TAILQ_FIRST(&contexts);

	if ((x = calloc(1, sizeof(*x))) == NULL)
		fatal("tls");
	x->tls = server;
	TAILQ_INSERT_HEAD(&contexts, x, entry);
	if (old != NULL)
		context_free_unused(old);
}

static int
config_fill(struct tls_config *cfg, const struct tls_material *m)
{
	if (tls_config_set_keypair_mem(cfg, m->cert, m->cert_len, m->key,
	    m->key_len) == -1 ||
	    tls_config_set_protocols(cfg, TLS_PROTOCOLS_DEFAULT) == -1 ||
	    tls_config_set_ciphers(cfg, CIPHERS) == -1 ||
	    tls_config_set_alpn(cfg, m->ca_len > 0 ? "h2" : "h2,http/1.1") ==
	    -1)
		return (-1);
	if (m->ca_len == 0)
		return (0);
	tls_config_verify_client_optional(cfg);
	return (tls_config_set_ca_mem(cfg, m->ca, m->ca_len));
}

/* With a ca: the runner listener, whose clients are verified by it. */
int
tls_setup(const struct tls_material *m)
{
	struct tls_config	*cfg = NULL;
	struct tls		*new = NULL;

	if ((cfg = tls_config_new()) == NULL || (new = tls_server()) == NULL)
		fatalx("tls: no memory");
	if (config_fill(cfg, m) == -1) {
		log_warnx("tls: %s", tls_config_error(cfg));
		goto fail;
	}
	if (tls_configure(new, cfg) == -1) {
		log_warnx("tls: %s", tls_error(new));
		goto fail;
	}
	tls_config_clear_keys(cfg);
	tls_config_free(cfg);
	context_new(new);
	return (0);
 fail:
	tls_config_clear_keys(cfg);
	tls_config_free(cfg);
	tls_free(new);
	return (-1);
}
