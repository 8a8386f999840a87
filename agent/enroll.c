/*
 * enroll.c - the first connection: check that the server's CA is the one the
 * token names, before anything is sent; then trade the token for a
 * certificate.  A server that is not there yet is tried again for ever; a token
 * or a CA that is wrong ends the agent with the reason.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>
#include <tls.h>

#include "agent.h"
#include "h2.h"
#include "log.h"
#include "util.h"

#define ENROLL_TIME	30	/* seconds for one try */
#define ENROLL_CALL	"/marionette.v1.RunnerService/Enroll"

/* Lives on enroll()'s stack. */
struct enrolment {
	struct h2		*h2;
	struct grpc_call	*call;
	struct event		*late;
	char			*key;	/* PEM */
	int			 done;
	int			 refused;
};

static int
enroll_check(struct tls *tls, void *arg, char *why, size_t size)
{
	struct enrolment	*e = arg;
	const uint8_t		*pem;
	size_t			 len;

	pem = tls_peer_cert_chain_pem(tls, &len);
	if (pem == NULL) {
		snprintf(why, size, "the server showed no certificate");
		return (-1);
	}
	if (identity_pinned((const char *)pem, len, env->ca_pin, env->host, why,
	    size) == -1) {
		e->refused = 1;
		return (-1);
	}
	return (0);
}

static void
enroll_message(struct grpc_call *call, const uint8_t *data, size_t len,
    void *arg)
{
	Marionette__V1__EnrollResponse	*r;
	struct enrolment		*e = arg;

	(void)call;
	r = marionette__v1__enroll_response__unpack(NULL, len, data);
	if (r == NULL || r->runner_id[0] == '\0' ||
	    strlen(r->runner_id) > 64) {
		log_warnx("enrolment: the server's answer is not understood");
		e->refused = 1;
	} else if (env->ca_pin != NULL && !identity_is_ca(r->ca_der.data,
	    r->ca_der.len, env->ca_pin)) {
		log_warnx("enrolment: the server sent another CA than the "
		    "token names");
		e->refused = 1;
	} else if (state_store(r, e->key) == -1)
		e->refused = 1;
	else
		e->done = 1;
	if (r != NULL)
		marionette__v1__enroll_response__free_unpacked(r, NULL);
}

static void
enroll_end(struct grpc_call *call, int status, const char *message, void *arg)
{
	struct enrolment	*e = arg;

	(void)call;
	e->call = NULL;
	if (!e->done && status != GRPC_UNAVAILABLE) {
		e->refused = 1;
		log_warnx("enrolment refused by %s:%s: %s (status %d)%s",
		    env->host, env->port, message, status,
		    status == GRPC_UNAUTHENTICATED || status == GRPC_DENIED ?
		    "; is the runner token right, not revoked and not used up?"
		    : "");
	} else if (!e->done)
		log_warnx("enrolment: %s", message);
	event_base_loopbreak(env->base);
}

static const struct grpc_ops	enroll_ops = {
	enroll_message, enroll_end, NULL
};

static void
enroll_up(void *arg)
{
	Marionette__V1__EnrollRequest	 r;
	struct enrolment		*e = arg;
	char				*agents[AGENT_PROGRAMS_MAX], host[254];
	uint8_t				*buf, *csr;
	size_t				 i, len;

	marionette__v1__enroll_request__init(&r);
	if (gethostname(host, sizeof(host)) == -1)
		host[0] = '\0';
	host[sizeof(host) - 1] = '\0';
	for (i = 0; i < env->nprograms; i++)
		agents[i] = env->programs[i].name;
	/* The same whatever our name is now: it may have been answered before. */
	csr = identity_csr(e->key, "marionette-agent", &len);
	r.name = env->name;
	r.hostname = host;
	r.version = xstrdup(MN_VERSION);
	r.agents = agents;
	r.n_agents = env->nprograms;
	r.sandbox_mode = env->sandbox_mode;
	r.labels_json = env->labels_json;
	r.resources_json = resources_json();
	r.csr_der.data = csr;
	r.csr_der.len = len;
	len = marionette__v1__enroll_request__get_packed_size(&r);
	buf = xmalloc(len);
	marionette__v1__enroll_request__pack(&r, buf);
	e->call = grpc_open(e->h2, ENROLL_CALL, "x-runner-token", env->token,
	    &enroll_ops, e);
	if (e->call != NULL) {
		grpc_send(e->call, buf, len);
		grpc_finish(e->call);
	}
	free(buf);
	free(csr);
	free(r.version);
	free(r.resources_json);
}

