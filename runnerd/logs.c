/*
 * logs.c - Logs streams of frontd(runner), by its ref, on the bulk pair.  A
 * stream belongs to the runner whose certificate it came with; with `skip tls'
 * one without belongs to the runner whose run it names first.  Credit for a
 * batch is returned when the batch is committed, so a slow database slows the
 * runner; a stream that was half-closed ends when nothing is owed any more.
 *
 * A batch of a run that is still looked up waits here, and what comes behind it
 * on its stream behind it: in order, and never more than its window.  So a
 * stream has one look-up under way, and a runner one for each it may have.
 */
#include <stdlib.h>
#include <string.h>

#include "journal.h"
#include "log.h"
#include "runnerd.h"

#define LOGS_PER_RUNNER	8
#define LOGS_NAMELESS	256

struct held {				/* a batch that waits */
	TAILQ_ENTRY(held) entry;
	size_t		 len;
	uint8_t		 body[];
};

struct logs {				/* until either side closes it */
	RB_ENTRY(logs)	 entry;
	RB_ENTRY(logs)	 waiting;	/* while it holds something */
	TAILQ_HEAD(, held) held;
	char		 run[ID_SIZE];	/* whose it waits for, or empty */
	uint64_t	 ref;
	struct runner	*runner;	/* NULL: nobody's yet */
	size_t		 owed;		/* bytes not yet credited */
	int		 closing;	/* the runner has half-closed it */
};
RB_HEAD(logstreams, logs);
RB_HEAD(waiters, logs);

static struct logstreams	 all = RB_INITIALIZER(&all);
static struct waiters		 waiters = RB_INITIALIZER(&waiters);
static unsigned int		 nobodys;	/* streams without a runner yet */
static unsigned int		 nobodys_finds;	/* runs looked up for them */

static int
logs_cmp(struct logs *a, struct logs *b)
{
	return (a->ref < b->ref ? -1 : a->ref > b->ref);
}

static int
waiter_cmp(struct logs *a, struct logs *b)
{
	int	 rc = strcmp(a->run, b->run);

	return (rc != 0 ? rc : logs_cmp(a, b));
}

RB_PROTOTYPE(logstreams, logs, entry, logs_cmp);
RB_GENERATE(logstreams, logs, entry, logs_cmp)
RB_PROTOTYPE(waiters, logs, waiting, waiter_cmp);
RB_GENERATE(waiters, logs, waiting, waiter_cmp)

static struct logs *
logs_find(uint64_t ref)
{
	struct logs	 key;

	key.ref = ref;
	return (RB_FIND(logstreams, &all, &key));
}

/* How many streams there are like one of this runner. */
static unsigned int *
count_of(struct runner *r)
{
	return (r != NULL ? &r->nlogs : &nobodys);
}

unsigned int *
logs_finds(uint64_t ref)
{
	struct logs	*s = logs_find(ref);
	unsigned int	*n = &nobodys_finds, most = LOGS_NAMELESS;

	if (s == NULL)
		return (NULL);
	if (s->runner != NULL) {
		n = &s->runner->nfinds;
		most = LOGS_PER_RUNNER;
	}
	/* Streams that have ended may have left some. */
	return (*n < most ? n : NULL);
}

static void
logs_free(struct logs *s)
{
	struct held	*h;

	if (s->run[0] != '\0')
		RB_REMOVE(waiters, &waiters, s);
	while ((h = TAILQ_FIRST(&s->held)) != NULL) {
		TAILQ_REMOVE(&s->held, h, entry);
		free(h);
	}
	(*count_of(s->runner))--;
	RB_REMOVE(logstreams, &all, s);
	free(s);
}

static void
close_down(uint64_t ref, int status, const char *text)
{
	struct msg_logs_close	 m;

	m.status = (uint8_t)status;
	m.text = text;
	send_logs_close(peer_of(PROC_RUNNER), ref, &m);
}

void
logs_end(uint64_t ref, int status, const char *text)
{
	struct logs	*s;

	if ((s = logs_find(ref)) == NULL)
		return;
	if (status != GRPC_OK)
		log_info("logs of runner %s: %s", s->runner != NULL ?
		    s->runner->id : "?", text);
	close_down(ref, status, text);
	logs_free(s);
}

void
logs_ack(uint64_t ref, const char *run, uint64_t up_to)
{
	Marionette__V1__LogAck	 a;
	struct msg_logs_message	 m;
	char			 id[ID_SIZE];
	uint8_t			 buf[64];

	marionette__v1__log_ack__init(&a);
	if (logs_find(ref) == NULL)
		return;
	strlcpy(id, run, sizeof(id));
	a.run_id = id;
	a.up_to = up_to;
	m.body = buf;
	m.body_len = marionette__v1__log_ack__pack(&a, buf);
	if (send_logs_message(peer_of(PROC_RUNNER), ref, &m) == -1)
		logs_end(ref, GRPC_RESOURCE_EXHAUSTED,
		    "the runner does not read");
}

void
logs_credit(uint64_t ref, size_t bytes)
{
	struct msg_logs_credit	 m;
	struct logs		*s;

	if ((s = logs_find(ref)) == NULL)
		return;
	s->owed -= bytes < s->owed ? bytes : s->owed;
	if (s->closing && s->owed == 0) {
		logs_end(ref, GRPC_OK, "");
		return;
	}
	m.bytes = (uint32_t)bytes;
	if (bytes > 0)
		send_logs_credit(peer_of(PROC_RUNNER), ref, &m);
}

/*
 * Whoever has lost its line and dialled again may have left streams behind that
 * nobody knows to be dead yet: the oldest makes room.
 */
