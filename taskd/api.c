/*
 * api.c - the tasks' half of what the web asks.  Identity and rights come from
 * the ticket and from nothing else (architecture 4); a write is answered when
 * it is committed, and memory follows the commit even when the client was told
 * that the outcome is unknown.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "taskd.h"
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

/* 1 while the answer is still to come: the client was told, memory was not. */
static int
row_of(struct ask *a, const struct answer *ans, struct msg_task_row *row)
{
	struct op	*o = a->arg;

	memset(row, 0, sizeof(*row));
	row->code = row->text = "";
	kept_get(&o->row, row);
	reply(a, ans, row->code, row->text, row->doc, row->doc_len);
	if (strcmp(ans->code, "outcome_unknown") == 0)
		return (1);
	if (row->task != NULL && row->task[0] == '\0')
		row->task = NULL;
	return (0);
}

/* A task is there, committed: new, again, or the older one of its key. */
static void
put_done(struct ask *a, const struct answer *ans)
{
	struct op		*o = a->arg;
	struct msg_task_row	 row;
	struct task		*t;

	if (row_of(a, ans, &row))
		return;
	if (row.task != NULL && (t = task_row(&row)) != NULL) {
		if (o->bare)
			t->wanted_ms = worker_now_ms();
		session_tell(t->session);
	}
	op_free(o);
}

static void
stop_done(struct ask *a, const struct answer *ans)
{
	struct msg_task_row	 row;

	if (row_of(a, ans, &row))
		return;
	if (row.task != NULL)
		stop_row(&row);
	op_free(a->arg);
}

/* A client's write; what it asks memory to do is done by `done'. */
static void
write_for(struct peer *p, uint64_t ref, enum msg_type type, const void *m,
    ask_done done, uint16_t status, int again)
{
	struct op	*o = op_new(NULL);
	struct ask	*a;
	unsigned int	 n;
	size_t		 bytes;

	ask_count(&n, &bytes);
	o->status = status;
	o->bare = again;
	/* Half of the room is for what cannot be refused. */
	if (bytes > ASK_BYTES_MAX / 2 || (a = ask_for(p, ref, PROC_STORAGED,
	    type, m, WRITE_SECONDS, done, o)) == NULL) {
		op_free(o);
		refuse(p, ref, "unavailable", "the database is waited for");
		return;
	}
	a->late = 1;
}

void
on_task_create(struct peer *p, uint64_t ref, const struct msg_task_create *m)
{
	char			 task[ID_SIZE], run[ID_SIZE];
	struct msg_task_put	 put;
	struct session		*s;
	struct ticket		 who;

	if (early_keep(p, ref, MSG_TASK_CREATE, m))
		return;
	if (!authorised(p, ref, m->ticket, m->ticket_len,
	    SCOPE_W(SCOPE_TASKS), &who))
		return;
	s = session_find(m->session);
	if (s != NULL && s->length >= env->max_queued) {
		refuse(p, ref, "rate_limited",
		    "too many tasks wait in this session");
		return;
	}
	id_make(task, "task");
	id_make(run, "run");
	put.tenant = who.tenant;
	put.task = task;
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
	put.idem_key = m->idem_key;
	put.idem_hash = m->idem_hash;
	put.idem_hash_len = m->idem_hash_len;
	write_for(p, ref, MSG_TASK_PUT, &put, put_done, 201, 0);
	audit(&who, "task.create", task, m->request_id, m->session);
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
	write_for(p, ref, MSG_TASK_STOP, &stop, stop_done, 202, 0);
	audit(&who, "task.cancel", m->task, m->request_id, m->reason);
}

void
on_task_retry(struct peer *p, uint64_t ref, const struct msg_task_retry *m)
{
	char			 run[ID_SIZE];
	struct msg_task_again	 again;
	struct ticket		 who;

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
	write_for(p, ref, MSG_TASK_AGAIN, &again, put_done, 202, 1);
	audit(&who, "task.retry", m->task, m->request_id, "");
}
