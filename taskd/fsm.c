/*
 * fsm.c - the states of a run, a table of state x event; nowhere else does
 * the state of a run change (task.c makes it anew).  An event that has no
 * action in a state is stale and of no consequence: run_event() answers 0 and
 * whoever told it is acknowledged at once.  Memory moves when the commit is
 * answered; until then the state is ASSIGNING or ENDING, which nothing else
 * touches (promise 8).
 */
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "permission.h"
#include "queue.h"
#include "store.h"
#include "worker.h"

#define NOT_NOW_MS	2000
#define NO_KEY_MS	10000

typedef int	 (*action)(struct task *, const void *);

static void
set(struct task *t, enum run_state state)
{
	t->run.state = state;
}

static void
note_later(struct task *t, uint64_t ref)
{
	struct note	*n;

	if (ref == 0)
		return;
	if ((n = malloc(sizeof(*n))) == NULL)
		fatal("note");
	n->ref = ref;
	n->life = env->life;
	STAILQ_INSERT_TAIL(&t->notes, n, entry);
}

static void
notes_send(struct task *t)
{
	struct note	*n;

	while ((n = STAILQ_FIRST(&t->notes)) != NULL) {
		STAILQ_REMOVE_HEAD(&t->notes, entry);
		run_noted(n->ref, n->life);
		free(n);
	}
}

/* Ends the run; done says what became of the task (EV_ENDED). */
static void
finish(struct task *t, const struct msg_run_completed *m, const char *how)
{
	run_clock(t);
	queue_remove(t);
	set(t, RUN_ENDING);
	store_end(t, m, how);
}

static int
assign(struct task *t, const void *arg)
{
	(void)arg;
	queue_remove(t);
	t->session->current = t;
	set(t, RUN_ASSIGNING);
	if (strcmp(t->session->ahead, t->run.id) != 0)
		store_assign(t);
	return (1);
}

/* Back into the queue, for a while or until the session changes. */
static int
requeue(struct task *t, const void *arg)
{
	struct session	*s = t->session;

	(void)arg;
	if (s->current == t)
		s->current = NULL;
	t->run.kill = KILL_NONE;
	t->run.kill_ms = 0;
	free(t->run.prompt);
	t->run.prompt = NULL;
	t->not_before = worker_mono_ms() +
	    (t->no_key ? NO_KEY_MS : NOT_NOW_MS);
	set(t, RUN_PENDING);
	notes_send(t);
	if (t->canceled)
		finish(t, NULL, "canceled");
	else {
		queue_add(t);
		waiting_tell_task(t);
	}
	session_tell(s);
	return (1);
}

static void
take_prompt(struct task *t, const struct msg_run_row *m)
{
	free(t->run.prompt);
	if ((t->run.prompt = strdup(m->prompt)) == NULL)
		fatal("prompt");
	t->run.interrupted = m->interrupted;
}

static int
assigned(struct task *t, const void *arg)
{
	const struct msg_run_row	*m = arg;
	struct session			*s = t->session;

	strlcpy(t->run.runner, m->runner, sizeof(t->run.runner));
	t->run.epoch = m->epoch;
	t->run.attempt = m->attempt;
	take_prompt(t, m);
	set(t, RUN_ASSIGNED);
	if (t->canceled)
		finish(t, NULL, "canceled");
	else if (s->status != SESSION_ACTIVE || s->leaving != 0 ||
	    s->epoch != m->epoch) {
		/* The session moved meanwhile; nobody has seen this run. */
		set(t, RUN_ENDING);
		store_unassign(t);
	} else
		run_start(t, 1);
	session_tell(s);
	return (1);
}

/* Asked for ahead, and then the session did not let it go on. */
static int
assigned_ahead(struct task *t, const void *arg)
{
	queue_remove(t);
	if (t->session->current == NULL)
		t->session->current = t;
	return (assigned(t, arg));
}

/* The prompt of a run that was assigned in an earlier life of taskd. */
static int
prompt(struct task *t, const void *arg)
{
	take_prompt(t, arg);
	run_start(t, 0);
	return (1);
}

/*
 * Its session is about to leave, or the database is away.  Its runner may have
 * it all the same: who says that it is not begun is the runner, never we.
 */
static int
no_prompt(struct task *t, const void *arg)
{
	(void)arg;
	t->run.unprompted = 1;
	return (1);
}

