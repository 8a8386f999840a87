/*
 * grpc_runner.c - runners' gRPC streams and runnerd: opaque messages both ways.
 * Enroll and Connect travel as STREAM_*, Logs as LOGS_* on the bulk pair, so
 * that lines do not stand before a heartbeat while runnerd's queue is short.
 * The stream's window goes back when runnerd says so.  Without runnerd every
 * stream ends with UNAVAILABLE and the agent comes back; so does, when runnerd's
 * queue is long, one that runnerd has said nothing on yet, which may be
 * anybody's.  The others wait then; lines wait earlier, so that they leave room
 * for a permission that is asked for.
 */
#include <sys/queue.h>

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "frontd_msg.h"
#include "grpc_runner.h"
#include "log.h"

#define GRPC_CANCELLED		1
#define GRPC_UNAVAILABLE	14
#define SMALL_MAX		(64 * 1024)
#define CONNECT_MAX		1179648		/* a permission's whole input */
#define LOGS_QUEUED		(PEER_QUEUE_SOFT / 2)

/* One stream that runnerd knows; lives as long as the engine's. */
struct link {
	TAILQ_ENTRY(link)	 entry;
	uint64_t		 ref;
	uint64_t		 id;
	int			 logs;
	int			 unary;
	int			 heard;		/* runnerd spoke on it */
};
TAILQ_HEAD(links, link);

static struct links	 links = TAILQ_HEAD_INITIALIZER(links);
/* Added to the engine's ids, so that no predecessor's ref fits. */
static uint64_t		 ref_base;

static struct peer *
runnerd(void)
{
	return (peer_of(PROC_RUNNERD));
}

static void
link_free(struct link *l)
{
	TAILQ_REMOVE(&links, l, entry);
	free(l);
}

/* We end it: runnerd is gone, or its queue is full. */
static void
link_abort(struct grpc_stream *s, const char *why)
{
	link_free(s->data);
	s->data = NULL;
	grpc_finish(s, GRPC_UNAVAILABLE, why);
}

/* SHA-256 of the token up to its dot; 0 bytes without a token. */
static size_t
token_hash(const struct grpc_stream *s, uint8_t hash[32])
{
	size_t	 n = strcspn(s->token, ".");

	if (n == 0)
		return (0);
	crypto_hash_sha256(hash, (const unsigned char *)s->token, n);
	return (32);
}

static int
link_open(struct grpc_stream *s, const struct link *l)
{
	uint8_t			 hash[32];
	size_t			 cert_len = s->has_cert ? 32 : 0;
	struct msg_logs_open	 logs = { .cert_hash = s->cert_hash,
				    .cert_hash_len = cert_len,
				    .address = s->address };
	struct msg_stream_open	 open = { .token_hash = hash,
				    .cert_hash = s->cert_hash,
				    .cert_hash_len = cert_len,
				    .address = s->address };

	if (!peer_is_up(runnerd()) || peer_is_full(runnerd()))
		return (-1);
	if (l->logs)
		return (send_logs_open(runnerd(), l->ref, &logs));
	open.method = l->unary ? "Enroll" : "Connect";
	open.token_hash_len = token_hash(s, hash);
	return (send_stream_open(runnerd(), l->ref, &open));
}

static void
stream_new(struct grpc_stream *s, int logs, int unary)
{
	struct link	*l;

	if (ref_base == 0)
		ref_base = ref_new();
	if ((l = calloc(1, sizeof(*l))) == NULL)
		fatal("stream");
	l->id = s->id;
	l->ref = ref_base + s->id;
	l->logs = logs;
	l->unary = unary;
	s->data = l;
	TAILQ_INSERT_TAIL(&links, l, entry);
	if (link_open(s, l) == -1)
		link_abort(s, "the server is restarting, come back");
}

static void
enroll_opened(struct grpc_stream *s)
{
	stream_new(s, 0, 1);
}

static void
connect_opened(struct grpc_stream *s)
{
	stream_new(s, 0, 0);
}

static void
logs_opened(struct grpc_stream *s)
{
	stream_new(s, 1, 0);
}

/* Who is not heard yet does not wait: it is sent away. */
static int
runner_takes(const struct grpc_stream *s)
{
	const struct link	*l = s->data;

	return (l == NULL || !l->heard || peer_queued(runnerd()) <=
	    (l->logs ? LOGS_QUEUED : PEER_QUEUE_SOFT));
}

/* status: 0 half-closed, else reset. */
static void
link_close(const struct link *l, int status)
{
	struct msg_stream_close	 m = { .status = (uint8_t)status };
	struct msg_logs_close	 lm = { .status = (uint8_t)status };

	if (!peer_is_up(runnerd()))
		return;
	if (l->logs)
		send_logs_close(runnerd(), l->ref, &lm);
	else
		send_stream_close(runnerd(), l->ref, &m);
}

