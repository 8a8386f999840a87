/*
 * hello.c - is this Hello signed by the certificate that we issued to this
 * runner (promise 17)?  The sealing keys of those that are, by runner, are all
 * that KEY_SEAL seals to.  runnerd names its connected runners again after
 * each peer_up; a runner that comes back replaces its key.
 */
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/tree.h>

#include "log.h"
#include "providerd.h"

#define HELLO_TAG	"marionette-hello-v1"

struct known {				/* while runnerd is up */
	RB_ENTRY(known)	 entry;
	char		 runner[ID_SIZE];
	uint8_t		 sealing_key[32];
};
RB_HEAD(knowns, known);

static struct knowns	 knowns = RB_INITIALIZER(&knowns);

static int
known_cmp(struct known *a, struct known *b)
{
	return (strcmp(a->runner, b->runner));
}

RB_PROTOTYPE(knowns, known, entry, known_cmp);
RB_GENERATE(knowns, known, entry, known_cmp)

static struct known *
known_get(const char *runner)
{
	struct known	 key;

	if (strlcpy(key.runner, runner, sizeof(key.runner)) >=
	    sizeof(key.runner))
		return (NULL);
	return (RB_FIND(knowns, &knowns, &key));
}

const uint8_t *
hello_sealing_key(const char *runner)
{
	struct known	*k = known_get(runner);

	return (k != NULL ? k->sealing_key : NULL);
}

void
hello_forget_all(void)
{
	struct known	*k, *next;

	RB_FOREACH_SAFE(k, knowns, &knowns, next) {
		RB_REMOVE(knowns, &knowns, k);
		free(k);
	}
}

static int
is_issued(X509 *ca, X509 *x)
{
	X509_STORE_CTX	*ctx = NULL;
	X509_STORE	*store;
	int		 ok = 0;

	if ((store = X509_STORE_new()) != NULL &&
	    X509_STORE_add_cert(store, ca) == 1 &&
	    (ctx = X509_STORE_CTX_new()) != NULL &&
	    X509_STORE_CTX_init(ctx, store, x, NULL) == 1 &&
	    X509_STORE_CTX_set_purpose(ctx, X509_PURPOSE_SSL_CLIENT) == 1)
		ok = X509_verify_cert(ctx) == 1;
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
	return (ok);
}

/* Exactly one CN, and it is the runner's id. */
static int
is_named(X509 *x, const char *runner)
{
	const ASN1_STRING	*s;
	X509_NAME		*name = X509_get_subject_name(x);
	int			 i;

	if ((i = X509_NAME_get_index_by_NID(name, NID_commonName, -1)) < 0 ||
	    X509_NAME_get_index_by_NID(name, NID_commonName, i) >= 0)
		return (0);
	s = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, i));
	return ((size_t)ASN1_STRING_length(s) == strlen(runner) &&
	    memcmp(ASN1_STRING_get0_data(s), runner, strlen(runner)) == 0);
}

static int
is_signed(X509 *x, const struct msg_hello_verify *m)
{
	uint8_t		 text[sizeof(HELLO_TAG) + ID_SIZE + 64], *p = text;
	EVP_MD_CTX	*ctx;
	EVP_PKEY	*pkey = X509_get0_pubkey(x);
	size_t		 n = strlen(m->runner);
	int		 ok;

	if (!cert_key_is_fit(pkey) || (ctx = EVP_MD_CTX_new()) == NULL)
		return (0);
	memcpy(p, HELLO_TAG, sizeof(HELLO_TAG) - 1);
	p += sizeof(HELLO_TAG) - 1;
	memcpy(p, m->runner, n + 1);
	p += n + 1;
	memcpy(p, m->sealing_key, 32);
	memcpy(p + 32, m->nonce, 32);
	p += 64;
	ok = EVP_DigestVerifyInit(ctx, NULL, cert_digest(pkey), NULL,
	    pkey) == 1 && EVP_DigestVerify(ctx, m->signature,
	    m->signature_len, text, (size_t)(p - text)) == 1;
	EVP_MD_CTX_free(ctx);
	return (ok);
}

int
hello_check(X509 *ca, const struct msg_hello_verify *m)
{
	const unsigned char	*p = m->certificate;
	X509			*x;
	int			 ok;

	if (m->nonce_len != 32 || m->sealing_key_len != 32 ||
	    !id_is(m->runner, "rnr"))
		return (0);
	x = d2i_X509(NULL, &p, (long)m->certificate_len);
	ok = x != NULL && p == m->certificate + m->certificate_len &&
	    is_issued(ca, x) && is_named(x, m->runner) && is_signed(x, m);
	X509_free(x);
	ERR_clear_error();
	return (ok);
}

static void
remember(const struct msg_hello_verify *m)
{
	struct known	*k;

	if ((k = known_get(m->runner)) == NULL) {
		if ((k = calloc(1, sizeof(*k))) == NULL)
			fatal("hello");
		strlcpy(k->runner, m->runner, sizeof(k->runner));
		RB_INSERT(knowns, &knowns, k);
	}
	memcpy(k->sealing_key, m->sealing_key, sizeof(k->sealing_key));
}

void
on_hello_verify(struct peer *p, uint64_t ref, const struct msg_hello_verify *m)
{
	struct msg_hello_verified	 v;

	v.runner = m->runner;
	v.valid = (uint8_t)hello_check(ca_certificate(), m);
	if (v.valid)
		remember(m);
	else
		log_warnx("runner %s: the Hello is not its own", m->runner);
	send_hello_verified(p, ref, &v);
}
