/*
 * command.c - what the server says on Connect, done as the agent does it; every
 * command may come again, and the answer is then the same.
 */
#include <string.h>

#include "log.h"
#include "runner.h"

static void
say_session(struct runner *r, const char *id, uint64_t epoch, int attached)
{
	RunnerMessage				 m;
	Marionette__V1__SessionAttached		 a;
	Marionette__V1__SessionSuspended	 s;
	union { const char *c; char *v; } u = { id };

	marionette__v1__runner_message__init(&m);
	marionette__v1__session_attached__init(&a);
	marionette__v1__session_suspended__init(&s);
	a.session_id = s.session_id = u.v;
	a.epoch = s.epoch = epoch;
	if (attached) {
		m.body_case =
		    MARIONETTE__V1__RUNNER_MESSAGE__BODY_SESSION_ATTACHED;
		m.session_attached = &a;
	} else {
		m.body_case =
		    MARIONETTE__V1__RUNNER_MESSAGE__BODY_SESSION_SUSPENDED;
		m.session_suspended = &s;
	}
	letter_put(r, &m, NULL);
}

/* how: told to, or replaced by another session or epoch */
static void
leave(struct runner *r, const char *how)
{
	if (r->run != NULL)
		run_end(r->run, "suspended", NULL);
	book("%s %s %s %llu", how, r->id, r->session,
	    (unsigned long long)r->epoch);
	r->session[0] = '\0';
	fleet->attached--;
}

static void
command_attach(struct runner *r, const Marionette__V1__AttachSession *a)
{
	int	 same = strcmp(r->session, a->session_id) == 0;

	if (same && a->epoch < r->epoch) {
		log_warnx("runner %s: session %s with an old epoch", r->id,
		    a->session_id);
		return;
	}
	if (!same || a->epoch != r->epoch) {
		if (r->session[0] != '\0')
			leave(r, same ? "detach" : "replace");
		strlcpy(r->session, a->session_id, sizeof(r->session));
		r->epoch = a->epoch;
		fleet->attached++;
		book("attach %s %s %llu", r->id, r->session,
		    (unsigned long long)r->epoch);
	}
	say_session(r, a->session_id, a->epoch, 1);
}

static void
command_detach(struct runner *r, const Marionette__V1__DetachSession *d)
{
	if (strcmp(r->session, d->session_id) == 0) {
		if (d->epoch < r->epoch)
			return;
		leave(r, "detach");
	}
	say_session(r, d->session_id, d->epoch, 0);
}

static void
command_kill(struct runner *r, const Marionette__V1__KillRun *k)
{
	struct run	*run = run_find(r, k->run_id);
	const char	*status = "canceled";

	book("kill %s %s %s", r->id, k->run_id, k->reason);
	if (strcmp(k->reason, "timeout") == 0)
		status = "timeout";
	else if (strcmp(k->reason, "suspended") == 0)
		status = "suspended";
	if (run == NULL)
		run_refuse(r, k->run_id, 0, "unknown");
	else if (run->state == RUN_DONE)
		run_again(run);
	else
		run_end(run, status, NULL);
}

void
command(struct runner *r, const ServerCommand *c)
{
	switch (c->body_case) {
	case MARIONETTE__V1__SERVER_COMMAND__BODY_ACK:
		letters_ack(r, c->ack->up_to);
		break;
	case MARIONETTE__V1__SERVER_COMMAND__BODY_EXECUTE_TASK:
		run_execute(r, c->execute_task);
		break;
	case MARIONETTE__V1__SERVER_COMMAND__BODY_PERMISSION_ANSWER:
		run_answer(r, c->permission_answer);
		break;
	case MARIONETTE__V1__SERVER_COMMAND__BODY_ATTACH_SESSION:
		command_attach(r, c->attach_session);
		break;
	case MARIONETTE__V1__SERVER_COMMAND__BODY_DETACH_SESSION:
		command_detach(r, c->detach_session);
		break;
	case MARIONETTE__V1__SERVER_COMMAND__BODY_KILL_RUN:
		command_kill(r, c->kill_run);
		break;
	case MARIONETTE__V1__SERVER_COMMAND__BODY_DRAIN:
		r->draining = 1;
		break;
	case MARIONETTE__V1__SERVER_COMMAND__BODY_CHALLENGE:
	case MARIONETTE__V1__SERVER_COMMAND__BODY_WELCOME:
	case MARIONETTE__V1__SERVER_COMMAND__BODY__NOT_SET:
	case _MARIONETTE__V1__SERVER_COMMAND__BODY__CASE_IS_INT_SIZE:
		wrong("runner %s: was not to be told command %d", r->id,
		    (int)c->body_case);
	}
}
