/*
 * auth.c - credentials to tickets (architecture 4, promise 16).  A ticket is
 * made once per owner, each with that owner's key, so that an owner can forge
 * only to itself.
 */
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "sessiond.h"
#include "text.h"

const enum proc	 owners[5] = { PROC_SESSIOND, PROC_TASKD, PROC_RUNNERD,
    PROC_TUNNELD, PROC_PROVIDERD };

/* A question about a key in the database, and for whom. */
struct lookup {
	char		 tenant[33];	/* wished for, or "" */
	struct identity	 who;
	int		 found;
	int		 revoked;
	uint64_t	 revocations;	/* when it was asked */
};

int
identity_set(struct identity *who, const char *tenant, const char *key,
    const char *name, const char *scopes)
{
	memset(who, 0, sizeof(*who));
	if (strlcpy(who->tenant, *tenant != '\0' ? tenant : "default",
	    sizeof(who->tenant)) >= sizeof(who->tenant))
		return (-1);
	strlcpy(who->key, key, sizeof(who->key));
	strlcpy(who->name, name, sizeof(who->name));
	strlcpy(who->scopes, scopes, sizeof(who->scopes));
	return (0);
}

/* What a ticket has as its key; -1 when there is no such administrator. */
static int
ticket_key(char out[ID_SIZE], const char *key, const char *name)
{
	if (strcmp(key, "admin") == 0 || strcmp(key, "master") == 0)
		return (admin_ticket_key(out, key, name));
	strlcpy(out, key, ID_SIZE);
	return (0);
}

void
identity_tickets(const struct identity *who, uint8_t out[][TICKET_MAX],
    size_t *len, uint64_t *expires)
{
	struct ticket	 t;
	size_t		 i;

	memset(&t, 0, sizeof(t));
	strlcpy(t.tenant, who->tenant, sizeof(t.tenant));
	if (ticket_key(t.key, who->key, who->name) == -1)
		fatalx("%s %s is not configured", who->key, who->name);
	strlcpy(t.name, who->name, sizeof(t.name));
	if (scopes_parse(who->scopes, &t.scopes) == -1)
		t.scopes = 0;
	t.expires = worker_now_ms() / 1000 + TICKET_LIFE;
	if (who->expires != 0 && who->expires < t.expires)
		t.expires = who->expires;
	for (i = 0; i < 5; i++)
		len[i] = ticket_make(out[i], &t, env->ticket_key[owners[i]]);
	*expires = t.expires;
}

void
identity_welcome(struct peer *p, uint64_t ref, const struct identity *who)
{
	struct msg_authenticated	 m;
	uint8_t				 t[5][TICKET_MAX];
	size_t				 len[5];

	identity_tickets(who, t, len, &m.expires);
	m.key = who->key;
	m.name = who->name;
	m.tenant = who->tenant;
	m.scopes = who->scopes;
	m.sessiond = t[0];
	m.sessiond_len = len[0];
	m.taskd = t[1];
	m.taskd_len = len[1];
	m.runnerd = t[2];
	m.runnerd_len = len[2];
	m.tunneld = t[3];
	m.tunneld_len = len[3];
	m.providerd = t[4];
	m.providerd_len = len[4];
	send_authenticated(p, ref, &m);
}

void
on_key_row(struct peer *p, uint64_t ref, const struct msg_key_row *m)
{
	struct ask	*a = ask_find(p, ref);
	struct lookup	*l;

	if (a == NULL || (l = a->arg) == NULL)
		return;
	identity_set(&l->who, m->tenant, m->key, m->name, m->scopes);
	l->who.expires = m->expires;
	l->revoked = m->revoked;
	l->found = 1;
}

