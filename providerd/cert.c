/*
 * cert.c - makes X.509 certificates (RFC 5280): the CA itself, runners' client
 * certificates, the runner listener's server certificate.  Ed25519 and P-256
 * only.  Fails with NULL on what libcrypto refuses; its error queue is emptied.
 */
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "providerd.h"

#define CLOCK_SKEW	300	/* a runner's clock may be a little behind */
#define DAY		86400L

int
cert_key_is_fit(EVP_PKEY *pkey)
{
	char	 group[32];
	size_t	 len;

	if (pkey == NULL)
		return (0);
	if (EVP_PKEY_get_base_id(pkey) == EVP_PKEY_ED25519)
		return (1);
	return (EVP_PKEY_get_base_id(pkey) == EVP_PKEY_EC &&
	    EVP_PKEY_get_group_name(pkey, group, sizeof(group), &len) == 1 &&
	    strcmp(group, "prime256v1") == 0);
}

const EVP_MD *
cert_digest(const EVP_PKEY *pkey)
{
	return (EVP_PKEY_get_base_id(pkey) == EVP_PKEY_ED25519 ? NULL :
	    EVP_sha256());
}

static int
add_extension(X509 *x, X509 *issuer, int nid, const char *value)
{
	X509_EXTENSION	*ext;
	X509V3_CTX	 ctx;
	int		 ok;

	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
	if ((ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value)) == NULL)
		return (0);
	ok = X509_add_ext(x, ext, -1);
	X509_EXTENSION_free(ext);
	return (ok);
}

static int
add_extensions(X509 *x, X509 *issuer, const struct cert_want *w)
{
	if (w->usage == NULL)
		return (add_extension(x, issuer, NID_basic_constraints,
		    "critical,CA:TRUE,pathlen:0") &&
		    add_extension(x, issuer, NID_key_usage,
		    "critical,keyCertSign,cRLSign") &&
		    add_extension(x, issuer, NID_subject_key_identifier,
		    "hash"));
	return (add_extension(x, issuer, NID_basic_constraints,
	    "critical,CA:FALSE") &&
	    add_extension(x, issuer, NID_key_usage,
	    "critical,digitalSignature") &&
	    add_extension(x, issuer, NID_ext_key_usage, w->usage) &&
	    add_extension(x, issuer, NID_subject_key_identifier, "hash") &&
	    add_extension(x, issuer, NID_authority_key_identifier, "keyid") &&
	    (w->names == NULL ||
	    add_extension(x, issuer, NID_subject_alt_name, w->names)));
}

/* 127 random bits: positive and never zero in practice (RFC 5280 4.1.2.2). */
static int
set_serial(X509 *x)
{
	uint8_t	 b[16];
	BIGNUM	*bn;
	int	 ok;

	if (RAND_bytes(b, sizeof(b)) != 1)
		return (0);
	b[0] = (uint8_t)((b[0] & 0x7f) | 0x40);
	if ((bn = BN_bin2bn(b, sizeof(b), NULL)) == NULL)
		return (0);
	ok = BN_to_ASN1_INTEGER(bn, X509_get_serialNumber(x)) != NULL;
	BN_free(bn);
	return (ok);
}

X509 *
cert_make(const struct cert_want *w)
{
	X509_NAME	*name;
	X509		*x, *issuer;
	EVP_PKEY	*key = w->issuer != NULL ? w->issuer_key : w->pkey;

	if ((x = X509_new()) == NULL)
		goto fail;
	issuer = w->issuer != NULL ? w->issuer : x;
	name = X509_get_subject_name(x);
	if (!X509_set_version(x, X509_VERSION_3) || !set_serial(x) ||
	    !X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
	    (const unsigned char *)w->cn, -1, -1, 0) ||
	    !X509_set_issuer_name(x, X509_get_subject_name(issuer)) ||
	    X509_gmtime_adj(X509_getm_notBefore(x), -CLOCK_SKEW) == NULL ||
	    X509_gmtime_adj(X509_getm_notAfter(x), w->days * DAY) == NULL ||
	    !X509_set_pubkey(x, w->pkey) || !add_extensions(x, issuer, w) ||
	    X509_sign(x, key, cert_digest(key)) == 0)
		goto fail;
	return (x);
fail:
	ERR_clear_error();
	X509_free(x);
	return (NULL);
}
