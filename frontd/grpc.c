/*
 * grpc.c - gRPC framing on HTTP/2 streams of the runner listener: whole
 * messages up to the API half, messages and a status down.  What a message
 * means is nobody's business here.
 *
 * Windows (promise 23): a stream's bytes are given back when the API half
 * credits them, so whoever is slow behind us slows the runner down.  A message
 * may be larger than the window: when nothing else is owed, the part that is
 * here is given back so that the rest can come.  What the API half does not
 * take yet waits (promise 21), and its window is withheld, too.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "http2.h"
#include "log.h"
#include "worker.h"

#define FRAME_HEAD		5	/* compressed flag, length */
#define GRPC_DEADLINE_EXCEEDED	4
#define GRPC_RESOURCE_EXHAUSTED	8
#define GRPC_UNIMPLEMENTED	12
#define GRPC_INTERNAL		13
#define GRPC_UNAVAILABLE	14

struct grpc {
	struct grpc_stream	 s;
	struct h2_stream	*st;
	TAILQ_ENTRY(grpc)	 wait;
	struct buf		 msg;		/* a partial one with its head, */
	size_t			 held;		/* window not given back */
	size_t			 early;		/* of msg, given back */
	size_t			 owed;		/* delivered, not credited */
	size_t			 prepaid;	/* of owed, given back */
	unsigned int		 finished:1;
	unsigned int		 waiting:1;	/* msg is all that came since */
};

RB_HEAD(grpc_streams, grpc_stream);
TAILQ_HEAD(grpc_queue, grpc);

static struct grpc_streams	 streams = RB_INITIALIZER(&streams);
static struct grpc_queue	 waiting = TAILQ_HEAD_INITIALIZER(waiting);
static struct grpc_queue	 waiting_bulk =
				    TAILQ_HEAD_INITIALIZER(waiting_bulk);
static uint64_t			 last_id;

static int
grpc_cmp(struct grpc_stream *a, struct grpc_stream *b)
{
	return (a->id < b->id ? -1 : a->id > b->id);
}

RB_PROTOTYPE(grpc_streams, grpc_stream, entry, grpc_cmp)
RB_GENERATE(grpc_streams, grpc_stream, entry, grpc_cmp)

struct grpc_stream *
grpc_find(uint64_t id)
{
	struct grpc_stream	 key;

	key.id = id;
	return (RB_FIND(grpc_streams, &streams, &key));
}

/* ---- what is kept ---- */

static struct grpc_queue *
queue_of(const struct grpc *g)
{
	return ((g->s.method->flags & G_BULK) != 0 ? &waiting_bulk : &waiting);
}

static void
grpc_keep(struct grpc *g, const uint8_t *p, size_t n)
{
	buf_add(&g->msg, p, n);
	if (g->waiting)
		limit_wait(n);
	else
		limit_hold(g->st->h2->c, n);
}

/* It is the caller's to free. */
static struct buf
grpc_let_go(struct grpc *g)
{
	struct buf	 all = g->msg;

	if (g->waiting) {
		TAILQ_REMOVE(queue_of(g), g, wait);
		limit_waited(all.len);
		g->waiting = 0;
	} else
		limit_release(g->st->h2->c, all.len);
	memset(&g->msg, 0, sizeof(g->msg));
	return (all);
}

static void
grpc_drop(struct grpc *g)
{
	struct buf	 all = grpc_let_go(g);

	buf_free(&all);
}

/* A message is whole: may it be delivered?  If not, all else waits behind. */
static int
grpc_may_deliver(struct grpc *g)
{
	const struct grpc_method	*m = g->s.method;

	if (m->takes == NULL || m->takes(&g->s))
		return (1);
	limit_release(g->st->h2->c, g->msg.len);
	limit_wait(g->msg.len);
	g->waiting = 1;
	g->st->deadline = 0;
	TAILQ_INSERT_TAIL(queue_of(g), g, wait);
	return (0);
}

/* ---- the way out ---- */

static void
grpc_head(struct grpc *g)
{
	static const struct field	 f[] = {
		{ ":status", "200" }, { "content-type", "application/grpc" },
		{ "grpc-accept-encoding", "identity" },
	};

	if (!g->st->replied)
		h2_respond(g->st, f, 3, 1);
}

