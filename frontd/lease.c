/*
 * lease.c - identities that must live longer than a ticket: those of open
 * streams and of local connections.  Each is renewed every 30 seconds; one
 * that sessiond refuses, or whose key was revoked, has ended (promise 16).
 */
#include <sys/queue.h>

#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "frontd_msg.h"
#include "log.h"
#include "worker.h"

#define RENEW_MS	30000
#define RENEW_MARGIN	10		/* seconds before tickets expire */

TAILQ_HEAD(leases, lease);

static struct leases	 leases = TAILQ_HEAD_INITIALIZER(leases);
static uint64_t		 epoch;		/* counts lease_begin()s */

void
lease_begin(struct lease *l, const struct identity *who,
    void (*ended)(struct lease *))
{
	l->who = *who;
	l->id = ++epoch;
	l->asked = worker_mono_ms();
	l->over = 0;
	l->ended = ended;
	TAILQ_INSERT_TAIL(&leases, l, entry);
}

void
lease_end(struct lease *l)
{
	TAILQ_REMOVE(&leases, l, entry);
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
	struct lease	*l;

	TAILQ_FOREACH(l, &leases, entry)
		if (l->id == id)
			return (l);
	return (NULL);
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

	TAILQ_FOREACH_SAFE(l, &leases, entry, next)
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

	TAILQ_FOREACH_SAFE(l, &leases, entry, next) {
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
