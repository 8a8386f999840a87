/*
 * tls.c - in place of libtls, for thousands of connections of one process.
 * libtls makes a context of the TLS library for each, which takes 1.5 ms and
 * 50 KB and would be the first thing that is measured; here a kind of
 * connections shares one.  Nothing is resumed: each hand-shake is a whole one.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <tls.h>

#include "log.h"
#include "tls_for.h"
#include "util.h"

/* Lives as long as the process. */
struct tls_config {
	SSL_CTX		*ctx;
	EVP_PKEY	*key;
	X509		*cert;
	const char	*alpn;
};

struct tls {
	const struct tls_config	*config;
	SSL			*ssl;
	char			 alpn[16];
	char			 error[200];
};

static SSL_CTX *
context_new(int verify)
{
	SSL_CTX	*ctx;

	if ((ctx = SSL_CTX_new(TLS_client_method())) == NULL)
		fatalx("TLS: no context");
	SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE |
	    SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_verify(ctx, verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE,
	    NULL);
	return (ctx);
}

static struct tls_config *
config_new(SSL_CTX *ctx, const char *alpn)
{
	struct tls_config	*c;

	c = xcalloc(1, sizeof(*c));
	c->ctx = ctx;
	c->alpn = alpn;
	return (c);
}

struct tls_config *
tls_for_api(const char *cafile, const char *alpn)
{
	SSL_CTX	*ctx = context_new(1);

	if (SSL_CTX_load_verify_file(ctx, cafile) != 1)
		fatalx("%s: cannot be used as CA", cafile);
	return (config_new(ctx, alpn));
}

struct tls_config *
tls_for_enrolment(void)
{
	return (config_new(context_new(0), "h2"));
}

static X509 *
certificate(const char *pem)
{
	X509	*x;
	BIO	*bio;

	bio = BIO_new_mem_buf(pem, -1);
	if (bio == NULL ||
	    (x = PEM_read_bio_X509(bio, NULL, NULL, NULL)) == NULL)
		fatalx("TLS: no certificate");
	BIO_free(bio);
	return (x);
}

struct tls_config *
tls_for_runner(EVP_PKEY *key, const char *cert, const char *ca)
{
	static SSL_CTX		*ctx;
	struct tls_config	*c;
	X509			*x;

	if (ctx == NULL) {
		ctx = context_new(1);
		x = certificate(ca);
		X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), x);
		X509_free(x);
	}
	c = config_new(ctx, "h2");
	c->key = key;
	c->cert = certificate(cert);
	return (c);
}

/* ---- libtls's calls ------------------------------------------------------------- */

struct tls *
tls_client(void)
{
	return (xcalloc(1, sizeof(struct tls)));
}

int
tls_configure(struct tls *t, struct tls_config *c)
{
	t->config = c;
	return (0);
}

static int
tls_failed(struct tls *t, const char *what)
{
	unsigned long	 e = ERR_get_error();
	const char	*why;

	why = e != 0 ? ERR_reason_error_string(e) : errno != 0 ?
	    strerror(errno) : "the connection was closed";
	snprintf(t->error, sizeof(t->error), "%s: %s", what, why);
	ERR_clear_error();
	return (-1);
}

int
tls_connect_socket(struct tls *t, int fd, const char *host)
{
	const struct tls_config	*c = t->config;
	union { const char *c; void *v; } u = { host };
	X509_VERIFY_PARAM	*param;
	unsigned char		 alpn[16];
	struct in6_addr		 addr;
	size_t			 n = strlen(c->alpn);

	alpn[0] = (unsigned char)n;
	memcpy(alpn + 1, c->alpn, n);
	if ((t->ssl = SSL_new(c->ctx)) == NULL ||
	    SSL_set_fd(t->ssl, fd) != 1 ||
	    SSL_set_alpn_protos(t->ssl, alpn, (unsigned int)n + 1) != 0)
		return (tls_failed(t, "TLS"));
	if (c->key != NULL && (SSL_use_certificate(t->ssl, c->cert) != 1 ||
	    SSL_use_PrivateKey(t->ssl, c->key) != 1))
		return (tls_failed(t, "certificate"));
	param = SSL_get0_param(t->ssl);
	if (inet_pton(AF_INET, host, &addr) == 1 ||
	    inet_pton(AF_INET6, host, &addr) == 1) {
		/* An address need not be in the certificate of our own CA. */
		if (c->key == NULL)
			X509_VERIFY_PARAM_set1_ip_asc(param, host);
	} else {
		X509_VERIFY_PARAM_set1_host(param, host, 0);
		SSL_ctrl(t->ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME,
		    TLSEXT_NAMETYPE_host_name, u.v);
	}
	SSL_set_connect_state(t->ssl);
	return (0);
}

/* What others left of errors would be taken for this call's. */
static void
tls_fresh(void)
{
	ERR_clear_error();
	errno = 0;
}

static ssize_t
tls_result(struct tls *t, int rc, const char *what)
{
	switch (SSL_get_error(t->ssl, rc)) {
	case SSL_ERROR_WANT_READ:
		return (TLS_WANT_POLLIN);
	case SSL_ERROR_WANT_WRITE:
		return (TLS_WANT_POLLOUT);
	case SSL_ERROR_ZERO_RETURN:
		return (0);
	default:
		return (tls_failed(t, what));
	}
}

int
tls_handshake(struct tls *t)
{
	int	 rc;

	tls_fresh();
	if ((rc = SSL_do_handshake(t->ssl)) != 1)
		return (rc == 0 ? tls_failed(t, "hand-shake") :
		    (int)tls_result(t, rc, "hand-shake"));
	return (0);
}

ssize_t
tls_read(struct tls *t, void *buf, size_t size)
{
	int	 rc;

	tls_fresh();
	rc = SSL_read(t->ssl, buf, size > INT32_MAX ? INT32_MAX : (int)size);
	return (rc > 0 ? rc : tls_result(t, rc, "read"));
}

ssize_t
tls_write(struct tls *t, const void *buf, size_t size)
{
	int	 rc;

	tls_fresh();
	rc = SSL_write(t->ssl, buf, size > INT32_MAX ? INT32_MAX : (int)size);
	return (rc > 0 ? rc : tls_result(t, rc, "write"));
}

const char *
tls_error(struct tls *t)
{
	return (t->error);
}

const char *
tls_conn_alpn_selected(struct tls *t)
{
	const unsigned char	*p;
	unsigned int		 n;

	SSL_get0_alpn_selected(t->ssl, &p, &n);
	if (n == 0 || n >= sizeof(t->alpn))
		return (NULL);
	memcpy(t->alpn, p, n);
	t->alpn[n] = '\0';
	return (t->alpn);
}

/* The chain that the server showed, in the memory of the caller's turn. */
const uint8_t *
tls_peer_cert_chain_pem(struct tls *t, size_t *len)
{
	static BIO	*bio;
	STACK_OF(X509)	*chain = SSL_get_peer_cert_chain(t->ssl);
	char		*p;
	int		 i;

	BIO_free(bio);
	bio = NULL;
	if (chain == NULL || (bio = BIO_new(BIO_s_mem())) == NULL)
		return (NULL);
	for (i = 0; i < sk_X509_num(chain); i++)
		if (PEM_write_bio_X509(bio, sk_X509_value(chain, i)) != 1)
			return (NULL);
	*len = (size_t)BIO_get_mem_data(bio, &p);
	return ((uint8_t *)p);
}

void
tls_free(struct tls *t)
{
	if (t == NULL)
		return;
	SSL_free(t->ssl);
	free(t);
}
