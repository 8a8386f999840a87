/*
 * http2.c - HTTP/2 (RFC 9113) over nghttp2, which sees bytes and never a
 * socket: sessions, the way in, and limits.  The connection's window is given
 * back at once and only the stream's is withheld, and only for gRPC, so that
 * one slow stream never starves the others.  Clients that make us work without
 * wanting answers (rapid reset, PING and SETTINGS floods) are told to be calm
 * and leave.
 */
#include <stdlib.h>
#include <string.h>

#include "http2.h"
#include "log.h"
#include "worker.h"

#define H2_FILL		(32 * 1024)	/* frames are made while out is below */
#define H2_BUDGET	1000		/* control frames at once, */
#define H2_BUDGET_SEC	100		/* and a second */
#define H2_DROP		(4 << 20)	/* of a body that was refused */
#define H2_IDLE_RUNNER	300000
#define H2_CONNECTION_WINDOW (64 << 20)	/* all streams of a connection */

/* ---- streams ---- */

static void
h2_stream_free(struct h2_stream *st)
{
	TAILQ_REMOVE(&st->h2->streams, st, entry);
	if (--st->h2->nstreams == 0)
		st->h2->idle_since = worker_mono_ms();
	limit_stream_end(st->h2->c);
	if (st->x != NULL)
		exchange_closed(st->x);
	if (st->g != NULL)
		grpc_gone(st);
	h2_out_drop(st);
	free(st->grpc_text);
	free(st);
}

/*
 * GOAWAY may wait to be sent: what comes meanwhile is beyond the last stream
 * that it names, so the client asks for it again, elsewhere.
 */
static int
on_begin_headers(nghttp2_session *ng, const nghttp2_frame *f, void *arg)
{
	struct http2		*h2 = arg;
	struct h2_stream	*st;

	if (f->hd.type != NGHTTP2_HEADERS ||
	    f->headers.cat != NGHTTP2_HCAT_REQUEST)
		return (0);
	if (h2->ending || limit_streams_full(h2->c) ||
	    limit_unread(h2->c, 0)) {
		http_stats.refused++;
		nghttp2_submit_rst_stream(ng, NGHTTP2_FLAG_NONE,
		    f->hd.stream_id, NGHTTP2_REFUSED_STREAM);
		return (0);
	}
	if ((st = calloc(1, sizeof(*st))) == NULL)
		fatal("stream");
	st->h2 = h2;
	st->id = f->hd.stream_id;
	st->length = -1;
	st->deadline = worker_mono_ms() + TIME_HEAD;
	st->x = exchange_new(h2->c, &http2_transport);
	st->x->h2 = st;
	TAILQ_INSERT_TAIL(&h2->streams, st, entry);
	h2->nstreams++;
	limit_stream_begin(h2->c);
	nghttp2_session_set_stream_user_data(ng, st->id, st);
	return (0);
}

static void
h2_pseudo(struct h2_stream *st, const char *name, size_t nlen, const char *v,
    size_t n)
{
	struct exchange	*x = st->x;

	if (nlen == 7 && memcmp(name, ":method", 7) == 0)
		x->verb = exchange_copy(x, v, n);
	else if (nlen == 5 && memcmp(name, ":path", 5) == 0) {
		if (n > TARGET_MAX)
			exchange_bad(x, 414, "the request target is too long");
		else
			x->target = exchange_copy(x, v, n);
	} else if (nlen == 10 && memcmp(name, ":authority", 10) == 0)
		exchange_field(x, "host", 4, v, n);
}

static void
h2_field(struct h2_stream *st, const char *name, size_t nlen, const char *v,
    size_t n)
{
	struct exchange	*x = st->x;
	const char	*host = x->req.header[H_HOST];

	/* RFC 9113 8.3.1: Host beside :authority must say the same. */
	if (nlen == 4 && memcmp(name, "host", 4) == 0 && host != NULL) {
		if (strlen(host) != n || memcmp(host, v, n) != 0)
			exchange_bad(x, 400, "Host and :authority differ");
		return;
	}
	/* Digits only, and few enough: nghttp2 has seen to it. */
	if (nlen == 14 && memcmp(name, "content-length", 14) == 0)
		st->length = strtoll(v, NULL, 10);
	exchange_field(x, name, nlen, v, n);
}