size_t
grpc_send(struct grpc_stream *s, const uint8_t *p, size_t n)
{
	struct grpc	*g = s->g;
	uint8_t		 head[FRAME_HEAD] = { 0 };

	if (g->st->out.len + n > STREAM_MAX) {
		h2_cut(g->st, NGHTTP2_ENHANCE_YOUR_CALM);
		return (0);
	}
	grpc_head(g);
	head[1] = (uint8_t)(n >> 24);
	head[2] = (uint8_t)(n >> 16);
	head[3] = (uint8_t)(n >> 8);
	head[4] = (uint8_t)n;
	h2_out(g->st, head, sizeof(head));
	h2_out(g->st, p, n);
	return (g->st->out.len);
}

/* Percent-encoded as gRPC wants it: all but printable ASCII, and `%'. */
static char *
grpc_text(const char *s)
{
	struct buf	 b = { 0 };
	char		*out;

	for (; *s != '\0'; s++)
		if (*s < ' ' || *s > '~' || *s == '%')
			buf_printf(&b, "%%%02X", (unsigned char)*s);
		else
			buf_add(&b, s, 1);
	out = strndup(b.len > 0 ? (const char *)buf_head(&b) : "", b.len);
	buf_free(&b);
	if (out == NULL)
		fatal("strdup");
	return (out);
}

/* Without a message before it the status goes in the head (Trailers-Only). */
static void
grpc_status(struct h2_stream *st, int status, const char *text)
{
	char		 code[16];
	struct field	 f[4];

	st->deadline = 0;
	st->grpc_status = status;
	if (text != NULL && *text != '\0')
		st->grpc_text = grpc_text(text);
	if (st->replied) {
		st->trailers = 1;
		h2_out_end(st);
		return;
	}
	snprintf(code, sizeof(code), "%d", status);
	f[0] = (struct field){ ":status", "200" };
	f[1] = (struct field){ "content-type", "application/grpc" };
	f[2] = (struct field){ "grpc-status", code };
	f[3] = (struct field){ "grpc-message", st->grpc_text };
	h2_respond(st, f, st->grpc_text != NULL ? 4 : 3, 0);
}

void
grpc_finish(struct grpc_stream *s, int status, const char *text)
{
	struct grpc	*g = s->g;

	RB_REMOVE(grpc_streams, &streams, s);
	g->finished = 1;
	grpc_status(g->st, status, text);
	/* What still arrives is dropped; its window goes back. */
	h2_return(g->st, g->held);
	g->held = 0;
	grpc_drop(g);
}

/* We end it, and the API half is told. */
static void
grpc_abort(struct grpc *g, int status, const char *text)
{
	g->s.method->closed(&g->s);
	grpc_finish(&g->s, status, text);
}

/* ---- the way in ---- */

static const struct grpc_method *
method_find(const char *path)
{
	const struct grpc_method	*m;

	for (m = grpc_methods; m->path != NULL; m++)
		if (strcmp(m->path, path) == 0)
			return (m);
	for (m = health_methods; m->path != NULL; m++)
		if (strcmp(m->path, path) == 0)
			return (m);
	return (NULL);
}

static void
grpc_new(struct h2_stream *st, const struct grpc_method *m)
{
	struct exchange	*x = st->x;
	struct grpc	*g;

	if ((g = calloc(1, sizeof(*g))) == NULL)
		fatal("stream");
	g->st = st;
	g->s.g = g;
	g->s.id = ++last_id;
	g->s.method = m;
	g->s.token = x->req.header[H_X_RUNNER_TOKEN];
	if (g->s.token == NULL)
		g->s.token = "";
	g->s.has_cert = st->h2->c->has_cert;
	memcpy(g->s.cert_hash, st->h2->c->cert_hash, sizeof(g->s.cert_hash));
	strlcpy(g->s.address, st->h2->c->name, sizeof(g->s.address));
	st->g = g;
	st->x = NULL;
	if ((m->flags & G_QUIET) != 0)
		st->deadline = 0;
	http_stats.grpc++;
	RB_INSERT(grpc_streams, &streams, &g->s);
	m->opened(&g->s);
	g->s.token = "";
	exchange_free(x);
}

