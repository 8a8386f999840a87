/*
 * fuzz_conn.c - a connection of frontd's engine: HTTP/1.1, HTTP/2, WebSocket and
 * gRPC frames, with rows of its own.  The first byte says which listener it is,
 * with 4 the bytes are brought over TLS, with 8 (HTTP/2, then) by its ALPN,
 * with 16 and an end that is said.
 * Then bytes as they arrive; 0xfe and a letter between them is
 *	p	the end of a piece: turns of the loop
 *	t	20 seconds pass
 *	m	a moment passes, a second
 *	d	the client is done: it sends no more, and reads on
 *	w	it reads no more
 *	a	late answers are given
 *	c	runners are credited what they are owed
 * covers: frontd/buf.c frontd/check.c frontd/conn.c frontd/grpc.c
 * covers: frontd/health.c frontd/host.c frontd/http1.c frontd/http1_head.c
 * covers: frontd/http2.c frontd/http2_out.c frontd/query.c frontd/request.c
 * covers: frontd/respond.c frontd/route.c frontd/ws.c
 * world: tls_world.c
 */
#include <sys/socket.h>

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine.h"
#include "fuzz.h"
#include "tls_world.h"
#include "worker.h"

#define TURNS		4	/* after each piece */
#define REPLY_MAX	(256 * 1024)
#define LATE_MAX	8
#define STEP_MS		20000
#define MOMENT_MS	1000
#define COUNT_MAX	64
#define FRAME_HEAD	9
#define FRAME_MAX	16384

static uint64_t	 late[LATE_MAX];
static unsigned	 nlate;
static uint8_t	 out[REPLY_MAX];	/* the beginning of what was sent */
static size_t	 nout;
static int	 opened, closed, credit, deaf;
static unsigned	 takes;			/* how often it was asked */
static struct tls *client;		/* or the bytes go as they are */

/* ---- rows ---- */

static void
show(struct request *req)
{
	struct buf	 b = { 0 };
	size_t		 i;

	buf_printf(&b, "path=%s\n", req->path);
	for (i = 0; i < req->nparams; i++)
		buf_printf(&b, "%s:%s\n", req->params[i].name,
		    req->params[i].value);
	buf_add(&b, req->body, req->body_len);
	reply_header(req, "ETag", "\"%zu\"", b.len);
	reply_body(req, 200, "text/plain", buf_head(&b), b.len);
	buf_free(&b);
}

static void
secret(struct request *req)
{
	explicit_bzero(req->body, req->body_len);
	request_secret(req);
	reply_empty(req, 204);
}

static void
big(struct request *req)
{
	static char	 page[600 * 1024];

	reply_body(req, 200, "text/plain", page, sizeof(page));
}

static void
gone(struct request *req)
{
	(void)req;
	closed++;
}

static void
later(struct request *req)
{
	if (nlate == LATE_MAX) {
		reply_error(req, 503, "unavailable", "too many", NULL);
		return;
	}
	opened++;
	req->on_closed = gone;
	late[nlate++] = req->id;
}

/* Sends while there is room, then ends. */
static void
count_on(struct request *req)
{
	size_t	*left = req->data, n = 1;
	char	 data[2048];

	memset(data, '1', sizeof(data));
	while (*left > 0 && n < STREAM_HIGH) {
		(*left)--;
		stream_put(req, "1.2", "line", data, sizeof(data));
		n = stream_flush(req);
		if (n == 0)
			return;
	}
	if (*left > 0)
		return;
	free(left);
	req->data = NULL;
	opened--;
	stream_end(req, 1);
}

static void
count_gone(struct request *req)
{
	free(req->data);
	closed++;
}

static void
count(struct request *req)
{
	const char	*s = request_param(req, "n");
	size_t		*left;

	if ((left = malloc(sizeof(*left))) == NULL)
		err(1, NULL);
	*left = s == NULL ? 3 : strlen(s) % COUNT_MAX;
	opened++;
	req->data = left;
	req->on_drained = count_on;
	req->on_closed = count_gone;
	stream_begin(req);
	if (*left != 7)		/* a stream on which nothing comes yet */
		count_on(req);
}

