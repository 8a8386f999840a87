/*
 * stream.c - Enroll and Connect streams of frontd(runner), by its ref.  On
 * Connect we speak first (Challenge); nothing but Hello is heard until
 * providerd has verified its signature.  A second Connect of a runner replaces
 * the first.  What is wrong on a stream ends that stream with a gRPC status.
 * With `skip tls' a Connect without a certificate is whose Hello says, since
 * that is signed with the key of the certificate that we know.
 */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "run.h"
#include "runnerd.h"

#define HELLO_MS	15000	/* from Challenge to a verified Hello */
#define UNREADY_MAX	4	/* streams of one runner before their Hello */
#define ENROLL_MAX	256	/* streams of nobody known */

enum stage { STAGE_ENROLL, STAGE_ENROLLING, STAGE_HELLO, STAGE_VERIFYING,
	STAGE_READY };

struct stream {				/* until either side closes it */
	RB_ENTRY(stream) entry;
	TAILQ_ENTRY(stream) unready;	/* until it is ready */
	uint64_t	 ref;
	enum stage	 stage;
	int		 unverified;	/* after STAGE_READY: once more */
	struct runner	*runner;	/* Connect; NULL until a Hello names it */
	uint64_t	 deadline;	/* monotonic ms, until it is ready */
	uint8_t		 token_hash[32];
	uint8_t		 nonce[32];
	/* Kept until it is verified; keys as long as the stream lives. */
	Marionette__V1__RunnerMessage *hello;
	uint8_t		 sealing_key[32];
	uint8_t		 signature[256];
	size_t		 signature_len;
};
RB_HEAD(streams, stream);

static struct streams	 streams = RB_INITIALIZER(&streams);
/* The few that limits and deadlines are about. */
static TAILQ_HEAD(, stream) unready = TAILQ_HEAD_INITIALIZER(unready);
static int		 verify_due;	/* some are unverified */

static int
stream_cmp(struct stream *a, struct stream *b)
{
	return (a->ref < b->ref ? -1 : a->ref > b->ref);
}

RB_PROTOTYPE(streams, stream, entry, stream_cmp);
RB_GENERATE(streams, stream, entry, stream_cmp)

static struct stream *
stream_find(uint64_t ref)
{
	struct stream	 key;

	key.ref = ref;
	return (RB_FIND(streams, &streams, &key));
}

static void
stream_free(struct stream *s)
{
	RB_REMOVE(streams, &streams, s);
	if (s->stage != STAGE_READY)
		TAILQ_REMOVE(&unready, s, unready);
	if (s->hello != NULL)
		wire_free(&s->hello->base);
	freezero(s, sizeof(*s));
}

static void
close_down(uint64_t ref, enum grpc status, const char *text)
{
	struct msg_stream_close	 m;

	m.status = (uint8_t)status;
	m.text = text;
	send_stream_close(peer_of(PROC_RUNNER), ref, &m);
}

/* Forgets it, and with it the runner's presence when it was the one. */
static void
stream_drop(struct stream *s, int at_once)
{
	struct runner	*r = s->runner;
	int		 was = r != NULL && r->stream == s;

	if (was)
		r->stream = NULL;
	stream_free(s);
	if (was)
		runner_gone(r, at_once);
}

void
stream_end(struct stream *s, enum grpc status, const char *text)
{
	log_debug("stream %llu: status %d %s", (unsigned long long)s->ref,
	    (int)status, text);
	close_down(s->ref, status, text);
	stream_drop(s, 1);
}

void
stream_end_ref(uint64_t ref, enum grpc status, const char *text)
{
	struct stream	*s;

	if ((s = stream_find(ref)) != NULL)
		stream_end(s, status, text);
}

uint64_t
stream_ref(const struct stream *s)
{
	return (s->ref);
}

void
stream_credit(struct stream *s, uint32_t bytes)
{
	struct msg_stream_credit	 m;

	m.bytes = bytes;
	if (bytes > 0)
		send_stream_credit(peer_of(PROC_RUNNER), s->ref, &m);
}