/* The head of a stream on the runner listener is complete. */
void
grpc_open(struct h2_stream *st)
{
	struct exchange			*x = st->x;
	const char			*type = x->req.header[H_CONTENT_TYPE];
	const struct grpc_method	*m;

	x->is_head = x->verb != NULL && strcmp(x->verb, "HEAD") == 0;
	if (x->bad == 0 && (type == NULL || strncasecmp(type,
	    "application/grpc", 16) != 0 || (type[16] != '\0' &&
	    type[16] != '+' && type[16] != ';')))
		exchange_bad(x, 415, "this port speaks gRPC: Content-Type must"
		    " be application/grpc");
	if (x->bad == 0 && (x->verb == NULL || strcmp(x->verb, "POST") != 0 ||
	    x->target == NULL))
		exchange_bad(x, 400, "gRPC calls are POST requests");
	if (x->bad != 0) {
		exchange_refuse(x, x->bad, x->bad_text);
		return;
	}
	if ((m = method_find(x->target)) != NULL) {
		grpc_new(st, m);
		if (st->remote_end && st->g != NULL)
			grpc_half(st);
		return;
	}
	st->x = NULL;
	exchange_free(x);
	grpc_status(st, GRPC_UNIMPLEMENTED, "there is no such method");
}

static size_t
frame_length(const uint8_t *head)
{
	return ((size_t)head[1] << 24 | (size_t)head[2] << 16 |
	    (size_t)head[3] << 8 | head[4]);
}

/* 0, or -1 when the message may not be sent: the stream is ended. */
static int
frame_check(struct grpc *g, const uint8_t *head, size_t *len)
{
	*len = frame_length(head);
	if (head[0] == 1)
		grpc_abort(g, GRPC_UNIMPLEMENTED,
		    "compressed messages are not supported");
	else if (head[0] != 0)
		grpc_abort(g, GRPC_INTERNAL, "malformed message frame");
	else if (*len > g->s.method->message_max)
		grpc_abort(g, GRPC_RESOURCE_EXHAUSTED,
		    "the message is too large");
	else if (limit_full(g->st->h2->c))
		grpc_abort(g, GRPC_RESOURCE_EXHAUSTED,
		    "too much is being received, try again");
	else
		return (0);
	return (-1);
}

/* A message is whole: early bytes of it have been given back already. */
static void
grpc_deliver(struct grpc *g, const uint8_t *p, size_t len)
{
	size_t	 now;

	g->st->deadline = 0;
	if (g->early > FRAME_HEAD)
		g->prepaid += g->early - FRAME_HEAD;
	else {
		now = FRAME_HEAD - g->early;
		h2_return(g->st, now);
		g->held -= now;
	}
	g->early = 0;
	g->owed += len;
	g->s.method->message(&g->s, p, len);
}

/*
 * Without this a message larger than the window would never be whole.  What is
 * given back is announced at once, not when half a window has gathered.
 */
static void
grpc_window(struct grpc *g)
{
	nghttp2_session	*ng = g->st->h2->ng;
	size_t		 len;
	int32_t		 used;

	if (g->finished || g->waiting || g->owed > 0 ||
	    g->msg.len < FRAME_HEAD)
		return;
	len = frame_length(buf_head(&g->msg));
	used = nghttp2_session_get_stream_effective_recv_data_length(ng,
	    g->st->id);
	if (used <= 0 || FRAME_HEAD + len - g->msg.len <=
	    H2_WINDOW - (size_t)used)
		return;
	g->early += g->held;
	g->held = 0;
	nghttp2_submit_window_update(ng, NGHTTP2_FLAG_NONE, g->st->id, used);
	conn_dirty(g->st->h2->c);
}

void
grpc_credit(struct grpc_stream *s, size_t n)
{
	struct grpc	*g = s->g;
	size_t		 paid;

	if (n > g->owed)
		n = g->owed;
	g->owed -= n;
	paid = n < g->prepaid ? n : g->prepaid;
	g->prepaid -= paid;
	n -= paid;
	h2_return(g->st, n);
	g->held -= n;
	grpc_window(g);
}

