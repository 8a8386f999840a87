/*
 * stream.c - answers without an end: Server-Sent Events (WHATWG HTML 9.2), or
 * WebSocket text messages {id, event, data} when the client asked for one.
 * The API half sends until the queue is high and goes on when on_drained() is
 * called; who does not take part in that is cut at STREAM_MAX.  A comment or
 * ping every 15 s keeps proxies from closing and finds dead clients.
 */
#include <stdio.h>
#include <string.h>

#include "engine.h"
#include "worker.h"

/* Who goes on at the low mark has room left for what is around each item. */
_Static_assert(STREAM_LOW + STREAM_HIGH <= UNSENT_OWN / 4 * 3,
    "one stream is within what its connection may always have");

#define TOGETHER	(12 * 1024)	/* with one more line: a TLS record */

TAILQ_HEAD(exchanges, exchange);

static struct exchanges	 streams = TAILQ_HEAD_INITIALIZER(streams);

void
stream_begin(struct request *req)
{
	static const char	 hello[] = "retry: 2000\n\n";
	struct exchange		*x = req->x;

	http_stats.streams++;
	x->state = X_STREAM;
	x->beat = worker_mono_ms() + TIME_BEAT;
	x->listed = 1;
	TAILQ_INSERT_TAIL(&streams, x, stream);
	if (req->websocket) {
		ws_open(x);
		return;
	}
	reply_header(req, "X-Accel-Buffering", "no");
	respond_head(x, 200, "text/event-stream", -1);
	if (!x->is_head)
		x->t->body(x, hello, sizeof(hello) - 1);
}

size_t
stream_queued(const struct request *req)
{
	return (req->x->t->queued(req->x));
}

/* Many a second: not by printf. */
static void
add_field(struct buf *b, const char *before, const char *value,
    const char *after)
{
	buf_add(b, before, strlen(before));
	buf_add(b, value, strlen(value));
	buf_add(b, after, strlen(after));
}

/* Each line of data is a field of its own. */
static void
sse_format(struct buf *b, const char *id, const char *event, const char *data,
    size_t len)
{
	const char	*nl;
	size_t		 n;

	if (id != NULL)
		add_field(b, "id: ", id, "\n");
	if (event != NULL)
		add_field(b, "event: ", event, "\n");
	do {
		nl = memchr(data, '\n', len);
		n = nl != NULL ? (size_t)(nl - data) : len;
		buf_add(b, "data: ", 6);
		buf_add(b, data, n);
		buf_add(b, "\n", 1);
		if (nl != NULL)
			n++;
		data += n;
		len -= n;
	} while (len > 0);
	buf_add(b, "\n", 1);
}

static void
ws_format(struct buf *b, const char *id, const char *event, const char *data,
    size_t len)
{
	buf_add(b, "{", 1);
	if (id != NULL)
		add_field(b, "\"id\":\"", id, "\",");
	if (event != NULL)
		add_field(b, "\"event\":\"", event, "\",");
	buf_add(b, "\"data\":", 7);
	buf_add(b, data, len);
	buf_add(b, "}", 1);
}

/*
 * What goes together, as an HTTP chunk.  Whoever puts flushes before it
 * returns, so that one is enough for all streams.
 */
static struct buf	 together;

static void
pass_on(struct exchange *x)
{
	if (together.len > 0)
		x->t->body(x, buf_head(&together), together.len);
	buf_drain(&together, together.len);
}

static void
message(struct exchange *x)
{
	ws_send(x, (const char *)buf_head(&together), together.len);
	buf_drain(&together, together.len);
}

void
stream_put(struct request *req, const char *id, const char *event,
    const char *data, size_t len)
{
	struct exchange	*x = req->x;

	if (x->is_head)
		return;
	if (x->ws == NULL) {
		sse_format(&together, id, event, data, len);
		if (together.len >= TOGETHER)
			pass_on(x);
		return;
	}
	ws_format(&together, id, event, data, len);
	message(x);
}

void
stream_position(struct request *req, const char *id)
{
	struct exchange	*x = req->x;

	if (x->is_head)
		return;
	if (x->ws == NULL)
		add_field(&together, "id: ", id, "\n\n");
	else {
		add_field(&together, "{\"id\":\"", id, "\"}");
		message(x);
	}
}

size_t
stream_flush(struct request *req)
{
	struct exchange	*x = req->x;
	size_t		 queued;

	if (x->is_head)
		return (1);
	pass_on(x);
	queued = x->t->queued(x);
	if (queued > STREAM_MAX || limit_unread(x->c, 0)) {
		x->t->cut(x);
		return (0);
	}
	x->beat = worker_mono_ms() + TIME_BEAT;
	if (queued > STREAM_LOW)
		x->high = 1;
	return (queued > 0 ? queued : 1);
}

void
stream_end(struct request *req, int over)
{
	if (req->x->ws != NULL)
		ws_end(req->x, over);
	respond_over(req->x);
}

void
stream_forget(struct exchange *x)
{
	if (x->listed)
		TAILQ_REMOVE(&streams, x, stream);
	x->listed = 0;
}

/* The client will come back, with the last id that it saw. */
static void
stream_stop(struct exchange *x)
{
	if (x->ws != NULL)
		ws_end(x, 0);
	x->t->end(x);
	exchange_closed(x);
}

void
stream_drain(void)
{
	struct exchange	*x, *next;

	TAILQ_FOREACH_SAFE(x, &streams, stream, next)
		stream_stop(x);
}

void
stream_tick(void)
{
	struct exchange	*x, *next;
	uint64_t	 now = worker_mono_ms();

	TAILQ_FOREACH_SAFE(x, &streams, stream, next) {
		/* Nobody reads on after a HEAD; a drain waits for the end. */
		if (x->is_head || http_is_draining()) {
			stream_stop(x);
			continue;
		}
		if (now < x->beat)
			continue;
		x->beat = now + TIME_BEAT;
		if (x->ws != NULL)
			ws_ping(x);
		else if (x->t->queued(x) == 0)
			x->t->body(x, ":\n\n", 3);
	}
}
