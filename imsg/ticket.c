/*
 * ticket.c - layout: u8 version, u64 scopes, u64 expires, then tenant, key and
 * name as u8 length and bytes, then a 32-byte MAC (HMAC-SHA-512/256) over all
 * of that.
 */
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "ticket.h"

#define TICKET_VERSION	1

static const char *const	 scope_names[SCOPE_MAX] = {
	"sessions", "tasks", "permissions", "workspaces", "schedules",
	"tunnels", "secrets", "webhooks", "credentials", "runners", "events",
	"usage", "audit", "admin"
};

static uint8_t *
put_string(uint8_t *p, const char *s)
{
	size_t	 n = strlen(s);

	*p++ = (uint8_t)n;
	memcpy(p, s, n);
	return (p + n);
}

static const uint8_t *
get_string(const uint8_t *p, const uint8_t *end, char *out, size_t size)
{
	size_t	 n;

	if (p == NULL || p == end)
		return (NULL);
	n = *p++;
	if (n >= size || n > (size_t)(end - p))
		return (NULL);
	memcpy(out, p, n);
	out[n] = '\0';
	return (p + n);
}

size_t
ticket_make(uint8_t out[TICKET_MAX], const struct ticket *t,
    const uint8_t key[TICKET_KEY_SIZE])
{
	uint8_t	*p = out;

	_Static_assert(1 + 16 + sizeof(t->tenant) + sizeof(t->key) +
	    sizeof(t->name) + crypto_auth_BYTES <= TICKET_MAX, "TICKET_MAX");
	*p++ = TICKET_VERSION;
	memcpy(p, &t->scopes, 8);
	memcpy(p + 8, &t->expires, 8);
	p = put_string(p + 16, t->tenant);
	p = put_string(p, t->key);
	p = put_string(p, t->name);
	crypto_auth(p, out, (unsigned long long)(p - out), key);
	return ((size_t)(p - out) + crypto_auth_BYTES);
}

int
ticket_open(struct ticket *t, const uint8_t *buf, size_t len,
    const uint8_t key[TICKET_KEY_SIZE], uint64_t now)
{
	const uint8_t	*p = buf, *end;

	if (len < 17 + crypto_auth_BYTES || len > TICKET_MAX)
		goto bad;
	end = buf + len - crypto_auth_BYTES;
	if (crypto_auth_verify(end, buf, (unsigned long long)(end - buf),
	    key) != 0 || *p++ != TICKET_VERSION)
		goto bad;
	memcpy(&t->scopes, p, 8);
	memcpy(&t->expires, p + 8, 8);
	p = get_string(p + 16, end, t->tenant, sizeof(t->tenant));
	p = get_string(p, end, t->key, sizeof(t->key));
	p = get_string(p, end, t->name, sizeof(t->name));
	if (p != end)
		goto bad;
	if (t->expires <= now) {
		errno = ETIMEDOUT;
		return (-1);
	}
	return (0);
bad:
	errno = EBADMSG;
	return (-1);
}

/* Bits of one word of n bytes, 0 when unknown. */
static uint64_t
scope_bits(const char *w, size_t n)
{
	const char	*colon;
	uint64_t	 both, all = 0;
	size_t		 len;
	int		 i;

	for (i = 0; i < SCOPE_ADMIN; i++)
		all |= SCOPE_R(i) | SCOPE_W(i);
	/* Everything public; administration is never meant by a star alone. */
	if (n == 1 && w[0] == '*')
		return (all);
	if ((colon = memchr(w, ':', n)) == NULL)
		return (0);
	len = (size_t)(colon - w);
	for (i = 0; i < SCOPE_MAX; i++)
		if (strlen(scope_names[i]) == len &&
		    memcmp(scope_names[i], w, len) == 0)
			break;
	if (i == SCOPE_MAX)
		return (0);
	both = SCOPE_R(i) | SCOPE_W(i);
	colon++;
	n -= len + 1;
	if (n == 1 && *colon == '*')
		return (i == SCOPE_ADMIN ? all | both : both);
	if (i == SCOPE_ADMIN)
		return (0);
	if (n == 4 && memcmp(colon, "read", 4) == 0)
		return (SCOPE_R(i));
	if (n == 5 && memcmp(colon, "write", 5) == 0 && i < SCOPE_RUNNERS)
		return (SCOPE_W(i));
	return (0);
}

int
scopes_parse(const char *s, uint64_t *bits)
{
	uint64_t	 b;
	size_t		 n;

	*bits = 0;
	for (s += strspn(s, " "); *s != '\0'; s += n, s += strspn(s, " ")) {
		n = strcspn(s, " ");
		if ((b = scope_bits(s, n)) == 0)
			return (-1);
		*bits |= b;
	}
	return (0);
}

const char *
scope_name(uint64_t bit)
{
	static char	 buf[32];
	int		 i;

	for (i = 0; i < SCOPE_MAX; i++)
		if ((bit & (SCOPE_R(i) | SCOPE_W(i))) != 0) {
			if (i == SCOPE_ADMIN)
				return ("admin:*");
			snprintf(buf, sizeof(buf), "%s:%s", scope_names[i],
			    (bit & SCOPE_R(i)) != 0 ? "read" : "write");
			return (buf);
		}
	return ("nothing");
}
