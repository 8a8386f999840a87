/*
 * upward.c - facts from agents, numbered (promise 6).  Each is packed for taskd
 * at once and kept until taskd has noted it; the agent is acknowledged
 * cumulatively, at the end of the turn, up to the last number without a gap
 * before it.  A RunCompleted waits until the run's last line is committed
 * (promise 10), or its runner is lost.  What a runner says of another's run is
 * acknowledged and goes nowhere.  A dead taskd gets everything again.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "journal.h"
#include "log.h"
#include "run.h"
#include "session.h"

#define SENT_MAX	256		/* unanswered at taskd, of one runner */
#define FACTS_MAX	4096		/* kept of one runner */
#define FACT_BYTES_MAX	(4U << 20)	/* then its credit is withheld */
#define NUMBER_BITS	43
#define NUMBER_MASK	((1ULL << NUMBER_BITS) - 1)

_Static_assert(NUMBER_MASK == WIRE_NUMBER_MAX, "a number fits its ref");

enum stage { FACT_READY, FACT_WAITS_LOG, FACT_SENT, FACT_NOTED };

struct fact {				/* until it and all before are noted */
	TAILQ_ENTRY(fact) entry;
	TAILQ_ENTRY(fact) waits;	/* while FACT_WAITS_LOG */
	struct runner	*runner;
	uint64_t	 number;
	enum stage	 stage;
	enum msg_type	 type;		/* MSG_NONE: nothing to tell */
	char		 run[ID_SIZE];	/* empty: not checked */
	uint64_t	 log_last;	/* RUN_COMPLETED */
	size_t		 len;
	uint8_t		 body[];
};

/* Of all runners: what a turn and a commit of lines have to look at. */
static TAILQ_HEAD(, fact)	 waiting = TAILQ_HEAD_INITIALIZER(waiting);
static TAILQ_HEAD(, runner)	 acks_due = TAILQ_HEAD_INITIALIZER(acks_due);

static struct fact *
fact_new(struct runner *r, uint64_t num, enum msg_type type, const void *m,
    const char *run)
{
	struct fact	*f;
	ssize_t		 len = 0;

	if (type != MSG_NONE && (len = msg_size(&msg_descs[type], m)) == -1)
		return (NULL);
	if ((f = calloc(1, sizeof(*f) + (size_t)len)) == NULL)
		fatal("fact");
	f->runner = r;
	f->number = num;
	f->type = type;
	f->stage = type == MSG_NONE ? FACT_NOTED : FACT_READY;
	f->len = (size_t)len;
	strlcpy(f->run, run, sizeof(f->run));
	if (type != MSG_NONE)
		msg_pack(&msg_descs[type], m, f->body);
	TAILQ_INSERT_TAIL(&r->facts, f, entry);
	r->nfacts++;
	r->fact_bytes += sizeof(*f) + f->len;
	r->last = num;
	return (f);
}

static void
fact_free(struct runner *r, struct fact *f)
{
	TAILQ_REMOVE(&r->facts, f, entry);
	r->nfacts--;
	r->fact_bytes -= sizeof(*f) + f->len;
	if (f->stage == FACT_WAITS_LOG)
		TAILQ_REMOVE(&waiting, f, waits);
	freezero(f, sizeof(*f) + f->len);
}

static void
fact_send(struct runner *r, struct fact *f)
{
	uint64_t	 ref = (uint64_t)r->slot << NUMBER_BITS | f->number;

	if (f->run[0] != '\0' && !run_is_of(f->run, r)) {
		log_debug("runner %s: fact %llu of a run that is not its own "
		    "or has ended", r->id, (unsigned long long)f->number);
		f->stage = FACT_NOTED;
		return;
	}
	if (f->type == MSG_RUN_COMPLETED &&
	    !journal_has(f->run, f->log_last)) {
		f->stage = FACT_WAITS_LOG;
		TAILQ_INSERT_TAIL(&waiting, f, waits);
		return;
	}
	if (peer_is_full(peer_of(PROC_TASKD)) ||
	    peer_send_packed(peer_of(PROC_TASKD), ref, f->type, f->body,
	    f->len) == -1)
		return;
	f->stage = FACT_SENT;
}

static void
owe_ack(struct runner *r)
{
	if (r->ack_due)
		return;
	r->ack_due = 1;
	TAILQ_INSERT_TAIL(&acks_due, r, ack_entry);
}

