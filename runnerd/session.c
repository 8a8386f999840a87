/*
 * session.c - which session sits on which runner.  SESSION_PLACE chooses a
 * runner and claims it in the database (SESSION_ATTACH); SESSION_RELEASE asks
 * the agent to detach, waits 30 s at most, and gives the runner back
 * (SESSION_DETACH), but not while the end of a run may come (detach_ended).
 * Memory changes when the commit is answered (promise 8).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "run.h"
#include "session.h"

#define DETACH_MS	30000

struct claim {				/* SESSION_ATTACH or _DETACH */
	char		 session[ID_SIZE], runner[ID_SIZE];
	char		 to[17];
	uint64_t	 epoch;
	int		 taken;		/* the runner is not free */
};

RB_HEAD(sessions, session);

static struct sessions	 sessions = RB_INITIALIZER(&sessions);
static int		 known;		/* SESSION_ATTACHMENTS_DONE came */

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
	static struct session	 key;

	if (strlcpy(key.id, id, sizeof(key.id)) >= sizeof(key.id))
		return (NULL);
	return (RB_FIND(sessions, &sessions, &key));
}

int
sessions_are_known(void)
{
	return (known);
}

void
sessions_peer_down(void)
{
	known = 0;
}

static struct session *
session_get(const char *id)
{
	struct session	*s;

	if ((s = session_find(id)) != NULL)
		return (s);
	if ((s = calloc(1, sizeof(*s))) == NULL)
		fatal("session");
	strlcpy(s->id, id, sizeof(s->id));
	RB_INSERT(sessions, &sessions, s);
	return (s);
}

static void
session_free(struct session *s)
{
	RB_REMOVE(sessions, &sessions, s);
	free(s);
}

static struct claim *
claim_new(const char *session, const char *runner, uint64_t epoch)
{
	struct claim	*c;

	if ((c = calloc(1, sizeof(*c))) == NULL)
		fatal("claim");
	strlcpy(c->session, session, sizeof(c->session));
	strlcpy(c->runner, runner, sizeof(c->runner));
	c->epoch = epoch;
	return (c);
}

/* The runner on which it is attached now, with a stream; or NULL. */
static struct runner *
session_runner(const struct session *s)
{
	struct runner	*r;

	if (!s->attached || (r = runner_find(s->runner)) == NULL ||
	    r->stream == NULL || strcmp(r->session, s->id) != 0 ||
	    r->epoch != s->epoch)
		return (NULL);
	return (r);
}

static void
attach_command(const char *id, const char *code, const uint8_t *sealed,
    size_t len)
{
	Marionette__V1__ServerCommand	 c;
	Marionette__V1__AttachSession	 m;
	struct session			*s;
	struct runner			*r;
	uint8_t				 key[16384];

	marionette__v1__server_command__init(&c);
	marionette__v1__attach_session__init(&m);
	/* Behind a DetachSession it would be the agent's, and nobody else's. */
	if ((s = session_find(id)) == NULL || (r = session_runner(s)) == NULL ||
	    s->release != 0 || strcmp(code, "stale") == 0)
		return;
	if (strcmp(code, "unavailable") == 0) {
		s->seal_due = 1;
		return;
	}
	/* Without its key it is attached all the same; a run will wait. */
	if (code[0] != '\0' || len > sizeof(key))
		len = 0;
	if (len > 0)
		memcpy(key, sealed, len);
	m.session_id = s->id;
	m.epoch = s->epoch;
	m.agent = s->agent;
	m.model = s->model;
	m.sealed_key.data = key;
	m.sealed_key.len = len;
	c.body_case = MARIONETTE__V1__SERVER_COMMAND__BODY_ATTACH_SESSION;
	c.attach_session = &m;
	stream_command(r, &c);
	s->told = 1;
	runs_attached(s->id);
}

static void
attach_send(struct session *s)
{
	struct runner	*r;

	s->seal_due = 0;
	if ((r = session_runner(s)) != NULL && s->release == 0 &&
	    seal(s, r, s->id, attach_command) == -1)
		s->seal_due = 1;
}

