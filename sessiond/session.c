/*
 * session.c - sessions as the database has them.  Rows come from storaged
 * after their commit and are the truth, except that a runner's claim or release
 * may reach us first by way of runnerd: epochs tell which is newer.
 */
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "sessiond.h"

static const char *const	 status_names[STATUS_MAX] = { "pending",
    "active", "suspended", "resuming", "terminated" };

RB_GENERATE(sessions, session, entry, session_cmp)

/*
 * Terminated is for good, but a row of before may reach us after runnerd's word
 * that it is over, and after a later row while all are loaded: the last ones are
 * remembered, so that none comes back.
 */
#define BURIED_MAX	1024
static char			 buried[BURIED_MAX][ID_SIZE];
static unsigned int		 nburied;

static void
bury(const char *id)
{
	strlcpy(buried[nburied++ % BURIED_MAX], id, ID_SIZE);
}

static int
is_buried(const char *id)
{
	unsigned int	 i;

	for (i = 0; i < BURIED_MAX && i < nburied; i++)
		if (strcmp(buried[i], id) == 0)
			return (1);
	return (0);
}

int
session_cmp(struct session *a, struct session *b)
{
	return (strcmp(a->id, b->id));
}

const char *
status_name(enum status st)
{
	return (status_names[st]);
}

static enum status
status_parse(const char *s)
{
	int	 i;

	for (i = 0; i < STATUS_MAX; i++)
		if (strcmp(status_names[i], s) == 0)
			return ((enum status)i);
	fatalx("storaged says that a session is %s", s);
}

struct session *
session_find(const char *id)
{
	struct session	 key;

	if (strlcpy(key.id, id, sizeof(key.id)) >= sizeof(key.id))
		return (NULL);
	return (RB_FIND(sessions, &env->sessions, &key));
}

static void
session_free(struct session *s)
{
	RB_REMOVE(sessions, &env->sessions, s);
	free(s->policy);
	free(s);
}

/* Its key is of no use to anybody any more. */
static void
key_drop(const char *key_ref)
{
	struct msg_key_drop	 m;

	if (*key_ref == '\0')
		return;
	m.key_ref = key_ref;
	send_key_drop(peer_of(PROC_PROVIDERD), 0, &m);
}

/*
 * The one place where a session's status changes in memory: after the commit
 * that changed it.  The session may be gone afterwards.
 */
void
session_set_status(struct session *s, enum status st, const char *runner,
    uint64_t epoch)
{
	char	 id[ID_SIZE];

	s->status = st;
	s->epoch = epoch;
	strlcpy(s->runner, runner, sizeof(s->runner));
	if (st != PENDING && st != RESUMING)
		s->reason[0] = '\0';
	if (st == ACTIVE) {
		strlcpy(s->home, runner, sizeof(s->home));
		s->idle_since = worker_mono_ms();
		s->told_leaving = s->quiet = s->releasing = 0;
	} else {
		/* What else is wished stays, as in mn.session_detach(). */
		if (st == SUSPENDED && s->wish == WISH_SUSPEND)
			s->wish = WISH_NONE;
		s->place_at = 0;
	}
	session_tell(s);
	strlcpy(id, s->id, sizeof(id));
	if (st == TERMINATED) {
		bury(id);
		key_drop(s->key_ref);
		session_free(s);
	}
	waiters_wake(id);
}

static void
set_policy(struct session *s, const uint8_t *p, size_t len)
{
	free(s->policy);
	s->policy = NULL;
	if ((s->policy_len = len) == 0)
		return;
	if ((s->policy = malloc(len)) == NULL)
		fatal("session");
	memcpy(s->policy, p, len);
}

static void
set_key(struct session *s, const char *key_ref)
{
	if (strcmp(s->key_ref, key_ref) == 0)
		return;
	key_drop(s->key_ref);
	strlcpy(s->key_ref, key_ref, sizeof(s->key_ref));
	s->credential = CRED_UNKNOWN;
	s->reason[0] = '\0';		/* as in mn.session_key() */
}