static const struct route	 rows[] = {
	{ M_GET, LISTEN_REST, "/show", NULL, 0, 0, show },
	{ M_GET, LISTEN_REST, "/items/{id}/{part}", NULL, 0, 0, show },
	{ M_PUT, LISTEN_REST, "/items/{id}", NULL, BODY_SMALL, R_JSON, show },
	{ M_POST, LISTEN_REST, "/show", NULL, BODY_SMALL, 0, show },
	{ M_POST, LISTEN_REST, "/secret", NULL, 512, 0, secret },
	{ M_GET, LISTEN_REST, "/files/*", NULL, 0, 0, show },
	{ M_GET, LISTEN_REST, "/big", NULL, 0, 0, big },
	{ M_GET, LISTEN_REST, "/health/live", NULL, 0, R_ANYHOST, show },
	{ M_GET, LISTEN_REST, "/late", NULL, 0, 0, later },
	{ M_GET, LISTEN_REST, "/count", NULL, 0, R_WEBSOCKET, count },
	{ M_GET, 0, NULL, NULL, 0, 0, NULL }
};
const struct route *const	 route_tables[] = { rows, NULL };

static void
rpc_opened(struct grpc_stream *s)
{
	opened++;
	if (strcmp(s->token, "refuse") == 0) {
		closed++;
		grpc_finish(s, 16, "no such token: 100%");
	}
}

static void
rpc_echo(struct grpc_stream *s, const uint8_t *p, size_t n)
{
	CLAIM(n <= s->method->message_max);
	if (grpc_send(s, p, n) != 0)
		grpc_credit(s, n);
}

static void
rpc_hold(struct grpc_stream *s, const uint8_t *p, size_t n)
{
	(void)p;
	CLAIM(n <= s->method->message_max);
	if (credit)
		grpc_credit(s, SIZE_MAX);
}

static void
rpc_half(struct grpc_stream *s)
{
	closed++;
	grpc_finish(s, 0, NULL);
}

static void
rpc_closed(struct grpc_stream *s)
{
	(void)s;
	closed++;
}

/* Every third time not yet. */
static int
rpc_takes(const struct grpc_stream *s)
{
	(void)s;
	return (takes++ % 3 != 0);
}

const struct grpc_method	 grpc_methods[] = {
	{ "/t.E/Bidi", 1 << 20, rpc_opened, rpc_echo, rpc_half, rpc_closed, 0,
	    rpc_takes },
	{ "/t.E/Hold", 1 << 16, rpc_opened, rpc_hold, rpc_half, rpc_closed,
	    G_QUIET, NULL },
	{ NULL, 0, NULL, NULL, NULL, NULL, 0, NULL }
};

/* ---- bytes in and out ---- */

static ssize_t
get(int fd, void *p, size_t n)
{
	return (client != NULL ? tls_read(client, p, n) :
	    recv(fd, p, n, MSG_DONTWAIT));
}

static ssize_t
put(int fd, const void *p, size_t n)
{
	return (client != NULL ? tls_write(client, p, n) :
	    send(fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT));
}

static void
turns(int fd)
{
	static uint8_t	 sink[1 << 18];
	ssize_t		 n;
	int		 i;

	for (i = 0; i < TURNS; i++) {
		event_base_loop(worker_base(), EVLOOP_NONBLOCK);
		http_turn();
		while (!deaf && (n = get(fd, sink, sizeof(sink))) > 0) {
			if ((size_t)n > sizeof(out) - nout)
				n = (ssize_t)(sizeof(out) - nout);
			memcpy(out + nout, sink, (size_t)n);
			nout += (size_t)n;
		}
	}
}

static void
answer_late(void)
{
	struct request	*req;

	while (nlate > 0)
		if ((req = request_find(late[--nlate])) != NULL) {
			opened--;
			show(req);
		}
}