/* Sends what may be sent, forgets what is noted without a gap. */
static void
pump(struct runner *r)
{
	struct fact	*f;
	unsigned int	 sent = 0;

	if (runs_are_known())
		TAILQ_FOREACH(f, &r->facts, entry) {
			if (sent == SENT_MAX)
				break;
			if (f->stage == FACT_READY)
				fact_send(r, f);
			sent += f->stage == FACT_SENT;
		}
	while ((f = TAILQ_FIRST(&r->facts)) != NULL &&
	    f->stage == FACT_NOTED) {
		r->acked = f->number;
		owe_ack(r);
		fact_free(r, f);
	}
}

void
upward_hello(struct runner *r, uint64_t first)
{
	struct fact	*f;

	r->unnumbered = first == 0;
	/* Numbers that we took before are waited for or acknowledged. */
	if (first == 0 || first <= r->last + 1)
		return;
	/* It began before this process did. */
	while ((f = TAILQ_FIRST(&r->facts)) != NULL)
		fact_free(r, f);
	r->acked = r->last = first - 1;
}

/* NULL, or why this number cannot be; *fresh: it is to be taken. */
static const char *
check_number(struct runner *r, uint64_t num, int *fresh)
{
	*fresh = 0;
	if (num == 0)
		return ("number: expected 1 or more");
	if (r->unnumbered && TAILQ_EMPTY(&r->facts))
		r->acked = r->last = num - 1;
	r->unnumbered = 0;
	if (num <= r->last)
		return (NULL);
	if (num != r->last + 1)
		return ("number: expected the next one");
	if (r->nfacts >= FACTS_MAX)
		return ("number: too many are not acknowledged yet");
	*fresh = 1;
	return (NULL);
}

/* A bigint would take it, but an exit status is small and not negative. */
static uint32_t
exit_code(int32_t code)
{
	if (code >= 0)
		return ((uint32_t)code);
	return (code > -128 ? (uint32_t)(128 - code) : 255);
}

static struct fact *
take_completed(struct runner *r, uint64_t num,
    const Marionette__V1__RunCompleted *c)
{
	struct msg_run_completed	 m;
	struct fact			*f;

	m.run = c->run_id;
	m.runner = r->id;
	m.attempt = c->attempt;
	m.status = c->status;
	m.exit_code = exit_code(c->exit_code);
	m.error_code = c->error_code;
	m.error = c->error;
	m.result = c->result;
	m.tokens_input = c->tokens_input;
	m.tokens_output = c->tokens_output;
	m.cost_microusd = c->cost_microusd;
	m.duration_ms = c->duration_ms;
	m.conversation = c->conversation_id;
	if (run_is_of(c->run_id, r))
		run_taken(c->run_id, 1);
	f = fact_new(r, num, MSG_RUN_COMPLETED, &m, c->run_id);
	if (f != NULL)
		f->log_last = c->log_last;
	return (f);
}

static struct fact *
take_request(struct runner *r, uint64_t num,
    const Marionette__V1__PermissionRequest *q)
{
	struct msg_permission_asked	 m;

	m.run = q->run_id;
	m.attempt = q->attempt;
	m.request = q->request_id;
	m.kind = q->kind;
	m.tool = q->tool;
	m.action = q->action;
	m.input = q->input_json;
	return (fact_new(r, num, MSG_PERMISSION_ASKED, &m, q->run_id));
}

static struct fact *
take_run(struct runner *r, const Marionette__V1__RunnerMessage *b)
{
	struct msg_run_accepted	 a;
	struct msg_run_started	 s;

	if (b->body_case ==
	    MARIONETTE__V1__RUNNER_MESSAGE__BODY_RUN_ACCEPTED) {
		a.run = b->run_accepted->run_id;
		a.runner = r->id;
		a.attempt = b->run_accepted->attempt;
		a.epoch = b->run_accepted->epoch;
		if (run_is_of(a.run, r))
			run_taken(a.run, 0);
		return (fact_new(r, b->number, MSG_RUN_ACCEPTED, &a, a.run));
	}
	s.run = b->run_started->run_id;
	s.runner = r->id;
	s.attempt = b->run_started->attempt;
	s.time_ms = b->run_started->time_ms;
	if (run_is_of(s.run, r))
		run_taken(s.run, 1);
	return (fact_new(r, b->number, MSG_RUN_STARTED, &s, s.run));
}

