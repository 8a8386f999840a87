/*
 * run.c - a run does what its script says: wait, lines, questions, delay, end;
 * without waiting for acknowledgements between them, as the agent does.  A run
 * id that is known is answered with what became of it and never begun again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "runner.h"
#include "util.h"

#define RUNS_KEPT	1000	/* of one runner */
#define TICK_US		2000	/* between lines that are written at a rate */
#define TOOL		"Shell"	/* a person is always asked */

static void	 run_step(struct run *);

struct run *
run_find(struct runner *r, const char *id)
{
	struct run	*run;

	TAILQ_FOREACH(run, &r->runs, entry)
		if (strcmp(run->id, id) == 0)
			return (run);
	return (NULL);
}

int
run_is_open(const struct run *run)
{
	return (!run->closed || run->acked < run->written);
}

static void
run_trim(struct runner *r)
{
	struct run	*run;

	while (r->nruns > RUNS_KEPT) {
		run = TAILQ_LAST(&r->runs, runs);
		if (run_is_open(run))
			return;
		TAILQ_REMOVE(&r->runs, run, entry);
		r->nruns--;
		free(run);
	}
}

/* ---- what it says ---------------------------------------------------------- */

static void
say_accepted(struct run *run)
{
	RunnerMessage			 m;
	Marionette__V1__RunAccepted	 b;

	marionette__v1__runner_message__init(&m);
	marionette__v1__run_accepted__init(&b);
	m.body_case = MARIONETTE__V1__RUNNER_MESSAGE__BODY_RUN_ACCEPTED;
	m.run_accepted = &b;
	b.run_id = run->id;
	b.attempt = run->attempt;
	b.epoch = run->epoch;
	letter_put(run->runner, &m, NULL);
}

static void
say_started(struct run *run)
{
	RunnerMessage			 m;
	Marionette__V1__RunStarted	 b;

	marionette__v1__runner_message__init(&m);
	marionette__v1__run_started__init(&b);
	m.body_case = MARIONETTE__V1__RUNNER_MESSAGE__BODY_RUN_STARTED;
	m.run_started = &b;
	b.run_id = run->id;
	b.attempt = run->attempt;
	b.time_ms = now_wall();
	letter_put(run->runner, &m, NULL);
}

static void
say_progress(struct run *run, unsigned int percent)
{
	RunnerMessage			 m;
	Marionette__V1__RunProgress	 b;
	char				 step[] = "on it";

	marionette__v1__runner_message__init(&m);
	marionette__v1__run_progress__init(&b);
	m.body_case = MARIONETTE__V1__RUNNER_MESSAGE__BODY_RUN_PROGRESS;
	m.run_progress = &b;
	b.run_id = run->id;
	b.percent = percent;
	b.step = step;
	letter_put(run->runner, &m, NULL);
}

static void
say_completed(struct run *run)
{
	RunnerMessage			 m;
	Marionette__V1__RunCompleted	 b;
	union { const char *c; char *v; } status = { run->status };
	union { const char *c; char *v; } code = { run->code };
	char				 result[MARK_SIZE + FLEET_ID + 16];

	/* Named by its run, so that a result of another is told apart. */
	snprintf(result, sizeof(result), "done %s %s", run->mark, run->id);
	marionette__v1__runner_message__init(&m);
	marionette__v1__run_completed__init(&b);
	m.body_case = MARIONETTE__V1__RUNNER_MESSAGE__BODY_RUN_COMPLETED;
	m.run_completed = &b;
	b.run_id = run->id;
	b.attempt = run->attempt;
	b.status = status.v;
	b.exit_code = strcmp(run->status, "completed") != 0;
	b.error_code = code.v;
	b.result = result;
	b.log_last = run->written;
	book("complete %s %s %s %llu %s/%s", run->runner->id, run->id,
	    run->status, (unsigned long long)run->written, run->mark, run->id);
	run->closed = 0;
	letter_put(run->runner, &m, run);
}

