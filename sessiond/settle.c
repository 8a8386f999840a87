/*
 * settle.c - what a session's state asks for, as levels and not as edges
 * (promise 9): whenever something has changed, session_settle() looks at what
 * is and does what is due.  Doing it again does no harm.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "sessiond.h"

#define PLACE_AGAIN_MS	30000
#define PLACE_MAX	256	/* tried for one runner that became free */
#define LEAVE_MS	30000	/* taskd is waited for so long */

/* What taskd knows of it. */
void
session_tell(const struct session *s)
{
	struct msg_session_state	 m;

	if (!env->loaded)
		return;
	m.tenant = s->tenant;
	m.session = s->id;
	m.agent = s->agent;
	m.status = status_name(s->status);
	m.leaving = s->status == ACTIVE ? (uint8_t)s->wish : 0;
	m.runner = s->runner;
	m.epoch = s->epoch;
	/* Until providerd has said so no key is lost: a person would be asked for it. */
	m.credential = s->credential != CRED_MISSING;
	m.reason = s->reason;
	m.policy = s->policy;
	m.policy_len = s->policy_len;
	send_session_state(peer_of(PROC_TASKD), 0, &m);
}

/* What runnerd knows of it while it is attached. */
void
session_attachment(const struct session *s)
{
	struct msg_session_attachment	 m;

	m.tenant = s->tenant;
	m.session = s->id;
	m.runner = s->runner;
	m.epoch = s->epoch;
	m.agent = s->agent;
	m.model = s->model;
	m.agent_config = s->agent_config;
	m.key_ref = s->key_ref;
	send_session_attachment(peer_of(PROC_RUNNERD), 0, &m);
}

/* Why it waits: told to taskd, and stored, when it changes. */
static void
session_waits_because(struct session *s, const char *reason)
{
	struct msg_session_note	 m;

	if (strcmp(s->reason, reason) == 0)
		return;
	strlcpy(s->reason, reason, sizeof(s->reason));
	m.tenant = s->tenant;
	m.session = s->id;
	m.key_ref = s->key_ref;
	m.credential = s->credential != CRED_MISSING;
	m.reason = s->reason;
	ask(PROC_STORAGED, MSG_SESSION_NOTE, &m, 0, NULL, NULL);
	session_tell(s);
}

/* ---- credentials ---- */

static const char	 key_is_lost[] = "the agent's key was lost with the "
    "process that held it; give it again with PUT "
    "/api/v1/sessions/{id}/credential";

void
session_claim(const struct session *s)
{
	struct msg_key_claim	 m;

	if (*s->key_ref == '\0')
		return;
	m.tenant = s->tenant;
	m.key_ref = s->key_ref;
	m.session = s->id;
	send_key_claim(peer_of(PROC_PROVIDERD), 0, &m);
}

void
on_key_claimed(struct peer *p, uint64_t ref, const struct msg_key_claimed *m)
{
	struct session	*s = session_find(m->session);
	enum credential	 now = m->held ? CRED_HELD : CRED_MISSING, was;

	(void)p;
	(void)ref;
	if (s == NULL || strcmp(s->key_ref, m->key_ref) != 0 ||
	    s->credential == now)
		return;
	was = s->credential;
	s->credential = now;
	if (now == CRED_MISSING)
		session_waits_because(s, key_is_lost);
	else if (was == CRED_MISSING)
		session_waits_because(s, "");
	session_tell(s);
}

/* ---- placing ---- */

static void
place(struct session *s)
{
	struct msg_session_place	 m;

	if (s->place_at > worker_mono_ms() ||
	    !peer_is_up(peer_of(PROC_RUNNERD)))
		return;
	s->place_at = worker_mono_ms() + PLACE_AGAIN_MS;
	m.tenant = s->tenant;
	m.session = s->id;
	m.agent = s->agent;
	m.model = s->model;
	m.runner = s->home;
	m.agent_config = s->agent_config;
	m.key_ref = s->key_ref;
	send_session_place(peer_of(PROC_RUNNERD), 0, &m);
}

void
on_session_placed(struct peer *p, uint64_t ref,
    const struct msg_session_placed *m)
{
	struct session	*s = session_find(m->session);

	(void)p;
	(void)ref;
	if (s == NULL || m->epoch <= s->epoch)
		return;
	session_set_status(s, ACTIVE, m->runner, m->epoch);
	session_settle(s);
}