static struct fact *
take_small(struct runner *r, const Marionette__V1__RunnerMessage *b)
{
	struct msg_run_progress		 p;
	struct msg_permission_taken	 t;
	struct msg_permission_withdrawn	 w;
	struct msg_run_unwound		 u;

	if (b->body_case ==
	    MARIONETTE__V1__RUNNER_MESSAGE__BODY_RUN_PROGRESS) {
		p.run = b->run_progress->run_id;
		p.percent = b->run_progress->percent;
		p.step = b->run_progress->step;
		return (fact_new(r, b->number, MSG_RUN_PROGRESS, &p, p.run));
	}
	if (b->body_case ==
	    MARIONETTE__V1__RUNNER_MESSAGE__BODY_PERMISSION_ACK) {
		t.permission = b->permission_ack->permission_id;
		t.runner = r->id;
		return (fact_new(r, b->number, MSG_PERMISSION_TAKEN, &t, ""));
	}
	if (b->body_case ==
	    MARIONETTE__V1__RUNNER_MESSAGE__BODY_PERMISSION_CANCELED) {
		w.run = b->permission_canceled->run_id;
		w.request = b->permission_canceled->request_id;
		return (fact_new(r, b->number, MSG_PERMISSION_WITHDRAWN, &w,
		    w.run));
	}
	u.run = b->run_unwound->run_id;
	/* An agent that never had the run knows no attempt of it. */
	u.attempt = b->run_unwound->attempt != 0 ? b->run_unwound->attempt :
	    run_attempt(u.run);
	u.reason = b->run_unwound->reason;
	return (fact_new(r, b->number, MSG_RUN_UNWOUND, &u, u.run));
}

static struct fact *
take_body(struct runner *r, const Marionette__V1__RunnerMessage *b)
{
	switch (b->body_case) {
	case MARIONETTE__V1__RUNNER_MESSAGE__BODY_RUN_COMPLETED:
		return (take_completed(r, b->number, b->run_completed));
	case MARIONETTE__V1__RUNNER_MESSAGE__BODY_PERMISSION_REQUEST:
		return (take_request(r, b->number, b->permission_request));
	case MARIONETTE__V1__RUNNER_MESSAGE__BODY_RUN_ACCEPTED:
	case MARIONETTE__V1__RUNNER_MESSAGE__BODY_RUN_STARTED:
		return (take_run(r, b));
	case MARIONETTE__V1__RUNNER_MESSAGE__BODY_RUN_PROGRESS:
	case MARIONETTE__V1__RUNNER_MESSAGE__BODY_PERMISSION_ACK:
	case MARIONETTE__V1__RUNNER_MESSAGE__BODY_PERMISSION_CANCELED:
	case MARIONETTE__V1__RUNNER_MESSAGE__BODY_RUN_UNWOUND:
		return (take_small(r, b));
	case MARIONETTE__V1__RUNNER_MESSAGE__BODY_SESSION_SUSPENDED:
		session_suspended(r, b->session_suspended->session_id,
		    b->session_suspended->epoch);
		break;
	case MARIONETTE__V1__RUNNER_MESSAGE__BODY_SESSION_ATTACHED:
	case MARIONETTE__V1__RUNNER_MESSAGE__BODY_HEARTBEAT:
	case MARIONETTE__V1__RUNNER_MESSAGE__BODY_HELLO:
	case MARIONETTE__V1__RUNNER_MESSAGE__BODY__NOT_SET:
	case _MARIONETTE__V1__RUNNER_MESSAGE__BODY__CASE_IS_INT_SIZE:
		break;
	}
	/* Numbered, and nobody's concern beyond this process. */
	return (fact_new(r, b->number, MSG_NONE, NULL, ""));
}

static void
give_credit(struct runner *r, uint32_t bytes)
{
	r->owed += bytes;
	if (r->fact_bytes > FACT_BYTES_MAX || r->stream == NULL)
		return;
	bytes = r->owed;
	r->owed = 0;
	stream_credit(r->stream, bytes);
}

