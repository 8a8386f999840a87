/*
 * stop.c - the end of a task that somebody asked for: a person, or the
 * system when its session is terminated.  A pending task ends with the
 * statement; one at work is marked by it, and its run is killed.
 */
#include <string.h>

#include "log.h"
#include "store.h"

/* The row is committed. */
void
stop_row(const struct msg_task_row *m)
{
	enum kill	 k = KILL_CANCEL;
	struct task	*t = task_find(m->task);

	if (t == NULL)
		return;
	if (strcmp(m->status, "pending") == 0 ||
	    strcmp(m->status, "running") == 0) {
		if (m->cancel_asked) {
			t->canceled = 1;
			run_event(t, EV_KILL, &k);
		}
		return;
	}
	if (t->run.state == RUN_ENDING) {
		/* Our own end of the run is on its way and finishes it. */
		t->canceled = 1;
		return;
	}
	if (t->run.state == RUN_ASSIGNED || t->run.state == RUN_RUNNING)
		run_kill(t, KILL_CANCEL);
	task_end(t);
}

static void
stop_done(struct ask *a, const struct answer *ans)
{
	struct op		*o = a->arg;
	struct msg_task_row	 row;
	struct task		*t;

	if (kept_get(&o->row, &row) == 0)
		stop_row(&row);
	else if (ans->code[0] != '\0') {
		log_warnx("task %s: stop: %s: %s", o->task, ans->code,
		    ans->text);
		if ((t = task_find(o->task)) != NULL &&
		    t->run.state == RUN_PENDING)
			task_end(t);
	}
	op_free(o);
}

/* By the system. */
void
store_stop(struct task *t, const char *reason)
{
	struct msg_task_stop	 m;

	t->canceled = 1;
	m.tenant = t->tenant;
	m.task = t->id;
	m.reason = reason;
	m.actor = "system";
	store_ask(MSG_TASK_STOP, &m, stop_done, op_new(t));
}
