/*
 * record.c - one record a run, journaled each time it changes.  A run id that
 * is known is never started again, whatever the server sends; it is answered
 * with what became of it.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "agent.h"
#include "leftover.h"
#include "log.h"
#include "record.h"
#include "spool.h"
#include "util.h"

#define RECORDS_WHOLE_MAX	(1024 * 1024)	/* results, the newest */
#define RECORD_RESULT_MAX	1024	/* of the others, and that it is cut */
#define RECORD_MARK_MAX		128

static TAILQ_HEAD(records, record)	records = TAILQ_HEAD_INITIALIZER(records);
static size_t			records_done;
static size_t			records_whole;	/* bytes of whole results */

static const char	*const record_names[] = {
	[RECORD_ACCEPTED] = "accepted",
	[RECORD_RUNNING] = "running",
	[RECORD_DONE] = "completed"
};

struct record *
record_find(const char *id)
{
	struct record	*r;

	TAILQ_FOREACH_REVERSE(r, &records, records, entry)
		if (strcmp(r->run_id, id) == 0)
			return (r);
	return (NULL);
}

static void
record_free(struct record *r)
{
	TAILQ_REMOVE(&records, r, entry);
	records_whole -= r->whole;
	free(r->run_id);
	free(r->session_id);
	free(r->done);
	free(r);
}

static void
record_keep(struct record *r, const Marionette__V1__RunCompleted *b)
{
	size_t	 n = strlen(b->result);

	records_whole -= r->whole;
	r->whole = n > RECORD_RESULT_MAX + RECORD_MARK_MAX ? n : 0;
	records_whole += r->whole;
	free(r->done);
	r->done_len = marionette__v1__run_completed__get_packed_size(b);
	r->done = xmalloc(r->done_len);
	marionette__v1__run_completed__pack(b, r->done);
}

/* What it leaves of a result says that it is not all. */
static void
record_cut(struct record *r)
{
	Marionette__V1__RunCompleted	*b;
	char				*whole, *cut;

	b = marionette__v1__run_completed__unpack(NULL, r->done_len, r->done);
	if (b == NULL)
		fatalx("run %s: what it ended with is damaged", r->run_id);
	whole = b->result;
	cut = utf8_limit(whole, RECORD_RESULT_MAX);
	b->result = xasprintf("%s\n[cut: its runner has not kept the other "
	    "%zu bytes]", cut, strlen(whole) - strlen(cut));
	record_keep(r, b);
	free(whole);
	free(cut);
	marionette__v1__run_completed__free_unpacked(b, NULL);
}

/*
 * A finished run more: the oldest finished one may have to go, and of others the
 * result.
 */
static void
record_trim(void)
{
	struct record	*r, *next;

	TAILQ_FOREACH(r, &records, entry) {
		if (records_whole <= RECORDS_WHOLE_MAX)
			break;
		if (r->whole > 0)
			record_cut(r);
	}
	TAILQ_FOREACH_SAFE(r, &records, entry, next) {
		if (records_done <= RECORDS_MAX)
			return;
		if (r->state == RECORD_DONE) {
			record_free(r);
			records_done--;
		}
	}
}

struct record *
record_new(const char *id, const char *session, uint32_t attempt,
    uint64_t epoch)
{
	struct record	*r;

	r = xcalloc(1, sizeof(*r));
	r->run_id = xstrdup(id);
	r->session_id = xstrdup(session);
	r->attempt = attempt;
	r->epoch = epoch;
	TAILQ_INSERT_TAIL(&records, r, entry);
	return (r);
}

void
record_put(struct record *r)
{
	json_t	*j;
	uint8_t	*buf;
	char	*s;
	size_t	 n;

	j = json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}",
	    "run", r->run_id, "session", r->session_id,
	    "attempt", (json_int_t)r->attempt, "epoch", (json_int_t)r->epoch,
	    "state", (json_int_t)r->state, "log_last", (json_int_t)r->log_last,
	    "pid", (json_int_t)r->pid, "start", (json_int_t)r->pid_start,
	    "uid", (json_int_t)r->uid, "started", (json_int_t)r->started_ms);
	if (j == NULL || (s = json_dumps(j, JSON_COMPACT)) == NULL)
		fatalx("run %s: cannot be recorded", r->run_id);
	n = strlen(s) + 1;
	buf = xmalloc(n + r->done_len);
	memcpy(buf, s, n);
	if (r->done_len > 0)
		memcpy(buf + n, r->done, r->done_len);
	journal_put('R', buf, n + r->done_len);
	free(buf);
	free(s);
	json_decref(j);
}

static uint64_t
record_int(json_t *j, const char *name)
{
	return ((uint64_t)json_integer_value(json_object_get(j, name)));
}

void
record_load(const uint8_t *data, size_t len)
{
	Marionette__V1__RunCompleted	*b;
	struct record	*r;
	const uint8_t	*nul;
	const char	*id, *session;
	json_t		*j;
	size_t		 n;

	if ((nul = memchr(data, 0, len)) == NULL)
		return;
	n = (size_t)(nul - data) + 1;
	j = json_loadb((const char *)data, n - 1, 0, NULL);
	id = json_string_value(json_object_get(j, "run"));
	session = json_string_value(json_object_get(j, "session"));
	if (id == NULL || session == NULL) {
		json_decref(j);
		return;
	}
	if ((r = record_find(id)) == NULL)
		r = record_new(id, session, (uint32_t)record_int(j, "attempt"),
		    record_int(j, "epoch"));
	if (r->state != RECORD_DONE && record_int(j, "state") == RECORD_DONE)
		records_done++;
	r->state = (enum record_state)record_int(j, "state");
	r->log_last = record_int(j, "log_last");
	r->pid = (pid_t)record_int(j, "pid");
	r->pid_start = record_int(j, "start");
	r->uid = (uid_t)record_int(j, "uid");
	r->started_ms = record_int(j, "started");
	b = len > n ? marionette__v1__run_completed__unpack(NULL, len - n,
	    data + n) : NULL;
	if (b != NULL) {
		record_keep(r, b);
		marionette__v1__run_completed__free_unpacked(b, NULL);
	}
	json_decref(j);
	record_trim();
}