static void
logs_make_room(const struct runner *r)
{
	struct logs	*s;

	RB_FOREACH(s, logstreams, &all)
		if (s->runner == r)
			break;
	if (s != NULL)
		logs_end(s->ref, GRPC_ABORTED,
		    "replaced by a newer Logs of this runner");
}

static const char *
logs_open(uint64_t ref, const struct msg_logs_open *m, int *status)
{
	struct runner	*r = NULL;
	struct logs	*s;
	int		 named = m->cert_hash_len == 32;

	*status = GRPC_UNAUTHENTICATED;
	if (!named && !settings.skip_tls)
		return ("a client certificate is required; enrol first");
	if (!runners_are_loaded()) {
		*status = GRPC_UNAVAILABLE;
		return ("the server is starting; try again");
	}
	if (named && (r = runner_by_cert(m->cert_hash)) == NULL)
		return ("this client certificate is not known; enrol again");
	if (named && r->nlogs >= LOGS_PER_RUNNER)
		logs_make_room(r);
	if (!named && nobodys >= LOGS_NAMELESS) {
		*status = GRPC_RESOURCE_EXHAUSTED;
		return ("too many Logs streams of nobody");
	}
	if ((s = calloc(1, sizeof(*s))) == NULL)
		fatal("logs");
	s->ref = ref;
	s->runner = r;
	TAILQ_INIT(&s->held);
	(*count_of(r))++;
	RB_INSERT(logstreams, &all, s);
	return (NULL);
}

void
on_logs_open(struct peer *p, uint64_t ref, const struct msg_logs_open *m)
{
	const char	*why;
	int		 status;

	(void)p;
	if (logs_find(ref) != NULL)
		return;
	if ((why = logs_open(ref, m, &status)) != NULL) {
		log_info("Logs from %s refused: %s", m->address, why);
		close_down(ref, status, why);
	}
}

int
logs_are_of(uint64_t ref, const char *runner)
{
	struct logs	*s;

	if ((s = logs_find(ref)) == NULL)
		return (0);
	if (s->runner == NULL && (s->runner = runner_find(runner)) != NULL) {
		nobodys--;
		s->runner->nlogs++;
	}
	return (s->runner != NULL && strcmp(s->runner->id, runner) == 0);
}

static void
wait_for(struct logs *s, const char *run)
{
	strlcpy(s->run, run, sizeof(s->run));
	RB_INSERT(waiters, &waiters, s);
}

static void
hold(struct logs *s, const uint8_t *body, size_t len)
{
	struct held	*h;

	if ((h = malloc(sizeof(*h) + len)) == NULL)
		fatal("logs");
	h->len = len;
	memcpy(h->body, body, len);
	TAILQ_INSERT_TAIL(&s->held, h, entry);
}

void
on_logs_message(struct peer *p, uint64_t ref, const struct msg_logs_message *m)
{
	Marionette__V1__LogBatch	*b;
	struct logs			*s;
	char				 why[WIRE_WHY];

	(void)p;
	if ((s = logs_find(ref)) == NULL)
		return;
	s->owed += m->body_len;
	/* Checked before it is held: what is empty costs no credit. */
	if ((b = wire_logs(m->body, m->body_len, why)) == NULL) {
		logs_end(ref, GRPC_INVALID_ARGUMENT, why);
		return;
	}
	if (s->run[0] != '\0')
		hold(s, m->body, m->body_len);
	else if (journal_batch(ref, b, m->body_len) == -1) {
		hold(s, m->body, m->body_len);
		wait_for(s, b->run_id);
	}
	wire_free(&b->base);
}

/* Takes what it held, up to what must wait; by that it may end. */
static void
resume(struct logs *s)
{
	Marionette__V1__LogBatch	*b;
	struct held			*h;
	uint64_t			 ref = s->ref;
	char				 why[WIRE_WHY];
	int				 rc = 0;

	RB_REMOVE(waiters, &waiters, s);
	s->run[0] = '\0';
	while (rc == 0 && (s = logs_find(ref)) != NULL &&
	    (h = TAILQ_FIRST(&s->held)) != NULL) {
		TAILQ_REMOVE(&s->held, h, entry);
		if ((b = wire_logs(h->body, h->len, why)) == NULL)
			fatalx("logs: a batch was good and is not: %s", why);
		if ((rc = journal_batch(ref, b, h->len)) == -1) {
			TAILQ_INSERT_HEAD(&s->held, h, entry);
			wait_for(s, b->run_id);
		} else
			free(h);
		wire_free(&b->base);
	}
}

void
logs_found(const char *run, int rc)
{
	struct logs	 key, *s;

	strlcpy(key.run, run, sizeof(key.run));
	for (key.ref = 0; (s = RB_NFIND(waiters, &waiters, &key)) != NULL &&
	    strcmp(s->run, run) == 0; key.ref++) {
		key.ref = s->ref;
		if (rc == 0)
			resume(s);
		else
			logs_end(s->ref, GRPC_UNAVAILABLE, "try again");
	}
}

/* Those that there was no room for, too. */
void
logs_janitor(void)
{
	struct logs	 key, *s;

	key.run[0] = '\0';
	for (key.ref = 0; (s = RB_NFIND(waiters, &waiters, &key)) != NULL;
	    key.ref++) {
		key.ref = s->ref;
		strlcpy(key.run, s->run, sizeof(key.run));
		resume(s);
	}
}

void
on_logs_close(struct peer *p, uint64_t ref, const struct msg_logs_close *m)
{
	struct logs	*s;

	(void)p;
	(void)m;
	if ((s = logs_find(ref)) == NULL)
		return;
	s->closing = 1;
	if (s->owed == 0)
		logs_end(ref, GRPC_OK, "");
}

void
logs_drop(void)
{
	struct logs	*s;

	while ((s = RB_MIN(logstreams, &all)) != NULL)
		logs_free(s);
}
