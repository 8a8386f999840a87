/*
 * keys.c - the model keys of the attached session.  They arrive sealed to a key
 * pair that is new with every connection, live in locked memory (libsodium
 * pages, not dumped, wiped when freed), and are masked in whatever the coding
 * agent prints.  A sealed blob that does not open belongs to another
 * connection.
 */
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <sodium.h>

#include "agent.h"
#include "log.h"
#include "util.h"

#define KEY_MIN_MASK	8	/* shorter ones would mask ordinary words */
#define KEY_BLOB_MAX	65536

static const char	keys_masked[] = "[key]";

static struct {
	uint8_t	 pk[crypto_box_PUBLICKEYBYTES];
	uint8_t	*sk;		/* locked */
} keys;

const uint8_t *
keys_renew(void)
{
	if (keys.sk == NULL &&
	    (keys.sk = sodium_malloc(crypto_box_SECRETKEYBYTES)) == NULL)
		fatalx("memory: locked pages for a key (see ulimit -l)");
	crypto_box_keypair(keys.pk, keys.sk);
	return (keys.pk);
}

char *
keys_locked(const char *s)
{
	size_t	 n = strlen(s) + 1;
	char	*p;

	if ((p = sodium_malloc(n)) == NULL)
		fatalx("memory: locked pages for a key (see ulimit -l)");
	memcpy(p, s, n);
	return (p);
}

void
keys_unlock(char *p)
{
	sodium_free(p);
}

void
keys_wipe(struct secret *s)
{
	sodium_free(s->api_key);
	sodium_free(s->base_url);
	s->api_key = s->base_url = NULL;
}

int
keys_open(struct secret *s, const uint8_t *box, size_t len)
{
	const char	*key = NULL, *url = NULL;
	json_t		*j = NULL;
	uint8_t		*text;
	size_t		 n;
	int		 rv = -1;

	if (len < crypto_box_SEALBYTES || len > KEY_BLOB_MAX || keys.sk == NULL)
		return (-1);
	n = len - crypto_box_SEALBYTES;
	if ((text = sodium_malloc(n + 1)) == NULL)
		return (-1);
	if (crypto_box_seal_open(text, box, len, keys.pk, keys.sk) == -1)
		goto done;
	j = json_loadb((const char *)text, n, 0, NULL);
	if (!json_is_object(j))
		goto done;
	key = json_string_value(json_object_get(j, "api_key"));
	url = json_string_value(json_object_get(j, "base_url"));
	keys_wipe(s);
	if (key != NULL && key[0] != '\0')
		s->api_key = keys_locked(key);
	if (url != NULL && url[0] != '\0')
		s->base_url = keys_locked(url);
	rv = 0;
done:
	json_decref(j);		/* Its memory is wiped: see main.c. */
	sodium_free(text);
	return (rv);
}

/* 0: there is nothing to mask. */
static size_t
key_length(const char *key)
{
	size_t	 len = key == NULL ? 0 : strlen(key);

	return (len < KEY_MIN_MASK ? 0 : len);
}

size_t
keys_begun(const char *key, const char *p, size_t n)
{
	size_t	 klen = key_length(key), k;

	if (klen == 0)
		return (0);
	for (k = n < klen ? n : klen - 1; k > 0; k--)
		if (memcmp(p + n - k, key, k) == 0)
			return (k);
	return (0);
}

char *
keys_mask(const char *key, char *line, size_t *len)
{
	char	*out, *p, *q;
	size_t	 klen = key_length(key), left, o = 0;

	if (klen == 0 || memmem(line, *len, key, klen) == NULL)
		return (line);
	out = xmalloc(*len + 1);
	for (p = line, left = *len; (q = memmem(p, left, key, klen)) != NULL; ) {
		memcpy(out + o, p, (size_t)(q - p));
		o += (size_t)(q - p);
		memcpy(out + o, keys_masked, sizeof(keys_masked) - 1);
		o += sizeof(keys_masked) - 1;
		left -= (size_t)(q - p) + klen;
		p = q + klen;
	}
	memcpy(out + o, p, left);
	o += left;
	out[o] = '\0';
	freezero(line, *len);
	*len = o;
	return (out);
}
