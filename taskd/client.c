/*
 * client.c - what every answer to the web has in common: the ticket's check,
 * the refusal, the document that storaged made, relayed as it is.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "log.h"
#include "worker.h"

#define RETRY_AFTER	2
#define WRITE_SECONDS	10	/* a client waits so long for the database */

void
refuse(struct peer *p, uint64_t ref, const char *code, const char *text)
{
	struct msg_refused	 m = { .code = code, .text = text };

	if (strcmp(code, "unavailable") == 0 ||
	    strcmp(code, "rate_limited") == 0)
		m.retry_after = RETRY_AFTER;
	send_refused(p, ref, &m);
}

/* Whose request it is; 0 when it was refused. */
int
authorised(struct peer *p, uint64_t ref, const uint8_t *ticket, size_t len,
    uint64_t scope, struct ticket *who)
{
	char	 text[128];

	if (ticket_open(who, ticket, len, env->ticket_key,
	    worker_now_ms() / 1000) == -1) {
		if (errno == ETIMEDOUT)
			refuse(p, ref, "token_expired",
			    "the credential has expired");
		else
			refuse(p, ref, "invalid_auth",
			    "the credential is not valid");
		return (0);
	}
	if ((who->scopes & scope) == scope)
		return (1);
	snprintf(text, sizeof(text), "the credential lacks the scope %s",
	    scope_name(scope & ~who->scopes));
	refuse(p, ref, "forbidden", text);
	return (0);
}

/*
 * Answers the client of a question.  code, text, doc: the row's, for what the
 * answer itself does not say.  0: it was done; 1: it was not, or was before;
 * -1: that will be known later, when done is called again.
 */
int
reply(const struct ask *a, const struct answer *ans, const char *code,
    const char *text, const uint8_t *doc, size_t doc_len)
{
	const struct op		*o = a->arg;
	struct peer		*p = ask_client(a);
	struct msg_document	 d;
	struct msg_refused	 r;
	int			 mine, result;

	/* The deadline's own answer, or one that comes in time. */
	mine = !a->told || strcmp(ans->code, "outcome_unknown") == 0 ||
	    strcmp(ans->code, "unavailable") == 0;
	if (ans->code[0] != '\0') {
		code = ans->code;
		text = ans->text;
	}
	if (doc_len == 0) {
		doc = ans->doc;
		doc_len = ans->doc_len;
	}
	result = strcmp(code, "outcome_unknown") == 0 ? -1 : code[0] != '\0';
	if (result != -1 && o != NULL && o->deed != NULL &&
	    (result != 0 || !o->deed->stored) &&
	    strcmp(code, "replayed") != 0)
		audit(o->deed, result == 0);
	if (p == NULL || !mine)
		return (result);
	if (code[0] == '\0' || strcmp(code, "replayed") == 0) {
		d.status = o != NULL ? o->status : 200;
		d.etag = "";
		d.replayed = code[0] != '\0';
		d.body = doc;
		d.body_len = doc_len;
		send_document(p, a->client_ref, &d);
		return (result);
	}
	r.code = code;
	r.text = text;
	r.retry_after = ans->retry_after;
	r.body = doc;
	r.body_len = doc_len;
	send_refused(p, a->client_ref, &r);
	return (result);
}

/*
 * A client's write.  The commit is what memory follows, also when the client
 * could not wait for it.  0, or -1: it was refused and `o' is freed.
 */
int
write_for(struct peer *p, uint64_t ref, enum msg_type type, const void *m,
    ask_done done, struct op *o)
{
	struct ask	*a;
	unsigned int	 n;
	size_t		 bytes;

	ask_count(&n, &bytes);
	/* Half of the room is for what cannot be refused. */
	if (bytes > ASK_BYTES_MAX / 2 || (a = ask_for(p, ref, PROC_STORAGED,
	    type, m, WRITE_SECONDS, done, o)) == NULL) {
		op_free(o);
		refuse(p, ref, "unavailable", "the database is waited for");
		return (-1);
	}
	a->late = 1;
	return (0);
}

static void
relay_done(struct ask *a, const struct answer *ans)
{
	(void)reply(a, ans, "", "", NULL, 0);
}

/* A read on behalf of a client; its document is the answer. */
int
relay(struct peer *p, uint64_t ref, enum msg_type type, const void *m)
{
	if (ask_for(p, ref, PROC_STORAGED, type, m, WRITE_SECONDS, relay_done,
	    NULL) != NULL)
		return (0);
	refuse(p, ref, errno == ENOBUFS ? "unavailable" : "validation_error",
	    errno == ENOBUFS ? "the database is waited for" :
	    "the request is not fit to be sent on");
	return (-1);
}

struct deed *
deed_new(const struct ticket *who, const char *action, const char *resource,
    const char *request_id, const char *detail)
{
	struct deed	*d;

	if ((d = calloc(1, sizeof(*d))) == NULL)
		fatal("deed");
	id_make(d->id, "alog");
	d->who = *who;
	strlcpy(d->action, action, sizeof(d->action));
	strlcpy(d->resource, resource, sizeof(d->resource));
	strlcpy(d->request_id, request_id, sizeof(d->request_id));
	/* A part of a character at the end would not be UTF-8. */
	if (strlcpy(d->detail, detail, sizeof(d->detail)) >=
	    sizeof(d->detail))
		d->detail[0] = '\0';
	return (d);
}

/* Who did what; nobody waits for it. */
void
audit(const struct deed *d, int success)
{
	struct msg_audit_put	 m;

	m.tenant = d->who.tenant;
	m.action_log = d->id;
	m.actor = d->who.name;
	m.action = d->action;
	m.resource = d->resource;
	m.request_id = d->request_id;
	m.success = success != 0;
	m.detail = d->detail;
	if (ask(PROC_STORAGED, MSG_AUDIT_PUT, &m, 0, NULL, NULL) == NULL)
		log_warn("audit: %s %s by %s", d->action, d->resource,
		    d->who.name);
}
