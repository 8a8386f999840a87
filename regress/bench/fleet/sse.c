/*
 * sse.c - a stream of Server-Sent Events over HTTP/1.1.  In the enduring mood a
 * stream that breaks is taken up again behind the last id that came; in the
 * strict one that is the end.
 */
#include <sys/queue.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>
#include <event2/event_struct.h>
#include <sodium.h>

#include "client.h"
#include "log.h"
#include "util.h"

#define TEXT_MAX	(8 << 20)
#define LAST_SIZE	96
#define PAUSE_MS	200
#define PAUSE_MAX_MS	2000

enum chunk { CHUNK_SIZE, CHUNK_DATA, CHUNK_END };

struct sse {
	const struct sse_ops	*ops;
	void			*arg;
	struct conn		*conn;
	struct event		 again;
	char			*path;
	char			 last[LAST_SIZE];
	char			*text;		/* not yet a whole event */
	size_t			 len, size;
	size_t			 left;		/* of this chunk */
	enum chunk		 chunk;
	unsigned int		 pause;		/* ms */
	int			 headed, begun, closed, busy;
};

static void	 sse_dial(int, short, void *);

static void
sse_free(struct sse *s)
{
	evtimer_del(&s->again);
	if (s->conn != NULL)
		conn_close(s->conn);
	free(s->path);
	free(s->text);
	free(s);
}

static void
sse_pause(struct sse *s)
{
	struct timeval	 tv;
	unsigned int	 ms;

	ms = s->pause / 2 + randombytes_uniform(s->pause / 2 + 1);
	s->pause = s->pause * 2 > PAUSE_MAX_MS ? PAUSE_MAX_MS : s->pause * 2;
	tv.tv_sec = ms / 1000;
	tv.tv_usec = (suseconds_t)(ms % 1000) * 1000;
	evtimer_add(&s->again, &tv);
}

static void
sse_down(const char *why, void *arg)
{
	struct sse	*s = arg;

	s->conn = NULL;
	if (!fleet->enduring)
		fatalx("stream %s: %s", s->path, why);
	log_debug("stream %s: %s", s->path, why);
	sse_pause(s);
}

/* Its connection is not needed any more. */
static void
sse_hang_up(struct sse *s)
{
	if (s->conn != NULL)
		conn_close(s->conn);
	s->conn = NULL;
}

static void
sse_end(struct sse *s, int status)
{
	sse_hang_up(s);
	s->closed = 1;
	if (s->ops->ended != NULL)
		s->ops->ended(s, status, s->arg);
}

/* ---- events --------------------------------------------------------------------- */

/* The value of a field of a line, ended by a NUL in place of its line feed. */
static char *
sse_value(char *line, size_t len, const char *name)
{
	size_t	 n = strlen(name);

	if (len < n || memcmp(line, name, n) != 0)
		return (NULL);
	line[len] = '\0';
	return (line + n);
}

static int
sse_event(struct sse *s, char *p, char *end)
{
	const char	*id = NULL, *type = "message";
	char		*nl, *v, *data = NULL;
	size_t		 len = 0;

	for (; p < end; p = nl + 1) {
		nl = memchr(p, '\n', (size_t)(end - p));
		if ((v = sse_value(p, (size_t)(nl - p), "data: ")) != NULL) {
			if (data != NULL)
				wrong("stream %s: data in parts", s->path);
			data = v;
			len = (size_t)(nl - v);
		} else if ((v = sse_value(p, (size_t)(nl - p), "id: ")) != NULL)
			id = v;
		else if ((v = sse_value(p, (size_t)(nl - p), "event: ")) !=
		    NULL)
			type = v;
	}
	/* Without data: retry, where it begins, or a sign of life. */
	if (data != NULL &&
	    s->ops->event(s, id, type, data, len, s->arg) == -1)
		return (-1);
	if (id != NULL)
		strlcpy(s->last, id, sizeof(s->last));
	return (0);
}

/* All whole events; -1: the stream has ended. */
static int
sse_events(struct sse *s)
{
	char	*begin = s->text, *end = s->text + s->len, *line, *nl;

	for (line = begin; (nl = memchr(line, '\n', (size_t)(end - line))) !=
	    NULL; line = nl + 1) {
		if (nl != line)
			continue;
		if (sse_event(s, begin, nl) == -1)
			return (-1);
		if (s->closed)
			return (0);
		begin = nl + 1;
	}
	s->len = (size_t)(end - begin);
	memmove(s->text, begin, s->len);
	return (0);
}