static void
detach_command(struct runner *r, const char *id, uint64_t epoch, int remove)
{
	Marionette__V1__ServerCommand	 c;
	Marionette__V1__DetachSession	 m;
	char				 session[ID_SIZE];

	marionette__v1__server_command__init(&c);
	marionette__v1__detach_session__init(&m);
	strlcpy(session, id, sizeof(session));
	m.session_id = session;
	m.epoch = epoch;
	m.remove = remove;
	c.body_case = MARIONETTE__V1__SERVER_COMMAND__BODY_DETACH_SESSION;
	c.detach_session = &m;
	stream_command(r, &c);
}

void
session_remove(struct runner *r, const char *id, uint64_t epoch)
{
	detach_command(r, id, epoch, 1);
}

static void
unplaced(const char *session, const char *reason)
{
	struct msg_session_unplaced	 m;

	m.session = session;
	m.reason = reason;
	send_session_unplaced(peer_of(PROC_SESSIOND), 0, &m);
}

static void
placed(const struct session *s)
{
	struct msg_session_placed	 m;

	m.session = s->id;
	m.runner = s->runner;
	m.epoch = s->epoch;
	send_session_placed(peer_of(PROC_SESSIOND), 0, &m);
}

void
on_attach_row(struct peer *p, uint64_t ref, const struct msg_attach_row *m)
{
	struct claim	*c;
	struct ask	*a;

	if ((a = ask_find(p, ref)) == NULL || a->told || a->arg == NULL)
		return;
	c = a->arg;
	c->epoch = m->epoch;
	c->taken = m->epoch == 0;
}

/* Only who is not free there, whatever we know of it, comes after the others. */
static void
unclaimed(const struct claim *c, struct runner *r, const struct answer *ans)
{
	if (c->taken)
		r->refused = r->freed = worker_mono_ms();
	unplaced(c->session, ans->text[0] != '\0' ? ans->text : c->taken ?
	    "the runner was taken by another session" :
	    "the session was about to change; tried again shortly");
}

static void
attached(struct ask *a, const struct answer *ans)
{
	struct claim	*c = a->arg;
	struct session	*s = session_find(c->session);
	struct runner	*r = runner_find(c->runner);

	if (r != NULL)
		r->claiming = 0;
	if (s != NULL)
		s->claiming = 0;
	if (s == NULL || r == NULL)
		log_warnx("session %s: claimed and forgotten", c->session);
	else if (c->epoch == 0 || ans->code[0] != '\0') {
		unclaimed(c, r, ans);
		if (!s->attached)
			session_free(s);
	} else {
		s->attached = 1;
		s->told = 0;
		r->refused = 0;
		s->epoch = r->epoch = c->epoch;
		strlcpy(s->runner, c->runner, sizeof(s->runner));
		runner_has(r, s->id);
		runner_event(r, RUNNER_CLAIM);
		placed(s);
		attach_send(s);
	}
	free(c);
}

static void
claim(struct session *s, struct runner *r)
{
	struct msg_session_attach	 m;
	struct claim			*c;

	c = claim_new(s->id, r->id, 0);
	m.tenant = s->tenant;
	m.session = s->id;
	m.runner = r->id;
	if (ask(PROC_STORAGED, MSG_SESSION_ATTACH, &m, 0, attached, c) ==
	    NULL) {
		free(c);
		unplaced(s->id, "the server is busy; tried again shortly");
		session_free(s);
		return;
	}
	strlcpy(s->runner, r->id, sizeof(s->runner));
	s->claiming = r->claiming = 1;
}

/* What only sessiond knows of it. */
static void
describe(struct session *s, const char *tenant, const char *agent,
    const char *model, const char *agent_config, const char *key_ref)
{
	strlcpy(s->tenant, tenant, sizeof(s->tenant));
	strlcpy(s->agent, agent, sizeof(s->agent));
	strlcpy(s->model, model, sizeof(s->model));
	strlcpy(s->agent_config, agent_config, sizeof(s->agent_config));
	strlcpy(s->key_ref, key_ref, sizeof(s->key_ref));
}

