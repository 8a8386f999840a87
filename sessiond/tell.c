/*
 * tell.c - every session to a process that came up: its state to taskd, what is
 * attached to runnerd, the keys that are in use to providerd.  As many at once
 * as the peer's queue takes; the others in the next turns, in order of id.
 */
#include <string.h>

#include "sessiond.h"

static struct telling {
	enum proc	 proc;
	int		 active;
	char		 after[ID_SIZE];	/* the last that was told */
}	 tellings[] = {
	{ .proc = PROC_TASKD }, { .proc = PROC_RUNNERD },
	{ .proc = PROC_PROVIDERD }
};
#define NTELLINGS	(sizeof(tellings) / sizeof(tellings[0]))

/* What it knew of sessions is to be learnt anew. */
static void
forget(struct session *s, enum proc proc)
{
	if (proc == PROC_TASKD) {
		s->busy = s->quiet = 0;
		s->wanted_ms = 0;
		s->idle_since = worker_mono_ms();
	} else if (proc == PROC_RUNNERD) {
		s->releasing = 0;
		if (s->status == PENDING || s->status == RESUMING)
			s->place_at = 0;
	}
}

static void
tell_one(const struct session *s, enum proc proc)
{
	if (proc == PROC_TASKD)
		session_tell(s);
	else if (proc == PROC_PROVIDERD)
		session_claim(s);
	else if (s->status == ACTIVE)
		session_attachment(s);
}

static void
tell_done(struct peer *p)
{
	struct msg_session_states_done		 states = { 0 };
	struct msg_session_attachments_done	 attached = { 0 };
	struct msg_key_claims_done		 claimed = { 0 };
	struct session				*s, *next;

	if (p->proc == PROC_TASKD)
		send_session_states_done(p, 0, &states);
	else if (p->proc == PROC_RUNNERD)
		send_session_attachments_done(p, 0, &attached);
	else
		send_key_claims_done(p, 0, &claimed);
	RB_FOREACH_SAFE(s, sessions, &env->sessions, next)
		session_settle(s);
}

static void
tell_some(struct telling *t)
{
	struct peer	*p = peer_of(t->proc);
	struct session	 key, *s;

	if (!t->active || !(t->active = peer_is_up(p)))
		return;
	strlcpy(key.id, t->after, sizeof(key.id));
	s = RB_NFIND(sessions, &env->sessions, &key);
	if (s != NULL && strcmp(s->id, t->after) == 0)
		s = RB_NEXT(sessions, &env->sessions, s);
	for (; s != NULL; s = RB_NEXT(sessions, &env->sessions, s)) {
		if (peer_is_full(p))
			return;
		tell_one(s, t->proc);
		strlcpy(t->after, s->id, sizeof(t->after));
	}
	t->active = 0;
	tell_done(p);
}

void
sessions_tell_some(void)
{
	size_t	 i;

	for (i = 0; i < NTELLINGS; i++)
		tell_some(&tellings[i]);
}

void
sessions_peer_up(struct peer *p)
{
	struct session	*s;
	size_t		 i;

	if (!env->loaded || !peer_is_up(p))
		return;
	for (i = 0; i < NTELLINGS; i++) {
		if (tellings[i].proc != p->proc)
			continue;
		RB_FOREACH(s, sessions, &env->sessions)
			forget(s, p->proc);
		tellings[i].active = 1;
		tellings[i].after[0] = '\0';
		tell_some(&tellings[i]);
	}
}
