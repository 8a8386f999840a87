/*
 * api.c - the tasks' half of what the web asks.  Identity and rights come from
 * the ticket and from nothing else (architecture 4); a write is answered when
 * it is committed, and memory follows the commit even when the client was told
 * that the outcome is unknown.
 */
#include <string.h>

#include "client.h"
#include "log.h"
#include "queue.h"
#include "worker.h"

void
on_task_row(struct peer *p, uint64_t ref, const struct msg_task_row *m)
{
	struct ask	*a = ask_find(p, ref);

	if (a == NULL)
		return;
	if (a->type == MSG_TASK_LOAD)
		task_row(m);
	else
		keep(&((struct op *)a->arg)->row, MSG_TASK_ROW, m);
}

/* Answers the client; 0 when the row is now as the request wanted it. */
static int
answered(struct ask *a, const struct answer *ans, struct msg_task_row *row)
{
	struct op	*o = a->arg;

	memset(row, 0, sizeof(*row));
	row->code = row->text = "";
	kept_get(&o->row, row);
	return (reply(a, ans, row->code, row->text, row->doc, row->doc_len));
}

/* The run of a new task was assigned with it; the prompt is the request's. */
static int
row_assigned(const struct ask *a, const struct msg_task_row *row,
    struct msg_run_row *run)
{
	struct msg_task_put	 put;
	const struct op		*o = a->arg;

	if (o->then_run[0] == '\0' || row->task == NULL ||
	    strcmp(row->run, o->then_run) != 0 ||
	    strcmp(row->run_status, "assigned") != 0 ||
	    msg_unpack(&msg_descs[a->type], a->body, a->len, &put) == -1)
		return (0);
	run->run = row->run;
	run->task = row->task;
	run->session = row->session;
	run->runner = row->runner;
	run->attempt = row->attempt;
	run->epoch = row->epoch;
	run->timeout = row->timeout;
	run->interrupted = 0;
	run->prompt = put.prompt;
	return (1);
}

/* A task is there, committed: new, again, or the older one of its key. */
static void
put_done(struct ask *a, const struct answer *ans)
{
	struct op		*o = a->arg;
	struct msg_task_row	 row;
	struct msg_run_row	 run;
	struct task		*t = NULL;
	int			 result;

	if ((result = answered(a, ans, &row)) == -1)
		return;
	if (row.task != NULL && (t = task_row(&row)) != NULL) {
		if ((result != 0 || !o->again) &&
		    strcmp(row.run, o->run) == 0)
			strlcpy(t->waiting_for, o->word,
			    sizeof(t->waiting_for));
	}
	ahead_came(o);
	ahead_over(o, row_assigned(a, &row, &run) ? &run : NULL);
	if (t != NULL) {
		/* Its session's end, committed behind it, was told before. */
		if (session_is_over(t->session))
			session_stop_task(t);
		waiting_tell_task(t);
		session_tell(t->session);
	}
	op_free(o);
}

static void
stop_done(struct ask *a, const struct answer *ans)
{
	struct msg_task_row	 row;

	if (answered(a, ans, &row) == -1)
		return;
	if (row.task != NULL)
		stop_row(&row);
	op_free(a->arg);
}

static struct op *
op_for(uint16_t status, struct deed *d)
{
	struct op	*o = op_new(NULL);

	o->status = status;
	o->deed = d;
	return (o);
}