void
on_session_place(struct peer *p, uint64_t ref,
    const struct msg_session_place *m)
{
	struct session	*s;
	struct runner	*r;
	char		 why[256];

	(void)p;
	(void)ref;
	if (!runners_are_loaded() || worker_draining()) {
		unplaced(m->session, worker_draining() ?
		    "the server is stopping" : "the server is starting");
		return;
	}
	s = session_get(m->session);
	describe(s, m->tenant, m->agent, m->model, m->agent_config,
	    m->key_ref);
	if (s->claiming)
		return;
	if (s->detaching || s->release != 0) {
		unplaced(s->id, "its runner is being given back");
		return;
	}
	/* The database may know that it is attached though its owner does not. */
	if ((r = runner_by_session(s->id)) != NULL) {
		s->attached = 1;
		s->epoch = r->epoch;
		strlcpy(s->runner, r->id, sizeof(s->runner));
		placed(s);
		attach_send(s);
		return;
	}
	s->attached = 0;
	if ((r = choose(m, why, sizeof(why))) != NULL)
		claim(s, r);
	else {
		unplaced(s->id, why);
		session_free(s);
	}
}

static void
tell_released(const struct claim *c)
{
	struct msg_session_released	 m;

	m.session = c->session;
	m.epoch = c->epoch;
	m.to = c->to;
	send_session_released(peer_of(PROC_SESSIOND), 0, &m);
}

static void
detached(struct ask *a, const struct answer *ans)
{
	struct claim	*c = a->arg;
	struct session	*s = session_find(c->session);
	struct runner	*r = runner_find(c->runner);

	if (ans->code[0] != '\0') {
		/* sessiond says it again, or the janitor does. */
		log_warnx("session %s: not detached: %s", c->session,
		    ans->text);
		if (s != NULL)
			s->detaching = 0;
		free(c);
		return;
	}
	/* Whoever was before us had done it, for another wish perhaps. */
	if (ans->text[0] != '\0')
		strlcpy(c->to, ans->text, sizeof(c->to));
	if (r != NULL && strcmp(r->session, c->session) == 0 &&
	    r->epoch == c->epoch) {
		runner_has(r, "");
		runner_event(r, RUNNER_FREE);
		if (strcmp(c->to, "terminated") != 0)
			kept_add(r, c->session);
	}
	tell_released(c);
	if (s != NULL)
		session_free(s);
	free(c);
}

static void
detach(struct session *s)
{
	struct msg_session_detach	 m;
	struct claim			*c;

	if (s->detaching)
		return;
	c = claim_new(s->id, s->runner, s->epoch);
	strlcpy(c->to, s->to, sizeof(c->to));
	m.tenant = s->tenant;
	m.session = s->id;
	m.runner = s->runner;
	m.epoch = s->epoch;
	m.to = s->to;
	m.reason = s->reason;
	if (ask(PROC_STORAGED, MSG_SESSION_DETACH, &m, 0, detached, c) ==
	    NULL) {
		free(c);
		return;		/* the janitor tries again */
	}
	s->detaching = 1;
}

/* It has the session, and was not heard since it was to be asked to detach. */
static int
runner_is_away(const struct runner *r, const struct session *s)
{
	return (strcmp(r->session, s->id) == 0 && r->epoch == s->epoch &&
	    (r->stream == NULL || r->heard <= s->asked));
}

/*
 * A run that is over waits for its log (promise 10), which a slow line may
 * bring long after; what a runner that is away does it tells when it is back
 * (promise 7).  Detached before that such a run would be an orphan to taskd,
 * and done again; so the janitor comes back until its end is noted, it is
 * canceled, or its runner is lost.
 */
static void
detach_ended(struct session *s)
{
	struct runner	*r = runner_find(s->runner);

	if (r != NULL && runs_owe_end(r, s, runner_is_away(r, s)))
		s->release = worker_mono_ms();
	else
		detach(s);
}

static void
detach_ask(struct session *s, struct runner *r)
{
	s->asked = worker_mono_ms();
	s->release = s->asked + DETACH_MS;
	detach_command(r, s->id, s->epoch, s->remove);
}

