/*
 * http1.c - HTTP/1.0 and 1.1 (RFC 9112) over llhttp.  A head is collected whole
 * and its bytes are checked before llhttp sees it, because a proxy in front and
 * we must never disagree where a message ends: lines end with CRLF, nothing is
 * folded, Transfer-Encoding is `chunked' alone and never beside Content-Length.
 * One request a time; what was pipelined behind it waits in conn.in.  After any
 * error the connection ends.
 */
#include <llhttp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"
#include "log.h"

#define BLANKS_MAX	4	/* empty lines before a request */
#define TRAILER_MAX	4096

enum h1_state { H1_HEAD, H1_BODY, H1_BUSY, H1_WEBSOCKET };

struct http1 {
	llhttp_t	 parser;
	struct conn	*c;
	struct exchange	*x;
	enum h1_state	 state;
	struct head_scan scan;
	size_t		 blanks, trailer;
	const char	*name, *value;	/* spans, while llhttp runs */
	size_t		 name_len, value_len;
	int		 status;	/* of a bad body */
	unsigned int	 complete:1, keep:1, chunked:1, in_body:1;
};

static llhttp_settings_t	 settings;

/* ---- llhttp's callbacks ---- */

static int
on_url(llhttp_t *p, const char *at, size_t n)
{
	struct exchange	*x = ((struct http1 *)p->data)->x;

	if (n > TARGET_MAX)
		exchange_bad(x, 414, "the request target is too long");
	else
		x->target = exchange_copy(x, at, n);
	return (0);
}

static int
on_name(llhttp_t *p, const char *at, size_t n)
{
	struct http1	*h = p->data;

	if (h->in_body) {
		h->trailer += n;
		return (h->trailer > TRAILER_MAX ? -1 : 0);
	}
	if (h->name_len == 0)
		h->name = at;
	h->name_len += n;
	return (0);
}

static int
on_value(llhttp_t *p, const char *at, size_t n)
{
	struct http1	*h = p->data;

	if (h->in_body) {
		h->trailer += n;
		return (h->trailer > TRAILER_MAX ? -1 : 0);
	}
	if (h->value_len == 0)
		h->value = at;
	h->value_len += n;
	return (0);
}

static int
on_value_complete(llhttp_t *p)
{
	struct http1	*h = p->data;
	const char	*v = h->value_len > 0 ? h->value : "";
	size_t		 n = h->value_len;

	if (h->in_body)
		return (0);
	while (n > 0 && (v[n - 1] == ' ' || v[n - 1] == '\t'))
		n--;
	if (h->name_len == 0)
		return (-1);
	h->x->http10 = p->http_major == 1 && p->http_minor == 0;
	head_framing(h->x, h->name, h->name_len, v, n);
	exchange_field(h->x, h->name, h->name_len, v, n);
	h->name_len = h->value_len = 0;
	return (0);
}

static int
on_headers_complete(llhttp_t *p)
{
	struct http1	*h = p->data;

	h->in_body = 1;
	h->x->http10 = p->http_major == 1 && p->http_minor == 0;
	h->keep = llhttp_should_keep_alive(p) != 0;
	return (0);
}

/* Chunk extensions mean nothing to anybody and hide smuggled bytes. */
static int
on_extension(llhttp_t *p, const char *at, size_t n)
{
	(void)p;
	(void)at;
	(void)n;
	return (-1);
}

static int
on_body(llhttp_t *p, const char *at, size_t n)
{
	struct http1	*h = p->data;

	/* After exchange_body() has answered there is no exchange. */
	if (h->x == NULL || exchange_body(h->x, at, n) == -1)
		return (HPE_USER);
	return (0);
}

static int
on_complete(llhttp_t *p)
{
	struct http1	*h = p->data;

	h->complete = 1;
	return (HPE_PAUSED);
}

