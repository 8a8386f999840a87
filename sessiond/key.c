/*
 * key.c - API keys.  The token is random, shown once and stored as its
 * SHA-256; revoking is told to every frontd that may have a ticket cached.
 */
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "sessiond.h"

struct making {
	char		 token[TOKEN_SIZE];
	struct deed	*deed;
};

static void
making_free(struct making *mk)
{
	free(mk->deed);
	freezero(mk, sizeof(*mk));
}

/* Also called late, when the client was told that nobody knows. */
static void
created(struct ask *a, const struct answer *ans)
{
	struct making		*mk = a->arg;
	struct msg_key_created	 m;
	struct peer		*p = ask_client(a);
	int			 replayed = strcmp(ans->code, "replayed") == 0;

	if (*ans->code != '\0' && !replayed) {
		if (p != NULL)
			refuse_answer(p, a->client_ref, ans);
	} else {
		m.token = (const uint8_t *)mk->token;
		m.token_len = replayed ? 0 : strlen(mk->token);
		m.replayed = (uint8_t)replayed;
		m.body = ans->doc;
		m.body_len = ans->doc_len;
		if (p != NULL)
			send_key_created(p, a->client_ref, &m);
	}
	if (strcmp(ans->code, "outcome_unknown") == 0)
		return;
	deed_tell(mk->deed, ans->code);
	making_free(mk);
}

void
on_key_create(struct peer *p, uint64_t ref, const struct msg_key_create *m)
{
	struct msg_key_put	 put;
	struct making		*mk;
	struct ask		*a;
	struct ticket		 t;
	char			 id[ID_SIZE];
	uint8_t			 hash[32];
	uint64_t		 bits;

	if (!authorised(p, ref, m->ticket, m->ticket_len,
	    SCOPE_W(SCOPE_ADMIN), &t))
		return;
	if (scopes_parse(m->scopes, &bits) == -1 || bits == 0) {
		refuse(p, ref, "validation_error", "scopes: expected words "
		    "such as tasks:write, sessions:*, admin:* or *");
		return;
	}
	if ((mk = calloc(1, sizeof(*mk))) == NULL)
		fatal("key");
	id_make(id, "key");
	token_make(mk->token, "mk", hash);
	mk->deed = deed_new(&t, "key.create", id, m->request_id, "");
	put.tenant = *m->tenant != '\0' ? m->tenant : t.tenant;
	put.key = id;
	put.name = m->name;
	put.hash = hash;
	put.hash_len = sizeof(hash);
	put.scopes = m->scopes;
	put.expires = m->expires;
	put.actor = t.name;
	put.idem_key = m->idem_key;
	put.idem_hash = m->idem_hash;
	put.idem_hash_len = m->idem_hash_len;
	if ((a = ask_for(p, ref, PROC_STORAGED, MSG_KEY_PUT, &put,
	    ASK_SECONDS, created, mk)) == NULL) {
		making_free(mk);
		refuse(p, ref, "unavailable", "too much is waiting for the "
		    "database; try again");
		return;
	}
	a->late = 1;
}

void
on_key_list(struct peer *p, uint64_t ref, const struct msg_key_list *m)
{
	struct msg_key_page	 page;
	struct ticket		 t;

	if (!authorised(p, ref, m->ticket, m->ticket_len,
	    SCOPE_W(SCOPE_ADMIN), &t))
		return;
	page.tenant = t.tenant;
	page.query = m->query;
	page.query_len = m->query_len;
	relay(p, ref, MSG_KEY_PAGE, &page);
}

/* Also called late: the key may be refused by nobody until then. */
static void
revoked(struct ask *a, const struct answer *ans)
{
	struct msg_auth_revoked	 m;
	struct peer		*p = ask_client(a);
	struct deed		*d = a->arg;

	m.key = d->resource;
	if (*ans->code == '\0') {
		env->revocations++;
		send_auth_revoked(peer_of(PROC_API), 0, &m);
		send_auth_revoked(peer_of(PROC_ADMIN), 0, &m);
	}
	if (p != NULL && *ans->code != '\0')
		refuse_answer(p, a->client_ref, ans);
	else if (p != NULL)
		document(p, a->client_ref, 200, 0, ans->doc, ans->doc_len);
	if (strcmp(ans->code, "outcome_unknown") == 0)
		return;
	deed_tell(d, ans->code);
	free(d);
}

void
on_key_revoke(struct peer *p, uint64_t ref, const struct msg_key_revoke *m)
{
	struct msg_key_end	 end;
	struct ask		*a;
	struct ticket		 t;
	struct deed		*d;

	if (!authorised(p, ref, m->ticket, m->ticket_len,
	    SCOPE_W(SCOPE_ADMIN), &t))
		return;
	end.tenant = t.tenant;
	end.key = m->key;
	end.reason = m->reason;
	end.actor = t.name;
	d = deed_new(&t, "key.revoke", m->key, m->request_id, m->reason);
	if ((a = ask_for(p, ref, PROC_STORAGED, MSG_KEY_END, &end, ASK_SECONDS,
	    revoked, d)) == NULL) {
		free(d);
		refuse(p, ref, "unavailable", "too much is waiting for the "
		    "database; try again");
		return;
	}
	a->late = 1;
}
