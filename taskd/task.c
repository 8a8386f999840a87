/*
 * task.c - the tasks that have not ended, by id and by the id of their newest
 * run.  Made of the rows that storaged answers; a task that has ended is told
 * to those who wait for it and forgotten.
 */
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "log.h"
#include "permission.h"
#include "queue.h"
#include "worker.h"

RB_HEAD(task_ids, task);
RB_HEAD(run_ids, task);

static struct task_ids	 by_id = RB_INITIALIZER(&by_id);
static struct run_ids	 by_run = RB_INITIALIZER(&by_run);
static size_t		 count;

static int
id_cmp(struct task *a, struct task *b)
{
	return (strcmp(a->id, b->id));
}

static int
run_cmp(struct task *a, struct task *b)
{
	return (strcmp(a->run.id, b->run.id));
}

RB_PROTOTYPE(task_ids, task, entry, id_cmp);
RB_GENERATE(task_ids, task, entry, id_cmp)
RB_PROTOTYPE(run_ids, task, rentry, run_cmp);
RB_GENERATE(run_ids, task, rentry, run_cmp)

struct task *
task_find(const char *id)
{
	struct task	 key;

	strlcpy(key.id, id, sizeof(key.id));
	return (RB_FIND(task_ids, &by_id, &key));
}

struct task *
task_of_run(const char *run)
{
	struct task	 key;

	strlcpy(key.run.id, run, sizeof(key.run.id));
	return (RB_FIND(run_ids, &by_run, &key));
}

struct task *
task_first(void)
{
	return (RB_MIN(task_ids, &by_id));
}

struct task *
task_next(struct task *t)
{
	return (RB_NEXT(task_ids, &by_id, t));
}

size_t
task_count(void)
{
	return (count);
}

/* The newest attempt of the task is this run. */
static void
task_run_is(struct task *t, const char *run, uint32_t attempt)
{
	if (t->run.id[0] != '\0')
		RB_REMOVE(run_ids, &by_run, t);
	free(t->run.prompt);
	memset(&t->run, 0, sizeof(t->run));
	t->run.state = RUN_PENDING;
	t->run.attempt = attempt;
	strlcpy(t->run.id, run, sizeof(t->run.id));
	if (RB_INSERT(run_ids, &by_run, t) != NULL)
		fatalx("run %s is of two tasks", run);
}

static void
task_resume_run(struct task *t, const struct msg_task_row *m)
{
	if (strcmp(m->run_status, "assigned") == 0)
		t->run.state = RUN_ASSIGNED;
	else if (strcmp(m->run_status, "running") == 0) {
		t->run.state = RUN_RUNNING;
		t->run.started = 1;
	} else
		return;
	strlcpy(t->run.runner, m->runner, sizeof(t->run.runner));
	t->run.epoch = m->epoch;
	/* Waits for people are not known: the backstop begins anew. */
	t->run.clock_ms = worker_mono_ms();
	t->session->current = t;
}

/* Since then it wants its session, says a row. */
void
task_wants(struct task *t, uint64_t ms)
{
	if (ms > t->wanted_ms)
		t->wanted_ms = ms;
}

/*
 * The task of a committed row: as known, or made.  NULL when it has ended.
 */
struct task *
task_row(const struct msg_task_row *m)
{
	struct task	*t;

	if (strcmp(m->status, "pending") != 0 &&
	    strcmp(m->status, "running") != 0)
		return (NULL);
	if ((t = task_find(m->task)) != NULL) {
		task_wants(t, m->wanted_ms);
		return (t);
	}
	if ((t = calloc(1, sizeof(*t))) == NULL)
		fatal("task");
	strlcpy(t->id, m->task, sizeof(t->id));
	strlcpy(t->tenant, m->tenant, sizeof(t->tenant));
	STAILQ_INIT(&t->notes);
	TAILQ_INIT(&t->permissions);
	t->session = session_get(m->session);
	t->session->tasks++;
	t->created_ms = m->created_ms;
	t->wanted_ms = m->wanted_ms;
	t->priority = m->priority;
	t->timeout = m->timeout;
	t->max_retries = m->max_retries;
	t->retry_count = m->retry_count;
	t->lost = m->lost;
	t->canceled = m->cancel_asked;
	RB_INSERT(task_ids, &by_id, t);
	count++;
	task_run_is(t, m->run, m->attempt);
	/*
	 * A loaded task may wait for something by its record: say it anew.  Of
	 * a new one EV_ASSIGNED tells what its run is besides pending.
	 */
	if (!env->loaded) {
		strlcpy(t->waiting_for, "?", sizeof(t->waiting_for));
		task_resume_run(t, m);
	}
	if (t->run.state == RUN_PENDING)
		queue_add(t);
	return (t);
}

/* Its run has ended and another attempt follows. */
void
task_again(struct task *t, const char *run)
{
	uint32_t	 attempt = t->run.attempt + 1;

	if (t->session->current == t)
		t->session->current = NULL;
	t->waiting_for[0] = '\0';
	permission_orphan(t);
	task_run_is(t, run, attempt);
	queue_add(t);
}

/* It has ended, durably. */
void
task_end(struct task *t)
{
	struct msg_task_ended	 m = { .task = t->id };
	struct session		*s = t->session;
	struct note		*n;

	queue_remove(t);
	if (s->current == t)
		s->current = NULL;
	while ((n = STAILQ_FIRST(&t->notes)) != NULL) {
		STAILQ_REMOVE_HEAD(&t->notes, entry);
		run_noted(n->ref, n->life);
		free(n);
	}
	permission_leave(t, 1);
	if (peer_is_up(peer_of(PROC_RUNNERD)))
		send_task_ended(peer_of(PROC_RUNNERD), 0, &m);
	waiter_wake(t->id);
	s->tasks--;
	RB_REMOVE(task_ids, &by_id, t);
	RB_REMOVE(run_ids, &by_run, t);
	count--;
	free(t->run.prompt);
	free(t);
	session_tell(s);
}
