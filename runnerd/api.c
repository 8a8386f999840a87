/*
 * api.c - runners, agents and log pages for the web.  Reads are rendered by
 * storaged and relayed.
 */
#include "relay.h"
#include "runnerd.h"
#include "web.h"

void
on_runner_list(struct peer *p, uint64_t ref, const struct msg_runner_list *m)
{
	struct msg_runner_page	 page;
	struct ticket		 t;

	if (!authorised(p, ref, m->ticket, m->ticket_len,
	    SCOPE_R(SCOPE_RUNNERS), &t))
		return;
	page.tenant = t.tenant;
	page.query = m->query;
	page.query_len = m->query_len;
	relay_read(p, ref, MSG_RUNNER_PAGE, &page);
}

void
on_runner_get(struct peer *p, uint64_t ref, const struct msg_runner_get *m)
{
	struct msg_runner_read	 get;
	struct ticket		 t;

	if (!authorised(p, ref, m->ticket, m->ticket_len,
	    SCOPE_R(SCOPE_RUNNERS), &t))
		return;
	get.tenant = t.tenant;
	get.runner = m->runner;
	relay_read(p, ref, MSG_RUNNER_READ, &get);
}

void
on_agent_list(struct peer *p, uint64_t ref, const struct msg_agent_list *m)
{
	struct msg_agent_page	 page;
	struct ticket		 t;

	if (!authorised(p, ref, m->ticket, m->ticket_len,
	    SCOPE_R(SCOPE_RUNNERS), &t))
		return;
	page.tenant = t.tenant;
	relay_read(p, ref, MSG_AGENT_PAGE, &page);
}

void
on_log_list(struct peer *p, uint64_t ref, const struct msg_log_list *m)
{
	struct msg_log_page	 page;
	struct ticket		 t;

	if (!authorised(p, ref, m->ticket, m->ticket_len,
	    SCOPE_R(SCOPE_TASKS), &t))
		return;
	page.tenant = t.tenant;
	page.task = m->task;
	page.query = m->query;
	page.query_len = m->query_len;
	relay_read(p, ref, MSG_LOG_PAGE, &page);
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
