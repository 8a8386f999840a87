/*
 * runner.c - a runner's connection: dialled, welcomed, and in the enduring mood
 * dialled again with the agent's pauses.  At the start a bounded number of them
 * enrols and connects at a time.  Nothing numbered is sent before Welcome.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/pem.h>
#include <sodium.h>

#include "log.h"
#include "runner.h"
#include "tls_for.h"
#include "util.h"

#define CALL(name)	"/marionette.v1.RunnerService/" name
#define HELLO		"marionette-hello-v1"
#define STARTING_MAX	64	/* at a time */
#define WELCOME_S	20
#define BACKOFF_MAX	15
#define RUNS_MAX	256	/* named in one Hello */

static struct runner	*runners;
static size_t		 starting, started;

static void	 runner_up(void *);
static void	 runners_next(void);

static void
runner_in(struct runner *r, uint64_t ms)
{
	struct timeval	 tv = { (time_t)(ms / 1000),
			    (suseconds_t)(ms % 1000 * 1000) };

	evtimer_add(&r->timer, &tv);
}

/* ---- hello ------------------------------------------------------------------- */

static void
runner_sign(const struct runner *r, const uint8_t *msg, size_t len,
    uint8_t *sig, size_t *siglen)
{
	EVP_MD_CTX	*ctx = EVP_MD_CTX_new();

	if (ctx == NULL || EVP_DigestSignInit(ctx, NULL, NULL, NULL, r->key) !=
	    1 || EVP_DigestSign(ctx, sig, siglen, msg, len) != 1)
		fatalx("runner %s: cannot sign", r->id);
	EVP_MD_CTX_free(ctx);
}

static size_t
hello_runs(struct runner *r, Marionette__V1__RunState *states,
    Marionette__V1__RunState **list)
{
	static const char *const	 names[] = { "accepted", "running",
					    "completed" };
	struct run			*run;
	size_t				 n = 0;

	TAILQ_FOREACH(run, &r->runs, entry) {
		union { const char *c; char *v; } u = { names[run->state] };

		if (!run_is_open(run) || n == RUNS_MAX)
			continue;
		marionette__v1__run_state__init(&states[n]);
		states[n].run_id = run->id;
		states[n].session_id = run->session;
		states[n].attempt = run->attempt;
		states[n].epoch = run->epoch;
		states[n].state = u.v;
		states[n].log_last = run->written;
		list[n] = &states[n];
		n++;
	}
	return (n);
}

static void
runner_hello(struct runner *r, const Marionette__V1__Challenge *ch)
{
	static Marionette__V1__RunState	 states[RUNS_MAX], *runs[RUNS_MAX];
	RunnerMessage			 m;
	Marionette__V1__Hello		 h;
	struct letter			*l = TAILQ_FIRST(&r->letters);
	uint8_t				 pk[crypto_box_PUBLICKEYBYTES];
	uint8_t				 sk[crypto_box_SECRETKEYBYTES];
	uint8_t				 msg[256], sig[256];
	union { const char *c; char *v; } agent = { fleet->agent };
	char				 version[] = MN_VERSION, none[] = "{}";
	size_t				 n, siglen = sizeof(sig);

	crypto_box_keypair(pk, sk);
	n = (size_t)snprintf((char *)msg, sizeof(msg), HELLO "%s", r->id) + 1;
	if (n + sizeof(pk) + ch->nonce.len > sizeof(msg))
		fatalx("runner %s: a nonce of %zu bytes", r->id,
		    ch->nonce.len);
	memcpy(msg + n, pk, sizeof(pk));
	n += sizeof(pk);
	memcpy(msg + n, ch->nonce.data, ch->nonce.len);
	runner_sign(r, msg, n + ch->nonce.len, sig, &siglen);
	marionette__v1__runner_message__init(&m);
	marionette__v1__hello__init(&h);
	m.body_case = MARIONETTE__V1__RUNNER_MESSAGE__BODY_HELLO;
	m.hello = &h;
	h.runner_id = r->id;
	h.version = version;
	h.first_unacked = l == NULL ? 0 : l->number;
	h.sealing_key.data = pk;
	h.sealing_key.len = sizeof(pk);
	h.signature.data = sig;
	h.signature.len = siglen;
	h.agents = &agent.v;
	h.n_agents = 1;
	h.labels_json = none;
	h.resources_json = none;
	h.session_id = r->session;
	h.session_epoch = r->session[0] == '\0' ? 0 : r->epoch;
	h.runs = runs;
	h.n_runs = hello_runs(r, states, runs);
	runner_put(r, &m);
}

