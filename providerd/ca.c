/*
 * ca.c - the small CA that signs runners' client certificates at enrolment.
 * runnerd asks (RUNNER_CERTIFY) after it has found the runner token good, and
 * is told the CA's certificate, whose hash goes into each token.
 *
 * A client certificate is good for a year.  It is not renewed: an agent whose
 * certificate is over is refused at Hello and enrols again, as a new runner.
 */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>

#include "log.h"
#include "providerd.h"

#define RUNNER_DAYS	365

static char	 no_passphrase[] = "";	/* so that none is asked for */
static EVP_PKEY	*ca_key;
static X509	*ca_cert;

void
ca_set_key(const uint8_t *pem, size_t len)
{
	EVP_PKEY	*key;
	BIO		*bio;

	if ((bio = BIO_new_mem_buf(pem, (int)len)) == NULL)
		fatalx("ca-key");
	key = PEM_read_bio_PrivateKey(bio, NULL, NULL, no_passphrase);
	BIO_free(bio);
	if (!cert_key_is_fit(key))
		fatalx("ca-key: expected an Ed25519 or P-256 key in PEM");
	EVP_PKEY_free(ca_key);
	ca_key = key;
}

void
ca_set_certificate(const uint8_t *pem, size_t len)
{
	X509	*x;
	BIO	*bio;

	if ((bio = BIO_new_mem_buf(pem, (int)len)) == NULL)
		fatalx("ca-cert");
	x = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	BIO_free(bio);
	if (x == NULL)
		fatalx("ca-cert: expected a certificate in PEM");
	X509_free(ca_cert);
	ca_cert = x;
}

int
ca_is_complete(void)
{
	return (ca_key != NULL && ca_cert != NULL &&
	    X509_check_private_key(ca_cert, ca_key) == 1);
}

X509 *
ca_certificate(void)
{
	return (ca_cert);
}

/* DER into out (CERT_DER_MAX): its length, or 0. */
static size_t
to_der(X509 *x, uint8_t *out)
{
	int	 n = i2d_X509(x, NULL);

	if (n <= 0 || n > CERT_DER_MAX)
		return (0);
	return ((size_t)i2d_X509(x, &out));
}

void
ca_tell(struct peer *p)
{
	struct msg_ca_certificate	 m;
	uint8_t				 der[CERT_DER_MAX];

	if (!peer_is_up(p))
		return;
	if ((m.certificate_len = to_der(ca_cert, der)) == 0)
		fatalx("ca-cert: longer than %d bytes", CERT_DER_MAX);
	m.certificate = der;
	send_ca_certificate(p, 0, &m);
}

X509 *
ca_issue(X509 *ca, EVP_PKEY *key, const char *runner, const uint8_t *csr,
    size_t csr_len, const char **why)
{
	struct cert_want	 w = { 0 };
	const unsigned char	*p = csr;
	X509_REQ		*req;
	X509			*x = NULL;

	if ((req = d2i_X509_REQ(NULL, &p, (long)csr_len)) == NULL ||
	    p != csr + csr_len) {
		*why = "csr_der: expected one PKCS#10 request in DER";
		goto done;
	}
	w.pkey = X509_REQ_get0_pubkey(req);
	if (!cert_key_is_fit(w.pkey)) {
		*why = "csr_der: expected an Ed25519 or P-256 key";
		goto done;
	}
	if (X509_REQ_verify(req, w.pkey) != 1) {
		*why = "csr_der: the request is not signed by its own key";
		goto done;
	}
	/* Nothing else of the request counts: we say who it is. */
	w.cn = runner;
	w.issuer = ca;
	w.issuer_key = key;
	w.usage = "clientAuth";
	w.days = RUNNER_DAYS;
	if ((x = cert_make(&w)) == NULL)
		*why = "the certificate could not be made";
done:
	X509_REQ_free(req);
	ERR_clear_error();
	return (x);
}

void
on_runner_certify(struct peer *p, uint64_t ref,
    const struct msg_runner_certify *m)
{
	struct msg_runner_certified	 done;
	uint8_t				 der[CERT_DER_MAX];
	const char			*why = "internal";
	X509				*x;

	if (!id_is(m->runner, "rnr")) {
		refuse(p, ref, "validation_error",
		    "runner: expected a runner id");
		return;
	}
	if ((x = ca_issue(ca_cert, ca_key, m->runner, m->csr, m->csr_len,
	    &why)) == NULL) {
		refuse(p, ref, "validation_error", why);
		return;
	}
	done.runner = m->runner;
	done.certificate = der;
	done.certificate_len = to_der(x, der);
	X509_free(x);
	send_runner_certified(p, ref, &done);
}
