/*
 * rows.c - a route table and gRPC methods for tests of the engine: they show
 * what arrived, answer late, count on streams, owe window, and count who left.
 */
#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"
#include "worker.h"

#define LATE_MS		30
#define ROW_TEXT	512

static uint64_t	 closed_count, opened_count, late_count;

/* ---- REST ---- */

static void
hello(struct request *req)
{
	static const char	 body[] = "{\"hello\":\"world\"}\n";

	reply_json(req, 200, body, sizeof(body) - 1);
}

/* Says what arrived. */
static void
show(struct request *req)
{
	struct buf	 b = { 0 };
	size_t		 i;

	buf_printf(&b, "path=%s\n", req->path);
	for (i = 0; i < REQUEST_ARGS && req->arg[i] != NULL; i++)
		buf_printf(&b, "arg=%s\n", req->arg[i]);
	for (i = 0; i < req->nparams; i++)
		buf_printf(&b, "param=%s:%s\n", req->params[i].name,
		    req->params[i].value);
	reply_body(req, 200, "text/plain", buf_head(&b), b.len);
	buf_free(&b);
}

static void
echo(struct request *req)
{
	reply_body(req, 200, "application/octet-stream", req->body,
	    req->body_len);
}

static void
secret(struct request *req)
{
	explicit_bzero(req->body, req->body_len);
	request_secret(req);
	reply_empty(req, 204);
}

static void
big_reply(struct request *req)
{
	const char	*s = request_param(req, "bytes");
	size_t		 n = s != NULL ? strtoul(s, NULL, 10) : 0;
	char		*p;

	if ((p = malloc(n + 1)) == NULL)
		err(1, NULL);
	memset(p, 'x', n);
	reply_body(req, 200, "text/plain", p, n);
	free(p);
}

struct lateness {
	uint64_t	 id;
	void		(*reply)(struct request *);
};

static void
late_reply(evutil_socket_t fd, short what, void *arg)
{
	struct lateness	*l = arg;
	struct request	*req;

	(void)fd;
	(void)what;
	if ((req = request_find(l->id)) != NULL)
		l->reply(req);
	late_count--;
	free(l);
}

static void
count_closed(struct request *req)
{
	(void)req;
	closed_count++;
}

/* Answers in the turn of a timer, when the client may be gone. */
static void
later(struct request *req, void (*reply)(struct request *))
{
	const char	*ms = request_param(req, "ms");
	struct timeval	 tv = { 0, LATE_MS * 1000 };
	struct lateness	*l;

	if (ms != NULL) {
		tv.tv_sec = strtol(ms, NULL, 10) / 1000;
		tv.tv_usec = strtol(ms, NULL, 10) % 1000 * 1000;
	}
	opened_count++;
	req->on_closed = count_closed;
	if ((l = malloc(sizeof(*l))) == NULL)
		err(1, NULL);
	l->id = req->id;
	l->reply = reply;
	late_count++;
	event_base_once(worker_base(), -1, EV_TIMEOUT, late_reply, l, &tv);
}

static void
late(struct request *req)
{
	later(req, hello);
}

static void
big(struct request *req)
{
	if (request_param(req, "ms") != NULL)
		later(req, big_reply);
	else
		big_reply(req);
}

static void
stats(struct request *req)
{
	char	 body[ROW_TEXT];
	int	 n;

	n = snprintf(body, sizeof(body), "{\"opened\":%" PRIu64 ",\"closed\":%"
	    PRIu64 ",\"late\":%" PRIu64 ",\"conns\":%zu,\"bodies\":%zu,"
	    "\"refused\":%" PRIu64 "}",
	    opened_count, closed_count, late_count, http_stats.conns,
	    http_stats.bodies, http_stats.refused);
	reply_json(req, 200, body, (size_t)n);
}

/* ---- streams: numbers from after to count, as fast as they are read ---- */

static size_t
item_send(struct request *req, const char *id, const char *event,
    const char *data, size_t len)
{
	stream_put(req, id, event, data, len);
	return (stream_flush(req));
}

struct counting {
	uint64_t	 next, count;
	size_t		 pad;
	int		 hold;
};

static void
count_on(struct request *req)
{
	struct counting	*k = req->data;
	char		 id[32], *data;
	size_t		 n, queued = 0;

	if ((data = malloc(k->pad + 64)) == NULL)
		err(1, NULL);
	while (k->next < k->count && queued < STREAM_HIGH) {
		k->next++;
		snprintf(id, sizeof(id), "1.%" PRIu64, k->next);
		n = (size_t)snprintf(data, 64, "{\"n\":%" PRIu64 ",\"pad\":\"",
		    k->next);
		memset(data + n, '.', k->pad);
		memcpy(data + n + k->pad, "\"}", 2);
		queued = item_send(req, id, "line", data, n + k->pad + 2);
		if (queued == 0)
			break;
	}
	free(data);
	if (k->next < k->count || k->hold)
		return;
	item_send(req, NULL, "end", "{}", 2);
	free(k);
	stream_end(req, 1);
}

static void
count_gone(struct request *req)
{
	closed_count++;
	free(req->data);
}

