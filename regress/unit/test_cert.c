/* links: providerd/ca.c providerd/cert.c providerd/hello.c -lcrypto */
/*
 * The runners' CA: which requests it signs, what it signs into them, and whose
 * Hello it recognises.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <openssl/ec.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "providerd.h"

#define RUNNER	"rnr_00000000000000000000000001"
#define OTHER	"rnr_00000000000000000000000002"

static EVP_PKEY	*ca_key, *other_key;
static X509	*ca, *other_ca;

void
refuse(struct peer *p, uint64_t ref, const char *code, const char *text)
{
	(void)p;
	(void)ref;
	(void)code;
	(void)text;
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

int
peer_is_up(const struct peer *p)
{
	(void)p;
	return (0);
}

static X509 *
make_ca(EVP_PKEY **key)
{
	struct cert_want	 w = { 0 };

	*key = EVP_EC_gen("P-256");
	w.cn = "CA";
	w.pkey = *key;
	w.days = 10;
	return (cert_make(&w));
}

static int
setup(void **state)
{
	(void)state;
	ca = make_ca(&ca_key);
	other_ca = make_ca(&other_key);
	return (ca == NULL || other_ca == NULL ? -1 : 0);
}

static int
teardown(void **state)
{
	(void)state;
	X509_free(ca);
	X509_free(other_ca);
	EVP_PKEY_free(ca_key);
	EVP_PKEY_free(other_key);
	return (0);
}

/* A request for key, signed by signer; DER into out. */
static size_t
make_csr(uint8_t *out, EVP_PKEY *key, EVP_PKEY *signer)
{
	X509_REQ	*req = X509_REQ_new();
	int		 n;

	X509_REQ_set_version(req, X509_REQ_VERSION_1);
	X509_NAME_add_entry_by_txt(X509_REQ_get_subject_name(req), "CN",
	    MBSTRING_UTF8, (const unsigned char *)"root", -1, -1, 0);
	X509_REQ_set_pubkey(req, key);
	X509_REQ_sign(req, signer, EVP_PKEY_get_base_id(signer) ==
	    EVP_PKEY_ED25519 ? NULL : EVP_sha256());
	n = i2d_X509_REQ(req, &out);
	X509_REQ_free(req);
	return ((size_t)n);
}

static void
issues(void **state)
{
	const char	*why = NULL;
	EVP_PKEY	*keys[2];
	uint8_t		 csr[4096];
	char		 cn[64];
	X509		*x;
	size_t		 i, n;

	(void)state;
	keys[0] = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	keys[1] = EVP_EC_gen("P-256");
	for (i = 0; i < 2; i++) {
		n = make_csr(csr, keys[i], keys[i]);
		x = ca_issue(ca, ca_key, RUNNER, csr, n, &why);
		assert_non_null(x);
		X509_NAME_get_text_by_NID(X509_get_subject_name(x),
		    NID_commonName, cn, sizeof(cn));
		/* Ours, whatever the request said. */
		assert_string_equal(cn, RUNNER);
		assert_int_equal(X509_verify(x, ca_key), 1);
		assert_int_equal(X509_get_extended_key_usage(x),
		    XKU_SSL_CLIENT);
		assert_int_equal(X509_check_ca(x), 0);
		assert_int_equal(X509_cmp_current_time(
		    X509_get0_notBefore(x)), -1);
		X509_free(x);
		/* Trailing and missing bytes. */
		csr[n] = 0;
		assert_null(ca_issue(ca, ca_key, RUNNER, csr, n + 1, &why));
		assert_null(ca_issue(ca, ca_key, RUNNER, csr, n - 1, &why));
		EVP_PKEY_free(keys[i]);
	}
}

static void
refuses(void **state)
{
	const char	*why = NULL;
	EVP_PKEY	*key = EVP_EC_gen("P-256"), *bad;
	uint8_t		 csr[4096];
	size_t		 n;

	(void)state;
	n = make_csr(csr, key, ca_key);		/* signed by another key */
	assert_null(ca_issue(ca, ca_key, RUNNER, csr, n, &why));
	assert_non_null(strstr(why, "not signed"));
	bad = EVP_EC_gen("P-384");
	n = make_csr(csr, bad, bad);
	assert_null(ca_issue(ca, ca_key, RUNNER, csr, n, &why));
	assert_non_null(strstr(why, "Ed25519 or P-256"));
	EVP_PKEY_free(bad);
	bad = EVP_RSA_gen(2048);
	n = make_csr(csr, bad, bad);
	assert_null(ca_issue(ca, ca_key, RUNNER, csr, n, &why));
	EVP_PKEY_free(bad);
	EVP_PKEY_free(key);
}