const char *
upward_take(struct runner *r, const Marionette__V1__RunnerMessage *m,
    size_t bytes)
{
	const char	*why;
	int		 fresh;

	r->heard = worker_mono_ms();
	r->beat = 1;
	if (m->body_case == MARIONETTE__V1__RUNNER_MESSAGE__BODY_HELLO)
		return ("Hello: expected once");
	if (m->number == 0 && (m->body_case ==
	    MARIONETTE__V1__RUNNER_MESSAGE__BODY_HEARTBEAT || m->body_case ==
	    MARIONETTE__V1__RUNNER_MESSAGE__BODY__NOT_SET)) {
		give_credit(r, (uint32_t)bytes);
		return (NULL);
	}
	if ((why = check_number(r, m->number, &fresh)) != NULL)
		return (why);
	if (fresh) {
		if (take_body(r, m) == NULL)
			return ("the message does not fit");
		pump(r);
	} else if (m->number <= r->acked)
		/* Sent again: it does not know that it is noted. */
		owe_ack(r);
	give_credit(r, (uint32_t)bytes);
	return (NULL);
}

void
on_run_noted(struct peer *p, uint64_t ref, const struct msg_run_noted *m)
{
	struct runner	*r;
	struct fact	*f;

	(void)p;
	(void)m;
	if ((r = runner_by_slot((uint32_t)(ref >> NUMBER_BITS))) == NULL)
		return;
	TAILQ_FOREACH(f, &r->facts, entry)
		if (f->number == (ref & NUMBER_MASK))
			break;
	if (f == NULL || f->stage != FACT_SENT)
		return;
	f->stage = FACT_NOTED;
	if (f->type == MSG_RUN_COMPLETED || f->type == MSG_RUN_UNWOUND)
		run_over(f->run);
	pump(r);
}

int
upward_has_completion(const struct runner *r, const char *run)
{
	struct fact	*f;

	TAILQ_FOREACH(f, &r->facts, entry)
		if (f->type == MSG_RUN_COMPLETED && strcmp(f->run, run) == 0)
			return (1);
	return (0);
}

/* What waits for the log of this run, or of any (NULL), and need not any more. */
static void
waiting_look(const char *run)
{
	struct fact	*f, *next;

	TAILQ_FOREACH_SAFE(f, &waiting, waits, next) {
		if ((run != NULL && strcmp(f->run, run) != 0) ||
		    !journal_has(f->run, f->log_last))
			continue;
		TAILQ_REMOVE(&waiting, f, waits);
		f->stage = FACT_READY;
		pump(f->runner);
	}
}

void
upward_log_committed(const char *run)
{
	waiting_look(run);
}

int
upward_end(struct runner *r, const char *run)
{
	struct fact	*f;

	TAILQ_FOREACH(f, &r->facts, entry)
		if (f->type == MSG_RUN_COMPLETED && strcmp(f->run, run) == 0)
			break;
	if (f == NULL)
		return (0);
	f->log_last = 0;
	waiting_look(run);
	return (1);
}

void
upward_unsent(void)
{
	struct runner	*r;
	struct fact	*f;

	for (r = runner_next(NULL); r != NULL; r = runner_next(r))
		TAILQ_FOREACH(f, &r->facts, entry)
			if (f->stage == FACT_SENT)
				f->stage = FACT_READY;
}

void
upward_resend(void)
{
	struct runner	*r;

	/* A journal that was given up tells nobody: it is asked for anew. */
	waiting_look(NULL);
	for (r = runner_next(NULL); r != NULL; r = runner_next(r))
		pump(r);
}

static void
ack(struct runner *r)
{
	Marionette__V1__ServerCommand	 c;
	Marionette__V1__Ack		 a;

	marionette__v1__server_command__init(&c);
	marionette__v1__ack__init(&a);
	a.up_to = r->acked;
	c.body_case = MARIONETTE__V1__SERVER_COMMAND__BODY_ACK;
	c.ack = &a;
	stream_command(r, &c);
}

/* One Ack a runner and turn, however many facts were noted in it. */
void
upward_turn(void)
{
	struct runner	*r;

	while ((r = TAILQ_FIRST(&acks_due)) != NULL) {
		TAILQ_REMOVE(&acks_due, r, ack_entry);
		r->ack_due = 0;
		if (r->stream == NULL)
			continue;
		ack(r);
		give_credit(r, 0);
	}
}