/* An action names the task and the question, for whoever answers it. */
static void
say_question(struct run *run)
{
	RunnerMessage				 m;
	Marionette__V1__PermissionRequest	 b;
	char					 id[16], action[MARK_SIZE + 32];
	char					 kind[] = "tool", tool[] = TOOL;
	char					 input[MARK_SIZE + 64];
	struct task				*t;

	run->asked++;
	run->asking = 1;
	snprintf(id, sizeof(id), "ask-%u", run->asked);
	snprintf(action, sizeof(action), TOOL ": %s %u", run->mark, run->asked);
	snprintf(input, sizeof(input), "{\"command\":\"%s\",\"number\":%u}",
	    run->mark, run->asked);
	marionette__v1__runner_message__init(&m);
	marionette__v1__permission_request__init(&b);
	m.body_case = MARIONETTE__V1__RUNNER_MESSAGE__BODY_PERMISSION_REQUEST;
	m.permission_request = &b;
	b.run_id = run->id;
	b.attempt = run->attempt;
	b.request_id = id;
	b.kind = kind;
	b.tool = tool;
	b.action = action;
	b.input_json = input;
	book("ask %s %s %s %s", run->runner->id, run->id, id, run->mark);
	if (run->task != NO_TASK && (t = task_get(run->task))->asked == 0)
		t->asked = now_ns();
	letter_put(run->runner, &m, NULL);
}

static void
say_permission(struct runner *r, const char *permission, const char *run,
    const char *request)
{
	RunnerMessage				 m;
	Marionette__V1__PermissionAck		 a;
	Marionette__V1__PermissionCanceled	 c;
	union { const char *c; char *v; } p = { permission }, i = { run };
	union { const char *c; char *v; } q = { request };

	marionette__v1__runner_message__init(&m);
	marionette__v1__permission_ack__init(&a);
	marionette__v1__permission_canceled__init(&c);
	a.permission_id = p.v;
	c.run_id = i.v;
	c.request_id = q.v;
	if (permission != NULL) {
		m.body_case =
		    MARIONETTE__V1__RUNNER_MESSAGE__BODY_PERMISSION_ACK;
		m.permission_ack = &a;
	} else {
		m.body_case =
		    MARIONETTE__V1__RUNNER_MESSAGE__BODY_PERMISSION_CANCELED;
		m.permission_canceled = &c;
	}
	letter_put(r, &m, NULL);
}

void
run_refuse(struct runner *r, const char *id, uint32_t attempt,
    const char *reason)
{
	RunnerMessage			 m;
	Marionette__V1__RunUnwound	 b;
	union { const char *c; char *v; } i = { id }, w = { reason };

	book("refuse %s %s %s", r->id, id, reason);
	marionette__v1__runner_message__init(&m);
	marionette__v1__run_unwound__init(&b);
	m.body_case = MARIONETTE__V1__RUNNER_MESSAGE__BODY_RUN_UNWOUND;
	m.run_unwound = &b;
	b.run_id = i.v;
	b.attempt = attempt;
	b.reason = w.v;
	letter_put(r, &m, NULL);
}

void
run_again(struct run *run)
{
	book("again %s %s", run->runner->id, run->id);
	say_accepted(run);
	if (run->state >= RUN_RUNNING)
		say_started(run);
	if (run->state == RUN_DONE)
		say_completed(run);
}

/* ---- what it does ---------------------------------------------------------- */

static void
run_in(struct run *run, uint64_t us)
{
	struct timeval	 tv = { (time_t)(us / 1000000),
			    (suseconds_t)(us % 1000000) };

	evtimer_add(&run->timer, &tv);
}

static void
run_timer(int fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	run_step(arg);
}

/* Those that are due; 1 when all of them are written. */
static int
run_lines(struct run *run)
{
	struct script	*s = &run->script;
	uint64_t	 due = s->lines, us;

	if (run->begun == 0)
		run->begun = now_ns();
	if (s->rate != 0)
		due = (now_ns() - run->begun) / 1000 * s->rate / 1000000;
	run->written = due < s->lines ? due : s->lines;
	lines_send(run);
	if (run->written == s->lines)
		return (1);
	us = 1000000 / s->rate;
	run_in(run, us < TICK_US ? TICK_US : us);
	return (0);
}

static void
run_step(struct run *run)
{
	struct script	*s = &run->script;

	if (!run->waited && s->wait != 0) {
		run->waited = 1;
		run_in(run, s->wait * 1000ULL);
		return;
	}
	if (run->written < s->lines && !run_lines(run))
		return;
	if (run->asking)
		return;
	if (run->asked < s->ask) {
		say_question(run);
		return;
	}
	if (!run->delayed && s->delay != 0) {
		run->delayed = 1;
		run_in(run, s->delay * 1000ULL);
		return;
	}
	run_end(run, s->fails ? "failed" : "completed",
	    s->fails ? "agent_failed" : NULL);
}

