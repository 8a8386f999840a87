/*
 * runner.c - fake runners on the agent's own client code: each enrols with the
 * runner token, connects with its certificate, signs its Hello, takes what it
 * is attached to, and answers an ExecuteTask with RunAccepted, RunStarted, the
 * lines and RunCompleted.  What was acknowledged is written into the books.
 * They keep no journal: the disk measured is the server's alone.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <sodium.h>
#include <tls.h>

#include "agent.h"
#include "bench.h"
#include "h2.h"
#include "log.h"
#include "util.h"

#define CALL(name)	"/marionette.v1.RunnerService/" name
#define HELLO		"marionette-hello-v1"
#define UNACKED_MAX	64
#define LINE_MAX_BYTES	4096
#define LINES_MAX	512

/* Lives as long as the process. */
struct runner {
	struct h2		*h2;
	struct grpc_call	*control;
	struct grpc_call	*logs;
	struct event		*beat;
	char			*id;
	char			*key;		/* PEM */
	char			*cert;		/* PEM */
	char			*ca;		/* PEM */
	uint8_t			*csr;
	size_t			 csr_len;
	char			 last_run[BENCH_ID];
	uint64_t		 number;	/* last used */
	uint64_t		 end_number[UNACKED_MAX];
	size_t			 end_task[UNACKED_MAX];
	size_t			 ends;		/* unacknowledged */
};

size_t
runner_line(char *buf, size_t size, size_t i, unsigned int n)
{
	int	 len;

	len = snprintf(buf, size, "task %zu line %u ", i, n);
	for (; len < (int)bench->line_bytes && len < (int)size - 1; len++)
		buf[len] = (char)('a' + (len + (int)n) % 26);
	buf[len] = '\0';
	return ((size_t)len);
}

static void
runner_put(struct runner *r, Marionette__V1__RunnerMessage *m)
{
	uint8_t	*buf;
	size_t	 len;

	len = marionette__v1__runner_message__get_packed_size(m);
	buf = xmalloc(len);
	marionette__v1__runner_message__pack(m, buf);
	if (grpc_send(r->control, buf, len) == -1)
		fatalx("runner %s: cannot send", r->id);
	free(buf);
}

/* ---- a run ------------------------------------------------------------ */

static void
run_lines(struct runner *r, char *run, size_t task)
{
	static char			 text[LINES_MAX][LINE_MAX_BYTES];
	Marionette__V1__LogLine		 line[LINES_MAX], *list[LINES_MAX];
	Marionette__V1__LogBatch	 b;
	char				 out[] = "stdout", info[] = "info";
	char				 kind[] = "text";
	uint64_t			 ms = now_wall();
	uint8_t				*buf;
	unsigned int			 i;
	size_t				 len;

	marionette__v1__log_batch__init(&b);
	for (i = 0; i < bench->lines; i++) {
		marionette__v1__log_line__init(&line[i]);
		runner_line(text[i], sizeof(text[i]), task, i + 1);
		line[i].stream = out;
		line[i].level = info;
		line[i].kind = kind;
		line[i].content = text[i];
		line[i].time_ms = ms;
		list[i] = &line[i];
	}
	b.run_id = run;
	b.first = 1;
	b.lines = list;
	b.n_lines = bench->lines;
	len = marionette__v1__log_batch__get_packed_size(&b);
	buf = xmalloc(len);
	marionette__v1__log_batch__pack(&b, buf);
	if (grpc_send(r->logs, buf, len) == -1)
		fatalx("runner %s: cannot send lines", r->id);
	free(buf);
}

static void
run_begin(struct runner *r, const Marionette__V1__ExecuteTask *t)
{
	Marionette__V1__RunnerMessage	 m;
	Marionette__V1__RunAccepted	 a;
	Marionette__V1__RunStarted	 s;

	marionette__v1__runner_message__init(&m);
	marionette__v1__run_accepted__init(&a);
	m.number = ++r->number;
	m.body_case = MARIONETTE__V1__RUNNER_MESSAGE__BODY_RUN_ACCEPTED;
	m.run_accepted = &a;
	a.run_id = t->run_id;
	a.attempt = t->attempt;
	a.epoch = t->epoch;
	runner_put(r, &m);
	marionette__v1__run_started__init(&s);
	m.number = ++r->number;
	m.body_case = MARIONETTE__V1__RUNNER_MESSAGE__BODY_RUN_STARTED;
	m.run_started = &s;
	s.run_id = t->run_id;
	s.attempt = t->attempt;
	s.time_ms = now_wall();
	runner_put(r, &m);
}

