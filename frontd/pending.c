/*
 * pending.c - questions that were put to owners and not answered yet.  A read
 * that can have no answer is 503; a write whose outcome nobody knows is 504,
 * unless asking again does no harm: then it is kept, and put to the owner's
 * successor; if that refuses it for now, it is 504 after all.  Refs start at
 * random, so that an answer meant for a predecessor of this process finds
 * nothing.
 */
#include <sys/queue.h>
#include <sys/tree.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "frontd_msg.h"
#include "log.h"
#include "worker.h"

struct pending {
	RB_ENTRY(pending)	 entry;
	uint64_t		 ref;
	uint64_t		 request;	/* 0: frontd's own */
	uint64_t		 deadline;	/* monotonic ms */
	enum proc		 to;
	enum msg_type		 type;
	int			 doubtful;	/* a predecessor had it too */
	struct expect		 expect;
	uint8_t			*body;		/* packed, P_AGAIN, P_LATER */
	size_t			 len;
};

RB_HEAD(pendings, pending);

static struct pendings	 pendings = RB_INITIALIZER(&pendings);
static size_t		 npending;

static int
pending_cmp(struct pending *a, struct pending *b)
{
	return (a->ref < b->ref ? -1 : a->ref > b->ref);
}

RB_PROTOTYPE(pendings, pending, entry, pending_cmp)
RB_GENERATE(pendings, pending, entry, pending_cmp)

uint64_t
ref_new(void)
{
	static uint64_t	 last;

	if (last == 0)
		last = (uint64_t)arc4random() << 32;
	return (++last);
}

size_t
pending_count(void)
{
	return (npending);
}

static void
pending_free(struct pending *p)
{
	freezero(p->expect.arg, p->expect.arg_len);
	freezero(p->body, p->len);
	freezero(p, sizeof(*p));
}

/* It is over: whoever waits for it is told. */
static void
pending_done_with(struct pending *p, enum msg_type type, const void *m)
{
	struct request	*req = NULL;

	RB_REMOVE(pendings, &pendings, p);
	npending--;
	if (p->request != 0 && (req = request_find(p->request)) == NULL)
		log_debug("%s: the client did not wait for the answer",
		    msg_descs[p->type].name);
	else if (p->expect.done != NULL)
		p->expect.done(req, type, m, p->expect.arg);
	else if (type == MSG_REFUSED)
		refusal_reply(req, m);
	else
		document_reply(req, m);
	pending_free(p);
}

static void
pending_fail(struct pending *p, const char *code, const char *text)
{
	struct msg_refused	 m = { .code = code, .text = text };

	pending_done_with(p, MSG_REFUSED, &m);
}

static void
pending_unknown(struct pending *p)
{
	pending_fail(p, "outcome_unknown", "no answer came in time: it may or"
	    " may not have been done; ask again with the same Idempotency-Key"
	    ", or look at the object");
}

/* Keeps what must perhaps be sent again; 0, or -1 with errno. */
static int
pending_send(struct pending *p, const void *m)
{
	const struct msg_desc	*d = &msg_descs[p->type];
	struct peer		*to = peer_of(p->to);
	ssize_t			 len;

	if (peer_is_full(to) ||
	    (!peer_is_up(to) && p->expect.flags != P_LATER)) {
		errno = ENOTCONN;
		return (-1);
	}
	if (p->expect.flags != P_AGAIN && p->expect.flags != P_LATER)
		return (peer_send(to, p->ref, p->type, m, -1));
	if ((len = msg_size(d, m)) == -1)
		return (-1);
	if ((p->body = malloc((size_t)len + 1)) == NULL)
		fatal("question");
	p->len = (size_t)len;
	msg_pack(d, m, p->body);
	if (!peer_is_up(to))
		return (0);	/* pending_up() sends it */
	return (peer_send_packed(to, p->ref, p->type, p->body, p->len));
}

/*
 * Afterwards the request may be gone: when it could not be asked, done (or the
 * refusal) has been called.
 */
void
pending_ask(struct request *req, enum proc to, enum msg_type type,
    const void *m, const struct expect *expect)
{
	struct pending	*p;

	if ((p = calloc(1, sizeof(*p))) == NULL)
		fatal("question");
	p->ref = ref_new();
	p->request = req != NULL ? req->id : 0;
	p->to = to;
	p->type = type;
	p->expect = *expect;
	if (p->expect.want == MSG_NONE)
		p->expect.want = MSG_DOCUMENT;
	p->deadline = worker_mono_ms() + (uint64_t)expect->wait * 1000 +
	    (expect->limit != 0 ? expect->limit : PENDING_MS);
	RB_INSERT(pendings, &pendings, p);
	npending++;
	if (pending_send(p, m) == 0)
		return;
	if (errno == EMSGSIZE || errno == EINVAL)
		pending_fail(p, "validation_error",
		    "a part of the request is longer than it may be");
	else
		pending_fail(p, "unavailable",
		    "a part of the server is restarting or busy, try again");
}

