/*
 * position.c - where an event stands: `xid.seq', which sorts in commit order.
 * Clients get it hidden, as 56 hexadecimal digits that tell nothing of other
 * tenants and that only the same tenant can give back: a MAC of the position,
 * and the position masked with a stream made from that MAC.
 */
#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hub.h"
#include "sessiond.h"
#include "text.h"

#define MAC_SIZE	12
#define PLAIN_SIZE	16

int
position_parse(struct position *at, const char *s)
{
	char	*end;

	if (*s < '0' || *s > '9')
		return (-1);
	errno = 0;
	at->xid = strtoull(s, &end, 10);
	if (*end != '.' || end[1] < '0' || end[1] > '9')
		return (-1);
	at->seq = strtoull(end + 1, &end, 10);
	return (*end == '\0' && errno == 0 ? 0 : -1);
}

void
position_text(const struct position *at, char out[POSITION_SIZE])
{
	snprintf(out, POSITION_SIZE, "%" PRIu64 ".%" PRIu64, at->xid, at->seq);
}

int
position_cmp(const struct position *a, const struct position *b)
{
	if (a->xid != b->xid)
		return (a->xid < b->xid ? -1 : 1);
	return (a->seq < b->seq ? -1 : a->seq > b->seq);
}

static void
make_mac(uint8_t mac[MAC_SIZE], const uint8_t plain[PLAIN_SIZE],
    const char *tenant)
{
	crypto_generichash_state	 st;
	uint8_t				 full[32];

	crypto_generichash_init(&st, env->position_key, 32, sizeof(full));
	crypto_generichash_update(&st, (const uint8_t *)"position", 9);
	crypto_generichash_update(&st, plain, PLAIN_SIZE);
	crypto_generichash_update(&st, (const uint8_t *)tenant,
	    strlen(tenant));
	crypto_generichash_final(&st, full, sizeof(full));
	memcpy(mac, full, MAC_SIZE);
}

static void
mask(uint8_t p[PLAIN_SIZE], const uint8_t mac[MAC_SIZE])
{
	crypto_generichash_state	 st;
	uint8_t				 full[32];
	int				 i;

	crypto_generichash_init(&st, env->position_key, 32, sizeof(full));
	crypto_generichash_update(&st, (const uint8_t *)"mask", 5);
	crypto_generichash_update(&st, mac, MAC_SIZE);
	crypto_generichash_final(&st, full, sizeof(full));
	for (i = 0; i < PLAIN_SIZE; i++)
		p[i] ^= full[i];
}

void
position_hide(const struct position *at, const char *tenant,
    char out[POSITION_SIZE])
{
	uint8_t	 buf[MAC_SIZE + PLAIN_SIZE];

	_Static_assert(2 * sizeof(buf) < POSITION_SIZE, "POSITION_SIZE");
	memcpy(buf + MAC_SIZE, &at->xid, 8);
	memcpy(buf + MAC_SIZE + 8, &at->seq, 8);
	make_mac(buf, buf + MAC_SIZE, tenant);
	mask(buf + MAC_SIZE, buf);
	text_hex(out, buf, sizeof(buf));
}

/* -1: not a position that was made for this tenant. */
int
position_show(struct position *at, const char *tenant, const char *s)
{
	uint8_t	 buf[MAC_SIZE + PLAIN_SIZE], mac[MAC_SIZE];

	if (text_unhex(buf, sizeof(buf), s) == -1)
		return (-1);
	mask(buf + MAC_SIZE, buf);
	make_mac(mac, buf + MAC_SIZE, tenant);
	if (sodium_memcmp(mac, buf, MAC_SIZE) != 0)
		return (-1);
	memcpy(&at->xid, buf + MAC_SIZE, 8);
	memcpy(&at->seq, buf + MAC_SIZE + 8, 8);
	return (0);
}