static int
on_header(nghttp2_session *ng, const nghttp2_frame *f, nghttp2_rcbuf *name,
    nghttp2_rcbuf *value, uint8_t flags, void *arg)
{
	struct h2_stream	*st;
	nghttp2_vec		 n = nghttp2_rcbuf_get_buf(name);
	nghttp2_vec		 v = nghttp2_rcbuf_get_buf(value);

	(void)flags;
	(void)arg;
	st = nghttp2_session_get_stream_user_data(ng, f->hd.stream_id);
	if (f->headers.cat != NGHTTP2_HCAT_REQUEST || st == NULL ||
	    st->x == NULL)
		return (0);
	if (n.len > 0 && n.base[0] == ':')
		h2_pseudo(st, (char *)n.base, n.len, (char *)v.base, v.len);
	else
		h2_field(st, (char *)n.base, n.len, (char *)v.base, v.len);
	return (0);
}

/*
 * Frames that cost us and carry nothing: NGHTTP2_ERR_CALLBACK_FAILURE when
 * there were too many.  That is what ends a session from within mem_recv():
 * nghttp2 1.52, told to terminate there, forgets it at an empty frame of DATA,
 * reads on, and takes itself for broken at the next frame of a wrong size.
 */
static int
h2_spend(struct http2 *h2)
{
	uint64_t	 now = worker_mono_ms();
	uint64_t	 more = (now - h2->budget_at) * H2_BUDGET_SEC / 1000;

	if (more > 0) {
		h2->budget = more + h2->budget > H2_BUDGET ? H2_BUDGET :
		    h2->budget + (unsigned int)more;
		h2->budget_at = now;
	}
	if (h2->budget > 0) {
		h2->budget--;
		return (0);
	}
	log_debug("%s: too many control frames", h2->c->name);
	return (NGHTTP2_ERR_CALLBACK_FAILURE);
}

static void
h2_request(struct h2_stream *st, int end)
{
	st->head_done = 1;
	st->remote_end = end;
	st->deadline = worker_mono_ms() + TIME_BODY;
	if (st->h2->c->kind == LISTEN_RUNNER) {
		grpc_open(st);
		return;
	}
	if (exchange_head(st->x, !end, end ? 0 : st->length) == -1)
		return;
	if (end) {
		st->deadline = 0;
		exchange_call(st->x);
	} else if (exchange_expects(st->x) == 1)
		h2_continue(st);
}

/* The client has sent its last byte on this stream. */
static void
h2_remote_end(struct h2_stream *st)
{
	if (st->remote_end)
		return;
	st->remote_end = 1;
	if (st->g != NULL)
		grpc_half(st);
	else if (st->x != NULL && st->x->state == X_BODY) {
		st->deadline = 0;
		exchange_call(st->x);
	}
}