void
on_session_release(struct peer *p, uint64_t ref,
    const struct msg_session_release *m)
{
	struct session	*s = session_get(m->session);
	struct runner	*r;

	(void)p;
	(void)ref;
	if (s->detaching)
		return;
	strlcpy(s->tenant, m->tenant, sizeof(s->tenant));
	strlcpy(s->runner, m->runner, sizeof(s->runner));
	strlcpy(s->to, m->to, sizeof(s->to));
	strlcpy(s->reason, m->reason, sizeof(s->reason));
	s->epoch = m->epoch;
	s->attached = 1;
	s->remove = m->remove != 0;
	s->release = worker_mono_ms();
	/* What is loaded after it was detached would have it attached still. */
	if (!runners_are_loaded())
		return;
	if ((r = session_runner(s)) == NULL)
		detach_ended(s);
	else
		detach_ask(s, r);
}

void
session_suspended(struct runner *r, const char *id, uint64_t epoch)
{
	struct session	*s = session_find(id);

	if (s == NULL || s->release == 0 || s->epoch != epoch ||
	    strcmp(s->runner, r->id) != 0)
		return;
	s->asked = 0;		/* and heard */
	detach_ended(s);
}

void
session_hello(struct runner *r, const char *id, uint64_t epoch)
{
	struct session	*s;

	if (id[0] != '\0' && (strcmp(id, r->session) != 0 ||
	    epoch != r->epoch))
		detach_command(r, id, epoch, 0);
	if (r->session[0] == '\0' || (s = session_find(r->session)) == NULL)
		return;
	s->told = 0;
	if (s->release != 0)
		detach_ask(s, r);
	else
		attach_send(s);
}

/* sessiond decides what becomes of it and says SESSION_RELEASE. */
static void
tell_lost(const char *runner, const char *session, uint64_t epoch)
{
	struct msg_runner_lost	 m;

	log_info("session %s: runner %s is lost", session, runner);
	m.runner = runner;
	m.session = session;
	m.epoch = epoch;
	send_runner_lost(peer_of(PROC_SESSIOND), 0, &m);
}

void
session_lost(struct runner *r)
{
	if (r->session[0] != '\0')
		tell_lost(r->id, r->session, r->epoch);
}

/*
 * It may be loose: sessiond was down, or we were, when it became so.  1: then
 * there is nothing to be remembered of it.
 */
static int
tell_loose(const char *runner, const char *session, uint64_t epoch)
{
	struct runner	*r = runner_find(runner);

	if (r != NULL && !r->lost && strcmp(r->session, session) == 0)
		return (0);
	tell_lost(runner, session, epoch);
	return (r == NULL || !r->lost);
}

void
sessions_loaded(void)
{
	struct session	*s, *next;

	RB_FOREACH_SAFE(s, sessions, &sessions, next) {
		if (s->detaching)
			continue;
		if (s->release != 0) {
			if (session_runner(s) == NULL)
				detach_ended(s);
		} else if (s->attached &&
		    tell_loose(s->runner, s->id, s->epoch))
			session_free(s);
	}
}

void
on_session_attachment(struct peer *p, uint64_t ref,
    const struct msg_session_attachment *m)
{
	struct session	*s;
	int		 ours;

	(void)p;
	(void)ref;
	/* A sessiond that came up heard of the claim before we did. */
	ours = (s = session_find(m->session)) != NULL && s->claiming &&
	    strcmp(s->runner, m->runner) == 0;
	/* Before that, sessions_loaded() looks at it. */
	if (!ours && runners_are_loaded() &&
	    tell_loose(m->runner, m->session, m->epoch))
		return;
	s = session_get(m->session);
	describe(s, m->tenant, m->agent, m->model, m->agent_config,
	    m->key_ref);
	if (ours || s->release != 0 || s->detaching)
		return;
	strlcpy(s->runner, m->runner, sizeof(s->runner));
	s->epoch = m->epoch;
	s->attached = 1;
	attach_send(s);
}

void
on_session_attachments_done(struct peer *p, uint64_t ref,
    const struct msg_session_attachments_done *m)
{
	(void)p;
	(void)ref;
	(void)m;
	known = 1;
}

void
sessions_janitor(void)
{
	struct session	*s;
	uint64_t	 now = worker_mono_ms();

	RB_FOREACH(s, sessions, &sessions) {
		if (s->seal_due)
			attach_send(s);
		if (s->release != 0 && s->release <= now &&
		    runners_are_loaded())
			detach_ended(s);
	}
}
