/*
 * credential.c - what a request brings to say who it is: a key or the master
 * key (Bearer), a user and password (Basic, admin listener), a stream ticket
 * in the URL of a stream, a key offered as a WebSocket subprotocol, or the
 * local socket that it came through.
 */
#include <sodium.h>
#include <string.h>
#include <strings.h>

#include "api.h"
#include "log.h"

#define TOKEN_MAX	512

static void
credential_key(struct credential *c, const char *token, size_t n)
{
	if (n == 0 || n > TOKEN_MAX) {
		c->kind = CRED_BAD;
		c->why = "Authorization: expected `Bearer mk_...'";
		return;
	}
	c->kind = CRED_KEY;
	crypto_hash_sha256(c->hash, (const unsigned char *)token, n);
}

static void
credential_basic(struct credential *c, const struct request *req,
    const char *text)
{
	unsigned char	 plain[sizeof(c->user) + sizeof(c->password)];
	const char	*end;
	char		*colon;
	size_t		 n;

	c->kind = CRED_BAD;
	c->why = "Authorization: expected `Basic' and base64 of user:password,"
	    " with at most 64 and 256 bytes";
	if (req->kind == LISTEN_API) {
		c->why = "Authorization: this port wants `Bearer mk_...';"
		    " passwords are for the admin port";
		return;
	}
	if (sodium_base642bin(plain, sizeof(plain) - 1, text, strlen(text),
	    NULL, &n, &end, sodium_base64_VARIANT_ORIGINAL) == -1 ||
	    *end != '\0' || memchr(plain, '\0', n) != NULL)
		goto done;
	plain[n] = '\0';
	if ((colon = strchr((char *)plain, ':')) == NULL)
		goto done;
	*colon++ = '\0';
	if (strlcpy(c->user, (char *)plain, sizeof(c->user)) >=
	    sizeof(c->user) || strlcpy(c->password, colon,
	    sizeof(c->password)) >= sizeof(c->password))
		goto done;
	c->kind = CRED_PASSWORD;
done:
	explicit_bzero(plain, sizeof(plain));
}

static void
credential_header(struct credential *c, const struct request *req,
    const char *h)
{
	size_t	 n = strcspn(h, " ");

	c->kind = CRED_BAD;
	c->why = req->kind == LISTEN_API ?
	    "Authorization: expected `Bearer mk_...'" :
	    "Authorization: expected `Bearer mk_...' or Basic";
	if (h[n] != ' ')
		return;
	if (n == 6 && strncasecmp(h, "Bearer", n) == 0) {
		h += n + strspn(h + n, " ");
		credential_key(c, h, strlen(h));
	} else if (n == 5 && strncasecmp(h, "Basic", n) == 0)
		credential_basic(c, req, h + n + strspn(h + n, " "));
}

/* The key among the subprotocols that a browser's WebSocket offers. */
static int
credential_protocol(struct credential *c, const char *list)
{
	size_t	 n;

	for (; *list != '\0'; list += n) {
		list += strspn(list, ", \t");
		n = strcspn(list, ", \t");
		if (n > 3 && strncmp(list, "mk_", 3) == 0) {
			credential_key(c, list, n);
			return (1);
		}
	}
	return (0);
}

static const char *
credential_tenant(const struct request *req)
{
	const char	*t;

	if ((req->kind & (LISTEN_ADMIN | LISTEN_LOCAL)) == 0 ||
	    (t = request_param(req, "tenant")) == NULL)
		return ("");
	return (t);
}

/* c is the caller's to wipe. */
void
credential_of(const struct request *req, struct credential *c)
{
	memset(c, 0, sizeof(*c));
	c->tenant = credential_tenant(req);
	c->why = "Authorization: missing; expected `Bearer mk_...'";
	if (strlen(c->tenant) > 32) {
		c->kind = CRED_BAD;
		c->why = "tenant: expected the id of a tenant";
		return;
	}
	if (req->header[H_AUTHORIZATION] != NULL) {
		credential_header(c, req, req->header[H_AUTHORIZATION]);
		return;
	}
	if ((req->route->flags & R_WEBSOCKET) != 0 &&
	    (c->ticket = request_param(req, "ticket")) != NULL) {
		c->kind = strlen(c->ticket) <= 512 ? CRED_STREAM : CRED_BAD;
		c->why = "ticket: expected one of POST /api/v1/stream-tickets";
		return;
	}
	if (req->websocket && req->header[H_SEC_WEBSOCKET_PROTOCOL] != NULL &&
	    credential_protocol(c, req->header[H_SEC_WEBSOCKET_PROTOCOL]))
		return;
	if (req->who != NULL)
		c->kind = CRED_LOCAL;
}

/*
 * The Origin that a stream ticket is for.  A browser names that of a page with
 * each POST, but with a GET to other origins only: none is the same origin.
 */
const char *
credential_origin(const struct request *req)
{
	return (host_is_origin(req) ? NULL : req->header[H_ORIGIN]);
}

static void
hash_text(crypto_generichash_state *state, const char *s)
{
	if (s == NULL)
		s = "";
	crypto_generichash_update(state, (const unsigned char *)s,
	    strlen(s) + 1);
}

/*
 * Under which the cache knows it: keyed, so that what the cache holds is of no
 * use for guessing passwords.
 */
void
credential_cache_key(const struct request *req, const struct credential *c,
    uint8_t out[32])
{
	static uint8_t			 key[crypto_generichash_KEYBYTES];
	static int			 made;
	crypto_generichash_state	 state;
	unsigned char			 kind = (unsigned char)c->kind;

	if (!made) {
		randombytes_buf(key, sizeof(key));
		made = 1;
	}
	crypto_generichash_init(&state, key, sizeof(key), 32);
	crypto_generichash_update(&state, &kind, 1);
	crypto_generichash_update(&state, c->hash, sizeof(c->hash));
	hash_text(&state, c->tenant);
	hash_text(&state, c->user);
	hash_text(&state, c->password);
	if (c->kind == CRED_STREAM) {
		hash_text(&state, c->ticket);
		hash_text(&state, req->path);
		hash_text(&state, credential_origin(req));
	}
	crypto_generichash_final(&state, out, 32);
	explicit_bzero(&state, sizeof(state));
}

/*
 * Browsers send a remembered password by themselves, to whatever page asks: so
 * a request that changes something must come from our own page.
 */
int
credential_page_may(const struct request *req)
{
	const char	*site = req->header[H_SEC_FETCH_SITE];

	if (req->method == M_GET || req->kind == LISTEN_LOCAL)
		return (1);
	if (req->header[H_ORIGIN] != NULL)
		return (host_is_origin(req));
	return (site != NULL && strcmp(site, "same-origin") == 0);
}
