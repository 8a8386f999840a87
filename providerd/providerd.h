/*
 * providerd.h - ProviderMgr: the only process that knows a secret in plain:
 * held BYOK keys, agent credentials, the encryption key, the runners' CA.
 */
#ifndef PROVIDERD_H
#define PROVIDERD_H

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stddef.h>
#include <stdint.h>

#include "ask.h"
#include "id.h"
#include "ticket.h"
#include "web.h"
#include "worker.h"
#include "providerd_msg.h"

#define READ_SECONDS	10
#define KEY_MAX		8192	/* bytes of one plain key */
#define URL_MAX		512
#define CREDENTIAL_MAX	16000	/* of its JSON; KEY_SEALED takes 48 more */
#define SEALED_MAX	(1 + 24 + KEY_MAX + 16)
#define CERT_DER_MAX	4096
#define DATA_KEY_SIZE	32
#define DATA_KEY_SEALED	(1 + 24 + DATA_KEY_SIZE + 16)

/* Keys of the process itself; it lives in the vault. */
struct keyring {
	uint8_t	 encryption[32];
	uint8_t	 ticket[TICKET_KEY_SIZE];
	int	 has_encryption, has_ticket;
};

/* keys.c */
void	 keys_secret(const char *, const uint8_t *, size_t);
void	 keys_configured(int reload);
size_t	 keys_metrics(char *, size_t);

/*
 * What is plain while something is sealed or opened.  There from the start, so
 * that no number of held keys leaves none; who uses a part of it wipes it in
 * the same turn.
 */
struct desk {
	uint8_t	 credential[CREDENTIAL_MAX];
	uint8_t	 key[KEY_MAX];
	uint8_t	 data_key[DATA_KEY_SIZE];
};

/* vault.c: one arena, locked in memory, for everything plain. */
#define VAULT_SIZE	(4U << 20)	/* of the 8 MiB that may be locked */
void	 vault_init(void);
struct keyring *vault_keyring(void);
struct desk *vault_desk(void);
/* n bytes of zeros, or NULL when the vault is full. */
uint8_t	*vault_take(size_t n);
/* Wipes and takes back what vault_take(n) gave; NULL is fine. */
void	 vault_give(uint8_t *, size_t n);
size_t	 vault_used(void);
/* What vault_take(n) uses up. */
size_t	 vault_cost(size_t n);

/* hold.c: BYOK keys, by key_ref. */
struct held {
	const uint8_t	*key;
	size_t		 key_len;
	const char	*base_url;
};
/* The key of this session, or -1: not here, or somebody else's. */
int	 hold_find(struct held *, const char *tenant, const char *session,
	    const char *key_ref);
void	 hold_janitor(void);
void	 holds_doubt(void);	/* until they are claimed again */
unsigned int hold_count(void);

/* config.c: agent credentials at rest. */
/* Seals a new random data key for a tenant. */
void	 config_new_data_key(uint8_t out[DATA_KEY_SEALED], const char *tenant);
/*
 * Seals key for (tenant, id) with the tenant's sealed data key: bytes
 * written to out (SEALED_MAX), or 0 when the data key does not open.
 */
size_t	 config_seal(uint8_t *out, const char *tenant, const char *id,
	    const uint8_t *data_key, size_t data_key_len, const uint8_t *key,
	    size_t key_len);
/* The same again, in place, with another data key of the tenant's; or -1. */
int	 config_seal_anew(uint8_t *sealed, size_t, const char *tenant,
	    const char *id, const uint8_t from[DATA_KEY_SEALED],
	    const uint8_t *data_key, size_t);
/* The way back, into out (KEY_MAX, in the vault): length or -1. */
ssize_t	 config_open(uint8_t *out, const char *tenant, const char *id,
	    const uint8_t *data_key, size_t, const uint8_t *sealed, size_t);

/* seal.c */
/* Fit to become a credential: UTF-8, no control bytes, not too long. */
int	 credential_is_fit(const uint8_t *key, size_t key_len,
	    const char *base_url);
/*
 * crypto_box_seal of {"api_key", "base_url"} to a public key: length of what
 * is in out (CREDENTIAL_MAX + 48), or 0.
 */
size_t	 credential_seal(uint8_t *out, const uint8_t public_key[32],
	    const uint8_t *key, size_t key_len, const char *base_url);

/* hello.c: sealing keys of runners whose Hello was verified. */
/* Is it signed by the runner's certificate, and that by our CA? */
int	 hello_check(X509 *ca, const struct msg_hello_verify *);
/* The verified sealing key of a runner, or NULL. */
const uint8_t *hello_sealing_key(const char *runner);
/* runnerd is gone and with it the streams; it names them again. */
void	 hello_forget_all(void);

/* cert.c: making X.509 certificates. */
struct cert_want {
	const char	*cn;
	EVP_PKEY	*pkey;		/* the subject's */
	X509		*issuer;	/* NULL: signed by itself */
	EVP_PKEY	*issuer_key;
	const char	*usage;		/* extendedKeyUsage; NULL: a CA */
	const char	*names;		/* subjectAltName, or NULL */
	int		 days;
};
X509	*cert_make(const struct cert_want *);
/* Ed25519, or ECDSA with P-256? */
int	 cert_key_is_fit(EVP_PKEY *);
/* The digest to sign and verify with; NULL for Ed25519. */
const EVP_MD *cert_digest(const EVP_PKEY *);

/* ca.c */
void	 ca_set_key(const uint8_t *pem, size_t);
void	 ca_set_certificate(const uint8_t *pem, size_t);
int	 ca_is_complete(void);
X509	*ca_certificate(void);
void	 ca_tell(struct peer *);
/* A client certificate for this CSR, or NULL and a sentence. */
X509	*ca_issue(X509 *ca, EVP_PKEY *ca_key, const char *runner,
	    const uint8_t *csr, size_t csr_len, const char **why);

/* bootstrap.c: providerd -I DIR -H name[,name]. */
int	 bootstrap(int argc, char **argv);

#endif
