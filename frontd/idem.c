/*
 * idem.c - the Idempotency-Key of a POST and the hash of what it stands for.
 * A client that sends none gets one of ours, so that a question may be put
 * again to an owner that died without answering (tasks have an id for that).
 */
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "body.h"

static int
hash_more(const char *p, size_t n, void *state)
{
	crypto_hash_sha256_update(state, (const unsigned char *)p, n);
	return (0);
}

static void
hash_string(crypto_hash_sha256_state *state, const char *s)
{
	hash_more(s, strlen(s) + 1, state);
}

int
idem_make(struct request *req, const struct identity *who, const json_t *body,
    struct idem *idem)
{
	crypto_hash_sha256_state	 state;
	const char			*key, *c;

	if ((key = req->header[H_IDEMPOTENCY_KEY]) == NULL) {
		id_make(idem->key, "idem");
		memmove(idem->key + 5, idem->key, ID_SIZE);
		memcpy(idem->key, "auto-", 5);
	} else {
		for (c = key; *c >= ' ' && *c <= '~'; c++)
			;
		if (*c != '\0' || c == key || c - key > 255) {
			refuse(req, "validation_error", "Idempotency-Key:"
			    " expected 1 to 255 printable characters");
			return (-1);
		}
		strlcpy(idem->key, key, sizeof(idem->key));
	}
	crypto_hash_sha256_init(&state);
	hash_string(&state, who->key);
	hash_string(&state, "POST");
	hash_string(&state, req->path);
	if (json_dump_callback(body, hash_more, &state, JSON_COMPACT |
	    JSON_SORT_KEYS | JSON_ENCODE_ANY) == -1)
		hash_string(&state, "?");
	crypto_hash_sha256_final(&state, idem->hash);
	explicit_bzero(&state, sizeof(state));
	return (0);
}