static void
run_end(struct runner *r, const Marionette__V1__ExecuteTask *t, size_t task)
{
	Marionette__V1__RunnerMessage	 m;
	Marionette__V1__RunCompleted	 c;
	char				 status[] = "completed";
	char				 result[] = "done";

	marionette__v1__runner_message__init(&m);
	marionette__v1__run_completed__init(&c);
	m.number = ++r->number;
	m.body_case = MARIONETTE__V1__RUNNER_MESSAGE__BODY_RUN_COMPLETED;
	m.run_completed = &c;
	c.run_id = t->run_id;
	c.attempt = t->attempt;
	c.status = status;
	c.result = result;
	c.log_last = bench->lines;
	runner_put(r, &m);
	if (r->ends == UNACKED_MAX)
		fatalx("runner %s: %d ends are not acknowledged", r->id,
		    UNACKED_MAX);
	r->end_number[r->ends] = m.number;
	r->end_task[r->ends++] = task;
}

static void
run_execute(struct runner *r, const Marionette__V1__ExecuteTask *t)
{
	uint64_t	 at = now_ns();
	size_t		 i;

	if (strcmp(r->last_run, t->run_id) == 0)
		return;		/* Said again: it is on its way. */
	strlcpy(r->last_run, t->run_id, sizeof(r->last_run));
	if (sscanf(t->prompt, "bench %zu", &i) != 1 || i >= bench->ntasks)
		fatalx("runner %s: a prompt that nobody wrote: %.60s", r->id,
		    t->prompt);
	strlcpy(bench->tasks[i].id, t->task_id, sizeof(bench->tasks[i].id));
	if (bench->tasks[i].runs++ == 0) {
		bench->tasks[i].executed = at;
		bench->executed++;
	}
	run_begin(r, t);
	if (bench->lines > 0)
		run_lines(r, t->run_id, i);
	run_end(r, t, i);
}

static void
runner_ack(struct runner *r, uint64_t up_to)
{
	uint64_t	 at = now_ns();
	size_t		 i, n;

	for (n = 0; n < r->ends && r->end_number[n] <= up_to; n++) {
		bench->tasks[r->end_task[n]].ended = at;
		bench->ended++;
	}
	for (i = n; n > 0 && i < r->ends; i++) {
		r->end_number[i - n] = r->end_number[i];
		r->end_task[i - n] = r->end_task[i];
	}
	r->ends -= n;
}

/* ---- the connection ---------------------------------------------------- */

/* identity_sign() reads a file; these keys are in memory only. */
static void
runner_sign(const struct runner *r, const uint8_t *msg, size_t len,
    uint8_t *sig, size_t *siglen)
{
	EVP_MD_CTX	*ctx = EVP_MD_CTX_new();
	EVP_PKEY	*key;
	BIO		*bio = BIO_new_mem_buf(r->key, -1);

	key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
	if (ctx == NULL || key == NULL ||
	    EVP_DigestSignInit(ctx, NULL, NULL, NULL, key) != 1 ||
	    EVP_DigestSign(ctx, sig, siglen, msg, len) != 1)
		fatalx("runner %s: cannot sign", r->id);
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(key);
	BIO_free(bio);
}

static void
runner_hello(struct runner *r, const Marionette__V1__Challenge *ch)
{
	Marionette__V1__RunnerMessage	 m;
	Marionette__V1__Hello		 h;
	uint8_t				 pk[crypto_box_PUBLICKEYBYTES];
	uint8_t				 sk[crypto_box_SECRETKEYBYTES];
	uint8_t				 msg[256], sig[256];
	char				 agent[] = "custom:fleet", *list[1];
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
	list[0] = agent;
	h.runner_id = r->id;
	h.version = version;
	h.sealing_key.data = pk;
	h.sealing_key.len = sizeof(pk);
	h.signature.data = sig;
	h.signature.len = siglen;
	h.agents = list;
	h.n_agents = 1;
	h.labels_json = none;
	h.resources_json = none;
	runner_put(r, &m);
}