static void
sse_text(struct sse *s, const char *p, size_t n)
{
	while (s->size - s->len < n) {
		s->size = s->size == 0 ? 32768 : s->size * 2;
		if (s->size > TEXT_MAX)
			fatalx("stream %s: an event of more than %d bytes",
			    s->path, TEXT_MAX);
		s->text = xrealloc(s->text, s->size);
	}
	memcpy(s->text + s->len, p, n);
	s->len += n;
}

/* Takes a part of the chunked body; 0: more is needed; -1: its end. */
static ssize_t
sse_chunk(struct sse *s, const char *p, size_t n)
{
	const char	*nl;
	char		*end;

	if (s->chunk == CHUNK_DATA) {
		if (n > s->left)
			n = s->left;
		sse_text(s, p, n);
		if ((s->left -= n) == 0)
			s->chunk = CHUNK_END;
		return ((ssize_t)n);
	}
	if ((nl = memchr(p, '\n', n)) == NULL)
		return (0);
	if (s->chunk == CHUNK_END) {
		s->chunk = CHUNK_SIZE;
		return (nl + 1 - p);
	}
	s->left = strtoul(p, &end, 16);
	if (end == p || *end != '\r')
		fatalx("stream %s: no chunk: %.20s", s->path, p);
	if (s->left == 0)
		return (-1);
	s->chunk = CHUNK_DATA;
	return (nl + 1 - p);
}

/* ---- the connection ---------------------------------------------------------------- */

/* 0: go on with the body. */
static int
sse_head(struct sse *s, const struct head *h)
{
	s->headed = 1;
	if (h->status == 200) {
		s->pause = PAUSE_MS;
		if (!s->begun && s->ops->begun != NULL)
			s->ops->begun(s, s->arg);
		s->begun = 1;
		return (0);
	}
	if (fleet->enduring && (h->status == 429 || h->status == 503 ||
	    h->status == 504)) {
		sse_hang_up(s);
		sse_pause(s);
	} else
		sse_end(s, h->status);
	return (-1);
}

static size_t
sse_take(struct sse *s, const char *p, size_t len)
{
	struct head	 h;
	ssize_t		 n;
	size_t		 used = 0;

	if (!s->headed) {
		if ((used = http_head(p, len, &h)) == 0)
			return (0);
		if (sse_head(s, &h) == -1)
			return (len);
	}
	for (; used < len; used += (size_t)n) {
		if ((n = sse_chunk(s, p + used, len - used)) == 0)
			break;
		if (n == -1) {
			sse_hang_up(s);
			if (sse_events(s) == -1)
				sse_end(s, 200);
			else if (!s->closed)
				sse_down("it was ended", s);
			return (len);
		}
	}
	if (sse_events(s) == -1) {
		sse_end(s, 200);
		return (len);
	}
	if (!s->closed && s->ops->turn != NULL)
		s->ops->turn(s, s->arg);
	return (used);
}

static size_t
sse_data(const char *p, size_t len, void *arg)
{
	struct sse	*s = arg;
	size_t		 used;

	s->busy = 1;
	used = sse_take(s, p, len);
	s->busy = 0;
	if (s->closed)
		sse_free(s);
	return (used);
}

static void
sse_up(void *arg)
{
	struct sse	*s = arg;
	char		 buf[2048];
	size_t		 n;

	s->headed = 0;
	s->chunk = CHUNK_SIZE;
	s->len = 0;
	n = http_request(buf, sizeof(buf), "GET", s->path);
	n += (size_t)snprintf(buf + n, sizeof(buf) - n, "%s%s%s\r\n",
	    s->last[0] == '\0' ? "" : "Last-Event-ID: ", s->last,
	    s->last[0] == '\0' ? "" : "\r\n");
	conn_write(s->conn, buf, n);
}

static const struct conn_ops	sse_conn = { sse_up, sse_data, sse_down };

static void
sse_dial(int fd, short what, void *arg)
{
	struct sse	*s = arg;

	(void)fd;
	(void)what;
	s->conn = conn_open(&sse_conn, s);
}

struct sse *
sse_open(const char *path, const struct sse_ops *ops, void *arg)
{
	struct sse	*s;

	s = xcalloc(1, sizeof(*s));
	s->ops = ops;
	s->arg = arg;
	s->path = xstrdup(path);
	s->pause = PAUSE_MS;
	evtimer_assign(&s->again, fleet->base, sse_dial, s);
	sse_dial(-1, 0, s);
	return (s);
}

void
sse_close(struct sse *s)
{
	s->closed = 1;
	if (!s->busy)
		sse_free(s);
}