static void
http1_reset(struct http1 *h)
{
	if (settings.on_url == NULL) {
		llhttp_settings_init(&settings);
		settings.on_url = on_url;
		settings.on_header_field = on_name;
		settings.on_header_value = on_value;
		settings.on_header_value_complete = on_value_complete;
		settings.on_headers_complete = on_headers_complete;
		settings.on_chunk_extension_name = on_extension;
		settings.on_body = on_body;
		settings.on_message_complete = on_complete;
	}
	llhttp_init(&h->parser, HTTP_REQUEST, &settings);
	h->parser.data = h;
	h->state = H1_HEAD;
	memset(&h->scan, 0, sizeof(h->scan));
	h->blanks = h->trailer = 0;
	h->name_len = h->value_len = 0;
	h->complete = h->keep = h->chunked = h->in_body = 0;
}

void
http1_open(struct conn *c)
{
	struct http1	*h;

	if ((h = calloc(1, sizeof(*h))) == NULL)
		fatal("connection");
	h->c = c;
	c->h1 = h;
	c->state = CONN_HTTP1;
	http1_reset(h);
	conn_deadline(c, TIME_HEAD);
}

void
http1_free(struct conn *c)
{
	struct http1	*h = c->h1;

	c->h1 = NULL;
	if (h->x != NULL)
		exchange_closed(h->x);
	freezero(h, sizeof(*h));
}

int
http1_busy(const struct conn *c)
{
	return (c->h1->state == H1_BUSY);
}

/* Between two requests. */
int
http1_idle(const struct conn *c)
{
	return (c->h1->state == H1_HEAD && c->h1->scan.done == 0 &&
	    c->h1->blanks == 0);
}

/* ---- the way out ---- */

static void
http1_send_head(struct exchange *x, int status, const struct field *f,
    size_t n, int64_t length)
{
	struct conn	*c = x->c;
	struct http1	*h = c->h1;
	struct buf	*b = &c->out;
	size_t		 i;

	if (!h->complete || x->bad != 0 || x->last ||
	    (length == -1 && x->http10) || http_is_draining())
		h->keep = 0;
	buf_printf(b, "HTTP/1.1 %d %s\r\nDate: %s\r\n", status,
	    respond_reason(status), respond_date());
	for (i = 0; i < n; i++)
		buf_printf(b, "%s: %s\r\n", f[i].name, f[i].value);
	if (length == -1 && !x->http10) {
		h->chunked = !x->is_head;
		buf_printf(b, "Transfer-Encoding: chunked\r\n");
	} else if (length != -1 && status != 204 && status != 304)
		buf_printf(b, "Content-Length: %lld\r\n", (long long)length);
	if (!h->keep)
		buf_printf(b, "Connection: close\r\n");
	else if (x->http10)
		buf_printf(b, "Connection: keep-alive\r\n");
	buf_add(b, "\r\n", 2);
	conn_dirty(c);
}

static void
http1_send_body(struct exchange *x, const void *p, size_t n)
{
	struct http1	*h = x->c->h1;

	if (h->chunked)
		buf_printf(&x->c->out, "%zx\r\n", n);
	conn_write(x->c, p, n);
	if (h->chunked)
		conn_write(x->c, "\r\n", 2);
	limit_queued(x->c, x->c->out.len);
}

static void
http1_end(struct exchange *x)
{
	struct conn	*c = x->c;
	struct http1	*h = c->h1;

	h->x = NULL;
	if (h->chunked)
		conn_write(c, "0\r\n\r\n", 5);
	if (!h->keep || h->state == H1_WEBSOCKET ||
	    (c->eof && c->in.len == 0)) {
		conn_finish(c);
		return;
	}
	http1_reset(h);
	conn_deadline(c, TIME_IDLE);
	conn_dirty(c);
}

static void
http1_cut(struct exchange *x)
{
	conn_kill(x->c);
}

static size_t
http1_queued(const struct exchange *x)
{
	return (x->c->out.len);
}

