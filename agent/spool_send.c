/*
 * spool_send.c - lines from the spools to the Logs stream, in batches of at
 * most 60 KiB and 512 lines, a few batches ahead of the socket.  A new stream
 * starts at what was acknowledged.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/buffer.h>

#include "agent.h"
#include "log.h"
#include "spool_local.h"
#include "util.h"

#define BATCH_LINES	512
#define BATCH_BYTES	(62 * 1024)	/* a gRPC message up is 64 KiB */
#define BATCH_AHEAD	(256 * 1024)
#define UNREAD_MS	60000	/* a disk may come back so long */
#define UNREAD_AGAIN_MS	1000

void
spool_rewind(void)
{
	struct spool_mark	*m;
	struct spool		*s;

	TAILQ_FOREACH(s, &spools, entry) {
		while ((m = TAILQ_FIRST(&s->marks)) != NULL) {
			TAILQ_REMOVE(&s->marks, m, entry);
			free(m);
		}
		s->sent = s->acked;
		s->sent_off = s->acked_off;
		s->told_lost = 0;
		s->unread = 0;
	}
}

static int
batch_send(Marionette__V1__LogBatch *b)
{
	uint8_t	*buf;
	size_t	 len;
	int	 rv;

	len = marionette__v1__log_batch__get_packed_size(b);
	buf = xmalloc(len);
	marionette__v1__log_batch__pack(b, buf);
	rv = link_send_logs(buf, len);
	free(buf);
	return (rv);
}

/* As many whole records as fit: how many, and their bytes on disk; -1: unread. */
static ssize_t
batch_read(struct spool *s, uint8_t *buf, Marionette__V1__LogLine **lines,
    size_t *used)
{
	uint32_t	 len;
	ssize_t		 got;
	size_t		 bytes = 0, n = 0, off = 0, size;

	size = (size_t)(s->end - s->sent_off);
	if (size > SPOOL_RECORD_MAX + sizeof(len))
		size = SPOOL_RECORD_MAX + sizeof(len);
	if ((got = pread(s->fd, buf, size, s->sent_off)) == -1) {
		if (s->unread == 0)
			log_warn("spool of %s: not read", s->run_id);
		return (-1);
	}
	s->unread = 0;
	while (n < BATCH_LINES && off + sizeof(len) <= (size_t)got) {
		memcpy(&len, buf + off, sizeof(len));
		if (off + sizeof(len) + len > (size_t)got ||
		    (n > 0 && bytes + len + 8 > BATCH_BYTES))
			break;
		lines[n] = marionette__v1__log_line__unpack(NULL, len,
		    buf + off + sizeof(len));
		if (lines[n] == NULL)
			break;
		/*
		 * Whoever wrote it should have seen to that: but a batch that
		 * the server refuses would be sent again for ever.
		 */
		utf8_mend(lines[n]->content);
		utf8_mend(lines[n]->text);
		n++;
		bytes += len + 8;
		off += sizeof(len) + len;
	}
	*used = off;
	return ((ssize_t)n);
}

/* What was promised and is not on the disk any more. */
static void
batch_lost(struct spool *s)
{
	Marionette__V1__LogBatch	 b;

	log_warnx("spool of %s: lines %llu to %llu are lost", s->run_id,
	    (unsigned long long)s->last + 1, (unsigned long long)s->want);
	marionette__v1__log_batch__init(&b);
	b.run_id = s->run_id;
	b.first = s->last + 1;
	b.lost = 1;
	if (batch_send(&b) == 0)
		s->told_lost = 1;
}

/*
 * What is in the file behind the lines that were sent cannot be told apart, or
 * not be read at all, nor a minute later.  Another line comes for each: the
 * server may have some of them, so none may take another's number.
 */
