/*
 * enrol.c - a runner trades the runner token for a certificate, as the agent
 * does: the server's CA is the one that the token names, or nothing is sent.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tls.h>

#include "agent.h"
#include "log.h"
#include "runner.h"
#include "tls_for.h"
#include "util.h"

#define ENROL	"/marionette.v1.RunnerService/Enroll"

/* The same chain as before needs no second look. */
static int
enrol_check(struct tls *tls, void *arg, char *why, size_t size)
{
	static uint8_t	*good;
	static size_t	 good_len;
	const uint8_t	*pem;
	size_t		 len;

	(void)arg;
	if ((pem = tls_peer_cert_chain_pem(tls, &len)) == NULL)
		return (-1);
	if (len == good_len && memcmp(pem, good, len) == 0)
		return (0);
	if (identity_pinned((const char *)pem, len, fleet->pin, fleet->host,
	    why, size) == -1)
		return (-1);
	free(good);
	good = xmalloc(len);
	memcpy(good, pem, len);
	good_len = len;
	return (0);
}

static void
enrol_answer(struct grpc_call *call, const uint8_t *data, size_t len,
    void *arg)
{
	Marionette__V1__EnrollResponse	*e;
	struct runner			*r = arg;
	char				*ca, *cert, why[128];

	(void)call;
	e = marionette__v1__enroll_response__unpack(NULL, len, data);
	if (e == NULL)
		fatalx("enrolment: the answer is not understood");
	cert = identity_pem(e->certificate_der.data, e->certificate_der.len,
	    why, sizeof(why));
	ca = identity_pem(e->ca_der.data, e->ca_der.len, why, sizeof(why));
	if (cert == NULL || ca == NULL)
		fatalx("enrolment: %s", why);
	runner_is(r, e->runner_id, r->pem, cert, ca);
	papers_store(r, r->pem, cert, ca);
	marionette__v1__enroll_response__free_unpacked(e, NULL);
	free(r->pem);
	r->pem = NULL;
	free(cert);
	free(ca);
}

/* Its connection is not used again: it came without a certificate. */
static void
enrol_end(struct grpc_call *call, int status, const char *why, void *arg)
{
	struct runner	*r = arg;
	struct timeval	 now = { 0, 0 };
	char		 text[300];

	if (call != r->control)
		return;
	r->control = NULL;
	if (r->id[0] == '\0') {
		snprintf(text, sizeof(text), "enrolment: status %d: %s", status,
		    why);
		if (r->h2 != NULL)
			runner_drop(r, text);
		return;
	}
	h2_close(r->h2);
	r->h2 = NULL;
	evtimer_add(&r->timer, &now);
}

static const struct grpc_ops	enrol_ops = { enrol_answer, enrol_end, NULL };

static void
enrol_up(void *arg)
{
	Marionette__V1__EnrollRequest	 q;
	struct runner			*r = arg;
	union { const char *c; char *v; } agent = { fleet->agent };
	uint8_t				*buf, *csr;
	char				 name[32], none[] = "{}", mode[] = "none";
	char				 version[] = MN_VERSION;
	size_t				 len;

	snprintf(name, sizeof(name), "fleet-%zu", r->index);
	marionette__v1__enroll_request__init(&q);
	q.name = name;
	q.hostname = name;
	q.version = version;
	q.agents = &agent.v;
	q.n_agents = 1;
	q.sandbox_mode = mode;
	q.labels_json = none;
	q.resources_json = none;
	if (r->pem == NULL)
		r->pem = identity_new();
	q.csr_der.data = csr = identity_csr(r->pem, name, &len);
	q.csr_der.len = len;
	len = marionette__v1__enroll_request__get_packed_size(&q);
	buf = xmalloc(len);
	marionette__v1__enroll_request__pack(&q, buf);
	r->control = grpc_open(r->h2, ENROL, "x-runner-token", fleet->token,
	    &enrol_ops, r);
	if (r->control == NULL || grpc_send(r->control, buf, len) == -1)
		runner_drop(r, "cannot ask for enrolment");
	else
		grpc_finish(r->control);
	free(buf);
	free(csr);
}

void
enrol(struct runner *r)
{
	static struct tls_config	*tls;

	if (tls == NULL)
		tls = tls_for_enrolment();
	runner_dial(r, tls, enrol_check, enrol_up);
}