static void
runner_beat(struct runner *r)
{
	RunnerMessage			 m;
	Marionette__V1__Heartbeat	 b;
	struct run			*run;

	marionette__v1__runner_message__init(&m);
	marionette__v1__heartbeat__init(&b);
	m.body_case = MARIONETTE__V1__RUNNER_MESSAGE__BODY_HEARTBEAT;
	m.heartbeat = &b;
	if (r->run != NULL)
		b.run_id = r->run->id;
	TAILQ_FOREACH(run, &r->spool, spool)
		b.log_queued += run->written - run->acked;
	h2_probe(r->h2);
	runner_put(r, &m);
	runner_in(r, r->heartbeat * 1000ULL);
}

static void
runner_welcome(struct runner *r, const Marionette__V1__Welcome *w)
{
	if (w->heartbeat_seconds != 0)
		r->heartbeat = w->heartbeat_seconds;
	if (w->lost_after_seconds != 0)
		r->lost_after = w->lost_after_seconds;
	book("runner %s up", r->id);
	letters_ack(r, w->up_to < r->number ? w->up_to : r->number);
	r->up = 1;
	r->draining = 0;
	r->backoff = 1;
	fleet->connected++;
	letters_again(r);
	lines_again(r);
	runner_beat(r);
	if (r->starting) {
		r->starting = 0;
		starting--;
		runners_next();
	}
}

/* ---- the connection ------------------------------------------------------------ */

void
runner_drop(struct runner *r, const char *why)
{
	static const unsigned int	 half = 500;
	struct h2			*h = r->h2;

	if (r->id[0] != '\0')
		book("runner %s down", r->id);
	if (!fleet->enduring && !fleet->stopping)
		fatalx("runner %zu %s: %s", r->index, r->id, why);
	log_debug("runner %zu %s: %s", r->index, r->id, why);
	r->h2 = NULL;
	r->control = r->logs = NULL;
	if (r->up) {
		fleet->connected--;
		r->offline = now_ns();
	}
	r->up = 0;
	if (h != NULL)
		h2_close(h);
	if (fleet->eager) {
		runner_in(r, 1);
		return;
	}
	runner_in(r, r->backoff * half + randombytes_uniform(r->backoff *
	    half + 1));
	r->backoff = r->backoff * 2 > BACKOFF_MAX ? BACKOFF_MAX :
	    r->backoff * 2;
}

/* As the agent does, so that two attempts at a task never overlap. */
static void
runner_give_up(struct runner *r)
{
	if (r->run != NULL && r->lost_after > 60 && now_ns() - r->offline >
	    (r->lost_after - 60) * 1000000000ULL)
		run_end(r->run, "lost", "server_lost");
}

static void
runner_timer(int fd, short what, void *arg)
{
	struct runner	*r = arg;

	(void)fd;
	(void)what;
	if (r->up)
		runner_beat(r);
	else if (r->h2 != NULL)
		runner_drop(r, "no welcome");
	else if (r->id[0] == '\0')
		enrol(r);
	else {
		runner_give_up(r);
		runner_dial(r, r->tls, NULL, runner_up);
	}
}

static void
runner_message(struct grpc_call *call, const uint8_t *data, size_t len,
    void *arg)
{
	ServerCommand	*c;
	struct runner	*r = arg;

	(void)call;
	c = marionette__v1__server_command__unpack(NULL, len, data);
	if (c == NULL)
		wrong("runner %s: a command is not understood", r->id);
	else if (!r->up && c->body_case ==
	    MARIONETTE__V1__SERVER_COMMAND__BODY_CHALLENGE)
		runner_hello(r, c->challenge);
	else if (!r->up && c->body_case ==
	    MARIONETTE__V1__SERVER_COMMAND__BODY_WELCOME)
		runner_welcome(r, c->welcome);
	else if (r->up)
		command(r, c);
	if (c != NULL)
		marionette__v1__server_command__free_unpacked(c, NULL);
}