void
api_read(struct request *req, enum proc to, enum msg_type type, const void *m)
{
	static const struct expect	 expect = { .flags = P_READ };

	pending_ask(req, to, type, m, &expect);
}

void
api_write(struct request *req, enum proc to, enum msg_type type,
    const void *m, int flags)
{
	const struct expect	 expect = { .flags = flags };

	pending_ask(req, to, type, m, &expect);
}

/* An owner has answered; what nobody asked (any more) is ignored. */
void
pending_answer(struct peer *peer, uint64_t ref, enum msg_type type,
    const void *m)
{
	struct pending	*p, key;
	struct request	*req;

	key.ref = ref;
	if ((p = RB_FIND(pendings, &pendings, &key)) == NULL ||
	    p->to != peer->proc) {
		log_debug("%s from %s: nobody waits for it",
		    msg_descs[type].name, peer->name);
		return;
	}
	if (type != MSG_REFUSED && type != p->expect.want) {
		log_warnx("%s from %s answers %s", msg_descs[type].name,
		    peer->name, msg_descs[p->type].name);
		pending_fail(p, "internal_error",
		    "the server misunderstood itself");
		return;
	}
	if (type == MSG_REFUSED && p->doubtful && refusal_may_pass(m)) {
		if ((req = request_find(p->request)) != NULL)
			refusal_forgets(req, m);
		pending_unknown(p);
	} else
		pending_done_with(p, type, m);
}

/* No answer came, or none will. */
static void
pending_late(struct pending *p)
{
	if (p->expect.flags == P_READ || p->request == 0)
		pending_fail(p, "unavailable",
		    "the server did not answer in time, try again");
	else
		pending_unknown(p);
}

/*
 * The owner's successor is there: what may be asked again is, as far as that
 * fits its queue; beyond it the channel would be given up and this process
 * ended.  What is failed may ask anew, of others or (auth) of this peer, so
 * each turn of the loop begins at the next higher ref; what is new was sent.
 */
void
pending_up(struct peer *peer)
{
	struct pending	*p, key;
	uint64_t	 end = ref_new();

	for (key.ref = 0; (p = RB_NFIND(pendings, &pendings, &key)) != NULL &&
	    p->ref < end;) {
		key.ref = p->ref + 1;
		if (p->to != peer->proc || p->body == NULL)
			continue;
		/* P_LATER was perhaps not sent; frontd's own do nothing. */
		p->doubtful = p->expect.flags == P_AGAIN && p->request != 0;
		if (peer_is_full(peer))
			pending_late(p);
		else if (peer_send_packed(peer, p->ref, p->type, p->body,
		    p->len) == -1)
			log_warn("%s to %s", msg_descs[p->type].name,
			    peer->name);
	}
}

/* As pending_up(). */
void
pending_down(struct peer *peer)
{
	struct pending	*p, key;

	for (key.ref = 0; (p = RB_NFIND(pendings, &pendings, &key)) != NULL;) {
		key.ref = p->ref + 1;
		if (p->to != peer->proc || p->body != NULL)
			continue;
		if (p->expect.flags == P_WRITE)
			pending_unknown(p);
		else
			pending_fail(p, "unavailable",
			    "a part of the server is restarting, try again");
	}
}

/*
 * The server stops: whoever waits (?wait=) for what he reads is answered as it is
 * now.  His row's function asks for that; of what was made before, done tells.
 */
void
pending_drain(void)
{
	struct pending	*p, key;
	struct request	*req;
	uint64_t	 end = ref_new();

	for (key.ref = 0; (p = RB_NFIND(pendings, &pendings, &key)) != NULL &&
	    p->ref < end;) {
		key.ref = p->ref + 1;
		if (p->expect.wait == 0 || p->expect.flags != P_READ)
			continue;
		if (p->expect.done != NULL) {
			pending_late(p);
			continue;
		}
		req = request_find(p->request);
		RB_REMOVE(pendings, &pendings, p);
		npending--;
		pending_free(p);
		if (req != NULL)
			req->route->call(req);
	}
}

/*
 * Whoever has time waits for an owner to come back: in a drain none does, and what
 * the client did not wait for is not waited for.
 */
static int
is_late(const struct pending *p)
{
	if (worker_mono_ms() >= p->deadline)
		return (1);
	if (!worker_draining())
		return (0);
	return ((p->expect.flags == P_LATER && !peer_is_up(peer_of(p->to))) ||
	    (p->request != 0 && request_find(p->request) == NULL));
}

void
pending_janitor(void)
{
	struct pending	*p, key;

	for (key.ref = 0; (p = RB_NFIND(pendings, &pendings, &key)) != NULL;) {
		key.ref = p->ref + 1;
		if (is_late(p))
			pending_late(p);
	}
}