static void
runner_beat(int fd, short what, void *arg)
{
	Marionette__V1__RunnerMessage	 m;
	Marionette__V1__Heartbeat	 b;
	struct runner			*r = arg;

	(void)fd;
	(void)what;
	marionette__v1__runner_message__init(&m);
	marionette__v1__heartbeat__init(&b);
	m.body_case = MARIONETTE__V1__RUNNER_MESSAGE__BODY_HEARTBEAT;
	m.heartbeat = &b;
	runner_put(r, &m);
}

static void
runner_welcome(struct runner *r, const Marionette__V1__Welcome *w)
{
	struct timeval	 tv = { w->heartbeat_seconds, 0 };

	r->beat = event_new(bench->base, -1, EV_PERSIST, runner_beat, r);
	event_add(r->beat, &tv);
	bench->connected++;
}

static void
runner_attach(struct runner *r, const Marionette__V1__AttachSession *a)
{
	Marionette__V1__RunnerMessage	 m;
	Marionette__V1__SessionAttached	 b;

	marionette__v1__runner_message__init(&m);
	marionette__v1__session_attached__init(&b);
	m.number = ++r->number;
	m.body_case = MARIONETTE__V1__RUNNER_MESSAGE__BODY_SESSION_ATTACHED;
	m.session_attached = &b;
	b.session_id = a->session_id;
	b.epoch = a->epoch;
	runner_put(r, &m);
	bench->attached++;
}

static void
runner_command(struct grpc_call *call, const uint8_t *data, size_t len,
    void *arg)
{
	Marionette__V1__ServerCommand	*c;
	struct runner			*r = arg;

	(void)call;
	c = marionette__v1__server_command__unpack(NULL, len, data);
	if (c == NULL)
		fatalx("runner %s: a command is not understood", r->id);
	if (c->body_case == MARIONETTE__V1__SERVER_COMMAND__BODY_EXECUTE_TASK)
		run_execute(r, c->execute_task);
	else if (c->body_case == MARIONETTE__V1__SERVER_COMMAND__BODY_ACK)
		runner_ack(r, c->ack->up_to);
	else if (c->body_case ==
	    MARIONETTE__V1__SERVER_COMMAND__BODY_CHALLENGE)
		runner_hello(r, c->challenge);
	else if (c->body_case == MARIONETTE__V1__SERVER_COMMAND__BODY_WELCOME)
		runner_welcome(r, c->welcome);
	else if (c->body_case ==
	    MARIONETTE__V1__SERVER_COMMAND__BODY_ATTACH_SESSION)
		runner_attach(r, c->attach_session);
	else
		fatalx("runner %s: was not to be told command %d", r->id,
		    (int)c->body_case);
	marionette__v1__server_command__free_unpacked(c, NULL);
}

static void
runner_log_ack(struct grpc_call *call, const uint8_t *data, size_t len,
    void *arg)
{
	/* RunCompleted is acknowledged after its lines: that is enough. */
	(void)call;
	(void)data;
	(void)len;
	(void)arg;
}

static void
runner_gone(struct grpc_call *call, int status, const char *why, void *arg)
{
	struct runner	*r = arg;

	(void)call;
	fatalx("runner %s: a stream ended with status %d: %s", r->id, status,
	    why);
}

static const struct grpc_ops	runner_control = {
	runner_command, runner_gone, NULL
};
static const struct grpc_ops	runner_logs = {
	runner_log_ack, runner_gone, NULL
};

static void
runner_up(void *arg)
{
	struct runner	*r = arg;

	r->control = grpc_open(r->h2, CALL("Connect"), NULL, NULL,
	    &runner_control, r);
	r->logs = grpc_open(r->h2, CALL("Logs"), NULL, NULL, &runner_logs, r);
	if (r->control == NULL || r->logs == NULL)
		fatalx("runner %s: cannot open its streams", r->id);
}

static void
runner_down(const char *why, void *arg)
{
	struct runner	*r = arg;

	fatalx("runner %s: %s", r->id == NULL ? "(new)" : r->id, why);
}

