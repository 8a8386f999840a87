/*
 * session.c - sessions as sessiond tells of them, and the wishes about them
 * that go back: levels, told whole when sessiond comes up (promise 9).  When
 * a session leaves its runner the run is stopped, and SESSION_QUIET says that
 * none is left.
 */
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "permission.h"
#include "queue.h"
#include "store.h"
#include "worker.h"

#define UNKNOWN_MS	10000	/* a task's session may be told a bit later */

RB_HEAD(sessions, session);

static struct sessions	 all = RB_INITIALIZER(&all);

static int
session_cmp(struct session *a, struct session *b)
{
	return (strcmp(a->id, b->id));
}

RB_PROTOTYPE(sessions, session, entry, session_cmp);
RB_GENERATE(sessions, session, entry, session_cmp)

struct session *
session_find(const char *id)
{
	struct session	 key;

	strlcpy(key.id, id, sizeof(key.id));
	return (RB_FIND(sessions, &all, &key));
}

struct session *
session_get(const char *id)
{
	struct session	*s;

	if ((s = session_find(id)) != NULL)
		return (s);
	if ((s = calloc(1, sizeof(*s))) == NULL)
		fatal("session");
	strlcpy(s->id, id, sizeof(s->id));
	RB_INIT(&s->waiting);
	s->credential = 1;
	s->unknown_ms = worker_mono_ms();
	RB_INSERT(sessions, &all, s);
	return (s);
}

int
session_is_over(const struct session *s)
{
	return (s->known && (s->leaving == 2 ||
	    s->status == SESSION_TERMINATED));
}

/* The run that it had there is not there any more. */
static int
run_is_orphan(const struct session *s)
{
	const struct task	*t = s->current;

	return (t != NULL && (t->run.state == RUN_ASSIGNED ||
	    t->run.state == RUN_RUNNING) && s->epoch >= t->run.epoch &&
	    (s->epoch > t->run.epoch || s->status != SESSION_ACTIVE));
}

static void
stop_run(struct session *s)
{
	struct fact	 none = { 0, NULL };
	enum kill	 k = s->leaving == 2 ? KILL_CANCEL : KILL_SUSPEND;

	if (run_is_orphan(s)) {
		if (s->status == SESSION_SUSPENDED)
			s->current->run.kill = KILL_SUSPEND;
		run_event(s->current, EV_LOST, &none);
	} else if (s->leaving != 0 && s->current != NULL &&
	    s->current->run.kill < k)
		run_event(s->current, EV_KILL, &k);
}

void
session_stop_task(struct task *t)
{
	if (!t->canceled)
		store_stop(t, "the session was terminated");
}

static void
stop_tasks(struct session *s)
{
	struct task	*t, *next;

	RB_FOREACH_SAFE(t, task_queue, &s->waiting, next)
		session_stop_task(t);
	if (s->current != NULL)
		session_stop_task(s->current);
}

static void
tell_quiet(struct session *s)
{
	struct msg_session_quiet	 m = { s->id, s->epoch };

	if (s->leaving != 0 && s->current == NULL && s->ahead[0] == '\0' &&
	    peer_is_up(peer_of(PROC_SESSIOND)))
		send_session_quiet(peer_of(PROC_SESSIOND), 0, &m);
}

/*
 * A session is idle that has no task.  One that waits, for a key perhaps, is
 * seen to wait for that, and not for a session that sleeps.  again: also what
 * was told before.
 */
static void
tell_busy(struct session *s, int again)
{
	struct msg_session_busy	 m = { s->id, s->current != NULL ||
	    s->length > 0 };

	if ((s->busy == m.busy && (!again || !m.busy)) ||
	    !peer_is_up(peer_of(PROC_SESSIOND)))
		return;
	s->busy = m.busy;
	send_session_busy(peer_of(PROC_SESSIOND), 0, &m);
}

/*
 * Since when the newest waiting task wants the session; 0: none does.  One that
 * waits for an answer wants it when that is given.
 */
static uint64_t
wanted_since(struct session *s)
{
	struct task	*t;
	uint64_t	 newest = 0;

	RB_FOREACH(t, task_queue, &s->waiting)
		if (!t->canceled && !permission_waits(t) &&
		    t->wanted_ms > newest)
			newest = t->wanted_ms;
	return (newest);
}

