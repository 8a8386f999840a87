/*
 * request.c - a request from its first header field to its answer, whichever
 * HTTP carried it.  The transports (http1.c, http2.c) feed it fields and body;
 * check.c judges the head; then the API half is called with a struct request.
 * All text lives in the exchange's arena and is wiped with it.  Nothing here is
 * fatal but memory.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "engine.h"
#include "log.h"
#include "text.h"
#include "worker.h"

#define CHUNK_SIZE	3072
#define SPARE_MAX	64
#define BODY_FIRST	4096
#define FIELD_FIRST	64

struct chunk {
	struct chunk	*next;
	size_t		 len, size;
	char		 data[];
};

RB_HEAD(requests, request);

static const struct {
	const char	*name;
	int		 list;		/* may repeat: joined with commas */
}			 known[HEADER_MAX] = {
	[H_HOST] = { "host", 0 },
	[H_AUTHORIZATION] = { "authorization", 0 },
	[H_CONTENT_TYPE] = { "content-type", 0 },
	[H_ACCEPT] = { "accept", 1 },
	[H_IDEMPOTENCY_KEY] = { "idempotency-key", 0 },
	[H_X_REQUEST_ID] = { "x-request-id", 0 },
	[H_LAST_EVENT_ID] = { "last-event-id", 0 },
	[H_IF_MATCH] = { "if-match", 1 },
	[H_IF_NONE_MATCH] = { "if-none-match", 1 },
	[H_ORIGIN] = { "origin", 0 },
	[H_SEC_FETCH_SITE] = { "sec-fetch-site", 0 },
	[H_USER_AGENT] = { "user-agent", 0 },
	[H_EXPECT] = { "expect", 0 },
	[H_UPGRADE] = { "upgrade", 1 },
	[H_CONNECTION] = { "connection", 1 },
	[H_SEC_WEBSOCKET_KEY] = { "sec-websocket-key", 0 },
	[H_SEC_WEBSOCKET_VERSION] = { "sec-websocket-version", 0 },
	[H_SEC_WEBSOCKET_PROTOCOL] = { "sec-websocket-protocol", 1 },
	[H_CORS_METHOD] = { "access-control-request-method", 0 },
	[H_X_RUNNER_TOKEN] = { "x-runner-token", 0 },
};

static struct requests	 requests = RB_INITIALIZER(&requests);
static struct exchange	*spare[SPARE_MAX];
static size_t		 nspare;
static uint64_t		 last_id;

static int
request_cmp(struct request *a, struct request *b)
{
	return (a->id < b->id ? -1 : a->id > b->id);
}

RB_PROTOTYPE(requests, request, entry, request_cmp)
RB_GENERATE(requests, request, entry, request_cmp)

struct request *
request_find(uint64_t id)
{
	struct request	 key;

	key.id = id;
	return (RB_FIND(requests, &requests, &key));
}

void
request_secret(struct request *req)
{
	if (req->secure)
		req->x->last = 1;
}

void
request_last(struct request *req)
{
	req->x->last = 1;
}

static struct chunk *
chunk_new(size_t size)
{
	struct chunk	*k;

	if ((k = malloc(sizeof(*k) + size)) == NULL)
		fatal("request");
	k->next = NULL;
	k->len = 0;
	k->size = size;
	return (k);
}

void *
exchange_alloc(struct exchange *x, size_t n)
{
	struct chunk	*k = x->chunks;
	void		*p;

	n = (n + 15) & ~(size_t)15;
	if (k->size - k->len < n) {
		k = chunk_new(n > CHUNK_SIZE ? n : CHUNK_SIZE);
		k->next = x->chunks;
		x->chunks = k;
		limit_hold(x->c, k->size);	/* long heads count, too */
	}
	p = k->data + k->len;
	k->len += n;
	return (p);
}

char *
exchange_copy(struct exchange *x, const char *s, size_t n)
{
	char	*p;

	p = exchange_alloc(x, n + 1);
	memcpy(p, s, n);
	p[n] = '\0';
	return (p);
}

struct exchange *
exchange_new(struct conn *c, const struct transport *t)
{
	struct exchange	*x;
	struct chunk	*k;

	if (nspare > 0) {
		x = spare[--nspare];
		k = x->chunks;
	} else {
		if ((x = malloc(sizeof(*x))) == NULL)
			fatal("request");
		k = chunk_new(CHUNK_SIZE);
	}
	memset(x, 0, sizeof(*x));
	x->chunks = k;
	x->c = c;
	x->t = t;
	x->req.x = x;
	x->req.id = ++last_id;
	x->req.kind = c->kind;
	x->req.secure = c->secure;
	x->req.who = c->who;
	strlcpy(x->req.address, c->name, sizeof(x->req.address));
	x->req.started = worker_mono_ms();
	return (x);
}