static const struct transport	 http1_transport = { http1_send_head,
	http1_send_body, http1_end, http1_cut, http1_queued };

/* 101: from now on the bytes are ws.c's. */
void
http1_switch(struct exchange *x, const char *accept, const char *protocol)
{
	struct conn	*c = x->c;

	buf_printf(&c->out, "HTTP/1.1 101 Switching Protocols\r\n"
	    "Upgrade: websocket\r\nConnection: Upgrade\r\n"
	    "Sec-WebSocket-Accept: %s\r\n", accept);
	if (protocol != NULL)
		buf_printf(&c->out, "Sec-WebSocket-Protocol: %s\r\n", protocol);
	buf_printf(&c->out, "X-Request-ID: %s\r\n\r\n", x->req.request_id);
	x->status = 101;
	c->h1->state = H1_WEBSOCKET;
	conn_dirty(c);
}

/* ---- the way in ---- */

static void
http1_refuse(struct http1 *h, int status, const char *text)
{
	h->complete = 0;
	if (h->x == NULL)
		h->x = exchange_new(h->c, &http1_transport);
	exchange_refuse(h->x, status, text);
}

static void
http1_parse_error(struct http1 *h, enum llhttp_errno e, const uint8_t *p,
    size_t n)
{
	size_t	 i;

	if (e == HPE_INVALID_VERSION) {
		http1_refuse(h, 505, "this server speaks HTTP/1.1, 1.0 and 2");
		return;
	}
	for (i = 0; i < n && ((p[i] >= 'A' && p[i] <= 'Z') || p[i] == '-' ||
	    (p[i] >= 'a' && p[i] <= 'z')); i++)
		;
	if (e == HPE_INVALID_METHOD && i > 0 && i < n && p[i] == ' ')
		http1_refuse(h, 501, "the method is not known here");
	else
		http1_refuse(h, 400, "the request is not well-formed HTTP/1.1");
}

static void
http1_call(struct http1 *h)
{
	h->state = H1_BUSY;
	conn_deadline(h->c, 0);
	exchange_call(h->x);
}

/* The head is whole and its bytes are clean. */
static void
http1_head(struct http1 *h, const uint8_t *p, size_t n)
{
	struct exchange		*x;
	enum llhttp_errno	 e;
	int			 has_body;
	int64_t			 length;

	x = h->x = exchange_new(h->c, &http1_transport);
	if (h->c->kind == LISTEN_RUNNER)
		exchange_bad(x, 505, "this port speaks gRPC, over HTTP/2");
	if (!head_line_is_good((const char *)p, n)) {
		http1_refuse(h, 400, "the request line is not METHOD target"
		    " HTTP/1.1");
		return;
	}
	e = llhttp_execute(&h->parser, (const char *)p, n);
	if (e != HPE_OK && e != HPE_PAUSED && e != HPE_PAUSED_UPGRADE) {
		http1_parse_error(h, e, p, n);
		return;
	}
	if (!h->in_body || x->target == NULL) {
		http1_refuse(h, 400, "the request is not well-formed HTTP/1.1");
		return;
	}
	x->verb = llhttp_method_name((llhttp_method_t)h->parser.method);
	has_body = !h->complete;
	length = x->te ? -1 : h->parser.content_length > INT64_MAX ?
	    INT64_MAX : (int64_t)h->parser.content_length;
	if (exchange_head(x, has_body, length) == -1)
		return;
	if (h->complete) {
		http1_call(h);
		return;
	}
	h->state = H1_BODY;
	conn_deadline(h->c, TIME_BODY);
	if (exchange_expects(x) == 1)
		conn_write(h->c, "HTTP/1.1 100 Continue\r\n\r\n", 25);
}