void
on_task_create(struct peer *p, uint64_t ref, const struct msg_task_create *m)
{
	char			 run[ID_SIZE];
	struct msg_task_put	 put;
	struct session		*s;
	struct ticket		 who;
	struct op		*o;
	int			 full, now;

	if (early_keep(p, ref, MSG_TASK_CREATE, m))
		return;
	if (!authorised(p, ref, m->ticket, m->ticket_len,
	    SCOPE_W(SCOPE_TASKS), &who))
		return;
	if (!id_is(m->task, "task")) {
		refuse(p, ref, "validation_error", "task: expected an id");
		return;
	}
	s = session_find(m->session);
	full = s != NULL && s->length >= env->max_queued;
	/* What may have been made before is storaged's to say. */
	if (full && m->idem_key[0] == '\0' && task_find(m->task) == NULL) {
		refuse(p, ref, "rate_limited",
		    "too many tasks wait in this session");
		return;
	}
	id_make(run, "run");
	put.tenant = who.tenant;
	put.task = m->task;
	put.run = run;
	put.session = m->session;
	put.prompt = m->prompt;
	put.timeout = m->timeout;
	put.max_retries = m->max_retries;
	put.priority = m->priority;
	put.continue_from = m->continue_from;
	put.labels = m->labels;
	put.labels_len = m->labels_len;
	put.annotations = m->annotations;
	put.annotations_len = m->annotations_len;
	put.actor = who.name;
	now = s != NULL && queue_is_free(s);
	put.runner = now ? s->runner : "";
	put.epoch = now ? s->epoch : 0;
	o = op_for(201, deed_new(&who, "task.create", m->task, m->request_id,
	    m->session));
	strlcpy(o->run, run, sizeof(o->run));
	o->deed->stored = 1;
	o->word = s == NULL || now ? "" : waiting_of(s);
	put.waiting_for = o->word;
	put.full = (uint8_t)full;
	put.action_log = o->deed->id;
	put.request_id = m->request_id;
	put.idem_key = m->idem_key;
	put.idem_hash = m->idem_hash;
	put.idem_hash_len = m->idem_hash_len;
	if (write_for(p, ref, MSG_TASK_PUT, &put, put_done, o) == -1)
		return;
	if (now)
		ahead_ask(o, s, m->task, run);
	else if (s != NULL)
		ahead_coming(o, s, m->task, run);
}

void
on_task_list(struct peer *p, uint64_t ref, const struct msg_task_list *m)
{
	struct msg_task_page	 page;
	struct ticket		 who;

	if (!authorised(p, ref, m->ticket, m->ticket_len,
	    SCOPE_R(SCOPE_TASKS), &who))
		return;
	page.tenant = who.tenant;
	page.query = m->query;
	page.query_len = m->query_len;
	relay(p, ref, MSG_TASK_PAGE, &page);
}

void
on_task_get(struct peer *p, uint64_t ref, const struct msg_task_get *m)
{
	struct msg_task_read	 read;
	struct ticket		 who;

	if (early_keep(p, ref, MSG_TASK_GET, m))
		return;
	if (!authorised(p, ref, m->ticket, m->ticket_len,
	    SCOPE_R(SCOPE_TASKS), &who))
		return;
	if (waiter_add(p, ref, &who, m->task, m->wait))
		return;
	read.tenant = who.tenant;
	read.task = m->task;
	relay(p, ref, MSG_TASK_READ, &read);
}

void
on_task_runs(struct peer *p, uint64_t ref, const struct msg_task_runs *m)
{
	struct msg_run_page	 page;
	struct ticket		 who;

	if (!authorised(p, ref, m->ticket, m->ticket_len,
	    SCOPE_R(SCOPE_TASKS), &who))
		return;
	page.tenant = who.tenant;
	page.task = m->task;
	relay(p, ref, MSG_RUN_PAGE, &page);
}

void
on_task_cancel(struct peer *p, uint64_t ref, const struct msg_task_cancel *m)
{
	struct msg_task_stop	 stop;
	struct ticket		 who;

	if (early_keep(p, ref, MSG_TASK_CANCEL, m))
		return;
	if (!authorised(p, ref, m->ticket, m->ticket_len,
	    SCOPE_W(SCOPE_TASKS), &who))
		return;
	stop.tenant = who.tenant;
	stop.task = m->task;
	stop.reason = m->reason;
	stop.actor = who.name;
	write_for(p, ref, MSG_TASK_STOP, &stop, stop_done, op_for(202,
	    deed_new(&who, "task.cancel", m->task, m->request_id,
	    m->reason)));
}

void
on_task_retry(struct peer *p, uint64_t ref, const struct msg_task_retry *m)
{
	char			 run[ID_SIZE];
	struct msg_task_again	 again;
	struct ticket		 who;
	struct op		*o;

	if (early_keep(p, ref, MSG_TASK_RETRY, m))
		return;
	if (!authorised(p, ref, m->ticket, m->ticket_len,
	    SCOPE_W(SCOPE_TASKS), &who))
		return;
	id_make(run, "run");
	again.tenant = who.tenant;
	again.task = m->task;
	again.run = run;
	again.actor = who.name;
	again.idem_key = m->idem_key;
	again.idem_hash = m->idem_hash;
	again.idem_hash_len = m->idem_hash_len;
	o = op_for(202, deed_new(&who, "task.retry", m->task, m->request_id,
	    ""));
	o->again = 1;
	write_for(p, ref, MSG_TASK_AGAIN, &again, put_done, o);
}