void
exchange_free(struct exchange *x)
{
	struct chunk	*k;

	if (x->state >= X_CALLED)
		RB_REMOVE(requests, &requests, &x->req);
	stream_forget(x);
	ws_free(x);
	if (x->body_size > 0) {
		explicit_bzero(x->req.body, x->req.body_len);
		free(x->req.body);
		limit_release(x->c, x->body_size);
	}
	while ((k = x->chunks)->next != NULL) {
		x->chunks = k->next;
		limit_release(x->c, k->size);
		freezero(k, sizeof(*k) + k->len);
	}
	explicit_bzero(k->data, k->len);
	k->len = 0;
	if (nspare < SPARE_MAX && k->size == CHUNK_SIZE) {
		explicit_bzero(&x->req, sizeof(x->req));
		spare[nspare++] = x;
		return;
	}
	free(k);
	freezero(x, sizeof(*x));
}

/* The client is gone: the API half is told, once. */
void
exchange_closed(struct exchange *x)
{
	void	(*closed)(struct request *) = x->req.on_closed;

	x->req.on_closed = NULL;
	if (closed != NULL && x->state >= X_CALLED)
		closed(&x->req);
	exchange_free(x);
}

/* The first thing that is wrong is what is answered. */
void
exchange_bad(struct exchange *x, int status, const char *text)
{
	if (x->bad != 0)
		return;
	x->bad = status;
	x->bad_text = text;
}

/* What a field of n bytes that may go on has: a power of two. */
static size_t
field_room(size_t n)
{
	size_t	 room;

	for (room = FIELD_FIRST; room <= n; room *= 2)
		;
	return (room);
}

/*
 * One byte of HPACK repeats a whole field, so the parts of a list are joined
 * in place: copied each time they would take the square of what was counted.
 */
static void
field_join(struct exchange *x, enum header h, const char *v, size_t n)
{
	char	*old = x->req.header[h];
	size_t	 len = old != NULL ? strlen(old) : 0;
	size_t	 skip = old != NULL ? len + 2 : 0;
	char	*p = old;

	if (p == NULL || field_room(len) < field_room(skip + n)) {
		p = exchange_alloc(x, field_room(skip + n));
		if (old != NULL)
			memcpy(p, old, len);
	}
	if (old != NULL)
		memcpy(p + len, ", ", 2);
	memcpy(p + skip, v, n);
	p[skip + n] = '\0';
	x->req.header[h] = p;
}

static void
field_keep(struct exchange *x, enum header h, const char *v, size_t n)
{
	if (!text_is_utf8(v, n)) {
		exchange_bad(x, 400, "a header field is not UTF-8");
		return;
	}
	if (known[h].list)
		field_join(x, h, v, n);
	else if (x->req.header[h] == NULL)
		x->req.header[h] = exchange_copy(x, v, n);
	else
		exchange_bad(x, 400, h == H_HOST ?
		    "the Host header was sent twice" :
		    "a header that may be sent once was sent twice");
}

void
exchange_field(struct exchange *x, const char *name, size_t nlen,
    const char *v, size_t n)
{
	int	 h;

	x->fields_size += nlen + n + 4;
	if (++x->nfields > FIELDS_MAX || x->fields_size > HEAD_MAX) {
		exchange_bad(x, 431, "the request has too many or too long"
		    " header fields");
		return;
	}
	for (h = 0; h < HEADER_MAX; h++)
		if (strlen(known[h].name) == nlen &&
		    strncasecmp(known[h].name, name, nlen) == 0) {
			field_keep(x, (enum header)h, v, n);
			return;
		}
	if (nlen == 16 && strncasecmp(name, "content-encoding", nlen) == 0 &&
	    (n != 8 || strncasecmp(v, "identity", n) != 0))
		exchange_bad(x, 415, "Content-Encoding is not supported; send"
		    " the body as it is");
}

static void
body_grow(struct exchange *x, size_t need)
{
	struct request	*req = &x->req;
	char		*p;
	size_t		 size;

	if (need <= x->body_size)
		return;
	for (size = BODY_FIRST; size < need; size *= 2)
		;
	if ((p = malloc(size)) == NULL)
		fatal("body of %zu bytes", size);
	if (req->body != NULL) {
		memcpy(p, req->body, req->body_len);
		explicit_bzero(req->body, req->body_len);
		free(req->body);
	}
	limit_hold(x->c, size - x->body_size);
	req->body = p;
	x->body_size = size;
}

int
exchange_body(struct exchange *x, const void *p, size_t n)
{
	struct request	*req = &x->req;

	if (n > req->route->body_max - req->body_len)
		return (exchange_body_wanted(x, 1,
		    (int64_t)req->route->body_max + 1));
	body_grow(x, req->body_len + n + 1);
	memcpy(req->body + req->body_len, p, n);
	req->body_len += n;
	return (0);
}

void
exchange_call(struct exchange *x)
{
	/* Most requests have no body, and none is allocated for them. */
	if (x->req.body == NULL)
		x->req.body = exchange_copy(x, "", 0);
	x->req.body[x->req.body_len] = '\0';
	x->state = X_CALLED;
	RB_INSERT(requests, &requests, &x->req);
	x->req.route->call(&x->req);
}

/* The queue fell below STREAM_LOW after it had been above. */
void
exchange_drained(struct exchange *x)
{
	if (!x->high || x->state != X_STREAM ||
	    x->t->queued(x) > STREAM_LOW)
		return;
	x->high = 0;
	if (x->req.on_drained != NULL)
		x->req.on_drained(&x->req);
}
