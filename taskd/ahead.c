/*
 * ahead.c - the run that a session gets next is asked for in the statement that
 * makes it or makes room for it, so that no commit lies between: TASK_PUT when
 * the session is free, RUN_END when a task waits or is being made.  storaged
 * keeps the order of statements about one session or run.  Until all that was
 * asked about that run is answered nothing else of the session is assigned
 * (queue_run()).
 */
#include <string.h>

#include "queue.h"
#include "store.h"

/* The question of `o' asks for this run too. */
void
ahead_ask(struct op *o, struct session *s, const char *task, const char *run)
{
	strlcpy(o->session, s->id, sizeof(o->session));
	strlcpy(o->then_task, task, sizeof(o->then_task));
	strlcpy(o->then_run, run, sizeof(o->then_run));
	strlcpy(s->ahead, run, sizeof(s->ahead));
}

/* This task is being made, and its run is the first to wait. */
void
ahead_coming(struct op *o, struct session *s, const char *task,
    const char *run)
{
	if (s->length > 0 || s->coming_run[0] != '\0')
		return;
	strlcpy(o->session, s->id, sizeof(o->session));
	strlcpy(s->coming_task, task, sizeof(s->coming_task));
	strlcpy(s->coming_run, run, sizeof(s->coming_run));
}

void
ahead_came(const struct op *o)
{
	struct session	*s;

	if (o->session[0] != '\0' && (s = session_find(o->session)) != NULL &&
	    strcmp(s->coming_run, o->run) == 0)
		s->coming_run[0] = '\0';
}

/* The run of t ends, durably with the question of `o': who follows it? */
void
ahead_end(struct op *o, const struct task *t)
{
	struct session	*s = t->session;
	struct task	*next;

	if (!queue_is_open(s) || s->current != t || s->ahead[0] != '\0')
		return;
	if ((next = queue_first(s)) != NULL)
		ahead_ask(o, s, next->id, next->run.id);
	else if (s->length == 0 && s->coming_run[0] != '\0')
		ahead_ask(o, s, s->coming_task, s->coming_run);
}

/* It is answered: the run is assigned as row says, or (NULL) not now. */
void
ahead_over(const struct op *o, const struct msg_run_row *row)
{
	struct fact	 none = { 0, NULL };
	struct session	*s;
	struct task	*t;

	if (o->then_run[0] == '\0')
		return;
	if ((s = session_find(o->session)) != NULL)
		s->ahead[0] = '\0';
	t = task_find(o->then_task);
	if (t != NULL && strcmp(t->run.id, o->then_run) == 0) {
		if (row != NULL)
			run_event(t, EV_ASSIGNED, row);
		else
			run_event(t, EV_NOT_NOW, &none);
	}
	if (s != NULL)
		session_tell(s);
}