/* Signs what a Hello signs. */
static size_t
sign(uint8_t out[256], EVP_PKEY *key, const char *runner,
    const uint8_t *sealing_key, const uint8_t *nonce)
{
	EVP_MD_CTX	*ctx = EVP_MD_CTX_new();
	uint8_t		 text[256];
	size_t		 n, len = 256;

	n = strlcpy((char *)text, "marionette-hello-v1", sizeof(text));
	memcpy(text + n, runner, strlen(runner) + 1);
	n += strlen(runner) + 1;
	memcpy(text + n, sealing_key, 32);
	memcpy(text + n + 32, nonce, 32);
	EVP_DigestSignInit(ctx, NULL, cert_digest(key), NULL, key);
	EVP_DigestSign(ctx, out, &len, text, n + 64);
	EVP_MD_CTX_free(ctx);
	return (len);
}

static void
hello_with(EVP_PKEY *key)
{
	struct msg_hello_verify	 m = { 0 };
	const char		*why = NULL;
	uint8_t			 csr[4096], der[4096], *p = der, sig[256],
				 seal[32] = { 1 }, nonce[32] = { 2 },
				 other[32] = { 3 };
	X509			*x;

	x = ca_issue(ca, ca_key, RUNNER, csr, make_csr(csr, key, key), &why);
	m.certificate_len = (size_t)i2d_X509(x, &p);
	m.certificate = der;
	m.runner = RUNNER;
	m.nonce = nonce;
	m.sealing_key = seal;
	m.nonce_len = m.sealing_key_len = 32;
	m.signature = sig;
	m.signature_len = sign(sig, key, RUNNER, seal, nonce);
	assert_int_equal(hello_check(ca, &m), 1);
	assert_int_equal(hello_check(other_ca, &m), 0);
	m.nonce = other;			/* replayed */
	assert_int_equal(hello_check(ca, &m), 0);
	m.nonce = nonce;
	m.sealing_key = other;			/* a key put in its place */
	assert_int_equal(hello_check(ca, &m), 0);
	m.sealing_key = seal;
	m.runner = OTHER;			/* another's name */
	m.signature_len = sign(sig, key, OTHER, seal, nonce);
	assert_int_equal(hello_check(ca, &m), 0);
	m.runner = RUNNER;
	m.signature_len = sign(sig, ca_key, RUNNER, seal, nonce);
	assert_int_equal(hello_check(ca, &m), 0);
	m.signature_len = 0;
	assert_int_equal(hello_check(ca, &m), 0);
	X509_free(x);
}

static void
hello(void **state)
{
	EVP_PKEY	*key;

	(void)state;
	key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	hello_with(key);
	EVP_PKEY_free(key);
	key = EVP_EC_gen("P-256");
	hello_with(key);
	EVP_PKEY_free(key);
}

/* A server's certificate of the same CA is no runner's. */
static void
wrong_use(void **state)
{
	struct msg_hello_verify	 m = { 0 };
	struct cert_want	 w = { 0 };
	EVP_PKEY		*key = EVP_EC_gen("P-256");
	uint8_t			 der[4096], *p = der, sig[256],
				 seal[32] = { 1 }, nonce[32] = { 2 };
	X509			*x;

	(void)state;
	w.cn = RUNNER;
	w.pkey = key;
	w.issuer = ca;
	w.issuer_key = ca_key;
	w.usage = "serverAuth";
	w.names = "DNS:localhost";
	w.days = 1;
	x = cert_make(&w);
	m.certificate_len = (size_t)i2d_X509(x, &p);
	m.certificate = der;
	m.runner = RUNNER;
	m.nonce = nonce;
	m.sealing_key = seal;
	m.nonce_len = m.sealing_key_len = 32;
	m.signature = sig;
	m.signature_len = sign(sig, key, RUNNER, seal, nonce);
	assert_int_equal(hello_check(ca, &m), 0);
	X509_free(x);
	EVP_PKEY_free(key);
}

int
main(void)
{
	const struct CMUnitTest	 tests[] = {
		cmocka_unit_test(issues),
		cmocka_unit_test(refuses),
		cmocka_unit_test(hello),
		cmocka_unit_test(wrong_use),
	};

	return (cmocka_run_group_tests(tests, setup, teardown));
}