static void
runner_dial(struct runner *r, int (*check)(struct tls *, void *, char *,
    size_t), void (*up)(void *))
{
	struct tls_config	*c;
	struct h2_conf		 conf = {
		.base = bench->base, .host = bench->host, .port = bench->port,
		.check = check, .up = up, .down = runner_down, .arg = r
	};

	if ((c = tls_config_new()) == NULL ||
	    tls_config_set_alpn(c, "h2") == -1)
		fatalx("TLS: out of memory");
	if (check != NULL) {
		tls_config_insecure_noverifycert(c);
		tls_config_insecure_noverifyname(c);
	} else if (tls_config_set_ca_mem(c, (uint8_t *)r->ca,
	    strlen(r->ca)) == -1 || tls_config_set_keypair_mem(c,
	    (uint8_t *)r->cert, strlen(r->cert), (uint8_t *)r->key,
	    strlen(r->key)) == -1)
		fatalx("TLS: %s", tls_config_error(c));
	conf.tls = c;
	r->h2 = h2_open(&conf);
}

/* ---- enrolment ----------------------------------------------------------- */

static int
enrol_check(struct tls *tls, void *arg, char *why, size_t size)
{
	const uint8_t	*pem;
	size_t		 len;

	(void)arg;
	if ((pem = tls_peer_cert_chain_pem(tls, &len)) == NULL)
		return (-1);
	return (identity_pinned((const char *)pem, len, bench->pin, bench->host,
	    why, size));
}

static void
enrol_answer(struct grpc_call *call, const uint8_t *data, size_t len,
    void *arg)
{
	Marionette__V1__EnrollResponse	*e;
	struct runner			*r = arg;
	char				 why[128];

	(void)call;
	e = marionette__v1__enroll_response__unpack(NULL, len, data);
	if (e == NULL)
		fatalx("enrolment: the answer is not understood");
	r->id = xstrdup(e->runner_id);
	r->cert = identity_pem(e->certificate_der.data, e->certificate_der.len,
	    why, sizeof(why));
	r->ca = identity_pem(e->ca_der.data, e->ca_der.len, why, sizeof(why));
	if (r->cert == NULL || r->ca == NULL)
		fatalx("enrolment: %s", why);
	marionette__v1__enroll_response__free_unpacked(e, NULL);
}

static void
enrol_end(struct grpc_call *call, int status, const char *why, void *arg)
{
	struct runner	*r = arg;

	(void)call;
	if (r->id == NULL)
		fatalx("enrolment: status %d: %s", status, why);
	h2_close(r->h2);
	runner_dial(r, NULL, runner_up);
}

static const struct grpc_ops	enrol_ops = { enrol_answer, enrol_end, NULL };

static void
enrol_up(void *arg)
{
	Marionette__V1__EnrollRequest	 q;
	struct grpc_call		*call;
	struct runner			*r = arg;
	uint8_t				*buf;
	char				 name[32], none[] = "{}", mode[] = "none";
	char				 agent[] = "custom:fleet", *list[1];
	char				 version[] = MN_VERSION;
	size_t				 len;

	snprintf(name, sizeof(name), "fleet-%zu", (size_t)(r - bench->runners));
	marionette__v1__enroll_request__init(&q);
	list[0] = agent;
	q.name = name;
	q.hostname = name;
	q.version = version;
	q.agents = list;
	q.n_agents = 1;
	q.sandbox_mode = mode;
	q.labels_json = none;
	q.resources_json = none;
	r->key = identity_new();
	r->csr = identity_csr(r->key, name, &r->csr_len);
	q.csr_der.data = r->csr;
	q.csr_der.len = r->csr_len;
	len = marionette__v1__enroll_request__get_packed_size(&q);
	buf = xmalloc(len);
	marionette__v1__enroll_request__pack(&q, buf);
	call = grpc_open(r->h2, CALL("Enroll"), "x-runner-token", bench->token,
	    &enrol_ops, r);
	if (call == NULL || grpc_send(call, buf, len) == -1)
		fatalx("enrolment: cannot ask");
	grpc_finish(call);
	free(buf);
}

void
runners_start(void)
{
	size_t	 i;

	bench->runners = xcalloc(bench->nrunners, sizeof(*bench->runners));
	for (i = 0; i < bench->nrunners; i++)
		runner_dial(&bench->runners[i], enrol_check, enrol_up);
	wait_for(&bench->connected, bench->nrunners, "runners to be welcomed");
}