static void
mark(int fd, uint8_t c)
{
	switch (c) {
	case 't':
	case 'm':
		fuzz_pass(c == 't' ? STEP_MS : MOMENT_MS);
		http_janitor();
		break;
	case 'd':
		if (client != NULL)
			tls_close(client);
		shutdown(fd, SHUT_WR);
		break;
	case 'w':
		deaf = 1;
		break;
	case 'a':
		answer_late();
		break;
	case 'c':
		credit = 1;
		break;
	}
	turns(fd);
}

static void
pieces(int fd, const uint8_t *p, size_t n)
{
	const uint8_t	*end;
	size_t		 len;

	while (n > 0) {
		end = memchr(p, 0xfe, n);
		if (end != NULL && (size_t)(end - p) + 1 < n &&
		    strchr("ptmdwac", end[1]) == NULL)
			end = memchr(end + 1, 0xfe, n - (size_t)(end + 1 - p));
		len = end != NULL ? (size_t)(end - p) : n;
		if (len > 0 && put(fd, p, len) < 0)
			return;
		p += len;
		n -= len;
		mark(fd, n > 1 ? p[1] : 'p');
		len = n > 1 ? 2 : n;
		p += len;
		n -= len;
	}
}

/* Whatever came in: what goes out is HTTP. */
static void
check_reply(void)
{
	size_t	 i, len;

	if (nout == 0)
		return;
	if (nout >= 9 && memcmp(out, "HTTP/1.1 ", 9) == 0)
		return;
	CLAIM(nout >= FRAME_HEAD && out[3] == 4);	/* SETTINGS first */
	for (i = 0; nout - i >= FRAME_HEAD; i += FRAME_HEAD + len) {
		len = (size_t)out[i] << 16 | (size_t)out[i + 1] << 8 |
		    out[i + 2];
		CLAIM(len <= FRAME_MAX);
		CLAIM(out[i + 3] <= 9);
		if (len > nout - i - FRAME_HEAD)
			return;
	}
}

static enum listener_kind
listener_of(uint8_t c)
{
	static const enum listener_kind	 kinds[] = { LISTEN_API, LISTEN_RUNNER,
					    LISTEN_ADMIN, LISTEN_LOCAL };

	return (kinds[c & 3]);
}

/* Both ends shake hands, in turns. */
static void
secure(int fd, int h2)
{
	int	 i;

	client = tls_world_client(fd, h2);
	for (i = 0; i < TURNS && tls_handshake(client) != 0; i++)
		event_base_loop(worker_base(), EVLOOP_NONBLOCK);
	CLAIM(i < TURNS);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	int	 pair[2], i;

	if (n < 2)
		return (0);
	if (worker_base() == NULL) {
		host_allow("marionette.example");
		host_origin_allow("https://console.example");
		health_set(1);
	}
	fuzz_begin();
	nout = nlate = 0;
	opened = closed = credit = deaf = 0;
	takes = 0;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == -1)
		err(1, "socketpair");
	conn_new(pair[0], listener_of(p[0]), (p[0] & 4) != 0 ?
	    tls_world_server() : NULL, "127.0.0.1", NULL);
	if ((p[0] & 4) != 0)
		secure(pair[1], (p[0] & 8) != 0);
	pieces(pair[1], p + 1, n - 1);
	turns(pair[1]);
	check_reply();
	if (client != NULL && (p[0] & 16) != 0)
		tls_close(client);
	tls_free(client);
	client = NULL;
	close(pair[1]);
	/*
	 * Whatever it was, it ends, when what is late is answered: who has
	 * closed its half may still read.  Lingering takes a deadline.
	 */
	for (i = 0; i < 1000 && http_stats.conns > 0; i++) {
		answer_late();
		event_base_loop(worker_base(), EVLOOP_NONBLOCK);
		http_turn();
		fuzz_pass(1000);
		http_janitor();
	}
	CLAIM(http_stats.conns == 0);
	CLAIM(http_stats.bodies == 0 && http_stats.waiting == 0);
	CLAIM(http_stats.open == 0 && http_stats.unsent == 0);
	CLAIM(opened == closed);
	return (0);
}