/* again: also what was told before. */
static void
tell_wish(struct session *s, int again)
{
	struct msg_session_unwant	 no = { s->id };
	struct msg_session_want		 yes = { s->id, 0 };
	struct peer			*p = peer_of(PROC_SESSIOND);

	if (!peer_is_up(p) || !env->loaded)
		return;
	yes.newest_ms = s->status == SESSION_ACTIVE && s->leaving == 0 ?
	    0 : wanted_since(s);
	if (yes.newest_ms == s->wanted_ms && (!again || yes.newest_ms == 0))
		return;
	s->wanted_ms = yes.newest_ms;
	if (yes.newest_ms != 0)
		send_session_want(p, 0, &yes);
	else
		send_session_unwant(p, 0, &no);
}

/* Something about its tasks changed: run the next, tell the others. */
void
session_tell(struct session *s)
{
	if (!env->loaded)
		return;
	queue_run(s);
	tell_busy(s, 0);
	tell_quiet(s);
	tell_wish(s, 0);
	waiting_tell(s);
}

/*
 * Said again each time: a sessiond that came up knows none of its sessions
 * until it has loaded them, and tells us of each when it has.
 */
static void
session_changed(struct session *s)
{
	if (!env->loaded || !s->known)
		return;
	stop_run(s);
	if (session_is_over(s))
		stop_tasks(s);
	queue_run(s);
	tell_busy(s, 1);
	tell_quiet(s);
	tell_wish(s, 1);
	waiting_tell(s);
}

static enum session_status
status_of(const char *word)
{
	static const char *const	 words[] = { "pending", "active",
		"suspended", "resuming", "terminated" };
	int				 i;

	for (i = 0; i < SESSION_TERMINATED; i++)
		if (strcmp(words[i], word) == 0)
			break;
	return ((enum session_status)i);
}

void
on_session_state(struct peer *p, uint64_t ref,
    const struct msg_session_state *m)
{
	struct session	*s;

	(void)p;
	(void)ref;
	s = session_get(m->session);
	s->known = s->told = 1;
	s->status = status_of(m->status);
	s->leaving = m->leaving;
	s->credential = m->credential;
	s->epoch = m->epoch;
	strlcpy(s->runner, m->runner, sizeof(s->runner));
	session_changed(s);
}

void
on_session_states_done(struct peer *p, uint64_t ref,
    const struct msg_session_states_done *m)
{
	struct session	*s;

	(void)p;
	(void)ref;
	(void)m;
	env->told = 1;
	RB_FOREACH(s, sessions, &all) {
		/* Its end may have been told to the one before, which died. */
		if (!s->told && s->status != SESSION_TERMINATED)
			s->known = 0;
		if (!s->known)
			s->unknown_ms = worker_mono_ms();
	}
	runs_begin();
}

/* sessiond came up: it knows nothing of us. */
void
session_wishes(void)
{
	struct session	*s;

	env->told = 0;
	RB_FOREACH(s, sessions, &all) {
		s->told = 0;
		s->busy = 0;
		s->wanted_ms = 0;
		tell_busy(s, 0);
		tell_wish(s, 0);
		tell_quiet(s);
	}
}

/* Tasks are loaded: what was told of sessions before takes effect. */
void
session_loaded(void)
{
	struct session	*s;

	RB_FOREACH(s, sessions, &all) {
		session_changed(s);
		if (!s->known)
			tell_wish(s, 0);
	}
}

/*
 * A session that nobody told of is terminated: only those are left out.  One
 * that is over and has no task is forgotten.
 */
void
session_janitor(void)
{
	struct session	*s, *next;

	if (!env->loaded)
		return;
	RB_FOREACH_SAFE(s, sessions, &all, next) {
		if (!s->known && env->told && worker_mono_ms() -
		    s->unknown_ms > UNKNOWN_MS) {
			s->known = 1;
			s->status = SESSION_TERMINATED;
			s->epoch = UINT64_MAX;
			session_changed(s);
		}
		if (s->status == SESSION_TERMINATED && s->known &&
		    s->tasks == 0 && s->ahead[0] == '\0') {
			RB_REMOVE(sessions, &all, s);
			free(s);
			continue;
		}
		queue_run(s);
	}
}
