/*
 * tls_for.h - what libtls gives the agent's client code, with one context of the
 * TLS library for all connections of a kind.
 */
#ifndef TLS_FOR_H
#define TLS_FOR_H

#include <openssl/ssl.h>

struct tls_config;

/* Of the API listener: its CA is in a file. */
struct tls_config *tls_for_api(const char *cafile, const char *alpn);
/* Of the runner listener, before anything is known of it. */
struct tls_config *tls_for_enrolment(void);
/* A runner's own; all of them trust the CA that the first one came with. */
struct tls_config *tls_for_runner(EVP_PKEY *, const char *certificate,
		    const char *ca);

#endif