static void
lookup_answer(struct peer *p, uint64_t ref, struct lookup *l)
{
	uint64_t	 bits;

	if (!l->found)
		refuse(p, ref, "invalid_auth", "no such API key; keys look "
		    "like mk_... and are shown once, when they are made");
	else if (l->revoked)
		refuse(p, ref, "token_revoked", "this API key was revoked");
	else if (l->who.expires != 0 &&
	    l->who.expires <= worker_now_ms() / 1000)
		refuse(p, ref, "token_expired", "this API key has expired");
	else if (l->tenant[0] != '\0' &&
	    strcmp(l->tenant, l->who.tenant) != 0 &&
	    (scopes_parse(l->who.scopes, &bits) == -1 ||
	    (bits & SCOPE_W(SCOPE_ADMIN)) == 0))
		refuse(p, ref, "forbidden", "only an administrator may name "
		    "another tenant; this key lacks the scope admin:*");
	else {
		if (l->tenant[0] != '\0')
			strlcpy(l->who.tenant, l->tenant,
			    sizeof(l->who.tenant));
		identity_welcome(p, ref, &l->who);
	}
}

/*
 * A row from before a revocation, of which the web was told already: what was
 * let in by it would be remembered there as long as its tickets live.
 */
static int
lookup_is_overtaken(const struct lookup *l)
{
	return (l->found && !l->revoked && l->revocations != env->revocations);
}

static void	 lookup_done(struct ask *, const struct answer *);

static void
lookup_ask(struct peer *p, uint64_t ref, struct lookup *l, enum msg_type type,
    const void *m)
{
	l->found = 0;
	l->revocations = env->revocations;
	if (ask_for(p, ref, PROC_STORAGED, type, m, ASK_SECONDS, lookup_done,
	    l) == NULL) {
		freezero(l, sizeof(*l));
		refuse(p, ref, "unavailable", "too much is waiting for the "
		    "database; try again");
	}
}

static void
lookup_done(struct ask *a, const struct answer *ans)
{
	struct lookup		*l = a->arg;
	struct peer		*p = ask_client(a);
	struct msg_key_check	 check;

	a->arg = NULL;
	if (p != NULL && *ans->code == '\0' && lookup_is_overtaken(l)) {
		check.key = l->who.key;
		lookup_ask(p, a->client_ref, l, MSG_KEY_CHECK, &check);
		return;
	}
	if (p != NULL && *ans->code != '\0')
		refuse_answer(p, a->client_ref, ans);
	else if (p != NULL)
		lookup_answer(p, a->client_ref, l);
	freezero(l, sizeof(*l));
}

static void
lookup(struct peer *p, uint64_t ref, const char *tenant, enum msg_type type,
    const void *m)
{
	struct lookup	*l;

	if ((l = calloc(1, sizeof(*l))) == NULL)
		fatal("auth");
	strlcpy(l->tenant, tenant, sizeof(l->tenant));
	lookup_ask(p, ref, l, type, m);
}

void
on_auth_key(struct peer *p, uint64_t ref, const struct msg_auth_key *m)
{
	struct msg_key_find	 find;
	struct identity		 who;

	if (m->hash_len != 32) {
		refuse(p, ref, "invalid_auth", "the credential is malformed");
		return;
	}
	if (admin_is_master(m->hash)) {
		identity_set(&who, m->tenant, "master", "master",
		    SCOPES_ALL);
		identity_welcome(p, ref, &who);
		return;
	}
	find.hash = m->hash;
	find.hash_len = m->hash_len;
	lookup(p, ref, m->tenant, MSG_KEY_FIND, &find);
}

/*
 * Is the credential behind this ticket still good?  Keys are looked up again;
 * administrators must still be in the configuration, with the hash that they
 * had; local clients keep what they were given when they connected.
 */
static void
renew(struct peer *p, uint64_t ref, const struct ticket *t)
{
	struct msg_key_check	 check;
	struct identity		 who;
	char			 key[ID_SIZE], now[ID_SIZE];

	if (strncmp(t->key, "key_", 4) == 0) {
		check.key = t->key;
		lookup(p, ref, t->tenant, MSG_KEY_CHECK, &check);
		return;
	}
	strlcpy(key, t->key, sizeof(key));
	key[strcspn(key, ".")] = '\0';
	if (ticket_key(now, key, t->name) == -1 || strcmp(now, t->key) != 0) {
		refuse(p, ref, "token_revoked", "this administrator is no "
		    "longer configured, or with another password or key");
		return;
	}
	identity_set(&who, t->tenant, key, t->name, SCOPES_ALL);
	identity_welcome(p, ref, &who);
}

