/*
 * waiting.c - what a task waits for, in one word that people see.  Computed
 * from what is known and stored when it changes; TASK_PUT stores the first
 * word, RUN_BEGIN clears the last.
 */
#include <string.h>

#include "permission.h"
#include "queue.h"
#include "store.h"

static int
is_away(const struct session *s)
{
	return (!s->known || s->leaving != 0 ||
	    s->status == SESSION_SUSPENDED ||
	    s->status == SESSION_TERMINATED);
}

/* What every task that waits in this session waits for; empty: it is next. */
const char *
waiting_of(const struct session *s)
{
	if (is_away(s))
		return ("session");
	if (!s->credential)
		return ("credential");
	if (s->status != SESSION_ACTIVE)
		return ("runner");
	return (s->current != NULL ? "session" : "");
}

const char *
waiting_for(const struct task *t)
{
	if (t->run.state != RUN_PENDING)
		return (t->run.asking > 0 ? "permission" : "");
	if (permission_waits(t))
		return ("permission");
	if (t->no_key && !is_away(t->session))
		return ("credential");
	return (waiting_of(t->session));
}

static void
store(struct task *t, const char *word)
{
	strlcpy(t->waiting_for, word, sizeof(t->waiting_for));
	store_wait(t, word);
}

void
waiting_tell_task(struct task *t)
{
	const char	*now = waiting_for(t);

	if (!env->loaded || !t->session->known ||
	    t->run.state == RUN_ENDING || t->run.state == RUN_OVER ||
	    strcmp(t->waiting_for, now) == 0)
		return;
	/* Its beginning, a moment from now, clears it: waiting_settle(). */
	if (now[0] == '\0' && (t->run.state == RUN_ASSIGNING ||
	    t->run.state == RUN_ASSIGNED))
		return;
	store(t, now);
}

/* Once a second: it was assigned, and has not begun since. */
void
waiting_settle(struct task *t)
{
	int	 was = t->stale;

	t->stale = t->run.state == RUN_ASSIGNED && t->waiting_for[0] != '\0' &&
	    waiting_for(t)[0] == '\0';
	if (was && t->stale)
		store(t, "");
}

/* The session has changed, and with it perhaps what all of them wait for. */
void
waiting_tell(struct session *s)
{
	const char	*word = waiting_of(s);
	struct task	*t;

	if (!env->loaded || !s->known)
		return;
	if (s->waiting_for == NULL || strcmp(s->waiting_for, word) != 0) {
		s->waiting_for = word;
		RB_FOREACH(t, task_queue, &s->waiting)
			waiting_tell_task(t);
	}
	if (s->current != NULL)
		waiting_tell_task(s->current);
}
