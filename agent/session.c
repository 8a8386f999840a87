/*
 * session.c - the one session attached here: journaled, so that a new agent
 * knows it; its directory, its user.  A run at work delays what would take its
 * session away until it has ended.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <event2/event.h>

#include "log.h"
#include "place.h"
#include "run.h"
#include "util.h"

/* What waits for the run to end. */
static struct {
	Marionette__V1__AttachSession	*attach;
	uint64_t			 epoch;
	int				 detach;
	int				 remove;
} later;

char *
session_id(struct session *s)
{
	return (s->id);
}

uint64_t
session_epoch(const struct session *s)
{
	return (s->epoch);
}

static void
session_free(struct session *s)
{
	if (s == NULL)
		return;
	keys_wipe(&s->secret);
	json_decref(s->vars);
	free(s->id);
	free(s->agent);
	free(s->model);
	free(s->dir);
	free(s);
}

static json_t *
session_vars(const char *text)
{
	json_t	*j;

	j = text[0] == '\0' ? NULL : json_loads(text, 0, NULL);
	if (!json_is_object(j)) {
		json_decref(j);
		j = json_object();
	}
	return (j);
}

static struct session *
session_new(const char *id, const char *agent, const char *model,
    uint64_t epoch, json_t *vars)
{
	struct session	*s;

	s = xcalloc(1, sizeof(*s));
	s->id = xstrdup(id);
	s->agent = xstrdup(agent);
	s->model = xstrdup(model);
	s->epoch = epoch;
	s->vars = vars;
	s->dir = xasprintf("%s/%s", env->ws_root, id);
	return (s);
}

void
session_puts(void)
{
	struct session	*s = env->session;
	json_t		*j;
	char		*text;

	if (s == NULL) {
		journal_put('S', "{}", 2);
		return;
	}
	j = json_pack("{s:s, s:s, s:s, s:I, s:O}", "id", s->id, "agent",
	    s->agent, "model", s->model, "epoch", (json_int_t)s->epoch,
	    "vars", s->vars);
	if (j == NULL || (text = json_dumps(j, JSON_COMPACT)) == NULL)
		fatalx("session %s: cannot be recorded", s->id);
	journal_put('S', text, strlen(text));
	free(text);
	json_decref(j);
}

void
session_load(const uint8_t *data, size_t len)
{
	const char	*id, *agent, *model;
	json_t		*j;

	session_free(env->session);
	env->session = NULL;
	j = json_loadb((const char *)data, len, 0, NULL);
	id = json_string_value(json_object_get(j, "id"));
	agent = json_string_value(json_object_get(j, "agent"));
	model = json_string_value(json_object_get(j, "model"));
	if (id != NULL && agent != NULL && model != NULL)
		env->session = session_new(id, agent, model,
		    (uint64_t)json_integer_value(json_object_get(j, "epoch")),
		    json_incref(json_object_get(j, "vars")));
	json_decref(j);
}

void
session_start(void)
{
	struct session	*s = env->session;

	if (s != NULL)
		place_make(s->id, s->dir, &s->uid);
}

static void
session_say(const char *id, uint64_t epoch, int attached)
{
	Marionette__V1__RunnerMessage		 m;
	Marionette__V1__SessionAttached		 a;
	Marionette__V1__SessionSuspended	 b;
	union { const char *c; char *v; } u = { id };

	marionette__v1__runner_message__init(&m);
	marionette__v1__session_attached__init(&a);
	marionette__v1__session_suspended__init(&b);
	a.session_id = b.session_id = u.v;
	a.epoch = b.epoch = epoch;
	if (attached) {
		m.body_case =
		    MARIONETTE__V1__RUNNER_MESSAGE__BODY_SESSION_ATTACHED;
		m.session_attached = &a;
	} else {
		m.body_case =
		    MARIONETTE__V1__RUNNER_MESSAGE__BODY_SESSION_SUSPENDED;
		m.session_suspended = &b;
	}
	outbox_put(&m);
}