void
stream_reply(uint64_t ref, const uint8_t *body, size_t len)
{
	struct msg_stream_message	 m;

	m.body = body;
	m.body_len = len;
	if (send_stream_message(peer_of(PROC_RUNNER), ref, &m) == -1)
		stream_end_ref(ref, GRPC_RESOURCE_EXHAUSTED,
		    "the runner does not read");
}

static void
command(uint64_t ref, Marionette__V1__ServerCommand *c)
{
	uint8_t	*buf;
	size_t	 n = marionette__v1__server_command__get_packed_size(c);

	if (n > WIRE_DOWN_MAX) {
		log_warnx("a command of %zu bytes is too long", n);
		return;
	}
	if ((buf = malloc(n + 1)) == NULL)
		fatal("command");
	marionette__v1__server_command__pack(c, buf);
	stream_reply(ref, buf, n);
	freezero(buf, n);
}

void
stream_command(struct runner *r, Marionette__V1__ServerCommand *c)
{
	if (r->stream != NULL)
		command(r->stream->ref, c);
}

static void
challenge(struct stream *s)
{
	Marionette__V1__ServerCommand	 c;
	Marionette__V1__Challenge	 ch;

	marionette__v1__server_command__init(&c);
	marionette__v1__challenge__init(&ch);
	randombytes_buf(s->nonce, sizeof(s->nonce));
	ch.nonce.data = s->nonce;
	ch.nonce.len = sizeof(s->nonce);
	c.body_case = MARIONETTE__V1__SERVER_COMMAND__BODY_CHALLENGE;
	c.challenge = &ch;
	command(s->ref, &c);
}

static unsigned int
count(const struct runner *r, int enrolling)
{
	struct stream	*s;
	unsigned int	 n = 0;

	TAILQ_FOREACH(s, &unready, unready)
		n += enrolling ? s->stage <= STAGE_ENROLLING :
		    s->runner == r && s->stage >= STAGE_HELLO;
	return (n);
}

/* NULL, or why this stream may not be opened. */
static const char *
open_enroll(struct stream *s, const struct msg_stream_open *m,
    enum grpc *status)
{
	*status = GRPC_UNAUTHENTICATED;
	if (m->token_hash_len != 32)
		return ("x-runner-token: a runner token is required");
	if (count(NULL, 1) >= ENROLL_MAX) {
		*status = GRPC_RESOURCE_EXHAUSTED;
		return ("too many enrolments at once; try again");
	}
	memcpy(s->token_hash, m->token_hash, 32);
	s->stage = STAGE_ENROLL;
	return (NULL);
}

static const char *
open_connect(struct stream *s, const struct msg_stream_open *m,
    enum grpc *status)
{
	int	 named = m->cert_hash_len == 32;

	*status = GRPC_UNAUTHENTICATED;
	if (!named && !settings.skip_tls)
		return ("a client certificate is required; enrol first");
	if (!runners_are_loaded() || worker_draining()) {
		*status = GRPC_UNAVAILABLE;
		return (worker_draining() ? "the server is stopping" :
		    "the server is starting; try again");
	}
	if (named && (s->runner = runner_by_cert(m->cert_hash)) == NULL)
		return ("this client certificate is not known; enrol again");
	if (count(s->runner, 0) >= (named ? UNREADY_MAX : ENROLL_MAX)) {
		*status = GRPC_RESOURCE_EXHAUSTED;
		return ("too many streams of this runner");
	}
	s->stage = STAGE_HELLO;
	return (NULL);
}

void
on_stream_open(struct peer *p, uint64_t ref, const struct msg_stream_open *m)
{
	struct stream	*s;
	const char	*why;
	enum grpc	 status = GRPC_INVALID_ARGUMENT;

	(void)p;
	if (stream_find(ref) != NULL) {
		log_warnx("stream %llu is open already",
		    (unsigned long long)ref);
		return;
	}
	if ((s = calloc(1, sizeof(*s))) == NULL)
		fatal("stream");
	s->ref = ref;
	s->deadline = worker_mono_ms() + HELLO_MS;
	if (strcmp(m->method, "Enroll") == 0)
		why = open_enroll(s, m, &status);
	else if (strcmp(m->method, "Connect") == 0)
		why = open_connect(s, m, &status);
	else
		why = "no such method here";
	if (why != NULL) {
		log_info("%s from %s refused: %s", m->method, m->address, why);
		close_down(ref, status, why);
		free(s);
		return;
	}
	RB_INSERT(streams, &streams, s);
	TAILQ_INSERT_TAIL(&unready, s, unready);
	if (s->stage == STAGE_HELLO)
		challenge(s);
}