static void
runner_log_ack(struct grpc_call *call, const uint8_t *data, size_t len,
    void *arg)
{
	Marionette__V1__LogAck	*a;

	(void)call;
	if ((a = marionette__v1__log_ack__unpack(NULL, len, data)) == NULL)
		return;
	lines_ack(arg, a->run_id, a->up_to);
	marionette__v1__log_ack__free_unpacked(a, NULL);
}

static void
runner_logs_drained(struct grpc_call *call, void *arg)
{
	struct runner	*r = arg;

	if (call == r->logs)
		lines_send_all(r);
}

static void
runner_stream_end(struct grpc_call *call, int status, const char *why,
    void *arg)
{
	struct runner	*r = arg;
	char		 text[300];

	/* Those of a connection that was given up already. */
	if (call != r->control && call != r->logs)
		return;
	if (call == r->control)
		r->control = NULL;
	else
		r->logs = NULL;
	snprintf(text, sizeof(text), "a stream ended with status %d: %s",
	    status, why);
	if (r->h2 != NULL)
		runner_drop(r, text);
}

static const struct grpc_ops	control_ops = {
	runner_message, runner_stream_end, NULL
};
static const struct grpc_ops	logs_ops = {
	runner_log_ack, runner_stream_end, runner_logs_drained
};

static void
runner_up(void *arg)
{
	struct runner	*r = arg;

	r->control = grpc_open(r->h2, CALL("Connect"), NULL, NULL,
	    &control_ops, r);
	r->logs = grpc_open(r->h2, CALL("Logs"), NULL, NULL, &logs_ops, r);
	if (r->control == NULL || r->logs == NULL)
		runner_drop(r, "cannot open its streams");
	else
		runner_in(r, WELCOME_S * 1000ULL);
}

static void
runner_down(const char *why, void *arg)
{
	struct runner	*r = arg;

	/* The connection frees itself after this. */
	r->h2 = NULL;
	runner_drop(r, why);
}

void
runner_dial(struct runner *r, struct tls_config *tls,
    int (*check)(struct tls *, void *, char *, size_t), void (*up)(void *))
{
	struct h2_conf	 conf = {
		.base = fleet->base, .host = fleet->host, .port = fleet->port,
		.tls = tls, .check = check, .up = up, .down = runner_down,
		.arg = r
	};

	r->h2 = h2_open(&conf);
}

void
runner_is(struct runner *r, const char *id, const char *key, const char *cert,
    const char *ca)
{
	BIO	*bio = BIO_new_mem_buf(key, -1);

	if (strlcpy(r->id, id, sizeof(r->id)) >= sizeof(r->id) ||
	    bio == NULL || (r->key = PEM_read_bio_PrivateKey(bio, NULL, NULL,
	    NULL)) == NULL)
		fatalx("runner %s: no identity", id);
	BIO_free(bio);
	r->tls = tls_for_runner(r->key, cert, ca);
}

/* ---- all of them ----------------------------------------------------------------- */

static void
runners_next(void)
{
	struct runner	*r;

	while (starting < STARTING_MAX && started < fleet->nrunners) {
		r = &runners[started++];
		r->starting = 1;
		starting++;
		if (papers_load(r))
			runner_dial(r, r->tls, NULL, runner_up);
		else
			enrol(r);
	}
}

void
runners_start(void)
{
	struct runner	*r;
	size_t		 i;

	runners = xcalloc(fleet->nrunners, sizeof(*runners));
	for (i = 0; i < fleet->nrunners; i++) {
		r = &runners[i];
		r->index = i;
		r->backoff = 1;
		/* Never one that an earlier process has used. */
		r->number = now_wall();
		TAILQ_INIT(&r->letters);
		TAILQ_INIT(&r->runs);
		TAILQ_INIT(&r->spool);
		evtimer_assign(&r->timer, fleet->base, runner_timer, r);
	}
	runners_next();
	wait_for(&fleet->connected, fleet->nrunners, "runners to be welcomed");
}

void
runners_cut(unsigned int percent)
{
	size_t	 i;

	for (i = 0; i < fleet->nrunners; i++)
		if (runners[i].up && randombytes_uniform(100) < percent)
			runner_drop(&runners[i], "cut");
}
