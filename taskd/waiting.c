/*
 * waiting.c - what a task waits for, in one word that people see.  Computed
 * from what is known and stored when it changes.
 */
#include <string.h>

#include "permission.h"
#include "store.h"

const char *
waiting_for(const struct task *t)
{
	const struct session	*s = t->session;

	if (t->run.state != RUN_PENDING)
		return (t->run.asking > 0 ? "permission" : "");
	if (permission_waits(t->id))
		return ("permission");
	if (!s->known || s->leaving != 0 || s->status == SESSION_SUSPENDED ||
	    s->status == SESSION_TERMINATED)
		return ("session");
	if (!s->credential || t->no_key)
		return ("credential");
	if (s->status != SESSION_ACTIVE)
		return ("runner");
	return (s->current != NULL && s->current != t ? "session" : "");
}

static void
tell(struct task *t)
{
	const char	*now = waiting_for(t);

	if (t->run.state == RUN_ENDING || t->run.state == RUN_OVER ||
	    strcmp(t->waiting_for, now) == 0)
		return;
	strlcpy(t->waiting_for, now, sizeof(t->waiting_for));
	store_wait(t, now);
}

void
waiting_tell(struct session *s)
{
	struct task	*t;

	if (!env->loaded || !s->known)
		return;
	RB_FOREACH(t, task_queue, &s->waiting)
		tell(t);
	if (s->current != NULL)
		tell(s->current);
}