void
run_end(struct run *run, const char *status, const char *code)
{
	struct runner	*r = run->runner;
	char		 id[16];

	evtimer_del(&run->timer);
	if (run->asking) {
		snprintf(id, sizeof(id), "ask-%u", run->asked);
		say_permission(r, NULL, run->id, id);
	}
	run->asking = 0;
	run->state = RUN_DONE;
	run->status = status;
	run->code = code != NULL ? code : "";
	r->run = NULL;
	say_completed(run);
	run_trim(r);
}

void
run_closed(struct run *run)
{
	run->closed = 1;
	book("acked %s %s", run->runner->id, run->id);
	task_ended(run->task);
}

static struct run *
run_new(struct runner *r, const ExecuteTask *t)
{
	struct run	*run;

	run = xcalloc(1, sizeof(*run));
	run->runner = r;
	evtimer_assign(&run->timer, fleet->base, run_timer, run);
	strlcpy(run->id, t->run_id, sizeof(run->id));
	strlcpy(run->session, t->session_id, sizeof(run->session));
	run->attempt = t->attempt;
	run->epoch = t->epoch;
	if (script_read(&run->script, run->mark, t->prompt) == -1) {
		/* Somebody else's prompt: it is done at once. */
		memset(&run->script, 0, sizeof(run->script));
		strlcpy(run->mark, "-", sizeof(run->mark));
	}
	run->task = task_of(run->mark);
	TAILQ_INSERT_HEAD(&r->runs, run, entry);
	r->nruns++;
	return (run);
}

void
run_execute(struct runner *r, const ExecuteTask *t)
{
	uint64_t	 at = now_ns();
	struct run	*run;
	unsigned int	 i;

	if ((run = run_find(r, t->run_id)) != NULL) {
		run_again(run);
		return;
	}
	if (strcmp(r->session, t->session_id) != 0) {
		run_refuse(r, t->run_id, t->attempt, "session");
		return;
	}
	if (r->epoch != t->epoch || r->run != NULL || r->draining ||
	    letters_unwind(r, t->run_id)) {
		run_refuse(r, t->run_id, t->attempt, r->epoch != t->epoch ?
		    "epoch" : "busy");
		return;
	}
	run = r->run = run_new(r, t);
	book("execute %s %s %s %u %llu %s", r->id, t->task_id, run->id,
	    run->attempt, (unsigned long long)run->epoch, run->mark);
	task_executed(run->task, t->task_id, at);
	say_accepted(run);
	run->state = RUN_RUNNING;
	say_started(run);
	for (i = 1; i <= run->script.progress; i++)
		say_progress(run, i * 100 / (run->script.progress + 1));
	run_step(run);
}

/* ---- answers ----------------------------------------------------------------- */

/* One word of it, for the books. */
static const char *
word(const char *s)
{
	static char	 buf[128];

	snprintf(buf, sizeof(buf), "%.*s", (int)strcspn(s, " \n"), s);
	return (buf[0] == '\0' ? "-" : buf);
}

void
run_answer(struct runner *r, const Marionette__V1__PermissionAnswer *a)
{
	struct run	*run = r->run;
	struct task	*t;
	char		 id[16];
	unsigned int	 n;

	book("told %s %s %s %s %s %s", r->id, a->run_id, a->request_id,
	    a->permission_id, a->approved ? "approved" : "denied",
	    word(a->reason));
	if (run == NULL || strcmp(run->id, a->run_id) != 0 ||
	    sscanf(a->request_id, "ask-%u", &n) != 1 || n > run->asked) {
		say_permission(r, NULL, a->run_id, a->request_id);
		return;
	}
	say_permission(r, a->permission_id, NULL, NULL);
	snprintf(id, sizeof(id), "ask-%u", run->asked);
	if (!run->asking || strcmp(a->request_id, id) != 0)
		return;		/* Said again: it was heard. */
	run->asking = 0;
	if (run->task != NO_TASK && (t = task_get(run->task))->known == 0)
		t->known = now_ns();
	run_step(run);
}
