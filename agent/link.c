/*
 * link.c - the connection to the server: dialled for ever with 1, 2, 4 ... 15
 * seconds and jitter between, Connect and Logs on it, Challenge answered with
 * Hello, heartbeats.  Nothing numbered is sent before Welcome.
 */
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>
#include <sodium.h>
#include <tls.h>

#include "agent.h"
#include "h2.h"
#include "log.h"
#include "place.h"
#include "record.h"
#include "run.h"
#include "spool.h"
#include "util.h"

#define LINK_CONNECT	"/marionette.v1.RunnerService/Connect"
#define LINK_LOGS	"/marionette.v1.RunnerService/Logs"
#define LINK_NONCE	32
#define LINK_WELCOME_MS	20000
#define LINK_KEPT_MAX	1000
#define HELLO_CONTEXT	"marionette-hello-v1"

static struct {
	struct tls_config	*tls;
	struct h2		*h2;
	struct grpc_call	*control;
	struct grpc_call	*logs;
	struct event		*redial;
	struct event		*beat;
	uint64_t		 offline;	/* since, 0 = up */
	uint64_t		 dialled;
	unsigned int		 backoff;	/* seconds */
	int			 up;		/* welcomed */
	int			 told;		/* the last reason was logged */
} lk;

static void	link_dial(int, short, void *);

struct tls_config *
link_tls(int enrolled)
{
	struct tls_config	*c;
	char			*ca, *cert, *key;

	if ((c = tls_config_new()) == NULL)
		fatalx("memory: TLS");
	if (tls_config_set_alpn(c, "h2") == -1)
		fatalx("TLS: %s", tls_config_error(c));
	if (!enrolled) {
		/* identity_pinned() does it, by the CA's hash. */
		tls_config_insecure_noverifycert(c);
		tls_config_insecure_noverifyname(c);
		return (c);
	}
	ca = state_path("ca.pem");
	cert = state_path("cert.pem");
	key = state_path("key.pem");
	if (tls_config_set_ca_file(c, ca) == -1 ||
	    tls_config_set_keypair_file(c, cert, key) == -1)
		fatalx("TLS: %s", tls_config_error(c));
	/* An address need not be in the certificate of our own CA. */
	if (strspn(env->host, "0123456789.") == strlen(env->host) ||
	    strchr(env->host, ':') != NULL)
		tls_config_insecure_noverifyname(c);
	free(ca);
	free(cert);
	free(key);
	return (c);
}

int
link_is_up(void)
{
	return (lk.up);
}

uint64_t
link_offline_since(void)
{
	return (lk.up ? 0 : lk.offline);
}

int
link_send(const uint8_t *msg, size_t len)
{
	if (lk.control == NULL)
		return (-1);
	return (grpc_send(lk.control, msg, len));
}

int
link_send_logs(const uint8_t *msg, size_t len)
{
	if (lk.logs == NULL || !lk.up)
		return (-1);
	return (grpc_send(lk.logs, msg, len));
}

size_t
link_logs_queued(void)
{
	return (lk.logs == NULL ? 0 : grpc_queued(lk.logs));
}

static void
link_put(Marionette__V1__RunnerMessage *m)
{
	uint8_t	*buf;
	size_t	 len;

	len = marionette__v1__runner_message__get_packed_size(m);
	buf = xmalloc(len);
	marionette__v1__runner_message__pack(m, buf);
	link_send(buf, len);
	free(buf);
}

/* Gives up this connection; the next one is tried by and by. */
static void
link_drop(const char *why)
{
	static const unsigned int	 max = 15;
	struct timeval			 tv;
	struct h2			*h = lk.h2;
	uint64_t			 ms;

	lk.h2 = NULL;
	lk.control = lk.logs = NULL;
	evtimer_del(lk.beat);
	if (lk.up || lk.offline == 0)
		lk.offline = h != NULL && h2_last_rx(h) != 0 ?
		    h2_last_rx(h) : now_mono();
	if (!env->stopping && (lk.up || !lk.told || env->verbose))
		log_warnx("server %s:%s: %s", env->host, env->port, why);
	lk.told = 1;
	lk.up = 0;
	if (h != NULL)
		h2_close(h);
	if (env->stopping)
		return;
	/* Half of it fixed, half by chance, so that a fleet spreads. */
	ms = lk.backoff * 500 + randombytes_uniform(lk.backoff * 500 + 1);
	lk.backoff = lk.backoff * 2 > max ? max : lk.backoff * 2;
	tv.tv_sec = (time_t)(ms / 1000);
	tv.tv_usec = (suseconds_t)(ms % 1000 * 1000);
	evtimer_add(lk.redial, &tv);
}

