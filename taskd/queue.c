/*
 * queue.c - the tasks that wait in a session: the highest priority first, then
 * the oldest.  One run at a time: the first is assigned when the session is
 * active, has its credential and nothing else runs.
 */
#include <string.h>

#include "queue.h"
#include "worker.h"

int
queue_cmp(struct task *a, struct task *b)
{
	if (a->priority != b->priority)
		return (a->priority > b->priority ? -1 : 1);
	if (a->created_ms != b->created_ms)
		return (a->created_ms < b->created_ms ? -1 : 1);
	return (strcmp(a->id, b->id));
}

RB_GENERATE(task_queue, task, qentry, queue_cmp)

void
queue_add(struct task *t)
{
	if (t->queued)
		return;
	t->queued = 1;
	RB_INSERT(task_queue, &t->session->waiting, t);
	t->session->length++;
}

void
queue_remove(struct task *t)
{
	if (!t->queued)
		return;
	t->queued = 0;
	RB_REMOVE(task_queue, &t->session->waiting, t);
	t->session->length--;
}

/* It has a runner, and wants to run something there. */
int
queue_is_open(const struct session *s)
{
	return (env->loaded && s->known && s->status == SESSION_ACTIVE &&
	    s->leaving == 0 && s->credential);
}

static int
may_run(const struct session *s)
{
	return (queue_is_open(s) && s->current == NULL);
}

/*
 * A task that is about to be made would be assigned at once: nothing runs, or
 * what runs is about to end and nobody was named to follow it.
 */
int
queue_is_free(const struct session *s)
{
	const struct task	*t = s->current;

	return (queue_is_open(s) && s->length == 0 && s->ahead[0] == '\0' &&
	    s->coming_run[0] == '\0' && (t == NULL ||
	    (t->run.state == RUN_ENDING && t->run.last)));
}

/* The first that is wanted; when it waits, all do: order is kept. */
struct task *
queue_first(struct session *s)
{
	struct task	*t;

	RB_FOREACH(t, task_queue, &s->waiting)
		if (!t->canceled)
			break;
	return (t != NULL && t->not_before <= worker_mono_ms() ? t : NULL);
}

/* Assigns the first task if it may run now. */
void
queue_run(struct session *s)
{
	struct task	*t;

	if (!may_run(s) || (t = queue_first(s)) == NULL)
		return;
	/* One at a time is asked for. */
	if (s->ahead[0] != '\0' && strcmp(s->ahead, t->run.id) != 0)
		return;
	run_event(t, EV_ASSIGN, NULL);
}