static void
verified(struct ask *a, const struct answer *ans)
{
	Marionette__V1__RunnerMessage	*hello;
	struct stream			*s, *old;
	struct runner			*r;

	if (ask_client(a) == NULL || (s = stream_find(a->client_ref)) == NULL)
		return;
	r = s->runner;
	if (strcmp(ans->code, "invalid") == 0)
		stream_end(s, GRPC_UNAUTHENTICATED,
		    "Hello: the signature is not this runner's");
	else if (s->stage == STAGE_READY) {
		/* The providerd of now does not know its sealing key yet. */
		if (ans->code[0] != '\0')
			s->unverified = verify_due = 1;
	} else if (ans->code[0] != '\0')
		stream_end(s, GRPC_UNAVAILABLE, "Hello could not be verified");
	else {
		if ((old = r->stream) != NULL) {
			r->stream = NULL;	/* it never was away */
			stream_end(old, GRPC_ABORTED,
			    "replaced by a newer Connect of this runner");
		}
		s->stage = STAGE_READY;
		TAILQ_REMOVE(&unready, s, unready);
		/* Whatever answers it may find the channel full, and s ends. */
		hello = s->hello;
		s->hello = NULL;
		runner_hello(r, s, hello->hello);
		wire_free(&hello->base);
	}
}

void
on_hello_verified(struct peer *p, uint64_t ref,
    const struct msg_hello_verified *m)
{
	struct answer	 ans = { 0 };

	ans.code = m->valid ? "" : "invalid";
	ans.text = "";
	ask_answer(p, ref, &ans);
}

static int
verify(struct stream *s)
{
	struct msg_hello_verify	 m;

	m.runner = s->runner->id;
	m.certificate = s->runner->certificate;
	m.certificate_len = s->runner->certificate_len;
	m.nonce = s->nonce;
	m.nonce_len = sizeof(s->nonce);
	m.sealing_key = s->sealing_key;
	m.sealing_key_len = sizeof(s->sealing_key);
	m.signature = s->signature;
	m.signature_len = s->signature_len;
	return (ask_for(peer_of(PROC_RUNNER), s->ref, PROC_PROVIDERD,
	    MSG_HELLO_VERIFY, &m, HELLO_MS / 1000, verified, NULL) == NULL ?
	    -1 : 0);
}

/* As many as there is room for; the janitor tries again. */
static void
verify_some(void)
{
	struct stream	*s;

	verify_due = 0;
	RB_FOREACH(s, streams, &streams) {
		if (!s->unverified)
			continue;
		if (verify(s) == -1) {
			verify_due = 1;
			break;
		}
		s->unverified = 0;
	}
}

/* A providerd that has restarted knows no sealing key any more. */
void
streams_verify(void)
{
	struct stream	*s;

	RB_FOREACH(s, streams, &streams)
		if (s->stage == STAGE_READY)
			s->unverified = 1;
	verify_some();
}

/* Of a stream without a certificate: whom it says it is. */
static int
take_name(struct stream *s, const char *id)
{
	struct runner	*r;

	if ((r = runner_find(id)) == NULL) {
		stream_end(s, GRPC_UNAUTHENTICATED,
		    "this runner is not known; enrol again");
		return (-1);
	}
	if (count(r, 0) >= UNREADY_MAX) {
		stream_end(s, GRPC_RESOURCE_EXHAUSTED,
		    "too many streams of this runner");
		return (-1);
	}
	s->runner = r;
	return (0);
}