static uint8_t *
link_signature(const uint8_t *sealing, const uint8_t *nonce, size_t *siglen)
{
	uint8_t	*msg, *sig;
	char	*key;
	size_t	 n = 0, idlen = strlen(env->runner_id) + 1;

	msg = xmalloc(sizeof(HELLO_CONTEXT) + idlen +
	    crypto_box_PUBLICKEYBYTES + LINK_NONCE);
	memcpy(msg, HELLO_CONTEXT, sizeof(HELLO_CONTEXT) - 1);
	n = sizeof(HELLO_CONTEXT) - 1;
	memcpy(msg + n, env->runner_id, idlen);
	n += idlen;
	memcpy(msg + n, sealing, crypto_box_PUBLICKEYBYTES);
	n += crypto_box_PUBLICKEYBYTES;
	memcpy(msg + n, nonce, LINK_NONCE);
	n += LINK_NONCE;
	key = state_path("key.pem");
	sig = identity_sign(key, msg, n, siglen);
	free(key);
	free(msg);
	return (sig);
}

static void
link_hello(const Marionette__V1__Challenge *ch)
{
	Marionette__V1__RunnerMessage	 m;
	Marionette__V1__Hello		 h;
	union { const uint8_t *c; uint8_t *u; } pk;
	uint8_t				*sig;
	char				*agents[AGENT_PROGRAMS_MAX];
	size_t				 i, siglen;

	if (ch->nonce.len != LINK_NONCE) {
		link_drop("its challenge is not understood");
		return;
	}
	marionette__v1__runner_message__init(&m);
	marionette__v1__hello__init(&h);
	pk.c = keys_renew();
	if ((sig = link_signature(pk.c, ch->nonce.data, &siglen)) == NULL) {
		link_drop("key.pem cannot be used");
		return;
	}
	for (i = 0; i < env->nprograms; i++)
		agents[i] = env->programs[i].name;
	m.body_case = MARIONETTE__V1__RUNNER_MESSAGE__BODY_HELLO;
	m.hello = &h;
	h.runner_id = env->runner_id;
	h.version = xstrdup(MN_VERSION);
	h.first_unacked = outbox_first();
	h.sealing_key.data = pk.u;
	h.sealing_key.len = crypto_box_PUBLICKEYBYTES;
	h.signature.data = sig;
	h.signature.len = siglen;
	h.agents = agents;
	h.n_agents = env->nprograms;
	h.labels_json = env->labels_json;
	h.resources_json = resources_json();
	if (env->session != NULL) {
		h.session_id = session_id(env->session);
		h.session_epoch = session_epoch(env->session);
	}
	h.runs = record_states(&h.n_runs);
	h.kept_sessions = place_kept(env->session == NULL ? NULL :
	    session_id(env->session), LINK_KEPT_MAX, &h.n_kept_sessions);
	link_put(&m);
	place_kept_free(h.kept_sessions, h.n_kept_sessions);
	record_states_free(h.runs, h.n_runs);
	free(h.resources_json);
	free(h.version);
	free(sig);
}

static void
link_beat(int fd, short what, void *arg)
{
	Marionette__V1__RunnerMessage	 m;
	Marionette__V1__Heartbeat	 b;
	struct timeval			 tv = { 0, 0 };

	(void)fd;
	(void)what;
	(void)arg;
	if (!lk.up) {
		link_drop("no welcome");
		return;
	}
	marionette__v1__runner_message__init(&m);
	marionette__v1__heartbeat__init(&b);
	m.body_case = MARIONETTE__V1__RUNNER_MESSAGE__BODY_HEARTBEAT;
	m.heartbeat = &b;
	if (env->run != NULL)
		b.run_id = run_id(env->run);
	b.log_queued = spool_queued();
	h2_probe(lk.h2);
	link_put(&m);
	tv.tv_sec = env->heartbeat_s;
	evtimer_add(lk.beat, &tv);
}

