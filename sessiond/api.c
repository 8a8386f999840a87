/*
 * api.c - what the web asks of sessions: check the ticket, ask storaged, and
 * answer when it is committed.  Memory follows the rows (session.c).
 */
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "sessiond.h"

/* A change under way: what its row said, kept until the answer. */
struct change {
	struct deed	*deed;
	char		 session[ID_SIZE];
	char		 key_ref[ID_SIZE];	/* new with it, or "" */
	uint32_t	 wait;
	uint16_t	 status;	/* of success */
	enum goal	 goal;
	uint8_t		*doc;
	size_t		 doc_len;
};

static struct change *
change_new(const struct ticket *t, const char *action, const char *session,
    const char *request_id, uint16_t status, uint32_t wait)
{
	struct change	*c;

	if ((c = calloc(1, sizeof(*c))) == NULL)
		fatal("change");
	c->deed = deed_new(t, action, session, request_id, "");
	strlcpy(c->session, session, sizeof(c->session));
	c->status = status;
	c->wait = wait;
	c->goal = GOAL_WISH;
	return (c);
}

static void
change_free(struct change *c)
{
	free(c->deed);
	free(c->doc);
	free(c);
}

void
on_session_row(struct peer *p, uint64_t ref, const struct msg_session_row *m)
{
	struct ask	*a = ask_find(p, ref);
	struct change	*c;
	int		 is_change;

	/* A row of the load may be older than one that came meanwhile. */
	if (a == NULL || a->type != MSG_SESSION_LOAD ||
	    session_find(m->session) == NULL)
		session_stored(m);
	if (a == NULL)
		return;
	is_change = a->type == MSG_SESSION_PUT || a->type == MSG_SESSION_KEY ||
	    a->type == MSG_SESSION_PATCH || (a->type == MSG_SESSION_WISH &&
	    a->client != PROC_PARENT);
	if (!is_change || (c = a->arg) == NULL)
		return;
	strlcpy(c->session, m->session, sizeof(c->session));
	free(c->doc);
	if ((c->doc = malloc(m->doc_len + 1)) == NULL)
		fatal("change");
	memcpy(c->doc, m->doc, m->doc_len);
	c->doc_len = m->doc_len;
}

/*
 * The key that came with a refused change belongs to nobody; that of one which was
 * made before, unless that brought it: frontd says it once more to a successor.
 */
static void
key_unwanted(const struct change *c)
{
	struct session		*s = session_find(c->session);
	struct msg_key_drop	 m;

	if (c->key_ref[0] == '\0' ||
	    (s != NULL && strcmp(s->key_ref, c->key_ref) == 0))
		return;
	m.key_ref = c->key_ref;
	send_key_drop(peer_of(PROC_PROVIDERD), 0, &m);
}

static void
change_answer(struct peer *p, uint64_t ref, struct change *c,
    const struct answer *ans, int replayed)
{
	struct session	*s = session_find(c->session);
	const uint8_t	*doc = c->doc != NULL ? c->doc : ans->doc;
	size_t		 len = c->doc != NULL ? c->doc_len : ans->doc_len;

	if (p == NULL)
		return;
	if (waiter_add(p, ref, s, c->wait, c->goal))
		return;
	if (c->goal == GOAL_REMOVE && s == NULL)
		document(p, ref, 204, 0, (const uint8_t *)"", 0);
	else
		document(p, ref, c->status, replayed, doc, len);
}

/* Also called late, when the client was told that nobody knows. */
static void
changed(struct ask *a, const struct answer *ans)
{
	struct change	*c = a->arg;
	struct session	*s;
	struct peer	*p = ask_client(a);
	struct answer	 with = *ans;
	int		 replayed = strcmp(ans->code, "replayed") == 0;
	int		 unknown = strcmp(ans->code, "outcome_unknown") == 0;
	int		 later = strcmp(ans->code, "unavailable") == 0;

	deed_tell(c->deed, ans->code);
	if (*ans->code != '\0' && !replayed) {
		if (with.doc_len == 0 && c->doc != NULL) {
			with.doc = c->doc;
			with.doc_len = c->doc_len;
		}
		/* Not now; and before? A key that nobody claims is wiped. */
		if (!unknown && !later)
			key_unwanted(c);
		if (p != NULL)
			refuse_answer(p, a->client_ref, &with);
	} else {
		if (replayed)
			key_unwanted(c);
		change_answer(p, a->client_ref, c, ans, replayed);
		if ((s = session_find(c->session)) != NULL)
			session_settle(s);
	}
	if (!unknown)
		change_free(c);
}

static void
change(struct peer *p, uint64_t ref, enum msg_type type, const void *m,
    struct change *c)
{
	struct ask	*a;

	if ((a = ask_for(p, ref, PROC_STORAGED, type, m, ASK_SECONDS, changed,
	    c)) != NULL) {
		a->late = 1;
		return;
	}
	key_unwanted(c);
	change_free(c);
	refuse(p, ref, "unavailable", "too much is waiting for the database; "
	    "try again");
}