static void
enroll_down(const char *why, void *arg)
{
	struct enrolment	*e = arg;

	e->h2 = NULL;
	if (!e->done && !e->refused)
		log_warnx("server %s:%s: %s", env->host, env->port, why);
	else if (!e->done)
		log_warnx("enrolment with %s:%s failed: %s", env->host,
		    env->port, why);
	event_base_loopbreak(env->base);
}

static void
enroll_wake(int fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	event_base_loopbreak(arg);
}

static void
enroll_wait(unsigned int seconds)
{
	struct timeval	 tv = { (time_t)seconds, 0 };
	struct event	*ev;

	ev = evtimer_new(env->base, enroll_wake, env->base);
	event_add(ev, &tv);
	event_base_dispatch(env->base);
	event_free(ev);
}

static void
enroll_late(int fd, short what, void *arg)
{
	struct enrolment	*e = arg;

	(void)fd;
	(void)what;
	log_warnx("server %s:%s does not answer", env->host, env->port);
	if (e->h2 != NULL)
		h2_close(e->h2);
	e->h2 = NULL;
	event_base_loopbreak(env->base);
}

static int
enroll_try(struct enrolment *e, struct tls_config *tls)
{
	struct h2_conf	 conf = {
		.base = env->base, .host = env->host, .port = env->port,
		.tls = tls, .check = enroll_check, .up = enroll_up,
		.down = enroll_down, .arg = e
	};
	struct timeval	 tv = { ENROLL_TIME, 0 };

	e->late = evtimer_new(env->base, enroll_late, e);
	event_add(e->late, &tv);
	e->h2 = h2_open(&conf);
	while (e->h2 != NULL && !e->done && !e->refused && !env->stopping)
		event_base_dispatch(env->base);
	event_free(e->late);
	if (e->h2 != NULL)
		h2_close(e->h2);
	event_base_loop(env->base, EVLOOP_NONBLOCK);
	return (e->done);
}

void
enroll(void)
{
	struct tls_config	*tls = NULL;
	struct enrolment	 e;
	unsigned int		 wait = 1;

	if (env->token == NULL)
		fatalx("state directory %s holds no enrolment yet: give a "
		    "runner token (--token-file, --token-fd or "
		    "MARIONETTE_RUNNER_TOKEN); `mctl admin runner-tokens "
		    "create' makes one", env->state_dir);
	if (!env->insecure) {
		if (env->ca_pin == NULL)
			fatalx("the runner token names no CA (nothing after a "
			    "dot): give --ca-sha256");
		tls = link_tls(0);
	}
	memset(&e, 0, sizeof(e));
	e.key = state_key();
	log_info("enrolling with %s:%s as \"%s\"", env->host, env->port,
	    env->name);
	while (!enroll_try(&e, tls)) {
		if (env->stopping)
			exit(0);
		if (e.refused)
			fatalx("not enrolled");
		log_info("trying again in %u seconds", wait);
		enroll_wait(wait);
		if (env->stopping)
			exit(0);
		wait = wait >= 8 ? 15 : wait * 2;
	}
	freezero(e.key, strlen(e.key));
	tls_config_free(tls);
	freezero(env->token, strlen(env->token));
	env->token = NULL;
	if (!state_load())
		fatalx("enrolment was not stored");
	log_info("enrolled as %s", env->runner_id);
}