static uint64_t
number(const struct request *req, const char *name)
{
	const char	*s = request_param(req, name);

	return (s == NULL ? 0 : strtoull(s, NULL, 10));
}

static void
count_begin(struct request *req)
{
	struct counting	*k;
	const char	*last = req->header[H_LAST_EVENT_ID];

	if ((k = calloc(1, sizeof(*k))) == NULL)
		err(1, NULL);
	k->count = number(req, "count");
	k->pad = number(req, "pad");
	k->hold = number(req, "hold") != 0;
	k->next = number(req, "after");
	if (last != NULL && strncmp(last, "1.", 2) == 0)
		k->next = strtoull(last + 2, NULL, 10);
	opened_count++;
	req->data = k;
	req->on_closed = count_gone;
	req->on_drained = count_on;
	stream_begin(req);
	count_on(req);
}

static void
count(struct request *req)
{
	if (request_param(req, "ms") != NULL)
		later(req, count_begin);
	else
		count_begin(req);
}

/* Ignores flow control: must be cut. */
static void
flood(struct request *req)
{
	static char	 data[65536];
	size_t		 queued;

	memset(data, '1', sizeof(data));
	req->on_closed = count_closed;
	stream_begin(req);
	do
		queued = item_send(req, NULL, NULL, data, sizeof(data));
	while (queued > 0);
}

#define ANY	(LISTEN_REST)
static const struct route	 rows[] = {
	{ M_GET, ANY, "/hello", NULL, 0, 0, hello },
	{ M_GET, ANY, "/health/live", NULL, 0, R_ANYHOST, hello },
	{ M_GET, ANY, "/items/{id}", NULL, 0, 0, show },
	{ M_PUT, ANY, "/items/{id}", NULL, BODY_SMALL, R_JSON, echo },
	{ M_DELETE, ANY, "/items/{id}", NULL, 0, 0, show },
	{ M_GET, ANY, "/items/{id}/parts/{part}", NULL, 0, 0, show },
	{ M_GET, ANY, "/files/{id}/*", NULL, 0, 0, show },
	{ M_POST, ANY, "/echo", NULL, BODY_PROMPT, 0, echo },
	{ M_POST, ANY, "/json", NULL, BODY_SMALL, R_JSON, echo },
	{ M_POST, ANY, "/secret", NULL, BODY_SMALL, 0, secret },
	{ M_GET, ANY, "/big", NULL, 0, 0, big },
	{ M_GET, ANY, "/late", NULL, 0, 0, late },
	{ M_GET, ANY, "/count", NULL, 0, R_WEBSOCKET, count },
	{ M_GET, ANY, "/flood", NULL, 0, R_WEBSOCKET, flood },
	{ M_GET, ANY, "/stats", NULL, 0, 0, stats },
	{ M_GET, LISTEN_LOCAL, "/local", NULL, 0, 0, hello },
	{ M_GET, 0, NULL, NULL, 0, 0, NULL }
};
const struct route *const	 route_tables[] = { rows, NULL };

/* ---- gRPC ---- */

static void
rpc_opened(struct grpc_stream *s)
{
	opened_count++;
	if (strcmp(s->token, "refuse") == 0)
		grpc_finish(s, 16, "no such token: 100%");
}

static void
rpc_echo(struct grpc_stream *s, const uint8_t *p, size_t n)
{
	if (grpc_send(s, p, n) != 0)
		grpc_credit(s, n);
}

/* Owes everything until a message of one byte comes: `c'. */
static void
rpc_hold(struct grpc_stream *s, const uint8_t *p, size_t n)
{
	if (n == 1 && p[0] == 'c')
		grpc_credit(s, SIZE_MAX);
}

static void
rpc_half(struct grpc_stream *s)
{
	grpc_finish(s, 0, NULL);
}

/* A cancelling client may end its half first. */
static void
rpc_half_hold(struct grpc_stream *s)
{
	closed_count++;
	grpc_finish(s, 0, NULL);
}

static void
rpc_closed(struct grpc_stream *s)
{
	(void)s;
	closed_count++;
}

static void
rpc_cert(struct grpc_stream *s, const uint8_t *p, size_t n)
{
	(void)p;
	(void)n;
	grpc_send(s, s->cert_hash, s->has_cert ? sizeof(s->cert_hash) : 0);
	grpc_finish(s, 0, NULL);
}

const struct grpc_method	 grpc_methods[] = {
	{ "/test.Echo/Bidi", 1024 * 1024, rpc_opened, rpc_echo, rpc_half,
	    rpc_closed, 0, NULL },
	{ "/test.Echo/Hold", 64 * 1024, rpc_opened, rpc_hold, rpc_half_hold,
	    rpc_closed, 0, NULL },
	{ "/test.Echo/Cert", 64 * 1024, rpc_opened, rpc_cert, rpc_half,
	    rpc_closed, 0, NULL },
	{ "/test.Echo/Quiet", 64 * 1024, rpc_opened, rpc_echo, rpc_half,
	    rpc_closed, G_QUIET, NULL },
	{ NULL, 0, NULL, NULL, NULL, NULL, 0, NULL }
};