static void
link_welcome(const Marionette__V1__Welcome *w)
{
	if (w->heartbeat_seconds != 0)
		env->heartbeat_s = w->heartbeat_seconds;
	if (w->lost_after_seconds != 0)
		env->lost_after_s = w->lost_after_seconds;
	outbox_ack(w->up_to);
	outbox_rewind();
	spool_rewind();
	lk.up = 1;
	lk.told = 0;
	lk.offline = 0;
	lk.backoff = 1;
	log_info("connected to %s:%s as %s", env->host, env->port,
	    env->runner_id);
	link_beat(-1, 0, NULL);
	command_welcome();
	turn_want();
}

static void
link_command(struct grpc_call *call, const uint8_t *data, size_t len, void *arg)
{
	Marionette__V1__ServerCommand	*c;

	(void)arg;
	/* What stood behind a command for which we left. */
	if (call != lk.control)
		return;
	c = marionette__v1__server_command__unpack(NULL, len, data);
	if (c == NULL) {
		log_warnx("server: a command of %zu bytes is not understood",
		    len);
		return;
	}
	if (c->body_case == MARIONETTE__V1__SERVER_COMMAND__BODY_CHALLENGE)
		link_hello(c->challenge);
	else if (c->body_case == MARIONETTE__V1__SERVER_COMMAND__BODY_WELCOME)
		link_welcome(c->welcome);
	else if (lk.up)
		command_handle(c);
	marionette__v1__server_command__free_unpacked(c, NULL);
}

static void
link_log_ack(struct grpc_call *call, const uint8_t *data, size_t len, void *arg)
{
	Marionette__V1__LogAck	*a;

	(void)call;
	(void)arg;
	if ((a = marionette__v1__log_ack__unpack(NULL, len, data)) == NULL)
		return;
	spool_ack(a->run_id, a->up_to);
	marionette__v1__log_ack__free_unpacked(a, NULL);
}

static void
link_end(struct grpc_call *call, int status, const char *message, void *arg)
{
	char	*why;

	(void)arg;
	if (call == lk.control)
		lk.control = NULL;
	else if (call == lk.logs)
		lk.logs = NULL;
	else
		return;
	if (lk.h2 == NULL)
		return;
	if (status == GRPC_UNAUTHENTICATED || status == GRPC_DENIED)
		why = xasprintf("it refuses this runner (%s): %s; if it was "
		    "removed there, enrol again with a new --state",
		    env->runner_id, message);
	else if (status == GRPC_UNAVAILABLE)
		why = xstrdup(message);
	else
		why = xasprintf("stream ended: %s (status %d)", message,
		    status);
	link_drop(why);
	free(why);
}

static void
link_logs_drained(struct grpc_call *call, void *arg)
{
	(void)call;
	(void)arg;
	turn_want();
}

static const struct grpc_ops	link_control_ops = {
	link_command, link_end, NULL
};
static const struct grpc_ops	link_logs_ops = {
	link_log_ack, link_end, link_logs_drained
};

static void
link_h2_up(void *arg)
{
	static const struct timeval	 welcome = { LINK_WELCOME_MS / 1000, 0 };

	(void)arg;
	lk.control = grpc_open(lk.h2, LINK_CONNECT, NULL, NULL,
	    &link_control_ops, NULL);
	lk.logs = grpc_open(lk.h2, LINK_LOGS, NULL, NULL, &link_logs_ops, NULL);
	evtimer_add(lk.beat, &welcome);
}

static void
link_h2_down(const char *why, void *arg)
{
	(void)arg;
	/* The connection frees itself after this. */
	if (lk.up || lk.offline == 0)
		lk.offline = h2_last_rx(lk.h2);
	lk.h2 = NULL;
	link_drop(why);
}

static void
link_dial(int fd, short what, void *arg)
{
	struct h2_conf	 conf = {
		.base = env->base, .host = env->host, .port = env->port,
		.tls = lk.tls, .up = link_h2_up, .down = link_h2_down
	};

	(void)fd;
	(void)what;
	(void)arg;
	lk.h2 = h2_open(&conf);
}

void
link_start(void)
{
	lk.tls = env->insecure ? NULL : link_tls(1);
	lk.backoff = 1;
	lk.offline = now_mono();
	lk.redial = evtimer_new(env->base, link_dial, NULL);
	lk.beat = evtimer_new(env->base, link_beat, NULL);
	link_dial(-1, 0, NULL);
}

void
link_stop(void)
{
	if (lk.h2 != NULL)
		link_drop("goodbye");
	if (lk.redial != NULL)
		evtimer_del(lk.redial);
}
