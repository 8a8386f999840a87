/*
 * token.c - runner tokens: what makes a runner.  A token is shown once and
 * stored as the SHA-256 of the part before its dot; behind the dot is the
 * SHA-256 of our CA's certificate, which the agent pins (promise 17).
 */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "relay.h"
#include "runnerd.h"
#include "text.h"
#include "web.h"

#define TOKEN_FULL	(TOKEN_SIZE + 65)	/* dot and 64 digits */

struct fresh {				/* until the token is stored */
	char		 token[TOKEN_FULL];
	struct deed	*deed;
};

static uint8_t	 ca[CERT_MAX];		/* DER */
static size_t	 ca_len;		/* 0: providerd has not said */

void
on_ca_certificate(struct peer *p, uint64_t ref,
    const struct msg_ca_certificate *m)
{
	(void)p;
	(void)ref;
	memcpy(ca, m->certificate, m->certificate_len);
	ca_len = m->certificate_len;
}

int
ca_is_known(void)
{
	return (ca_len > 0);
}

void
ca_certificate(ProtobufCBinaryData *der)
{
	der->data = ca;
	der->len = ca_len;
}

/* token, a dot, 64 digits. */
static void
token_pin(char token[TOKEN_FULL])
{
	uint8_t	 hash[32];
	size_t	 len;

	crypto_hash_sha256(hash, ca, ca_len);
	strlcat(token, ".", TOKEN_FULL);
	len = strlen(token);
	text_hex(token + len, hash, sizeof(hash));
}

static void
fresh_free(struct fresh *f)
{
	free(f->deed);
	freezero(f, sizeof(*f));
}

static void
created(struct ask *a, const struct answer *ans)
{
	struct msg_runner_token_created	 m;
	struct fresh			*f = a->arg;
	struct peer			*p;

	m.replayed = strcmp(ans->code, "replayed") == 0;
	if (ans->code[0] != '\0' && !m.replayed)
		relay_answer(a, ans, 0);
	else if ((p = ask_client(a)) != NULL) {
		m.token = (const uint8_t *)f->token;
		m.token_len = m.replayed ? 0 : strlen(f->token);
		m.body = ans->doc;
		m.body_len = ans->doc_len;
		send_runner_token_created(p, a->client_ref, &m);
	}
	if (strcmp(ans->code, "outcome_unknown") == 0)
		return;			/* called once more */
	deed_tell(f->deed, ans->code);
	fresh_free(f);
}

void
on_runner_token_create(struct peer *p, uint64_t ref,
    const struct msg_runner_token_create *m)
{
	struct msg_runner_token_put	 put;
	struct fresh			*f;
	struct ask			*a;
	struct ticket			 t;
	char				 id[ID_SIZE];
	uint8_t				 hash[32];

	if (!authorised(p, ref, m->ticket, m->ticket_len,
	    SCOPE_W(SCOPE_ADMIN), &t))
		return;
	if (!ca_is_known()) {
		refuse(p, ref, "unavailable", "the server is starting");
		return;
	}
	if ((f = calloc(1, sizeof(*f))) == NULL)
		fatal("token");
	token_make(f->token, "rtok", hash);
	token_pin(f->token);
	id_make(id, "rtk");
	put.tenant = t.tenant;
	put.runner_token = id;
	put.hash = hash;
	put.hash_len = sizeof(hash);
	put.name = m->name;
	put.pool = m->pool;
	put.shared = m->shared != 0;
	put.max_uses = m->max_uses;
	put.expires = m->expires;
	put.actor = t.name;
	put.idem_key = m->idem_key;
	put.idem_hash = m->idem_hash;
	put.idem_hash_len = m->idem_hash_len;
	f->deed = deed_new(&t, "runner_token.create", id, m->request_id, "");
	if ((a = ask_for(p, ref, PROC_STORAGED, MSG_RUNNER_TOKEN_PUT, &put,
	    WRITE_SECONDS, created, f)) == NULL) {
		fresh_free(f);
		refuse(p, ref, "unavailable", "too much is under way");
		return;
	}
	a->late = 1;
}

void
on_runner_token_list(struct peer *p, uint64_t ref,
    const struct msg_runner_token_list *m)
{
	struct msg_runner_token_page	 page;
	struct ticket			 t;

	if (!authorised(p, ref, m->ticket, m->ticket_len,
	    SCOPE_R(SCOPE_ADMIN), &t))
		return;
	page.tenant = t.tenant;
	page.query = m->query;
	page.query_len = m->query_len;
	relay_read(p, ref, MSG_RUNNER_TOKEN_PAGE, &page);
}

void
on_runner_token_revoke(struct peer *p, uint64_t ref,
    const struct msg_runner_token_revoke *m)
{
	struct msg_runner_token_end	 end;
	struct ticket			 t;

	if (!authorised(p, ref, m->ticket, m->ticket_len,
	    SCOPE_W(SCOPE_ADMIN), &t))
		return;
	end.tenant = t.tenant;
	end.runner_token = m->runner_token;
	end.reason = m->reason;
	end.actor = t.name;
	relay_write(p, ref, 200, MSG_RUNNER_TOKEN_END, &end,
	    deed_new(&t, "runner_token.revoke", m->runner_token,
	    m->request_id, m->reason));
}
