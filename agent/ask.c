/*
 * ask.c - questions of the coding agent to a person: sent up, numbered and
 * durable, answered once, whatever happens to the connection.  Acknowledged and
 * not answered they are asked again on each new stream: the server behind it may
 * have a database that was put back, or have denied what it could not store, and
 * the denial went with the old stream.  While one waits the run's clock stands.
 * An answer that no program can hear any more is not acknowledged: it is answered
 * with PermissionCanceled.
 */
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "run.h"
#include "util.h"

#define ACTION_MAX	1024
#define TOOL_MAX	128
#define INPUT_MAX	(900 * 1024)
#define PENDING_MAX	100	/* fewer than a server lets a run have */
#define ASKED_MAX	100000	/* their ids are kept */
#define ID_KEPT		100	/* of an id that needs a number after it */

static void
ask_log(struct run *r, const char *what, const char *action, const char *why)
{
	struct logged	 how = { "system", "info", "permission", NULL };
	char		*s;

	s = xasprintf("Permission %s: %s%s%s", what, action,
	    why[0] != '\0' ? ": " : "", why);
	run_log(r, &how, s, strlen(s));
	free(s);
}

static int
ask_cmp(struct ask *a, struct ask *b)
{
	return (strcmp(a->id, b->id));
}

RB_PROTOTYPE(ask_ids, ask, by_id, ask_cmp);
RB_GENERATE(ask_ids, ask, by_id, ask_cmp)

static struct ask *
ask_find(struct run *r, const char *id)
{
	union { const char *c; char *v; } u = { id };
	struct ask	 key = { .id = u.v };

	return (RB_FIND(ask_ids, &r->ask_ids, &key));
}

static void
ask_canceled(const char *run, const char *id)
{
	Marionette__V1__RunnerMessage		 m;
	Marionette__V1__PermissionCanceled	 b;
	union { const char *c; char *v; } u = { id }, v = { run };

	marionette__v1__runner_message__init(&m);
	marionette__v1__permission_canceled__init(&b);
	m.body_case = MARIONETTE__V1__RUNNER_MESSAGE__BODY_PERMISSION_CANCELED;
	m.permission_canceled = &b;
	b.run_id = v.v;
	b.request_id = u.v;
	outbox_put(&m);
}

static void
ask_free(struct ask *a)
{
	json_decref(a->input);
	free(a->json);
	free(a->id);
	free(a->program_id);
	free(a->tool);
	free(a->action);
	free(a);
}

static void
ask_settled(struct run *r, struct ask *a)
{
	if (a->answered)
		return;
	a->answered = 1;
	TAILQ_REMOVE(&r->asks, a, entry);
	/* Nothing is asked of it any more but its id: it may be large. */
	json_decref(a->input);
	free(a->json);
	free(a->program_id);
	free(a->tool);
	free(a->action);
	a->input = NULL;
	a->json = a->program_id = a->tool = a->action = NULL;
	if (--r->pending == 0)
		run_clock_start(r);
}

/*
 * The wire's id: the program's own, when that is fit and not yet used.  No
 * number is tried twice in a run: k ids that begin alike would take k * k tries.
 */
static char *
ask_id(struct run *r, const char *id)
{
	char	*s;

	if (id[0] != '\0' && strlen(id) <= ASK_ID_MAX &&
	    ask_find(r, id) == NULL)
		return (xstrdup(id));
	for (;;) {
		s = xasprintf("%.*s~%u", (int)utf8_cut(id, strlen(id),
		    ID_KEPT), id, ++r->ask_number);
		if (ask_find(r, s) == NULL)
			return (s);
		free(s);
	}
}

/* Why nobody can be asked this; NULL when somebody can. */
static const char *
ask_unfit(const struct run *r, const char *json)
{
	const char	*p;

	if (r->pending >= PENDING_MAX)
		return ("So many questions of this run wait for an answer that "
		    "no more can be asked.");
	if (r->asked >= ASKED_MAX)
		return ("This run has asked so many questions that no more can "
		    "be asked.");
	if (json == NULL)
		return ("It is not well-formed.");
	if (strlen(json) > INPUT_MAX)
		return ("It is larger than 900 KiB and cannot be shown to a "
		    "person.");
	for (p = json; *p != '\0'; p++)
		if (*p == '\\' && *++p == 'u' && strncmp(p, "u0000", 5) == 0)
			return ("It contains a NUL character, which cannot be "
			    "shown to a person.");
	return (NULL);
}

static void
ask_say(struct run *r, struct ask *a)
{
	Marionette__V1__RunnerMessage		 m;
	Marionette__V1__PermissionRequest	 b;
	union { const char *c; char *v; }	 u = { a->kind };

	marionette__v1__runner_message__init(&m);
	marionette__v1__permission_request__init(&b);
	m.body_case = MARIONETTE__V1__RUNNER_MESSAGE__BODY_PERMISSION_REQUEST;
	m.permission_request = &b;
	b.run_id = run_id(r);
	b.attempt = r->rec->attempt;
	b.request_id = a->id;
	b.kind = u.v;
	b.tool = a->tool;
	b.action = a->action;
	b.input_json = a->json;
	a->number = outbox_put(&m);
}

