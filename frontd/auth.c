/*
 * auth.c - from credential to identity (architecture 4): asked of sessiond,
 * remembered for less than the minute that its tickets live, dropped when
 * sessiond says that it was revoked.  Requests that bring the same credential
 * while it is being asked about wait for the one answer; a refusal is
 * remembered for two seconds, so that a broken client costs little.  Whoever
 * guesses keys does not push out those that are known, and one address does not
 * have all room where credentials are checked.
 */
#include <sys/queue.h>
#include <sys/tree.h>

#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "frontd_msg.h"
#include "log.h"
#include "ticket.h"
#include "worker.h"

#define CACHE_MAX	2048
#define CACHE_MS	60000
#define CACHE_REFUSED	2000
#define TICKET_MARGIN	5		/* seconds that a ticket must last */
#define WAITERS_MAX	1024
#define PASSWORDS_MAX	8		/* sessiond's queue */

enum entry_state { ENTRY_ASKED, ENTRY_GOOD, ENTRY_REFUSED };

struct entry {
	RB_ENTRY(entry)		 entry;
	TAILQ_ENTRY(entry)	 list;		/* list_of(), oldest first */
	uint8_t			 key[32];
	enum entry_state	 state;
	enum check_kind		 kind;
	struct address		*from;		/* while it is asked about */
	uint64_t		 until;		/* monotonic ms */
	struct identity		 who;
	char			 code[33], text[513];
	uint32_t		 retry_after;
	uint64_t		*waiters;	/* ids of requests */
	size_t			 nwaiters;
};

RB_HEAD(entries, entry);
TAILQ_HEAD(entry_list, entry);

static struct entries		 entries = RB_INITIALIZER(&entries);
static struct entry_list	 known = TAILQ_HEAD_INITIALIZER(known);
static struct entry_list	 others = TAILQ_HEAD_INITIALIZER(others);
static size_t			 count;

static int
entry_cmp(struct entry *a, struct entry *b)
{
	return (memcmp(a->key, b->key, sizeof(a->key)));
}

RB_PROTOTYPE(entries, entry, entry, entry_cmp)
RB_GENERATE(entries, entry, entry, entry_cmp)

size_t
auth_count(void)
{
	return (count);
}

static struct entry *
entry_find(const uint8_t key[32])
{
	struct entry	 e;

	memcpy(e.key, key, sizeof(e.key));
	return (RB_FIND(entries, &entries, &e));
}

static struct entry_list *
list_of(const struct entry *e)
{
	return (e->state == ENTRY_GOOD ? &known : &others);
}

static void
entry_set(struct entry *e, enum entry_state state)
{
	TAILQ_REMOVE(list_of(e), e, list);
	e->state = state;
	TAILQ_INSERT_TAIL(list_of(e), e, list);
}

static void
entry_free(struct entry *e)
{
	RB_REMOVE(entries, &entries, e);
	TAILQ_REMOVE(list_of(e), e, list);
	count--;
	free(e->waiters);
	freezero(e, sizeof(*e));
}

/*
 * Makes room by forgetting the oldest that was refused.  If none was, one that
 * is known goes for one that is asked about, while these are less than half.
 */
static void
entry_evict(void)
{
	struct entry	*e;
	size_t		 asked = 0;

	if (count < CACHE_MAX)
		return;
	TAILQ_FOREACH(e, &others, list) {
		if (e->state == ENTRY_REFUSED) {
			entry_free(e);
			return;
		}
		asked++;
	}
	if (asked < CACHE_MAX / 2)
		entry_free(TAILQ_FIRST(&known));
}

static struct entry *
entry_new(const struct request *req, enum check_kind kind,
    const uint8_t key[32])
{
	static const size_t	 max[] = { [CHECK_KEY] = CACHE_MAX / 2,
				    [CHECK_PASSWORD] = PASSWORDS_MAX };
	struct address		*from;
	struct entry		*e;

	if (limit_check_begin(req, kind, max[kind], &from) == -1)
		return (NULL);
	entry_evict();
	if (count >= CACHE_MAX) {
		limit_check_end(from, kind);
		return (NULL);
	}
	if ((e = calloc(1, sizeof(*e))) == NULL)
		fatal("identity");
	e->kind = kind;
	e->from = from;
	memcpy(e->key, key, sizeof(e->key));
	RB_INSERT(entries, &entries, e);
	TAILQ_INSERT_TAIL(list_of(e), e, list);
	count++;
	return (e);
}