static struct session *
session_new(const struct msg_session_row *m)
{
	struct session	*s;

	if ((s = calloc(1, sizeof(*s))) == NULL)
		fatal("session");
	strlcpy(s->id, m->session, sizeof(s->id));
	strlcpy(s->tenant, m->tenant, sizeof(s->tenant));
	strlcpy(s->agent, m->agent, sizeof(s->agent));
	s->idle_since = worker_mono_ms();
	RB_INSERT(sessions, &env->sessions, s);
	return (s);
}

/*
 * Is what the row says of status and runner older than what runnerd told?  A
 * release that we know of, or a claim of a later epoch, is newer.
 */
static int
row_is_late(const struct session *s, const struct msg_session_row *m,
    enum status st)
{
	if (m->epoch < s->epoch)
		return (1);
	return (st == ACTIVE && m->epoch <= s->released);
}

/*
 * Wished before it was released and heard after, so not withdrawn since: what
 * its release has not done is to be done yet.
 */
static void
take_late_wish(struct session *s, enum wish wish)
{
	if (wish <= s->wish ||
	    (wish == WISH_SUSPEND && s->status == SUSPENDED))
		return;
	s->wish = wish;
	s->place_at = 0;
	session_settle(s);
}

/* What does not depend on its status; 1: a runner wants to know of it. */
static int
take_settings(struct session *s, const struct msg_session_row *m)
{
	int	 news;

	news = strcmp(s->model, m->model) != 0 ||
	    strcmp(s->agent_config, m->agent_config) != 0 ||
	    strcmp(s->key_ref, m->key_ref) != 0;
	strlcpy(s->model, m->model, sizeof(s->model));
	strlcpy(s->agent_config, m->agent_config, sizeof(s->agent_config));
	s->idle_timeout = m->idle_timeout;
	set_policy(s, m->policy, m->policy_len);
	set_key(s, m->key_ref);
	return (news);
}

/* Takes a committed row over; NULL when that session is (now) terminated. */
struct session *
session_stored(const struct msg_session_row *m)
{
	struct session	*s = session_find(m->session);
	enum status	 st = status_parse(m->status);
	int		 fresh = s == NULL, news;

	if (fresh && st == TERMINATED && !env->loaded)
		bury(m->session);
	if (fresh && (st == TERMINATED || is_buried(m->session)))
		return (NULL);
	if (fresh)
		s = session_new(m);
	news = take_settings(s, m);
	if (!row_is_late(s, m, st)) {
		strlcpy(s->home, m->home, sizeof(s->home));
		s->suspended_ms = m->suspended_ms;
		if (s->wish != (enum wish)m->wish)
			s->told_leaving = s->quiet = 0;
		s->wish = (enum wish)m->wish;
		if (fresh || st != s->status || m->epoch != s->epoch)
			session_set_status(s, st, m->runner, m->epoch);
		if (st == TERMINATED)
			return (NULL);
		/* A new status may have dropped it. */
		s->wish = (enum wish)m->wish;
	} else if (m->epoch == s->epoch) {
		s->suspended_ms = m->suspended_ms;
		take_late_wish(s, (enum wish)m->wish);
	}
	if (!env->loaded)
		return (s);
	if (!fresh)
		session_tell(s);
	if (news && s->status == ACTIVE)
		session_attachment(s);
	return (s);
}

/* ---- loading ---- */

static void
loaded(struct ask *a, const struct answer *ans)
{
	struct session	*s;
	unsigned int	 n = 0;

	(void)a;
	if (*ans->code != '\0')
		fatalx("sessions cannot be loaded: %s", ans->text);
	env->loaded = 1;
	RB_FOREACH(s, sessions, &env->sessions)
		n++;
	log_info("%u sessions loaded", n);
	sessions_peer_up(peer_of(PROC_TASKD));
	sessions_peer_up(peer_of(PROC_RUNNERD));
	sessions_peer_up(peer_of(PROC_PROVIDERD));
}

/* Once, when storaged is first there; afterwards rows keep us up to date. */
void
sessions_load(void)
{
	static int			 asked;
	struct msg_session_load		 m = { 0 };

	if (asked)
		return;
	asked = 1;
	if (ask(PROC_STORAGED, MSG_SESSION_LOAD, &m, 0, loaded, NULL) == NULL)
		fatal("sessions");
}