void
record_puts(void)
{
	struct record	*r;

	TAILQ_FOREACH(r, &records, entry)
		record_put(r);
}

void
record_accepted(struct record *r)
{
	Marionette__V1__RunnerMessage	 m;
	Marionette__V1__RunAccepted	 b;

	marionette__v1__runner_message__init(&m);
	marionette__v1__run_accepted__init(&b);
	m.body_case = MARIONETTE__V1__RUNNER_MESSAGE__BODY_RUN_ACCEPTED;
	m.run_accepted = &b;
	b.run_id = r->run_id;
	b.attempt = r->attempt;
	b.epoch = r->epoch;
	outbox_put(&m);
}

void
record_started(struct record *r)
{
	Marionette__V1__RunnerMessage	 m;
	Marionette__V1__RunStarted	 b;

	marionette__v1__runner_message__init(&m);
	marionette__v1__run_started__init(&b);
	m.body_case = MARIONETTE__V1__RUNNER_MESSAGE__BODY_RUN_STARTED;
	m.run_started = &b;
	b.run_id = r->run_id;
	b.attempt = r->attempt;
	b.time_ms = r->started_ms;
	outbox_put(&m);
}

static void
record_send_completed(Marionette__V1__RunCompleted *b)
{
	Marionette__V1__RunnerMessage	 m;

	marionette__v1__runner_message__init(&m);
	m.body_case = MARIONETTE__V1__RUNNER_MESSAGE__BODY_RUN_COMPLETED;
	m.run_completed = b;
	outbox_put(&m);
}

void
record_completed(struct record *r, Marionette__V1__RunCompleted *b)
{
	record_send_completed(b);
	/*
	 * The server has it, when it is acknowledged; but may ask again, when a
	 * backup was put back there.
	 */
	record_keep(r, b);
	if (r->state != RECORD_DONE)
		records_done++;
	r->state = RECORD_DONE;
	r->log_last = b->log_last;
	r->pid = 0;
	record_put(r);
	spool_finish(r->run_id, b->log_last);
	record_trim();
}

void
record_repeat(struct record *r)
{
	Marionette__V1__RunCompleted	*b;

	record_accepted(r);
	if (r->started_ms != 0)
		record_started(r);
	if (r->state != RECORD_DONE || r->done == NULL)
		return;
	b = marionette__v1__run_completed__unpack(NULL, r->done_len, r->done);
	if (b == NULL)
		return;
	record_send_completed(b);
	marionette__v1__run_completed__free_unpacked(b, NULL);
}

void
record_unwound(const char *id, uint32_t attempt, const char *reason)
{
	Marionette__V1__RunnerMessage	 m;
	Marionette__V1__RunUnwound	 b;
	union { const char *c; char *u; } i = { id }, w = { reason };

	marionette__v1__runner_message__init(&m);
	marionette__v1__run_unwound__init(&b);
	m.body_case = MARIONETTE__V1__RUNNER_MESSAGE__BODY_RUN_UNWOUND;
	m.run_unwound = &b;
	b.run_id = i.u;
	b.attempt = attempt;
	b.reason = w.u;
	outbox_put(&m);
	log_info("run %s not started: %s", id, reason);
}

void
record_ended(struct record *r, const char *status, const char *code,
    const char *why, int exit_code)
{
	Marionette__V1__RunCompleted	 b;
	union { const char *c; char *v; } s = { status }, e = { code },
	    w = { why };

	marionette__v1__run_completed__init(&b);
	b.run_id = r->run_id;
	b.attempt = r->attempt;
	b.status = s.v;
	b.exit_code = exit_code;
	b.error_code = e.v;
	b.error = w.v;
	b.log_last = spool_last(r->run_id);
	record_completed(r, &b);
}

void
record_leftovers(void)
{
	struct record	*r;

	TAILQ_FOREACH(r, &records, entry) {
		if (r->state == RECORD_DONE)
			continue;
		log_info("run %s was left by a dead agent: killing what "
		    "remains of it", r->run_id);
		leftover_kill(r->pid, r->pid_start, r->uid, r->run_id);
		record_ended(r, "lost", "agent_restarted",
		    "The runner's agent died while this ran.", 128 + SIGKILL);
	}
}

Marionette__V1__RunState **
record_states(size_t *n)
{
	Marionette__V1__RunState	**list = NULL, *s;
	struct record			*r;

	*n = 0;
	TAILQ_FOREACH(r, &records, entry) {
		if (r->state == RECORD_DONE && !outbox_holds(r->run_id) &&
		    !spool_holds(r->run_id))
			continue;
		s = xmalloc(sizeof(*s));
		marionette__v1__run_state__init(s);
		s->run_id = r->run_id;
		s->session_id = r->session_id;
		s->attempt = r->attempt;
		s->epoch = r->epoch;
		s->state = xstrdup(record_names[r->state]);
		s->log_last = r->state == RECORD_DONE ? r->log_last :
		    spool_last(r->run_id);
		list = xrealloc(list, (*n + 1) * sizeof(*list));
		list[(*n)++] = s;
	}
	return (list);
}

void
record_states_free(Marionette__V1__RunState **list, size_t n)
{
	size_t	 i;

	for (i = 0; i < n; i++) {
		free(list[i]->state);
		free(list[i]);
	}
	free(list);
}