static int
entry_wait(struct entry *e, struct request *req)
{
	uint64_t	*p;

	if (e->nwaiters == WAITERS_MAX || (p = reallocarray(e->waiters,
	    e->nwaiters + 1, sizeof(*p))) == NULL)
		return (-1);
	e->waiters = p;
	e->waiters[e->nwaiters++] = req->id;
	return (0);
}

/* The state is known: whoever waited begins again and finds it. */
static void
entry_wake(struct entry *e)
{
	struct request	*req;
	uint64_t	*waiters = e->waiters;
	size_t		 i, n = e->nwaiters;

	e->waiters = NULL;
	e->nwaiters = 0;
	for (i = 0; i < n; i++)
		if ((req = request_find(waiters[i])) != NULL)
			req->route->call(req);
	free(waiters);
}

static void
entry_refused(struct entry *e, const struct msg_refused *m)
{
	entry_set(e, ENTRY_REFUSED);
	e->until = worker_mono_ms() +
	    (refusal_status(m->code) == 401 ? CACHE_REFUSED : 1);
	e->retry_after = m->retry_after;
	strlcpy(e->code, m->code, sizeof(e->code));
	strlcpy(e->text, m->text, sizeof(e->text));
}

/* AUTH_KEY, AUTH_PASSWORD or AUTH_STREAM was answered. */
static void
auth_done(struct request *none, enum msg_type type, const void *m, void *key)
{
	const struct msg_authenticated	*a = m;
	struct entry			*e;
	uint64_t			 now = worker_now_ms() / 1000, life;

	(void)none;
	if ((e = entry_find(key)) == NULL)
		return;
	limit_check_end(e->from, e->kind);
	e->from = NULL;
	if (type == MSG_REFUSED)
		entry_refused(e, m);
	else {
		identity_set(&e->who, a);
		life = a->expires > now + TICKET_MARGIN ?
		    (a->expires - now - TICKET_MARGIN) * 1000 : 1;
		entry_set(e, ENTRY_GOOD);
		e->until = worker_mono_ms() +
		    (life < CACHE_MS ? life : CACHE_MS);
	}
	entry_wake(e);
}

static void
auth_ask(struct request *req, const struct credential *c,
    const uint8_t key[32])
{
	struct msg_auth_key		 k = { .hash = c->hash,
					    .hash_len = sizeof(c->hash),
					    .tenant = c->tenant,
					    .address = req->address,
					    .request_id = req->request_id };
	struct msg_auth_password	 p = { .user = c->user,
					    .password =
					    (const uint8_t *)c->password,
					    .password_len =
					    strlen(c->password),
					    .tenant = c->tenant,
					    .address = req->address,
					    .request_id = req->request_id };
	struct msg_auth_stream		 s = { .token =
					    (const uint8_t *)c->ticket,
					    .path = req->path,
					    .origin = credential_origin(req),
					    .request_id = req->request_id };
	/* Who asks for a stream waits, since a browser does not ask again. */
	struct expect			 expect = {
					    .want = MSG_AUTHENTICATED,
					    .flags = (req->route->flags &
					    R_WEBSOCKET) != 0 ? P_LATER :
					    P_AGAIN,
					    .done = auth_done,
					    .arg_len = 32 };

	if ((expect.arg = malloc(32)) == NULL)
		fatal("identity");
	memcpy(expect.arg, key, 32);
	if (c->kind == CRED_KEY)
		pending_ask(NULL, PROC_SESSIOND, MSG_AUTH_KEY, &k, &expect);
	else if (c->kind == CRED_PASSWORD)
		pending_ask(NULL, PROC_SESSIOND, MSG_AUTH_PASSWORD, &p,
		    &expect);
	else {
		s.token_len = strlen(c->ticket);
		pending_ask(NULL, PROC_SESSIOND, MSG_AUTH_STREAM, &s, &expect);
	}
}

/* The row's scope is held, or 403 names it. */
static const struct identity *
auth_scope(struct request *req, const struct identity *who)
{
	const char	*scope = req->route->scope;
	uint64_t	 need = 0;

	if (scope == NULL)
		return (who);
	if (strcmp(scope, "admin:*") == 0)
		need = SCOPE_R(SCOPE_ADMIN);
	else if (scopes_parse(scope, &need) == -1)
		fatalx("%s: no scope %s", req->route->path, scope);
	if ((who->bits & need) == need)
		return (who);
	refuse(req, "forbidden", "the credential lacks the scope %s", scope);
	return (NULL);
}

