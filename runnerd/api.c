/*
 * api.c - runners, agents and log pages for the web.  Reads are rendered by
 * storaged and relayed.
 */
#include <errno.h>
#include <string.h>

#include "api.h"
#include "log.h"
#include "runnerd.h"

void
api_refuse(struct peer *p, uint64_t ref, const char *code, const char *text)
{
	struct msg_refused	 m = { 0 };

	m.code = code;
	m.text = text;
	m.retry_after = strcmp(code, "unavailable") == 0 ? 2 : 0;
	send_refused(p, ref, &m);
}

int
api_ticket(struct peer *p, uint64_t ref, struct ticket *t, const uint8_t *buf,
    size_t len, uint64_t scope)
{
	char	 text[96];

	if (ticket_open(t, buf, len, settings.ticket,
	    worker_now_ms() / 1000) == -1) {
		if (errno == ETIMEDOUT)
			api_refuse(p, ref, "token_expired",
			    "the ticket is over; ask again");
		else
			api_refuse(p, ref, "invalid_auth",
			    "the ticket is not valid");
		return (-1);
	}
	if ((t->scopes & scope) == 0) {
		strlcpy(text, "this key lacks the scope ", sizeof(text));
		strlcat(text, scope_name(scope), sizeof(text));
		api_refuse(p, ref, "forbidden", text);
		return (-1);
	}
	return (0);
}

void
api_answer(struct ask *a, const struct answer *ans, uint16_t status)
{
	struct msg_refused	 r;
	struct msg_document	 d = { 0 };
	struct peer		*p;

	if ((p = ask_client(a)) == NULL)
		return;
	if (ans->code[0] != '\0' && strcmp(ans->code, "replayed") != 0) {
		r.code = ans->code;
		r.text = ans->text;
		r.retry_after = ans->retry_after;
		r.body = ans->doc;
		r.body_len = ans->doc_len;
		send_refused(p, a->client_ref, &r);
		return;
	}
	d.status = status;
	d.replayed = ans->code[0] != '\0';
	d.body = ans->doc;
	d.body_len = status == 204 ? 0 : ans->doc_len;
	send_document(p, a->client_ref, &d);
}

void
api_query(struct peer *p, uint64_t ref, int type, const void *m,
    unsigned int seconds, void (*done)(struct ask *, const struct answer *))
{
	if (ask_for(p, ref, PROC_STORAGED, (enum msg_type)type, m, seconds,
	    done, NULL) == NULL)
		api_refuse(p, ref, "unavailable", "too much is under way");
}

void
api_audit(const struct ticket *t, const char *action, const char *resource,
    const char *request_id)
{
	struct msg_audit_put	 m = { 0 };
	char			 id[ID_SIZE];

	id_make(id, "alog");
	m.tenant = t->tenant;
	m.action_log = id;
	m.actor = t->name;
	m.action = action;
	m.resource = resource;
	m.request_id = request_id;
	m.success = 1;
	if (ask(PROC_STORAGED, MSG_AUDIT_PUT, &m, 0, NULL, NULL) == NULL)
		log_warn("audit: %s %s", action, resource);
}

static void
read_done(struct ask *a, const struct answer *ans)
{
	api_answer(a, ans, 200);
}

void
on_runner_list(struct peer *p, uint64_t ref, const struct msg_runner_list *m)
{
	struct msg_runner_page	 page;
	struct ticket		 t;

	if (api_ticket(p, ref, &t, m->ticket, m->ticket_len,
	    SCOPE_R(SCOPE_RUNNERS)) == -1)
		return;
	page.tenant = t.tenant;
	page.query = m->query;
	page.query_len = m->query_len;
	api_query(p, ref, MSG_RUNNER_PAGE, &page, READ_SECONDS, read_done);
}

void
on_runner_get(struct peer *p, uint64_t ref, const struct msg_runner_get *m)
{
	struct msg_runner_read	 get;
	struct ticket		 t;

	if (api_ticket(p, ref, &t, m->ticket, m->ticket_len,
	    SCOPE_R(SCOPE_RUNNERS)) == -1)
		return;
	get.tenant = t.tenant;
	get.runner = m->runner;
	api_query(p, ref, MSG_RUNNER_READ, &get, READ_SECONDS, read_done);
}

void
on_agent_list(struct peer *p, uint64_t ref, const struct msg_agent_list *m)
{
	struct msg_agent_page	 page;
	struct ticket		 t;

	if (api_ticket(p, ref, &t, m->ticket, m->ticket_len,
	    SCOPE_R(SCOPE_RUNNERS)) == -1)
		return;
	page.tenant = t.tenant;
	api_query(p, ref, MSG_AGENT_PAGE, &page, READ_SECONDS, read_done);
}

void
on_log_list(struct peer *p, uint64_t ref, const struct msg_log_list *m)
{
	struct msg_log_page	 page;
	struct ticket		 t;

	if (api_ticket(p, ref, &t, m->ticket, m->ticket_len,
	    SCOPE_R(SCOPE_TASKS)) == -1)
		return;
	page.tenant = t.tenant;
	page.task = m->task;
	page.query = m->query;
	page.query_len = m->query_len;
	api_query(p, ref, MSG_LOG_PAGE, &page, READ_SECONDS, read_done);
}

void
on_stored(struct peer *p, uint64_t ref, const struct msg_stored *m)
{
	ask_stored(p, ref, m);
}

void
on_refused(struct peer *p, uint64_t ref, const struct msg_refused *m)
{
	ask_refused(p, ref, m);
}
