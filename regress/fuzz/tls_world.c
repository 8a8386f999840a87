/*
 * tls_world.c - a key and a certificate that live as long as the harness, and
 * the client that talks to whoever shows them.
 */
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <err.h>

#include "engine.h"
#include "fuzz.h"
#include "tls_world.h"

#define DAY	86400L

static size_t
pem_of(BIO *b, const uint8_t **p)
{
	char	*data;
	long	 n = BIO_get_mem_data(b, &data);

	*p = (const uint8_t *)data;
	return ((size_t)n);
}

static void
make(void)
{
	static const unsigned char	 name[] = "localhost";
	struct tls_material		 m = { 0 };
	EVP_PKEY			*key = EVP_EC_gen("P-256");
	X509				*x = X509_new();
	BIO				*k = BIO_new(BIO_s_mem());
	BIO				*c = BIO_new(BIO_s_mem());

	CLAIM(key != NULL && x != NULL && k != NULL && c != NULL);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), -DAY);
	X509_gmtime_adj(X509_getm_notAfter(x), DAY);
	X509_set_pubkey(x, key);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN",
	    MBSTRING_ASC, name, -1, -1, 0);
	X509_set_issuer_name(x, X509_get_subject_name(x));
	CLAIM(X509_sign(x, key, EVP_sha256()) > 0);
	CLAIM(PEM_write_bio_X509(c, x) == 1);
	CLAIM(PEM_write_bio_PrivateKey(k, key, NULL, NULL, 0, NULL,
	    NULL) == 1);
	m.cert_len = pem_of(c, &m.cert);
	m.key_len = pem_of(k, &m.key);
	CLAIM(tls_setup(&m) == 0);
	BIO_free(k);
	BIO_free(c);
	X509_free(x);
	EVP_PKEY_free(key);
}

struct tls *
tls_world_server(void)
{
	if (tls_server_get() == NULL)
		make();
	return (tls_server_get());
}

struct tls *
tls_world_client(int fd, int h2)
{
	struct tls_config	*cfg = tls_config_new();
	struct tls		*t = tls_client();

	CLAIM(cfg != NULL && t != NULL);
	tls_config_insecure_noverifycert(cfg);
	tls_config_insecure_noverifyname(cfg);
	CLAIM(tls_config_set_alpn(cfg, h2 ? "h2" : "http/1.1") == 0);
	CLAIM(tls_configure(t, cfg) == 0);
	tls_config_free(cfg);
	CLAIM(tls_connect_socket(t, fd, "localhost") == 0);
	return (t);
}