static void
take_hello(struct stream *s, Marionette__V1__RunnerMessage *m)
{
	const Marionette__V1__Hello	*h;

	if (m->body_case != MARIONETTE__V1__RUNNER_MESSAGE__BODY_HELLO ||
	    (s->runner != NULL &&
	    strcmp(m->hello->runner_id, s->runner->id) != 0)) {
		wire_free(&m->base);
		stream_end(s, GRPC_INVALID_ARGUMENT,
		    "Hello: expected first, with the certificate's runner_id");
		return;
	}
	if (s->runner == NULL && take_name(s, m->hello->runner_id) == -1) {
		wire_free(&m->base);
		return;
	}
	h = m->hello;
	memcpy(s->sealing_key, h->sealing_key.data, sizeof(s->sealing_key));
	memcpy(s->signature, h->signature.data, h->signature.len);
	s->signature_len = h->signature.len;
	s->hello = m;
	s->stage = STAGE_VERIFYING;
	if (verify(s) == -1)
		stream_end(s, GRPC_UNAVAILABLE, "Hello could not be verified");
}

static void
take_enroll(struct stream *s, const uint8_t *body, size_t len)
{
	Marionette__V1__EnrollRequest	*m;
	char				 why[WIRE_WHY];

	if ((m = wire_enroll(body, len, why)) == NULL) {
		stream_end(s, GRPC_INVALID_ARGUMENT, why);
		return;
	}
	s->stage = STAGE_ENROLLING;
	s->deadline = worker_mono_ms() + 4 * HELLO_MS;
	enrol(s->ref, s->token_hash, m);
	wire_free(&m->base);
}

static void
take_message(struct stream *s, const uint8_t *body, size_t len)
{
	Marionette__V1__RunnerMessage	*m;
	const char			*what;
	char				 why[WIRE_WHY];

	if ((m = wire_message(body, len, why)) == NULL) {
		log_warnx("runner %s: %s", s->runner != NULL ? s->runner->id :
		    "?", why);
		stream_end(s, GRPC_INVALID_ARGUMENT, why);
		return;
	}
	if (s->stage == STAGE_HELLO) {
		stream_credit(s, (uint32_t)len);
		take_hello(s, m);
		return;
	}
	what = "nothing is expected between Hello and Welcome";
	if (s->stage == STAGE_READY)
		what = upward_take(s->runner, m, len);
	wire_free(&m->base);
	if (what != NULL) {
		log_warnx("runner %s: %s", s->runner->id, what);
		stream_end(s, GRPC_INVALID_ARGUMENT, what);
	}
}

void
on_stream_message(struct peer *p, uint64_t ref,
    const struct msg_stream_message *m)
{
	struct stream	*s;

	(void)p;
	/* Gone from here while the message was under way. */
	if ((s = stream_find(ref)) == NULL)
		return;
	switch (s->stage) {
	case STAGE_ENROLL:
		take_enroll(s, m->body, m->body_len);
		break;
	case STAGE_ENROLLING:
		stream_end(s, GRPC_INVALID_ARGUMENT,
		    "one EnrollRequest is expected");
		break;
	case STAGE_HELLO:
	case STAGE_VERIFYING:
	case STAGE_READY:
		take_message(s, m->body, m->body_len);
		break;
	}
}

void
on_stream_close(struct peer *p, uint64_t ref, const struct msg_stream_close *m)
{
	struct stream	*s;

	(void)p;
	(void)m;
	if ((s = stream_find(ref)) == NULL)
		return;
	/* A unary caller half-closes and waits: the answer ends it. */
	if (s->stage == STAGE_ENROLLING && m->status == GRPC_OK)
		return;
	close_down(ref, GRPC_OK, "");
	stream_drop(s, 1);
}

/* frontd(runner) is gone: the runners come back by themselves. */
void
streams_drop(void)
{
	struct stream	*s;

	while ((s = RB_MIN(streams, &streams)) != NULL)
		stream_drop(s, 0);
}

void
streams_janitor(void)
{
	struct stream	*s, *next;
	uint64_t	 now = worker_mono_ms();

	if (verify_due)
		verify_some();
	TAILQ_FOREACH_SAFE(s, &unready, unready, next)
		if (s->deadline <= now)
			stream_end(s, GRPC_DEADLINE_EXCEEDED,
			    s->stage == STAGE_HELLO ? "no Hello in time" :
			    "not done in time");
}