void
on_session_unplaced(struct peer *p, uint64_t ref,
    const struct msg_session_unplaced *m)
{
	struct session	*s = session_find(m->session);

	(void)p;
	(void)ref;
	if (s != NULL && (s->status == PENDING || s->status == RESUMING))
		session_waits_because(s, m->reason);
}

void
on_runner_freed(struct peer *p, uint64_t ref, const struct msg_runner_freed *m)
{
	struct session	*s, *next;
	unsigned int	 n = 0;

	(void)p;
	(void)ref;
	/* Oldest first: ids sort by time.  The others' own time comes. */
	RB_FOREACH_SAFE(s, sessions, &env->sessions, next) {
		if (s->status != PENDING && s->status != RESUMING)
			continue;
		if (*s->home != '\0' && strcmp(s->home, m->runner) != 0)
			continue;
		s->place_at = 0;
		session_settle(s);
		if (++n == PLACE_MAX)
			break;
	}
}

/* ---- leaving ---- */

static void
release(struct session *s, const char *to, const char *reason, int remove)
{
	struct msg_session_release	 m;

	s->releasing = 1;
	m.tenant = s->tenant;
	m.session = s->id;
	m.runner = s->runner;
	m.epoch = s->epoch;
	m.to = to;
	m.reason = reason;
	m.remove = (uint8_t)remove;
	send_session_release(peer_of(PROC_RUNNERD), 0, &m);
}

/*
 * Wished away: taskd stops what runs, then the runner is given back; by runnerd
 * not before the end of a run that is over has come, however late its log is,
 * nor while a runner is away and not lost that may have ended one.
 */
static void
leave(struct session *s)
{
	if (!s->told_leaving) {
		s->told_leaving = 1;
		s->leaving_since = worker_mono_ms();
		session_tell(s);
	}
	if (!s->quiet && worker_mono_ms() - s->leaving_since < LEAVE_MS)
		return;
	if (!s->releasing)
		release(s, s->wish == WISH_TERMINATE ? "terminated" :
		    "suspended", "", s->wish == WISH_TERMINATE);
	else if (!s->quiet)
		session_waits_because(s, "the end of its run is waited for: it "
		    "comes behind the last line of the log, and not before its "
		    "runner is back");
}

void
on_session_quiet(struct peer *p, uint64_t ref,
    const struct msg_session_quiet *m)
{
	struct session	*s = session_find(m->session);

	(void)p;
	(void)ref;
	if (s == NULL || s->epoch != m->epoch || s->status != ACTIVE)
		return;
	s->quiet = 1;
	session_settle(s);
}

void
on_session_released(struct peer *p, uint64_t ref,
    const struct msg_session_released *m)
{
	struct session	*s = session_find(m->session);
	enum status	 to;

	(void)p;
	(void)ref;
	if (s == NULL || m->epoch != s->epoch || s->status != ACTIVE)
		return;
	s->released = m->epoch;
	to = strcmp(m->to, "terminated") == 0 ? TERMINATED :
	    strcmp(m->to, "resuming") == 0 ? RESUMING : SUSPENDED;
	session_set_status(s, to, "", m->epoch);
	if (to != TERMINATED)
		session_settle(s);
}

void
on_runner_lost(struct peer *p, uint64_t ref, const struct msg_runner_lost *m)
{
	struct session	*s = session_find(m->session);

	(void)p;
	(void)ref;
	if (s == NULL || s->status != ACTIVE || s->epoch != m->epoch ||
	    s->releasing)
		return;
	log_warnx("session %s: runner %s is lost", s->id, m->runner);
	if (s->wish == WISH_TERMINATE)
		release(s, "terminated", "runner lost", 1);
	else if (s->wish == WISH_SUSPEND)
		release(s, "suspended", "runner lost", 0);
	else
		release(s, "resuming", "runner lost", 0);
}

/* ---- wishes of our own ---- */

static void
wished(struct ask *a, const struct answer *ans)
{
	struct session	*s = session_find(a->arg);

	free(a->arg);
	a->arg = NULL;
	if (s == NULL)
		return;
	s->wishing = 0;
	/* Removed, and nobody told us. */
	if (strcmp(ans->code, "not_found") == 0)
		session_set_status(s, TERMINATED, "", s->epoch);
	else
		session_settle(s);
}