/* Returns how many bytes belonged to the body. */
static size_t
http1_body(struct http1 *h, const uint8_t *p, size_t n)
{
	struct conn		*c = h->c;
	enum llhttp_errno	 e;
	const char		*pos;

	e = llhttp_execute(&h->parser, (const char *)p, n);
	if (e == HPE_OK)
		return (n);
	if (h->complete && (e == HPE_PAUSED || e == HPE_PAUSED_UPGRADE)) {
		pos = llhttp_get_error_pos(&h->parser);
		n = (size_t)((const uint8_t *)pos - p);
		http1_call(h);
		return (n);
	}
	/* conn_finish() was called if exchange_body() has answered. */
	if (c->state == CONN_HTTP1)
		http1_refuse(h, 400, "the body's chunks are malformed");
	return (n);
}

static size_t
http1_head_input(struct http1 *h, const uint8_t *p, size_t n)
{
	size_t	 skip = 0;
	ssize_t	 len;

	/* RFC 9112 2.2: empty lines before a request are skipped. */
	while (h->scan.done == 0 && n - skip >= 2 && p[skip] == '\r' &&
	    p[skip + 1] == '\n' && h->blanks < BLANKS_MAX) {
		skip += 2;
		h->blanks++;
	}
	p += skip;
	n -= skip;
	if (n == 0 || (n == 1 && *p == '\r'))
		return (skip);
	if (h->scan.done == 0)
		conn_deadline(h->c, TIME_HEAD);
	len = head_scan(&h->scan, p, n);
	if (len == -1) {
		http1_refuse(h, 400, "the request is not well-formed HTTP/1.1:"
		    " lines end with CR LF, are not folded and have no control"
		    " characters");
		return (skip + n);
	}
	if (len > HEAD_MAX || (len == 0 && n > HEAD_MAX)) {
		if (memchr(p, '\n', n) == NULL)
			http1_refuse(h, 414, "the request target is too long");
		else
			http1_refuse(h, 431, "the request's header fields are"
			    " too long");
		return (skip + n);
	}
	if (len > 0)
		http1_head(h, p, (size_t)len);
	return (skip + (size_t)len);
}

static void
http1_websocket(struct http1 *h, const uint8_t *p, size_t n)
{
	struct exchange	*x = h->x;

	if (ws_input(x, p, n) == 0)
		return;
	h->x = NULL;
	conn_finish(h->c);
	exchange_closed(x);
}

size_t
http1_input(struct conn *c, const uint8_t *p, size_t n)
{
	struct http1	*h = c->h1;
	size_t		 used = 0, took = 1;

	while (used < n && took > 0 && c->state == CONN_HTTP1) {
		switch (h->state) {
		case H1_HEAD:
			if (c->out.len > OUT_HIGH)
				return (used);
			took = http1_head_input(h, p + used, n - used);
			break;
		case H1_BODY:
			took = http1_body(h, p + used, n - used);
			break;
		case H1_BUSY:
			took = 0;
			break;
		case H1_WEBSOCKET:
			took = n - used;
			http1_websocket(h, p + used, took);
			break;
		}
		used += took;
	}
	return (c->state == CONN_HTTP1 ? used : n);
}

/*
 * The client has sent all it will.  A request that is being worked on is
 * still answered (it may have closed its half only), and so are those behind
 * it; what is not sent yet is sent; a stream has ended.
 */
void
http1_eof(struct conn *c)
{
	struct http1	*h = c->h1;

	if (h->x != NULL && h->x->state == X_STREAM)
		conn_kill(c);
	else if (h->state != H1_BUSY)
		conn_finish(c);
}

/* The deadline of this state has passed. */
void
http1_late(struct conn *c)
{
	struct http1	*h = c->h1;

	if (h->state == H1_BODY || (h->state == H1_HEAD && h->scan.done > 0))
		http1_refuse(h, 408, "the request took too long to arrive");
	else
		conn_finish(c);
}

void
http1_flushed(struct conn *c)
{
	if (c->h1->x != NULL)
		exchange_drained(c->h1->x);
}