void
on_auth_renew(struct peer *p, uint64_t ref, const struct msg_auth_renew *m)
{
	struct ticket	 t;
	uint64_t	 now = worker_now_ms() / 1000;

	/* A ticket that has just run out may still be renewed. */
	if (ticket_open(&t, m->ticket, m->ticket_len,
	    env->ticket_key[PROC_SESSIOND], now - TICKET_LIFE) == -1) {
		refuse(p, ref, "token_expired", "the credential has expired");
		return;
	}
	renew(p, ref, &t);
}

/* ---- stream tickets: one path and Origin, an hour, no state ---- */

#define STREAM_TICKET_LIFE	3600
#define STREAM_TICKET_PREFIX	"stk_"

/* Path and Origin are in the key, so that they need not be in the ticket. */
static void
stream_key(uint8_t key[TICKET_KEY_SIZE], const char *path, const char *origin)
{
	crypto_generichash_state	 st;

	crypto_generichash_init(&st, env->ticket_key[PROC_SESSIOND],
	    TICKET_KEY_SIZE, TICKET_KEY_SIZE);
	crypto_generichash_update(&st, (const uint8_t *)"stream", 7);
	crypto_generichash_update(&st, (const uint8_t *)path,
	    strlen(path) + 1);
	crypto_generichash_update(&st, (const uint8_t *)origin,
	    strlen(origin) + 1);
	crypto_generichash_final(&st, key, TICKET_KEY_SIZE);
}

void
on_stream_ticket_create(struct peer *p, uint64_t ref,
    const struct msg_stream_ticket_create *m)
{
	struct msg_stream_ticket_created	 r;
	struct ticket				 t;
	uint8_t					 buf[TICKET_MAX], key[32];
	char					 token[2 * TICKET_MAX + 8];
	size_t					 n;

	if (!authorised(p, ref, m->ticket, m->ticket_len, 0, &t))
		return;
	t.expires = worker_now_ms() / 1000 + STREAM_TICKET_LIFE;
	stream_key(key, m->path, m->origin);
	n = ticket_make(buf, &t, key);
	strlcpy(token, STREAM_TICKET_PREFIX, sizeof(token));
	text_hex(token + strlen(STREAM_TICKET_PREFIX), buf, n);
	r.token = (const uint8_t *)token;
	r.token_len = strlen(token);
	r.expires = t.expires;
	send_stream_ticket_created(p, ref, &r);
}

void
on_auth_stream(struct peer *p, uint64_t ref, const struct msg_auth_stream *m)
{
	struct ticket	 t;
	uint8_t		 buf[TICKET_MAX], key[32];
	char		 hex[2 * TICKET_MAX + 1];
	size_t		 n, skip = strlen(STREAM_TICKET_PREFIX);

	if (m->token_len <= skip || m->token_len - skip > 2 * TICKET_MAX ||
	    (m->token_len - skip) % 2 != 0 ||
	    memcmp(m->token, STREAM_TICKET_PREFIX, skip) != 0)
		goto bad;
	n = (m->token_len - skip) / 2;
	memcpy(hex, m->token + skip, 2 * n);
	hex[2 * n] = '\0';
	if (text_unhex(buf, n, hex) == -1)
		goto bad;
	stream_key(key, m->path, m->origin);
	if (ticket_open(&t, buf, n, key, worker_now_ms() / 1000) == -1) {
		if (errno != ETIMEDOUT)
			goto bad;
		refuse(p, ref, "token_expired", "the stream ticket has "
		    "expired; ask for another one");
		return;
	}
	renew(p, ref, &t);
	return;
bad:
	refuse(p, ref, "invalid_token", "the stream ticket is not for this "
	    "path and Origin; POST /api/v1/stream-tickets makes one");
}