/* Takes what completes or extends the partial message; bytes taken. */
static size_t
grpc_gather(struct grpc *g, const uint8_t *p, size_t n)
{
	struct buf	 whole;
	size_t		 len, want, had = g->msg.len;

	if (had < FRAME_HEAD)
		want = FRAME_HEAD - had;
	else {
		if (frame_check(g, buf_head(&g->msg), &len) == -1)
			return (n);
		want = FRAME_HEAD + len - had;
	}
	if (n > want)
		n = want;
	grpc_keep(g, p, n);
	if (g->msg.len < FRAME_HEAD)
		return (n);
	if (frame_check(g, buf_head(&g->msg), &len) == -1 ||
	    g->msg.len < FRAME_HEAD + len || !grpc_may_deliver(g))
		return (n);
	/* The handler may end the stream: the bytes are ours meanwhile. */
	whole = grpc_let_go(g);
	grpc_deliver(g, buf_head(&whole) + FRAME_HEAD, len);
	buf_free(&whole);
	return (n);
}

/* Whole messages are delivered as long as they are taken; the rest is kept. */
static void
grpc_take(struct grpc *g, const uint8_t *p, size_t n)
{
	size_t	 len, took;

	while (n > 0 && !g->finished && !g->waiting) {
		if (g->msg.len == 0 && n >= FRAME_HEAD) {
			/* The usual case: a whole message, not copied. */
			if (frame_check(g, p, &len) == -1)
				return;
			if (n - FRAME_HEAD >= len) {
				if (!grpc_may_deliver(g))
					break;
				took = FRAME_HEAD + len;
				grpc_deliver(g, p + FRAME_HEAD, len);
				p += took;
				n -= took;
				continue;
			}
		}
		took = grpc_gather(g, p, n);
		p += took;
		n -= took;
	}
	if (g->waiting)
		grpc_keep(g, p, n);
}

/* After grpc_take(). */
static void
grpc_taken(struct grpc *g)
{
	if (g->finished) {
		h2_return(g->st, g->held);
		g->held = 0;
		return;
	}
	if (g->msg.len > 0 && !g->waiting && g->st->deadline == 0)
		g->st->deadline = worker_mono_ms() + TIME_BODY;
	grpc_window(g);
}

void
grpc_data(struct h2_stream *st, const uint8_t *p, size_t n)
{
	st->g->held += n;
	grpc_take(st->g, p, n);
	grpc_taken(st->g);
}

void
grpc_half(struct h2_stream *st)
{
	struct grpc	*g = st->g;

	if (g->finished || g->waiting)
		return;
	if (g->msg.len > 0)
		grpc_abort(g, GRPC_INTERNAL,
		    "the stream ended within a message");
	else
		g->s.method->half_closed(&g->s);
}

/* Who waited longest goes first. */
static void
grpc_resume_some(struct grpc_queue *queue)
{
	struct grpc	*g;
	struct buf	 all;

	while ((g = TAILQ_FIRST(queue)) != NULL &&
	    g->s.method->takes(&g->s)) {
		all = grpc_let_go(g);
		grpc_take(g, buf_head(&all), all.len);
		buf_free(&all);
		grpc_taken(g);
		if (g->st->remote_end)
			grpc_half(g->st);
	}
}

/*
 * Each turn.  A queue that became empty without an event is found by the next
 * one, at the latest a second later.
 */
void
grpc_resume(void)
{
	grpc_resume_some(&waiting);
	grpc_resume_some(&waiting_bulk);
}

/* The stream is closed, by whomever. */
void
grpc_gone(struct h2_stream *st)
{
	struct grpc	*g = st->g;

	st->g = NULL;
	if (!g->finished) {
		RB_REMOVE(grpc_streams, &streams, &g->s);
		g->s.method->closed(&g->s);
		grpc_drop(g);
	}
	free(g);
}

/*
 * No first message, where one is due, or half of one for TIME_BODY.  While
 * something is owed the rest may be on its way and it is us who hold it.
 */
void
grpc_late(struct h2_stream *st)
{
	struct grpc	*g = st->g;

	if (g->finished)
		return;
	if (g->owed > 0)
		st->deadline = worker_mono_ms() + TIME_BODY;
	else
		grpc_abort(g, GRPC_DEADLINE_EXCEEDED,
		    "no whole message arrived in time");
}

void
grpc_drain(void)
{
	struct grpc_stream	*s, *next;

	RB_FOREACH_SAFE(s, grpc_streams, &streams, next)
		grpc_abort(s->g, GRPC_UNAVAILABLE, "the server is stopping");
}
