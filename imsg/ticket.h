/*
 * ticket.h - identity without a round trip (architecture 4).  sessiond makes
 * a ticket once per owner, with that owner's key; the owner opens it locally.
 */
#ifndef TICKET_H
#define TICKET_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define TICKET_KEY_SIZE	32
#define TICKET_MAX	256
#define TICKET_LIFE	60	/* seconds */

#define SCOPE_R(n)	(1ULL << (2 * (n)))
#define SCOPE_W(n)	(1ULL << (2 * (n) + 1))
enum scope {			/* :read is bit 2n, :write bit 2n + 1 */
	SCOPE_SESSIONS, SCOPE_TASKS, SCOPE_PERMISSIONS, SCOPE_WORKSPACES,
	SCOPE_SCHEDULES, SCOPE_TUNNELS, SCOPE_SECRETS, SCOPE_WEBHOOKS,
	SCOPE_CREDENTIALS, SCOPE_RUNNERS, SCOPE_EVENTS, SCOPE_USAGE,
	SCOPE_AUDIT, SCOPE_ADMIN, SCOPE_MAX
};

struct ticket {
	char		 tenant[33];
	char		 key[32];	/* id of the credential */
	char		 name[65];	/* of the credential: the actor */
	uint64_t	 scopes;	/* SCOPE_R, SCOPE_W bits */
	uint64_t	 expires;	/* Unix seconds */
};

/* Packs and signs; number of bytes, at most TICKET_MAX. */
size_t	 ticket_make(uint8_t out[TICKET_MAX], const struct ticket *,
	    const uint8_t key[TICKET_KEY_SIZE]);
/* 0; or -1: EBADMSG not one of ours, ETIMEDOUT expired at `now' (seconds). */
int	 ticket_open(struct ticket *, const uint8_t *, size_t,
	    const uint8_t key[TICKET_KEY_SIZE], uint64_t now);
/* Words, spaces between, to bits; -1 when a word is unknown. */
int	 scopes_parse(const char *, uint64_t *);
/* "tasks:write" of one bit, for messages. */
const char *scope_name(uint64_t bit);

#endif