static void
ask_wished(struct session *s, enum msg_type type, const void *m)
{
	char	*id;

	if ((id = strdup(s->id)) == NULL)
		fatal("session");
	s->wishing = 1;
	/* No room for a question: the tick tries again. */
	if (ask(PROC_STORAGED, type, m, 0, wished, id) == NULL) {
		s->wishing = 0;
		free(id);
	}
}

static void
session_wish(struct session *s, enum wish wish, const char *reason)
{
	struct msg_session_wish	 m;

	if (s->wishing)
		return;
	m.tenant = s->tenant;
	m.session = s->id;
	m.wish = (uint8_t)wish;
	m.reason = reason;
	m.remove = 0;
	m.actor = "";		/* nobody: a key may have any name */
	ask_wished(s, MSG_SESSION_WISH, &m);
}

/* What was wished while it was on its way off its runner, or before it came. */
static void
wish_again(struct session *s)
{
	if (s->wishing || s->place_at > worker_mono_ms())
		return;
	s->place_at = worker_mono_ms() + PLACE_AGAIN_MS;
	session_wish(s, s->wish, "user");
}

static void
revive(struct session *s)
{
	struct msg_session_revive	 m;

	/* By a task or answer that is newer: who suspends stops the others. */
	if (s->wishing || s->wanted_ms <= s->suspended_ms ||
	    s->place_at > worker_mono_ms())
		return;
	s->place_at = worker_mono_ms() + PLACE_AGAIN_MS;
	m.tenant = s->tenant;
	m.session = s->id;
	m.wanted_ms = s->wanted_ms;
	ask_wished(s, MSG_SESSION_REVIVE, &m);
}

void
on_session_want(struct peer *p, uint64_t ref, const struct msg_session_want *m)
{
	struct session	*s = session_find(m->session);

	(void)p;
	(void)ref;
	if (s == NULL)
		return;
	if (s->status == SUSPENDED && m->newest_ms > s->wanted_ms)
		s->place_at = 0;
	s->wanted_ms = m->newest_ms;
	session_settle(s);
}

void
on_session_unwant(struct peer *p, uint64_t ref,
    const struct msg_session_unwant *m)
{
	struct session	*s = session_find(m->session);

	(void)p;
	(void)ref;
	if (s != NULL)
		s->wanted_ms = 0;
}

void
on_session_busy(struct peer *p, uint64_t ref, const struct msg_session_busy *m)
{
	struct session	*s = session_find(m->session);

	(void)p;
	(void)ref;
	if (s == NULL)
		return;
	s->busy = m->busy != 0;
	s->idle_since = worker_mono_ms();
}

void
on_session_idle(struct peer *p, uint64_t ref, const struct msg_session_idle *m)
{
	struct session	*s = session_find(m->session);

	(void)p;
	(void)ref;
	if (s != NULL && s->status == ACTIVE && s->wish == WISH_NONE)
		session_wish(s, WISH_SUSPEND, m->reason);
}

void
session_settle(struct session *s)
{
	if (!env->loaded)
		return;
	if (s->credential == CRED_UNKNOWN)
		session_claim(s);
	switch (s->status) {
	case PENDING:
	case RESUMING:
		if (s->wish != WISH_NONE)
			wish_again(s);
		else
			place(s);
		break;
	case ACTIVE:
		if (s->wish != WISH_NONE)
			leave(s);
		else if (s->credential == CRED_MISSING)
			session_waits_because(s, key_is_lost);
		break;
	case SUSPENDED:
		if (s->wish != WISH_NONE)
			wish_again(s);
		else
			revive(s);
		break;
	case TERMINATED:
	case STATUS_MAX:
		break;
	}
}

/* Whether it is idle only taskd can say. */
static int
session_is_idle(const struct session *s)
{
	return (s->status == ACTIVE && s->wish == WISH_NONE && !s->busy &&
	    s->wanted_ms == 0 && s->idle_timeout != 0 &&
	    peer_is_up(peer_of(PROC_TASKD)) &&
	    worker_mono_ms() - s->idle_since > s->idle_timeout * 1000ULL);
}

void
sessions_tick(void)
{
	struct session	*s, *next;

	RB_FOREACH_SAFE(s, sessions, &env->sessions, next) {
		if (session_is_idle(s))
			session_wish(s, WISH_SUSPEND, "idle");
		session_settle(s);
	}
}