static int
on_frame(nghttp2_session *ng, const nghttp2_frame *f, void *arg)
{
	struct http2		*h2 = arg;
	struct h2_stream	*st;
	int			 end;

	st = nghttp2_session_get_stream_user_data(ng, f->hd.stream_id);
	end = (f->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
	switch (f->hd.type) {
	case NGHTTP2_HEADERS:
		if (st != NULL && f->headers.cat == NGHTTP2_HCAT_REQUEST)
			h2_request(st, end);
		else if (st != NULL && end)
			h2_remote_end(st);
		break;
	case NGHTTP2_DATA:
		if (f->hd.length == 0 && !end)
			return (h2_spend(h2));
		if (st != NULL && end)
			h2_remote_end(st);
		break;
	case NGHTTP2_SETTINGS:
		if (!h2->greeted)
			conn_deadline(h2->c, 0);
		h2->greeted = 1;
		return (h2_spend(h2));
	case NGHTTP2_RST_STREAM:
	case NGHTTP2_PING:
	case NGHTTP2_PRIORITY:
		return (h2_spend(h2));
	}
	return (0);
}

/* Its refusal waits in nghttp2, which nobody may be reading. */
static int
on_invalid(nghttp2_session *ng, const nghttp2_frame *f, int error, void *arg)
{
	(void)ng;
	(void)f;
	(void)error;
	return (h2_spend(arg));
}

static int
on_data(nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *p,
    size_t n, void *arg)
{
	struct h2_stream	*st;

	(void)flags;
	(void)arg;
	nghttp2_session_consume_connection(ng, n);
	st = nghttp2_session_get_stream_user_data(ng, id);
	if (st != NULL && st->g != NULL) {
		grpc_data(st, p, n);
		return (0);
	}
	nghttp2_session_consume_stream(ng, id, n);
	if (st != NULL && st->x != NULL && st->x->state == X_BODY)
		exchange_body(st->x, p, n);
	else if (st != NULL && (st->dropped += n) > H2_DROP)
		h2_cut(st, NGHTTP2_NO_ERROR);
	return (0);
}

static int
on_stream_close(nghttp2_session *ng, int32_t id, uint32_t error, void *arg)
{
	struct h2_stream	*st;

	(void)error;
	(void)arg;
	if ((st = nghttp2_session_get_stream_user_data(ng, id)) == NULL)
		return (0);
	nghttp2_session_set_stream_user_data(ng, id, NULL);
	h2_stream_free(st);
	return (0);
}

/*
 * A client may make us reset what it began (by a window that overflows, by what
 * is malformed) as it may itself: that is paid for from the same budget.
 *
 * We have answered before the client was done sending.  It may stop (RFC 9113
 * 8.1), but clients that are told so at once lose the answer (curl 7.88 does),
 * so the rest of a REST body is dropped for a while first.
 */
static int
on_frame_sent(nghttp2_session *ng, const nghttp2_frame *f, void *arg)
{
	struct h2_stream	*st;

	if (f->hd.type == NGHTTP2_RST_STREAM &&
	    f->rst_stream.error_code != NGHTTP2_NO_ERROR &&
	    h2_spend(arg) != 0)
		h2_end_session(arg, NGHTTP2_ENHANCE_YOUR_CALM);
	if ((f->hd.type != NGHTTP2_HEADERS && f->hd.type != NGHTTP2_DATA) ||
	    (f->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0)
		return (0);
	st = nghttp2_session_get_stream_user_data(ng, f->hd.stream_id);
	if (st == NULL || st->remote_end)
		return (0);
	if (st->h2->c->kind == LISTEN_RUNNER)
		h2_cut(st, NGHTTP2_NO_ERROR);
	else
		st->deadline = worker_mono_ms() + TIME_HEAD;
	return (0);
}

/* ---- sessions ---- */

static void
h2_session_new(struct http2 *h2)
{
	nghttp2_session_callbacks	*cb;
	nghttp2_option			*opt;

	if (nghttp2_session_callbacks_new(&cb) != 0 ||
	    nghttp2_option_new(&opt) != 0)
		fatalx("http2: no memory");
	nghttp2_session_callbacks_set_on_begin_headers_callback(cb,
	    on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback2(cb, on_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
	nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(cb,
	    on_invalid);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb,
	    on_stream_close);
	nghttp2_session_callbacks_set_on_frame_send_callback(cb,
	    on_frame_sent);
	nghttp2_option_set_no_auto_window_update(opt, 1);
	nghttp2_option_set_no_closed_streams(opt, 1);
	nghttp2_option_set_max_outbound_ack(opt, H2_BUDGET);
	nghttp2_option_set_max_continuations(opt, 4);
	if (nghttp2_session_server_new3(&h2->ng, cb, h2, opt, &h2_mem) != 0)
		fatalx("http2: no memory");
	nghttp2_option_del(opt);
	nghttp2_session_callbacks_del(cb);
}

void
http2_open(struct conn *c)
{
	struct http2			*h2;
	nghttp2_settings_entry		 set[] = {
		{ NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, H2_STREAMS_REST },
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, H2_WINDOW },
		{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HEAD_MAX },
	};

	if ((h2 = calloc(1, sizeof(*h2))) == NULL)
		fatal("connection");
	h2->c = c;
	h2->budget = H2_BUDGET;
	h2->budget_at = h2->idle_since = worker_mono_ms();
	TAILQ_INIT(&h2->streams);
	h2_session_new(h2);
	if (c->kind == LISTEN_RUNNER)
		set[0].value = H2_STREAMS_RUNNER;
	nghttp2_submit_settings(h2->ng, NGHTTP2_FLAG_NONE, set, 3);
	nghttp2_session_set_local_window_size(h2->ng, NGHTTP2_FLAG_NONE, 0,
	    H2_CONNECTION_WINDOW);
	c->h2 = h2;
	c->state = CONN_HTTP2;
	conn_deadline(c, TIME_HANDSHAKE);
	conn_dirty(c);
}

void
http2_free(struct conn *c)
{
	struct http2		*h2 = c->h2;
	struct h2_stream	*st;

	c->h2 = NULL;
	while ((st = TAILQ_FIRST(&h2->streams)) != NULL) {
		nghttp2_session_set_stream_user_data(h2->ng, st->id, NULL);
		h2_stream_free(st);
	}
	nghttp2_session_del(h2->ng);
	free(h2);
}

size_t
http2_input(struct conn *c, const uint8_t *p, size_t n)
{
	ssize_t	 rc;

	rc = nghttp2_session_mem_recv(c->h2->ng, p, n);
	if (rc < 0) {
		log_debug("%s: http2: %s", c->name, nghttp2_strerror((int)rc));
		if (rc == NGHTTP2_ERR_NOMEM)
			fatalx("http2: no memory");
		/* Flooded: with what wants an answer, before our budget ended. */
		h2_end_session(c->h2, rc == NGHTTP2_ERR_FLOODED ||
		    rc == NGHTTP2_ERR_CALLBACK_FAILURE ?
		    NGHTTP2_ENHANCE_YOUR_CALM : NGHTTP2_PROTOCOL_ERROR);
		http2_fill(c);
		conn_finish(c);
	}
	conn_dirty(c);
	return (n);
}

/* Makes frames; -1 when the session is over. */
int
http2_fill(struct conn *c)
{
	struct http2	*h2 = c->h2;
	const uint8_t	*p;
	ssize_t		 n;

	while (c->out.len < H2_FILL) {
		if ((n = nghttp2_session_mem_send(h2->ng, &p)) < 0)
			return (-1);
		if (n == 0)
			break;
		buf_add(&c->out, p, (size_t)n);
	}
	if (!nghttp2_session_want_read(h2->ng) &&
	    !nghttp2_session_want_write(h2->ng))
		return (-1);
	if (h2->ending && h2->nstreams == 0 &&
	    !nghttp2_session_want_write(h2->ng))
		return (-1);
	return (0);
}

/* Streams whose queue fell are told, outside of nghttp2's callbacks. */
void
http2_flushed(struct conn *c)
{
	struct http2		*h2 = c->h2;
	struct h2_stream	*st, *next;

	if (!h2->drained)
		return;
	h2->drained = 0;
	TAILQ_FOREACH_SAFE(st, &h2->streams, entry, next)
		if (st->x != NULL)
			exchange_drained(st->x);
}

static void
h2_stream_tick(struct h2_stream *st, uint64_t now)
{
	if (st->deadline != 0 && now >= st->deadline) {
		st->deadline = 0;
		if (!st->head_done)
			conn_kill(st->h2->c);
		else if (st->g != NULL)
			grpc_late(st);
		else if (st->x != NULL && st->x->state == X_BODY)
			exchange_refuse(st->x, 408,
			    "the request took too long to arrive");
		else if (st->x == NULL)
			h2_cut(st, NGHTTP2_NO_ERROR);
		return;
	}
	if (st->out.len == 0) {
		st->stall_since = 0;
		return;
	}
	if (st->stall_since == 0 || (now - st->stall_since >= TIME_STALL &&
	    st->stall_sent >= STALL_BYTES)) {
		st->stall_since = now;
		st->stall_sent = 0;
	} else if (now - st->stall_since >= TIME_STALL)
		h2_cut(st, NGHTTP2_FLOW_CONTROL_ERROR);
}

/* A runner's connection is its way to be reached, and not in the way. */
static uint64_t
idle_max(const struct conn *c)
{
	if (c->kind == LISTEN_RUNNER)
		return (H2_IDLE_RUNNER);
	return (conn_is_crowded() ? TIME_CROWDED : TIME_IDLE);
}

void
http2_tick(struct conn *c)
{
	struct http2		*h2 = c->h2;
	struct h2_stream	*st, *next;
	uint64_t		 now = worker_mono_ms();

	TAILQ_FOREACH_SAFE(st, &h2->streams, entry, next) {
		h2_stream_tick(st, now);
		if (c->state == CONN_DEAD)
			return;
	}
	if (h2->nstreams == 0 && now - h2->idle_since >= idle_max(c))
		http2_drain(c);
}

/* No more streams; the connection ends when there is none left. */
void
http2_drain(struct conn *c)
{
	h2_end_session(c->h2, NGHTTP2_NO_ERROR);
}