void
on_session_create(struct peer *p, uint64_t ref,
    const struct msg_session_create *m)
{
	struct msg_session_put	 put;
	struct change		*c;
	struct ticket		 t;
	char			 id[ID_SIZE], ws[ID_SIZE];

	if (!authorised(p, ref, m->ticket, m->ticket_len,
	    SCOPE_W(SCOPE_SESSIONS), &t))
		return;
	id_make(id, "sess");
	id_make(ws, "ws");
	put.tenant = t.tenant;
	put.session = id;
	put.workspace = ws;
	put.agent = m->agent;
	put.agent_config = m->agent_config;
	put.key_ref = m->key_ref;
	put.spec = m->spec;
	put.spec_len = m->spec_len;
	put.actor = t.name;
	put.idem_key = m->idem_key;
	put.idem_hash = m->idem_hash;
	put.idem_hash_len = m->idem_hash_len;
	c = change_new(&t, "session.create", id, m->request_id, 201, 0);
	strlcpy(c->key_ref, m->key_ref, sizeof(c->key_ref));
	change(p, ref, MSG_SESSION_PUT, &put, c);
}

void
on_session_list(struct peer *p, uint64_t ref, const struct msg_session_list *m)
{
	struct msg_session_page	 page;
	struct ticket		 t;

	if (!authorised(p, ref, m->ticket, m->ticket_len,
	    SCOPE_R(SCOPE_SESSIONS), &t))
		return;
	page.tenant = t.tenant;
	page.query = m->query;
	page.query_len = m->query_len;
	relay(p, ref, MSG_SESSION_PAGE, &page);
}

void
on_session_get(struct peer *p, uint64_t ref, const struct msg_session_get *m)
{
	struct msg_session_read	 rd;
	struct session		*s;
	struct ticket		 t;

	if (!authorised(p, ref, m->ticket, m->ticket_len,
	    SCOPE_R(SCOPE_SESSIONS), &t))
		return;
	s = session_find(m->session);
	if (s != NULL && strcmp(s->tenant, t.tenant) == 0 &&
	    waiter_add(p, ref, s, m->wait, GOAL_READ))
		return;
	rd.tenant = t.tenant;
	rd.session = m->session;
	relay(p, ref, MSG_SESSION_READ, &rd);
}

void
on_session_change(struct peer *p, uint64_t ref,
    const struct msg_session_change *m)
{
	struct msg_session_patch	 patch;
	struct ticket			 t;
	char				 id[ID_SIZE];

	if (!authorised(p, ref, m->ticket, m->ticket_len,
	    SCOPE_W(SCOPE_SESSIONS), &t))
		return;
	id_make(id, "chg");
	patch.tenant = t.tenant;
	patch.session = m->session;
	patch.change = id;
	patch.if_match = m->if_match;
	patch.patch = m->patch;
	patch.patch_len = m->patch_len;
	change(p, ref, MSG_SESSION_PATCH, &patch, change_new(&t,
	    "session.update", m->session, m->request_id, 200, 0));
}

struct wanted {
	const char	*session, *request_id, *reason;
	enum wish	 wish;
	int		 remove;
	uint32_t	 wait;
};

static void
wish(struct peer *p, uint64_t ref, const uint8_t *ticket, size_t len,
    const struct wanted *w)
{
	static const char *const	 actions[] = { "session.resume",
	    "session.suspend", "session.terminate" };
	struct msg_session_wish		 m;
	struct change			*c;
	struct ticket			 t;

	if (!authorised(p, ref, ticket, len, SCOPE_W(SCOPE_SESSIONS), &t))
		return;
	m.tenant = t.tenant;
	m.session = w->session;
	m.wish = (uint8_t)w->wish;
	m.reason = w->reason;
	m.remove = (uint8_t)w->remove;
	m.actor = t.name;
	c = change_new(&t, actions[w->wish], w->session, w->request_id, 202,
	    w->wait);
	if (w->remove)
		c->goal = GOAL_REMOVE;
	change(p, ref, MSG_SESSION_WISH, &m, c);
}

void
on_session_suspend(struct peer *p, uint64_t ref,
    const struct msg_session_suspend *m)
{
	struct wanted	 w = { m->session, m->request_id,
	    *m->reason != '\0' ? m->reason : "user", WISH_SUSPEND, 0,
	    m->wait };

	wish(p, ref, m->ticket, m->ticket_len, &w);
}

void
on_session_resume(struct peer *p, uint64_t ref,
    const struct msg_session_resume *m)
{
	struct wanted	 w = { m->session, m->request_id, "", WISH_NONE, 0,
	    m->wait };

	wish(p, ref, m->ticket, m->ticket_len, &w);
}

void
on_session_terminate(struct peer *p, uint64_t ref,
    const struct msg_session_terminate *m)
{
	struct wanted	 w = { m->session, m->request_id,
	    *m->reason != '\0' ? m->reason : "user", WISH_TERMINATE,
	    m->remove, m->wait };

	wish(p, ref, m->ticket, m->ticket_len, &w);
}

void
on_session_credential(struct peer *p, uint64_t ref,
    const struct msg_session_credential *m)
{
	struct msg_session_key	 k;
	struct change		*c;
	struct ticket		 t;

	if (!authorised(p, ref, m->ticket, m->ticket_len,
	    SCOPE_W(SCOPE_SESSIONS), &t))
		return;
	k.tenant = t.tenant;
	k.session = m->session;
	k.key_ref = m->key_ref;
	c = change_new(&t, "session.credential", m->session, m->request_id,
	    200, 0);
	strlcpy(c->key_ref, m->key_ref, sizeof(c->key_ref));
	change(p, ref, MSG_SESSION_KEY, &k, c);
}
