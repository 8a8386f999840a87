/*
 * logs.c - Logs streams of frontd(runner), by its ref, on the bulk pair.  A
 * stream belongs to the runner whose certificate it came with; with `skip tls'
 * one without belongs to the runner whose run it names first.  Credit for a
 * batch is returned when the batch is committed, so a slow database slows the
 * runner; a stream that was half-closed ends when nothing is owed any more.
 */
#include <stdlib.h>
#include <string.h>

#include "journal.h"
#include "log.h"
#include "runnerd.h"

#define LOGS_PER_RUNNER	8
#define LOGS_NAMELESS	256

struct logs {				/* until either side closes it */
	RB_ENTRY(logs)	 entry;
	uint64_t	 ref;
	struct runner	*runner;	/* NULL: nobody's yet */
	size_t		 owed;		/* bytes not yet credited */
	int		 closing;	/* the runner has half-closed it */
};
RB_HEAD(logstreams, logs);

static struct logstreams	 all = RB_INITIALIZER(&all);
static unsigned int		 nobodys;	/* streams without a runner yet */

static int
logs_cmp(struct logs *a, struct logs *b)
{
	return (a->ref < b->ref ? -1 : a->ref > b->ref);
}

RB_PROTOTYPE(logstreams, logs, entry, logs_cmp);
RB_GENERATE(logstreams, logs, entry, logs_cmp)

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

static void
logs_free(struct logs *s)
{
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

/* Also what was kept while its run was looked up. */
void
logs_batch(uint64_t ref, const uint8_t *body, size_t len)
{
	Marionette__V1__LogBatch	*b;
	struct logs			*s;
	char				 why[WIRE_WHY];

	if ((s = logs_find(ref)) == NULL)
		return;
	if ((b = wire_logs(body, len, why)) == NULL) {
		logs_end(ref, GRPC_INVALID_ARGUMENT, why);
		return;
	}
	journal_batch(ref, b, body, len);
	wire_free(&b->base);
}

void
on_logs_message(struct peer *p, uint64_t ref, const struct msg_logs_message *m)
{
	struct logs	*s;

	(void)p;
	if ((s = logs_find(ref)) == NULL)
		return;
	s->owed += m->body_len;
	logs_batch(ref, m->body, m->body_len);
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
