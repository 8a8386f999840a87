/*
 * line.c - a run's lines, in batches as the agent's spool makes them: at most
 * 512 lines and 62 KiB, a few batches ahead of the socket.  They are made when
 * they are sent, from the run's mark and their numbers, so nothing is stored
 * and a new stream starts at what was acknowledged.
 */
#include <string.h>

#include "log.h"
#include "runner.h"
#include "util.h"

#define BATCH_LINES	512
#define BATCH_BYTES	(62 * 1024)
#define BATCH_AHEAD	(256 * 1024)
#define TAG_LINES	0x1a	/* field 3 of LogBatch, with a length */

/* Run and first number: the fields before the lines. */
static size_t
batch_head(uint8_t *buf, struct run *run)
{
	Marionette__V1__LogBatch	 b;

	marionette__v1__log_batch__init(&b);
	b.run_id = run->id;
	b.first = run->sent + 1;
	return (marionette__v1__log_batch__pack(&b, buf));
}

/* One line with its tag and length, number 0; *at is where its text begins. */
static size_t
batch_line(uint8_t *buf, const struct run *run, size_t bytes, size_t *at)
{
	Marionette__V1__LogLine	 l;
	static char		 text[BATCH_BYTES];
	char			 out[] = "stdout", info[] = "info";
	char			 kind[] = "text";
	size_t			 head = 0, len;

	script_line(text, bytes, run->mark, 0, now_ns());
	text[bytes] = '\0';
	marionette__v1__log_line__init(&l);
	l.stream = out;
	l.level = info;
	l.kind = kind;
	l.content = text;
	l.time_ms = now_wall();
	len = marionette__v1__log_line__get_packed_size(&l);
	buf[head++] = TAG_LINES;
	for (; len > 0x7f; len >>= 7)
		buf[head++] = (uint8_t)(len | 0x80);
	buf[head++] = (uint8_t)len;
	len = marionette__v1__log_line__pack(&l, buf + head);
	*at = (size_t)((uint8_t *)memmem(buf + head, len, text, bytes) - buf);
	return (head + len);
}

static void
put_number(uint8_t *p, uint64_t n)
{
	int	 i;

	for (i = 7; i >= 0; i--, n /= 10)
		p[i] = (uint8_t)('0' + n % 10);
}

static void
put_time(uint8_t *p, uint64_t ns)
{
	int	 i;

	for (i = 15; i >= 0; i--, ns >>= 4)
		p[i] = (uint8_t)"0123456789abcdef"[ns & 0xf];
}

/* When line n was to be written: one that waits for the socket is late by that. */
static uint64_t
line_time(const struct run *run, uint64_t n)
{
	return (run->begun + n * 1000000000 / run->script.rate);
}

/* -1: it could not be sent. */
static int
batch_send(struct run *run)
{
	static uint8_t	 buf[2 * BATCH_BYTES], one[BATCH_BYTES + 256];
	uint64_t	 due = run->written - run->sent, n;
	size_t		 at, number, stamp, len, used;

	used = batch_head(buf, run);
	len = batch_line(one, run, script_bytes(&run->script, run->mark), &at);
	number = at + script_number(run->mark);
	stamp = at + script_stamp(run->mark);
	for (n = 0; n < due && n < BATCH_LINES && (n == 0 || used + len <=
	    BATCH_BYTES); n++, used += len) {
		memcpy(buf + used, one, len);
		put_number(buf + used + number, run->sent + n + 1);
		if (run->script.rate != 0)
			put_time(buf + used + stamp, line_time(run,
			    run->sent + n + 1));
	}
	run->sent += n;
	if (run->sent > run->booked) {
		book("lines %s %s %llu", run->runner->id, run->id,
		    (unsigned long long)run->sent);
		run->booked = run->sent;
	}
	return (grpc_send(run->runner->logs, buf, used));
}

void
lines_send(struct run *run)
{
	struct runner	*r = run->runner;

	if (!run->spooled && run->acked < run->written) {
		run->spooled = 1;
		TAILQ_INSERT_TAIL(&r->spool, run, spool);
	}
	while (r->up && run->sent < run->written &&
	    grpc_queued(r->logs) < BATCH_AHEAD)
		if (batch_send(run) == -1) {
			runner_drop(r, "cannot send lines");
			return;
		}
}

void
lines_send_all(struct runner *r)
{
	struct run	*run, *next;

	TAILQ_FOREACH_SAFE(run, &r->spool, spool, next)
		lines_send(run);
}

void
lines_again(struct runner *r)
{
	struct run	*run;

	TAILQ_FOREACH(run, &r->spool, spool)
		run->sent = run->acked;
	lines_send_all(r);
}

void
lines_ack(struct runner *r, const char *id, uint64_t up_to)
{
	struct run	*run = run_find(r, id);

	if (run == NULL || up_to > run->written) {
		wrong("runner %s: line %llu of run %s is acknowledged, which "
		    "it has not written", r->id, (unsigned long long)up_to, id);
		return;
	}
	if (up_to <= run->acked)
		return;
	book("logack %s %s %llu", r->id, run->id, (unsigned long long)up_to);
	run->acked = up_to;
	/* Written by a stream that is gone, and committed all the same. */
	if (run->sent < up_to)
		run->sent = up_to;
	if (run->acked == run->written && run->spooled) {
		run->spooled = 0;
		TAILQ_REMOVE(&r->spool, run, spool);
	}
}