static int
started(struct task *t, const void *arg)
{
	const struct fact	*f = arg;

	t->run.started = 1;
	t->no_key = 0;
	store_begin(t, f->msg, f->ref);
	return (1);
}

static int
begun(struct task *t, const void *arg)
{
	(void)arg;
	set(t, RUN_RUNNING);
	t->run.clock_ms = worker_mono_ms();
	free(t->run.prompt);
	t->run.prompt = NULL;
	/* The statement has cleared what it waited for. */
	t->waiting_for[0] = '\0';
	permission_leave(t, 0);
	waiting_tell_task(t);
	return (1);
}

static int
completed(struct task *t, const void *arg)
{
	const struct fact		*f = arg;
	const struct msg_run_completed	*m = f->msg;

	note_later(t, f->ref);
	finish(t, m, m->status);
	return (1);
}

static int
lost(struct task *t, const void *arg)
{
	const struct fact	*f = arg;

	note_later(t, f->ref);
	finish(t, NULL, "lost");
	return (1);
}

static int
unwound(struct task *t, const void *arg)
{
	const struct fact		*f = arg;
	const struct msg_run_unwound	*m = f->msg;

	/* Begun is begun: its runner does not know any more what came of it. */
	if (t->run.started)
		return (lost(t, arg));
	note_later(t, f->ref);
	t->no_key = m != NULL && strcmp(m->reason, "credential") == 0;
	set(t, RUN_ENDING);
	store_unassign(t);
	return (1);
}

/* Already on its way: acknowledged with the first. */
static int
known(struct task *t, const void *arg)
{
	const struct fact	*f = arg;

	note_later(t, f->ref);
	return (1);
}

static int
ended(struct task *t, const void *arg)
{
	const struct ending	*e = arg;
	struct session		*s = t->session;

	notes_send(t);
	if (strcmp(e->fate.task_status, "pending") != 0) {
		set(t, RUN_OVER);
		task_end(t);
		return (1);
	}
	if (strcmp(e->fate.status, "lost") == 0)
		t->lost++;
	t->retry_count += (uint32_t)e->fate.counted;
	task_again(t, e->next_run);
	if (t->canceled)
		finish(t, NULL, "canceled");
	else
		waiting_tell_task(t);
	session_tell(s);
	return (1);
}

static int
kill_later(struct task *t, const void *arg)
{
	const enum kill	*k = arg;

	if (*k > t->run.kill)
		t->run.kill = *k;
	return (1);
}

static int
kill_now(struct task *t, const void *arg)
{
	const enum kill	*k = arg;

	run_kill(t, *k);
	return (1);
}

/* No attempt is under way: the task was only marked, so it ends here. */
static int
kill_pending(struct task *t, const void *arg)
{
	const enum kill	*k = arg;

	if (*k == KILL_CANCEL)
		finish(t, NULL, "canceled");
	return (1);
}

static const action	 table[RUN_STATES][RUN_EVENTS] = {
	[RUN_PENDING] = {
		[EV_ASSIGN] = assign,
		[EV_ASSIGNED] = assigned_ahead,
		[EV_KILL] = kill_pending,
	},
	[RUN_ASSIGNING] = {
		[EV_ASSIGNED] = assigned,
		[EV_NOT_NOW] = requeue,
		[EV_KILL] = kill_later,
	},
	[RUN_ASSIGNED] = {
		[EV_ASSIGNED] = prompt,
		[EV_NOT_NOW] = no_prompt,
		[EV_STARTED] = started,
		[EV_BEGUN] = begun,
		[EV_COMPLETED] = completed,
		[EV_UNWOUND] = unwound,
		[EV_LOST] = lost,
		[EV_KILL] = kill_now,
	},
	[RUN_RUNNING] = {
		[EV_COMPLETED] = completed,
		[EV_UNWOUND] = unwound,
		[EV_LOST] = lost,
		[EV_KILL] = kill_now,
	},
	[RUN_ENDING] = {
		[EV_COMPLETED] = known,
		[EV_UNWOUND] = known,
		[EV_LOST] = known,
		[EV_UNASSIGNED] = requeue,
		[EV_ENDED] = ended,
	},
};

int
run_event(struct task *t, enum run_event ev, const void *arg)
{
	action	 act = table[t->run.state][ev];

	return (act != NULL ? act(t, arg) : 0);
}
