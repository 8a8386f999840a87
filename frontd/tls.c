/*
 * tls.c - the TLS server context of this process, made from bytes that the
 * parent handed over, and made anew on reload; connections keep the one they
 * began with.  On the runner listener a client certificate is asked for but not
 * demanded, because enrolment comes before it.  Fails with a message in the
 * log, and what served before goes on serving.
 */
#include <string.h>

#include "engine.h"
#include "log.h"

#define CIPHERS	"secure"

static struct tls	*server;

struct tls *
tls_server_get(void)
{
	return (server);
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
	tls_free(server);
	server = new;
	return (0);
 fail:
	tls_config_clear_keys(cfg);
	tls_config_free(cfg);
	tls_free(new);
	return (-1);
}
