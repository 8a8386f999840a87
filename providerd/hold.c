/*
 * hold.c - BYOK keys in the vault, by key_ref.  frontd brings them, sessiond
 * claims them for a session and drops them; nobody ever gets one back in
 * plain.  A hold that is not claimed within a minute is wiped.  A tenant that
 * has half of what is left of the vault gets no more: keys stay for weeks, and
 * so some room is left however many have taken all that they may.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/tree.h>

#include "log.h"
#include "providerd.h"

#define UNCLAIMED_MS	60000

struct hold {				/* until KEY_DROP or unclaimed */
	RB_ENTRY(hold)	 entry;
	char		 ref[ID_SIZE];
	char		 tenant[33];
	char		 session[ID_SIZE];	/* empty: unclaimed */
	int		 doubted;	/* sessiond is new: has it still one? */
	uint64_t	 since;		/* monotonic ms */
	uint8_t		*key;		/* in the vault, with its size */
	size_t		 key_len;
	char		 base_url[URL_MAX + 1];
};
RB_HEAD(holds, hold);

static struct holds	 holds = RB_INITIALIZER(&holds);
static unsigned int	 count;

static int
hold_cmp(struct hold *a, struct hold *b)
{
	return (strcmp(a->ref, b->ref));
}

RB_PROTOTYPE(holds, hold, entry, hold_cmp);
RB_GENERATE(holds, hold, entry, hold_cmp)

static struct hold *
hold_get(const char *ref)
{
	struct hold	 key;

	if (strlcpy(key.ref, ref, sizeof(key.ref)) >= sizeof(key.ref))
		return (NULL);
	return (RB_FIND(holds, &holds, &key));
}

static void
hold_free(struct hold *h)
{
	RB_REMOVE(holds, &holds, h);
	vault_give(h->key, h->key_len);
	freezero(h, sizeof(*h));
	count--;
}

unsigned int
hold_count(void)
{
	return (count);
}

/* No few tenants take what all are to have. */
static int
share_is_taken(const char *tenant)
{
	struct hold	*h;
	size_t		 own = 0;

	RB_FOREACH(h, holds, &holds)
		if (strcmp(h->tenant, tenant) == 0)
			own += vault_cost(h->key_len);
	return (own >= (VAULT_SIZE - vault_used()) / 2);
}

/* A sentence when it cannot be held, and its code. */
static const char *
hold_new(const struct ticket *t, const struct msg_key_hold *m,
    const char **code)
{
	struct hold	*h;

	*code = "validation_error";
	if (m->key_ref[0] == '\0')
		return ("key_ref is empty");
	if (m->key_len == 0 ||
	    !credential_is_fit(m->key, m->key_len, m->base_url))
		return ("api_key: expected printable text of at most 8192 "
		    "bytes");
	*code = "in_use";
	if (hold_get(m->key_ref) != NULL)
		return ("this key_ref is held already");
	*code = "unavailable";
	if (share_is_taken(t->tenant))
		return ("the keys of this tenant's sessions take half as much "
		    "as is left of the 4 MB for all; terminate sessions that "
		    "have keys of their own");
	if ((h = calloc(1, sizeof(*h))) == NULL)
		fatal("hold");
	if ((h->key = vault_take(m->key_len)) == NULL) {
		free(h);
		return ("the 4 MB for keys of sessions are taken; try again "
		    "later");
	}
	strlcpy(h->ref, m->key_ref, sizeof(h->ref));
	strlcpy(h->tenant, t->tenant, sizeof(h->tenant));
	strlcpy(h->base_url, m->base_url, sizeof(h->base_url));
	memcpy(h->key, m->key, m->key_len);
	h->key_len = m->key_len;
	h->since = worker_mono_ms();
	RB_INSERT(holds, &holds, h);
	count++;
	return (NULL);
}

void
on_key_hold(struct peer *p, uint64_t ref, const struct msg_key_hold *m)
{
	struct msg_key_held	 held;
	struct ticket		 t;
	const char		*why, *code;

	if (!authorised(p, ref, m->ticket, m->ticket_len,
	    SCOPE_W(SCOPE_SESSIONS), &t))
		return;
	if ((why = hold_new(&t, m, &code)) != NULL) {
		refuse(p, ref, code, why);
		return;
	}
	held.key_ref = m->key_ref;
	send_key_held(p, ref, &held);
}

void
on_key_claim(struct peer *p, uint64_t ref, const struct msg_key_claim *m)
{
	struct msg_key_claimed	 claimed;
	struct hold		*h;

	claimed.key_ref = m->key_ref;
	claimed.session = m->session;
	claimed.held = 0;
	h = hold_get(m->key_ref);
	/* One key, one session, and both of one tenant. */
	if (h != NULL && strcmp(h->tenant, m->tenant) == 0 &&
	    (h->session[0] == '\0' || strcmp(h->session, m->session) == 0)) {
		strlcpy(h->session, m->session, sizeof(h->session));
		h->doubted = 0;
		claimed.held = 1;
	}
	send_key_claimed(p, ref, &claimed);
}

void
holds_doubt(void)
{
	struct hold	*h;

	RB_FOREACH(h, holds, &holds)
		h->doubted = h->session[0] != '\0';
}

void
on_key_claims_done(struct peer *p, uint64_t ref,
    const struct msg_key_claims_done *m)
{
	struct hold	*h, *next;

	(void)p;
	(void)ref;
	(void)m;
	RB_FOREACH_SAFE(h, holds, &holds, next)
		if (h->doubted)
			hold_free(h);
}

void
on_key_drop(struct peer *p, uint64_t ref, const struct msg_key_drop *m)
{
	struct hold	*h;

	(void)p;
	(void)ref;
	if ((h = hold_get(m->key_ref)) != NULL)
		hold_free(h);
}

int
hold_find(struct held *out, const char *tenant, const char *session,
    const char *key_ref)
{
	struct hold	*h = hold_get(key_ref);

	if (h == NULL || strcmp(h->tenant, tenant) != 0 ||
	    strcmp(h->session, session) != 0)
		return (-1);
	out->key = h->key;
	out->key_len = h->key_len;
	out->base_url = h->base_url;
	return (0);
}

void
hold_janitor(void)
{
	struct hold	*h, *next;
	uint64_t	 now = worker_mono_ms();

	RB_FOREACH_SAFE(h, holds, &holds, next)
		if (h->session[0] == '\0' && now - h->since >= UNCLAIMED_MS) {
			log_info("key %s was never claimed: wiped", h->ref);
			hold_free(h);
		}
}