static const struct identity *
auth_local(struct request *req, const struct credential *c)
{
	struct lease	*lease = req->who;

	if (lease->over) {
		request_last(req);
		refuse(req, "token_expired", "this connection's identity was"
		    " withdrawn; connect again");
	} else if (lease->who.expires <= worker_now_ms() / 1000)
		refuse(req, "unavailable", "the server cannot say who you are"
		    " at the moment, try again");
	else if (*c->tenant != '\0' &&
	    strcmp(c->tenant, lease->who.tenant) != 0)
		refuse(req, "validation_error", "tenant: the local socket acts"
		    " in %s; use the admin port for another",
		    lease->who.tenant);
	else
		return (auth_scope(req, &lease->who));
	return (NULL);
}

static void
auth_busy(struct request *req, enum check_kind kind)
{
	if (kind == CHECK_PASSWORD)
		refuse(req, "rate_limited", "too many passwords are being"
		    " checked; try again");
	else
		refuse(req, "unavailable", "too many credentials are being"
		    " checked, try again");
}

/* A stream ticket says itself in which tenant; of others sessiond was asked. */
static const struct identity *
auth_good(struct request *req, const struct credential *c,
    const struct identity *who)
{
	if (c->kind == CRED_STREAM && *c->tenant != '\0' &&
	    strcmp(c->tenant, who->tenant) != 0) {
		refuse(req, "validation_error", "tenant: the ticket is one of"
		    " %s", who->tenant);
		return (NULL);
	}
	return (auth_scope(req, who));
}

/* A credential that sessiond knows, or will be asked about. */
static const struct identity *
auth_known(struct request *req, const struct credential *c)
{
	enum check_kind	 kind = c->kind == CRED_PASSWORD ? CHECK_PASSWORD :
			    CHECK_KEY;
	struct entry	*e;
	uint8_t		 key[32];
	int		 ask = 0;

	credential_cache_key(req, c, key);
	e = entry_find(key);
	if (e != NULL && e->state != ENTRY_ASKED &&
	    worker_mono_ms() >= e->until) {
		entry_free(e);
		e = NULL;
	}
	if (e == NULL) {
		e = entry_new(req, kind, key);
		ask = 1;
	}
	if (e != NULL && e->state == ENTRY_GOOD)
		return (auth_good(req, c, &e->who));
	if (e != NULL && e->state == ENTRY_REFUSED) {
		refuse_later(req, e->code, *e->text != '\0' ? e->text :
		    "the credential is not valid", e->retry_after);
		return (NULL);
	}
	if (e == NULL || entry_wait(e, req) == -1)
		auth_busy(req, kind);
	else if (ask)
		auth_ask(req, c, key);
	return (NULL);
}

const struct identity *
auth(struct request *req)
{
	const struct identity	*who = NULL;
	struct credential	 c;

	credential_of(req, &c);
	switch (c.kind) {
	case CRED_NONE:
		refuse(req, "missing_auth", "%s", c.why);
		break;
	case CRED_BAD:
		refuse(req, "invalid_auth", "%s", c.why);
		break;
	case CRED_LOCAL:
		who = auth_local(req, &c);
		break;
	case CRED_PASSWORD:
		if (!credential_page_may(req)) {
			refuse(req, "forbidden", "with a password this method"
			    " needs a same-origin Origin or Sec-Fetch-Site"
			    " header; programs better use a key (Bearer)");
			break;
		}
		/* FALLTHROUGH */
	case CRED_KEY:
	case CRED_STREAM:
		who = auth_known(req, &c);
		break;
	}
	explicit_bzero(&c, sizeof(c));
	return (who);
}

/* An owner would not have the ticket that came with this request. */
void
auth_forget(const struct request *req)
{
	struct credential	 c;
	struct entry		*e;
	uint8_t			 key[32];

	credential_of(req, &c);
	if (c.kind == CRED_KEY || c.kind == CRED_PASSWORD ||
	    c.kind == CRED_STREAM) {
		credential_cache_key(req, &c, key);
		if ((e = entry_find(key)) != NULL && e->state == ENTRY_GOOD)
			entry_free(e);
	}
	explicit_bzero(&c, sizeof(c));
}

void
auth_revoked(const char *key)
{
	struct entry	*e, *next;

	TAILQ_FOREACH_SAFE(e, &known, list, next)
		if (strcmp(e->who.key, key) == 0)
			entry_free(e);
}

static void
forget_old(struct entry_list *list)
{
	struct entry	*e, *next;
	uint64_t	 now = worker_mono_ms();

	TAILQ_FOREACH_SAFE(e, list, list, next)
		if (e->state != ENTRY_ASKED && now >= e->until)
			entry_free(e);
}

void
auth_janitor(void)
{
	forget_old(&known);
	forget_old(&others);
}
