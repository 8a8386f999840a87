/*
 * identity.c - who this runner is: an Ed25519 key, the certificate request for
 * it, and signatures; and who the server is: a chain that ends at the CA whose
 * hash came with the runner token.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include "agent.h"
#include "log.h"
#include "text.h"
#include "util.h"

#define CHAIN_MAX	8

static EVP_PKEY *
identity_key(const char *pem)
{
	EVP_PKEY	*key;
	BIO		*bio;

	if ((bio = BIO_new_mem_buf(pem, -1)) == NULL)
		return (NULL);
	key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
	BIO_free(bio);
	return (key);
}

char *
identity_new(void)
{
	EVP_PKEY	*key;
	BIO		*bio;
	char		*pem = NULL, *p;
	long		 n;

	key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	bio = BIO_new(BIO_s_secmem());
	if (key == NULL || bio == NULL || PEM_write_bio_PrivateKey(bio, key,
	    NULL, NULL, 0, NULL, NULL) != 1)
		fatalx("cannot make a key");
	n = BIO_get_mem_data(bio, &p);
	pem = xstrndup(p, (size_t)n);
	BIO_free(bio);
	EVP_PKEY_free(key);
	return (pem);
}

uint8_t *
identity_csr(const char *pem, const char *name, size_t *len)
{
	const unsigned char	*cn;
	X509_REQ		*req;
	X509_NAME		*subject;
	EVP_PKEY		*key;
	uint8_t			*der = NULL;
	int			 n;

	key = identity_key(pem);
	req = X509_REQ_new();
	if (key == NULL || req == NULL)
		fatalx("cannot make a certificate request");
	subject = X509_REQ_get_subject_name(req);
	cn = (const unsigned char *)name;
	if (X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, cn, -1, -1,
	    0) != 1 || X509_REQ_set_pubkey(req, key) != 1 ||
	    X509_REQ_sign(req, key, NULL) == 0 ||
	    (n = i2d_X509_REQ(req, &der)) <= 0)
		fatalx("cannot make a certificate request");
	*len = (size_t)n;
	X509_REQ_free(req);
	EVP_PKEY_free(key);
	return (der);
}

char *
identity_pem(const uint8_t *der, size_t len, char *why, size_t size)
{
	const unsigned char	*p = der;
	X509			*x;
	BIO			*bio;
	char			*pem, *data;
	long			 n;

	if ((x = d2i_X509(NULL, &p, (long)len)) == NULL || p != der + len) {
		X509_free(x);
		snprintf(why, size, "the server sent a broken certificate");
		return (NULL);
	}
	bio = BIO_new(BIO_s_mem());
	if (bio == NULL || PEM_write_bio_X509(bio, x) != 1)
		fatalx("memory: certificate");
	n = BIO_get_mem_data(bio, &data);
	pem = xstrndup(data, (size_t)n);
	BIO_free(bio);
	X509_free(x);
	return (pem);
}

int
identity_matches(const char *keypem, const uint8_t *der, size_t len)
{
	const unsigned char	*p = der;
	EVP_PKEY		*key;
	X509			*x;
	int			 same;

	x = d2i_X509(NULL, &p, (long)len);
	key = identity_key(keypem);
	same = x != NULL && key != NULL && X509_check_private_key(x, key) == 1;
	X509_free(x);
	EVP_PKEY_free(key);
	return (same);
}

int
identity_is_ca(const uint8_t *der, size_t len, const char *pin)
{
	uint8_t	 md[SHA256_DIGEST_LENGTH], want[SHA256_DIGEST_LENGTH];

	SHA256(der, len, md);
	return (text_unhex(want, sizeof(want), pin) == 0 &&
	    memcmp(md, want, sizeof(md)) == 0);
}

static int
identity_verify(X509 *leaf, X509 *ca, STACK_OF(X509) *chain, const char *host,
    char *why, size_t size)
{
	X509_VERIFY_PARAM	*param;
	X509_STORE_CTX		*ctx;
	X509_STORE		*store;
	struct in6_addr		 addr;
	int			 ok;

	store = X509_STORE_new();
	ctx = X509_STORE_CTX_new();
	if (store == NULL || ctx == NULL || X509_STORE_add_cert(store, ca) != 1 ||
	    X509_STORE_CTX_init(ctx, store, leaf, chain) != 1)
		fatalx("memory: certificates");
	param = X509_STORE_CTX_get0_param(ctx);
	X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SSL_SERVER);
	/* An address need not be in the certificate; the CA is ours alone. */
	if (inet_pton(AF_INET, host, &addr) != 1 &&
	    inet_pton(AF_INET6, host, &addr) != 1)
		X509_VERIFY_PARAM_set1_host(param, host, 0);
	ok = X509_verify_cert(ctx) == 1;
	if (!ok)
		snprintf(why, size, "the server's certificate is not good for "
		    "%s: %s", host, X509_verify_cert_error_string(
		    X509_STORE_CTX_get_error(ctx)));
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
	return (ok ? 0 : -1);
}

int
identity_pinned(const char *pem, size_t len, const char *pin, const char *host,
    char *why, size_t size)
{
	STACK_OF(X509)	*chain;
	X509		*x, *leaf, *ca = NULL;
	BIO		*bio;
	uint8_t		*der;
	int		 i, n, rv = -1;

	chain = sk_X509_new_null();
	bio = BIO_new_mem_buf(pem, (int)len);
	if (chain == NULL || bio == NULL)
		fatalx("memory: certificates");
	while (sk_X509_num(chain) < CHAIN_MAX &&
	    (x = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL)
		sk_X509_push(chain, x);
	for (i = 0; i < sk_X509_num(chain) && ca == NULL; i++) {
		der = NULL;
		x = sk_X509_value(chain, i);
		n = i2d_X509(x, &der);
		if (n > 0 && identity_is_ca(der, (size_t)n, pin))
			ca = x;
		OPENSSL_free(der);
	}
	leaf = sk_X509_value(chain, 0);
	if (ca == NULL)
		snprintf(why, size, "the server's CA is not the one that the "
		    "token names (SHA-256 %s): wrong server, or a token of "
		    "another", pin);
	else
		rv = identity_verify(leaf, ca, chain, host, why, size);
	BIO_free(bio);
	sk_X509_pop_free(chain, X509_free);
	return (rv);
}

uint8_t *
identity_sign(const char *keyfile, const uint8_t *msg, size_t len,
    size_t *siglen)
{
	const EVP_MD	*md = NULL;
	EVP_PKEY	*key = NULL;
	EVP_MD_CTX	*ctx = NULL;
	uint8_t		*sig = NULL;
	char		*pem;

	if ((pem = file_read(keyfile, 65536, NULL)) == NULL)
		return (NULL);
	if ((key = identity_key(pem)) == NULL ||
	    (ctx = EVP_MD_CTX_new()) == NULL)
		goto done;
	if (EVP_PKEY_get_base_id(key) != EVP_PKEY_ED25519)
		md = EVP_sha256();
	*siglen = 512;
	sig = xmalloc(*siglen);
	if (EVP_DigestSignInit(ctx, NULL, md, NULL, key) != 1 ||
	    EVP_DigestSign(ctx, sig, siglen, msg, len) != 1) {
		free(sig);
		sig = NULL;
	}
done:
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(key);
	freezero(pem, strlen(pem));
	return (sig);
}