static void
spool_damaged(struct spool *s)
{
	static char		 stream[] = "system", level[] = "error",
				 kind[] = "text", text[] = "A line that the "
				 "runner's disk does not give back.";
	Marionette__V1__LogLine	 line;
	struct evbuffer		*behind = s->buf;
	uint64_t		 last = s->last, n = s->written - s->sent;

	log_warnx("spool of %s is damaged: lines %llu to %llu are lost",
	    s->run_id, (unsigned long long)s->sent + 1,
	    (unsigned long long)s->written);
	if (ftruncate(s->fd, s->sent_off) == -1)
		log_warn("spool of %s", s->run_id);
	s->end = s->sent_off;
	s->written = s->sent;
	marionette__v1__log_line__init(&line);
	line.stream = stream;
	line.level = level;
	line.kind = kind;
	line.content = text;
	line.time_ms = now_wall();
	if ((s->buf = evbuffer_new()) == NULL)
		fatalx("memory: spool");
	while (n-- > 0)
		spool_append(s, &line);
	if (evbuffer_add_buffer(s->buf, behind) == -1)
		fatalx("memory: spool");
	evbuffer_free(behind);
	s->last = last;
}

/* A disk that is away for a moment, on a network perhaps, has lost nothing. */
static int
spool_unread(struct spool *s)
{
	uint64_t	 now = now_mono();

	if (s->unread == 0)
		s->unread = now;
	if (now - s->unread < UNREAD_MS) {
		s->unread_next = now + UNREAD_AGAIN_MS;
		return (-1);
	}
	spool_damaged(s);
	s->unread = 0;
	return (0);
}

/* 1 when a batch went, 0 when there is none to send, -1 later. */
static int
batch_next(struct spool *s)
{
	static uint8_t			 buf[SPOOL_RECORD_MAX + 4];
	Marionette__V1__LogLine		*lines[BATCH_LINES];
	Marionette__V1__LogBatch	 b;
	struct spool_mark		*m;
	ssize_t				 got;
	size_t				 i, n, used;
	int				 rv;

	if (s->unread != 0 && now_mono() < s->unread_next)
		return (-1);
	if (s->sent_off >= s->end) {
		if (s->finished && s->want > s->last && !s->told_lost)
			batch_lost(s);
		return (0);
	}
	if ((got = batch_read(s, buf, lines, &used)) == -1)
		return (spool_unread(s));
	if ((n = (size_t)got) == 0) {
		spool_damaged(s);
		return (0);
	}
	marionette__v1__log_batch__init(&b);
	b.run_id = s->run_id;
	b.first = s->sent + 1;
	b.lines = lines;
	b.n_lines = n;
	rv = batch_send(&b);
	for (i = 0; i < n; i++)
		marionette__v1__log_line__free_unpacked(lines[i], NULL);
	if (rv == -1)
		return (-1);
	s->sent += n;
	s->sent_off += (off_t)used;
	m = xmalloc(sizeof(*m));
	m->line = s->sent;
	m->off = s->sent_off;
	TAILQ_INSERT_TAIL(&s->marks, m, entry);
	return (1);
}

int
spool_send_all(void)
{
	struct spool	*s;
	int		 rv = 0;

	if (!link_is_up())
		return (0);
	TAILQ_FOREACH(s, &spools, entry) {
		do {
			if (link_logs_queued() > BATCH_AHEAD)
				return (rv);
		} while (batch_next(s) == 1);
		if (s->unread != 0)
			rv = -1;
	}
	return (rv);
}

/*
 * Without a spool a server had all of it once.  One whose database was put back, or
 * that forgot that some is lost, would wait for lines that nobody has any more:
 * a batch that begins behind them tells it so.
 */
void
spool_passed(const char *run_id, uint64_t last)
{
	Marionette__V1__LogBatch	 b;
	union { const char *c; char *v; } u = { run_id };

	if (last == 0 || spool_holds(run_id))
		return;
	marionette__v1__log_batch__init(&b);
	b.run_id = u.v;
	b.first = last + 1;
	batch_send(&b);
}

uint64_t
spool_queued(void)
{
	struct spool	*s;
	uint64_t	 n = 0;

	TAILQ_FOREACH(s, &spools, entry)
		n += s->last - s->acked;
	return (n);
}
