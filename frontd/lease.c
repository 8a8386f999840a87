/*
 * lease.c - identities that must live longer than a ticket: those of open
 * streams and of local connections.  Each is renewed every 30 seconds; one
 * that sessiond refuses, or whose key was revoked, has ended (promise 16).
 */
#include <sys/tree.h>

#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "frontd_msg.h"
#include "log.h"
#include "worker.h"

#define RENEW_MS	30000
#define RENEW_MARGIN	10		/* seconds before tickets expire */

RB_HEAD(leases, lease);

static struct leases	 leases = RB_INITIALIZER(&leases);
static uint64_t		 epoch;		/* counts lease_begin()s */

static int
lease_cmp(struct lease *a, struct lease *b)
{
	return (a->id < b->id ? -1 : a->id > b->id);
}

RB_PROTOTYPE(leases, lease, entry, lease_cmp)
RB_GENERATE(leases, lease, entry, lease_cmp)

void
lease_begin(struct lease *l, const struct identity *who,
    void (*ended)(struct lease *))
{
	l->who = *who;
	l->id = ++epoch;
	l->asked = worker_mono_ms();
	l->over = 0;
	l->ended = ended;
	RB_INSERT(leases, &leases, l);
}

void
lease_end(struct lease *l)
{
	RB_REMOVE(leases, &leases, l);
	explicit_bzero(&l->who, sizeof(l->who));
}

static void
lease_over(struct lease *l)
{
	if (l->over)
		return;
	l->over = 1;
	if (l->ended != NULL)
		l->ended(l);
}

static struct lease *
lease_find(uint64_t id)
{
	struct lease	 key;

	key.id = id;
	return (RB_FIND(leases, &leases, &key));
}

static void
lease_renewed(struct request *none, enum msg_type type, const void *m,
    void *arg)
{
	const struct msg_refused	*r = m;
	struct lease			*l;
	uint64_t			 id;

	(void)none;
	memcpy(&id, arg, sizeof(id));
	if ((l = lease_find(id)) == NULL)
		return;
	if (type == MSG_AUTHENTICATED)
		identity_set(&l->who, m);
	else if (refusal_status(r->code) < 500)
		lease_over(l);
	/* Else sessiond could not say: asked again, until it expires. */
}

static void
lease_renew(struct lease *l)
{
	struct msg_auth_renew	 m = { .ticket = l->who.ticket[0],
				    .ticket_len = l->who.ticket_len[0] };
	struct expect		 expect = { .want = MSG_AUTHENTICATED,
				    .flags = P_AGAIN, .done = lease_renewed,
				    .arg_len = sizeof(l->id) };

	l->asked = worker_mono_ms();
	if ((expect.arg = malloc(sizeof(l->id))) == NULL)
		fatal("lease");
	memcpy(expect.arg, &l->id, sizeof(l->id));
	pending_ask(NULL, PROC_SESSIOND, MSG_AUTH_RENEW, &m, &expect);
}

void
lease_revoked(const char *key)
{
	struct lease	*l, *next;

	RB_FOREACH_SAFE(l, leases, &leases, next)
		if (strcmp(l->who.key, key) == 0)
			lease_over(l);
}

/*
 * Half-way through the tickets' life, or each second once they are about to
 * expire because sessiond was away; with expired tickets it is over.
 */
void
lease_janitor(void)
{
	struct lease	*l, *next;
	uint64_t	 mono = worker_mono_ms(), now = worker_now_ms() / 1000;

	RB_FOREACH_SAFE(l, leases, &leases, next) {
		if (l->over)
			continue;
		if (l->who.expires <= now)
			lease_over(l);
		else if (mono - l->asked >= RENEW_MS ||
		    (l->who.expires <= now + RENEW_MARGIN &&
		    mono - l->asked >= 1000))
			lease_renew(l);
	}
}