void
ask_again(void)
{
	struct ask	*a;

	if (env->run == NULL || env->run->exited)
		return;
	TAILQ_FOREACH(a, &env->run->asks, entry)
		if (!outbox_waits(a->number))
			ask_say(env->run, a);
}

void
ask_new(struct run *r, const char *id, const char *kind, const char *tool,
    json_t *input, const char *action)
{
	struct ask	*a;
	const char	*unfit;

	a = xcalloc(1, sizeof(*a));
	a->program_id = xstrdup(id);
	a->kind = kind;
	a->tool = utf8_line(tool, TOOL_MAX);
	a->action = utf8_line(action, ACTION_MAX);
	a->json = json_dumps(input, JSON_COMPACT | JSON_ENCODE_ANY);
	/* Nobody can judge what he cannot see. */
	if ((unfit = ask_unfit(r, a->json)) != NULL) {
		ask_log(r, "refused", a->tool, unfit);
		r->program->kind->answer(r, a, 0, unfit, NULL, NULL);
		ask_free(a);
		return;
	}
	a->id = ask_id(r, id);
	RB_INSERT(ask_ids, &r->ask_ids, a);
	TAILQ_INSERT_TAIL(&r->asks, a, entry);
	run_clock_stop(r);
	r->pending++;
	r->asked++;
	ask_log(r, "asked", a->action, "");
	ask_say(r, a);
}

void
ask_withdrawn(struct run *r, const char *program_id)
{
	struct ask	*a;

	TAILQ_FOREACH(a, &r->asks, entry)
		if (strcmp(a->program_id, program_id) == 0)
			break;
	if (a == NULL)
		return;
	a->withdrawn = 1;
	ask_log(r, "withdrawn by the program", a->tool, "");
	ask_settled(r, a);
	ask_canceled(run_id(r), a->id);
}

static void
ask_ack(const char *permission_id)
{
	Marionette__V1__RunnerMessage	 m;
	Marionette__V1__PermissionAck	 b;
	union { const char *c; char *v; } u = { permission_id };

	marionette__v1__runner_message__init(&m);
	marionette__v1__permission_ack__init(&b);
	m.body_case = MARIONETTE__V1__RUNNER_MESSAGE__BODY_PERMISSION_ACK;
	m.permission_ack = &b;
	b.permission_id = u.v;
	outbox_put(&m);
}

/* NULL when it is empty or no JSON. */
static json_t *
ask_json(const char *s)
{
	return (s[0] == '\0' ? NULL : json_loads(s, JSON_DECODE_ANY, NULL));
}

/*
 * The program that asked does not wait for it any more: the answer is for the
 * next attempt.  After a cancellation there is none, and nobody to keep it for.
 */
static int
ask_is_over(const struct run *r, const struct ask *a)
{
	if (r->status == NULL)
		return (a->withdrawn);
	return ((a->withdrawn || !a->answered) &&
	    strcmp(r->status, "canceled") != 0);
}

void
ask_answer(const Marionette__V1__PermissionAnswer *p)
{
	struct run	*r = env->run;
	struct ask	*a;
	json_t		*input, *answers;

	if (r == NULL || strcmp(run_id(r), p->run_id) != 0 ||
	    (a = ask_find(r, p->request_id)) == NULL || r->exited ||
	    ask_is_over(r, a)) {
		ask_canceled(p->run_id, p->request_id);
		return;
	}
	if (a->answered) {	/* Sent again: our acknowledgement was lost. */
		ask_ack(p->permission_id);
		return;
	}
	a->input = ask_json(a->json);
	input = ask_json(p->input_json);
	answers = ask_json(p->answers_json);
	if (p->input_json[0] != '\0' && !json_is_object(input)) {
		/* An edit that cannot be read is no consent to the original. */
		r->program->kind->answer(r, a, 0, "The edited input is not a "
		    "JSON object.", NULL, NULL);
	} else
		r->program->kind->answer(r, a, p->approved, p->reason, input,
		    answers);
	ask_log(r, !p->approved ? "denied" : input != NULL ?
	    "given, with an edited input" : "given", a->tool, p->reason);
	ask_settled(r, a);
	ask_ack(p->permission_id);
	json_decref(input);
	json_decref(answers);
}

void
ask_end_all(struct run *r)
{
	struct ask	*a;

	while ((a = TAILQ_FIRST(&r->asks)) != NULL) {
		ask_canceled(run_id(r), a->id);
		TAILQ_REMOVE(&r->asks, a, entry);
	}
	while ((a = RB_ROOT(&r->ask_ids)) != NULL) {
		RB_REMOVE(ask_ids, &r->ask_ids, a);
		ask_free(a);
	}
	r->pending = 0;
}
