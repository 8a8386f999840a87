/*
 * command.c - what the server says, checked and given to whom it concerns.
 * Every command may come again: the answer is then the same.
 */
#include <string.h>

#include "id.h"
#include "log.h"
#include "record.h"
#include "run.h"
#include "util.h"

#define ID_LEN_MAX	48

static int	command_draining;

/* Ids become file names here. */
static int
command_id(const char *s)
{
	return (s[0] != '\0' && strlen(s) <= ID_LEN_MAX && strspn(s,
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
	    == strlen(s));
}

static void
command_execute(const Marionette__V1__ExecuteTask *t)
{
	struct record	*rec;
	struct session	*s = env->session;
	const char	*why = NULL;

	if (!command_id(t->run_id)) {
		log_warnx("server: \"%.60s\" is no run id", t->run_id);
		return;
	}
	if ((rec = record_find(t->run_id)) != NULL) {
		record_repeat(rec);
		return;
	}
	if (s == NULL || strcmp(s->id, t->session_id) != 0)
		why = "session";
	else if (s->epoch != t->epoch)
		why = "epoch";
	/*
	 * Until it is acknowledged, what we said of this run is said again on
	 * each connection and may undo what we would begin now.
	 */
	else if (env->run != NULL || command_draining || env->stopping ||
	    outbox_unwinds(t->run_id))
		why = "busy";
	else if (t->sealed_key.len > 0 && keys_open(&s->secret,
	    t->sealed_key.data, t->sealed_key.len) == -1) {
		log_warnx("run %s: its key is not sealed to this connection",
		    t->run_id);
		why = "unknown";
	}
	if (why != NULL)
		record_unwound(t->run_id, t->attempt, why);
	else
		run_new(t, s);
}

static void
command_kill(const Marionette__V1__KillRun *k)
{
	struct record	*rec;
	const char	*status = "canceled";

	if (strcmp(k->reason, "timeout") == 0 ||
	    strcmp(k->reason, "suspended") == 0)
		status = k->reason;
	if (env->run != NULL && strcmp(run_id(env->run), k->run_id) == 0)
		run_kill(env->run, status, k->grace_seconds);
	else if ((rec = record_find(k->run_id)) != NULL)
		record_repeat(rec);
	else
		record_unwound(k->run_id, 0, "unknown");
}

static void
command_attach(const Marionette__V1__AttachSession *a)
{
	const char	*why;

	if (!command_id(a->session_id))
		why = "no session id";
	else
		why = session_attach(a);
	if (why != NULL)
		log_warnx("session %.60s not attached: %s", a->session_id, why);
}

static void
command_detach(const Marionette__V1__DetachSession *d)
{
	Marionette__V1__RunnerMessage		 m;
	Marionette__V1__SessionSuspended	 b;

	session_withdraw(d->session_id, d->epoch);
	if (env->session != NULL &&
	    strcmp(env->session->id, d->session_id) == 0) {
		if (d->epoch >= env->session->epoch)
			session_detach(d->epoch, d->remove);
		return;
	}
	/* What it left, when it was detached before; or this is said again. */
	if (d->remove && id_is(d->session_id, "sess"))
		session_forget(d->session_id);
	marionette__v1__runner_message__init(&m);
	marionette__v1__session_suspended__init(&b);
	m.body_case = MARIONETTE__V1__RUNNER_MESSAGE__BODY_SESSION_SUSPENDED;
	m.session_suspended = &b;
	b.session_id = d->session_id;
	b.epoch = d->epoch;
	outbox_put(&m);
}

void
command_welcome(void)
{
	command_draining = 0;
	ask_again();
}

void
command_handle(const Marionette__V1__ServerCommand *c)
{
	switch (c->body_case) {
	case MARIONETTE__V1__SERVER_COMMAND__BODY_ACK:
		outbox_ack(c->ack->up_to);
		break;
	case MARIONETTE__V1__SERVER_COMMAND__BODY_ATTACH_SESSION:
		command_attach(c->attach_session);
		break;
	case MARIONETTE__V1__SERVER_COMMAND__BODY_DETACH_SESSION:
		command_detach(c->detach_session);
		break;
	case MARIONETTE__V1__SERVER_COMMAND__BODY_EXECUTE_TASK:
		command_execute(c->execute_task);
		break;
	case MARIONETTE__V1__SERVER_COMMAND__BODY_PERMISSION_ANSWER:
		ask_answer(c->permission_answer);
		break;
	case MARIONETTE__V1__SERVER_COMMAND__BODY_KILL_RUN:
		command_kill(c->kill_run);
		break;
	case MARIONETTE__V1__SERVER_COMMAND__BODY_DRAIN:
		log_info("the server is going away for a while");
		command_draining = 1;
		break;
	case MARIONETTE__V1__SERVER_COMMAND__BODY_CHALLENGE:
	case MARIONETTE__V1__SERVER_COMMAND__BODY_WELCOME:
	case MARIONETTE__V1__SERVER_COMMAND__BODY__NOT_SET:
	case _MARIONETTE__V1__SERVER_COMMAND__BODY__CASE_IS_INT_SIZE:
		break;		/* link.c's, or of a newer server. */
	}
}