static void
runner_message(struct grpc_stream *s, const uint8_t *p, size_t n)
{
	struct link			*l = s->data;
	struct msg_stream_message	 m = { .body = p, .body_len = n };
	struct msg_logs_message		 lm = { .body = p, .body_len = n };
	int				 rc;

	if (l == NULL)
		return;
	if (!l->heard && peer_is_full(runnerd()))
		rc = -1;
	else if (l->logs)
		rc = send_logs_message(runnerd(), l->ref, &lm);
	else
		rc = send_stream_message(runnerd(), l->ref, &m);
	if (rc == 0)
		return;
	/* It was told of the stream, and would keep it. */
	link_close(l, GRPC_CANCELLED);
	link_abort(s, "the server is too busy, come back");
}

/*
 * The runner has said all it wants to say.  For a unary call that is the
 * normal course; else runnerd is told, and finishes when it has answered.
 */
static void
runner_half_closed(struct grpc_stream *s)
{
	struct link	*l = s->data;

	if (l == NULL || l->unary)
		return;
	link_close(l, 0);
}

static void
runner_closed(struct grpc_stream *s)
{
	struct link	*l = s->data;

	if (l == NULL)
		return;
	s->data = NULL;
	link_close(l, GRPC_CANCELLED);
	link_free(l);
}

void
grpc_runner_down(void)
{
	struct grpc_stream	*s;
	struct link		*l, *next;

	TAILQ_FOREACH_SAFE(l, &links, entry, next)
		if ((s = grpc_find(l->id)) != NULL)
			link_abort(s, "the server is restarting, come back");
}

/* The stream of a ref, when it is of this kind and still open. */
static struct grpc_stream *
stream_of(uint64_t ref, int logs)
{
	struct grpc_stream	*s;
	struct link		*l;

	if ((s = grpc_find(ref - ref_base)) == NULL ||
	    (l = s->data) == NULL || l->logs != logs)
		return (NULL);
	l->heard = 1;
	return (s);
}

static void
down_message(struct grpc_stream *s, const uint8_t *p, size_t n)
{
	if (s != NULL && grpc_send(s, p, n) == 0)
		log_debug("a runner reads too slowly: its stream was cut");
}

static void
down_close(struct grpc_stream *s, int status, const char *text)
{
	if (s == NULL)
		return;
	link_free(s->data);
	s->data = NULL;
	grpc_finish(s, status, text);
}

void
on_stream_message(struct peer *p, uint64_t ref,
    const struct msg_stream_message *m)
{
	(void)p;
	down_message(stream_of(ref, 0), m->body, m->body_len);
}

void
on_stream_close(struct peer *p, uint64_t ref, const struct msg_stream_close *m)
{
	(void)p;
	down_close(stream_of(ref, 0), m->status, m->text);
}

void
on_stream_credit(struct peer *p, uint64_t ref,
    const struct msg_stream_credit *m)
{
	struct grpc_stream	*s = stream_of(ref, 0);

	(void)p;
	if (s != NULL)
		grpc_credit(s, m->bytes);
}

void
on_logs_message(struct peer *p, uint64_t ref, const struct msg_logs_message *m)
{
	(void)p;
	down_message(stream_of(ref, 1), m->body, m->body_len);
}

void
on_logs_close(struct peer *p, uint64_t ref, const struct msg_logs_close *m)
{
	(void)p;
	down_close(stream_of(ref, 1), m->status, m->text);
}

void
on_logs_credit(struct peer *p, uint64_t ref, const struct msg_logs_credit *m)
{
	struct grpc_stream	*s = stream_of(ref, 1);

	(void)p;
	if (s != NULL)
		grpc_credit(s, m->bytes);
}

#define SERVICE	"/marionette.v1.RunnerService/"

const struct grpc_method	 grpc_methods[] = {
	{ SERVICE "Enroll", SMALL_MAX, enroll_opened, runner_message,
	    runner_half_closed, runner_closed, 0, runner_takes },
	{ SERVICE "Connect", CONNECT_MAX, connect_opened, runner_message,
	    runner_half_closed, runner_closed, 0, runner_takes },
	/* A runner may have nothing to say for days. */
	{ SERVICE "Logs", SMALL_MAX, logs_opened, runner_message,
	    runner_half_closed, runner_closed, G_QUIET | G_BULK,
	    runner_takes },
	{ NULL, 0, NULL, NULL, NULL, NULL, 0, NULL }
};