static const char *
session_key(struct session *s, const Marionette__V1__AttachSession *a)
{
	if (a->sealed_key.len > 0 && keys_open(&s->secret, a->sealed_key.data,
	    a->sealed_key.len) == -1)
		log_warnx("session %s: its key is not sealed to this "
		    "connection", s->id);
	return (NULL);
}

/* Also without a directory: a run tries again to have it, and says why not. */
static void
session_attach_now(const Marionette__V1__AttachSession *a)
{
	struct session	*s;
	struct secret	 none = { NULL, NULL };

	s = session_new(a->session_id, a->agent, a->model, a->epoch,
	    session_vars(a->env_json));
	place_make(s->id, s->dir, &s->uid);
	if (env->session != NULL && strcmp(env->session->id, s->id) == 0) {
		/* The key stays until a new one comes. */
		s->secret = env->session->secret;
		env->session->secret = none;
	}
	session_key(s, a);
	session_free(env->session);
	env->session = s;
	session_puts();
	session_say(s->id, s->epoch, 1);
	log_info("session %s attached (%s, epoch %llu)", s->id, s->agent,
	    (unsigned long long)s->epoch);
}

/* A copy that outlives the message: packed and unpacked again. */
static Marionette__V1__AttachSession *
session_copy(const Marionette__V1__AttachSession *a)
{
	Marionette__V1__AttachSession	*copy;
	uint8_t				*buf;
	size_t				 len;

	len = marionette__v1__attach_session__get_packed_size(a);
	buf = xmalloc(len);
	marionette__v1__attach_session__pack(a, buf);
	copy = marionette__v1__attach_session__unpack(NULL, len, buf);
	freezero(buf, len);
	return (copy);
}

const char *
session_attach(const Marionette__V1__AttachSession *a)
{
	struct session	*s = env->session;

	if (s != NULL && strcmp(s->id, a->session_id) == 0) {
		if (a->epoch < s->epoch)
			return ("a later epoch is attached");
		if (a->epoch == s->epoch && !later.detach) {
			session_key(s, a);
			session_say(s->id, s->epoch, 1);
			return (NULL);
		}
	}
	if (env->run == NULL) {
		session_attach_now(a);
		return (NULL);
	}
	if (later.attach != NULL)
		marionette__v1__attach_session__free_unpacked(later.attach,
		    NULL);
	later.attach = session_copy(a);
	run_kill(env->run, "suspended", 0);
	return (NULL);
}

static void
session_detach_now(uint64_t epoch, int remove)
{
	struct session	*s = env->session;

	if (s == NULL)
		return;
	env->session = NULL;
	session_puts();
	if (remove)
		place_remove(s->id, s->dir);
	session_say(s->id, epoch, 0);
	log_info("session %s detached%s", s->id, remove ? ", removed" : "");
	session_free(s);
}

void
session_detach(uint64_t epoch, int remove)
{
	if (env->run == NULL) {
		session_detach_now(epoch, remove);
		return;
	}
	later.detach = 1;
	later.epoch = epoch;
	later.remove |= remove;
	run_kill(env->run, "suspended", 0);
}

void
session_withdraw(const char *id, uint64_t epoch)
{
	if (later.attach == NULL || later.attach->epoch > epoch ||
	    strcmp(later.attach->session_id, id) != 0)
		return;
	marionette__v1__attach_session__free_unpacked(later.attach, NULL);
	later.attach = NULL;
}

void
session_forget(const char *id)
{
	char	*dir;

	dir = xasprintf("%s/%s", env->ws_root, id);
	if (access(dir, F_OK) == 0) {
		place_remove(id, dir);
		log_info("session %s removed", id);
	}
	free(dir);
}

void
session_run_ended(void)
{
	Marionette__V1__AttachSession	*a = later.attach;

	if (later.detach) {
		later.detach = 0;
		session_detach_now(later.epoch, later.remove);
		later.remove = 0;
	}
	if (a != NULL) {
		later.attach = NULL;
		session_attach_now(a);
		marionette__v1__attach_session__free_unpacked(a, NULL);
	}
	if (env->stopping)
		event_base_loopexit(env->base, NULL);
}
