/*
 * enrol.c - a runner token makes a runner: RUNNER_TOKEN_FIND by hash, then
 * RUNNER_CERTIFY, then RUNNER_PUT, which counts the use under the token's
 * guard, then EnrollResponse.  Each step may find the caller gone.  The same
 * request by the same token is then answered with the runner that it made.
 */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "deed.h"
#include "log.h"
#include "runnerd.h"

struct enrolment {			/* until it is answered */
	uint64_t	 stream;
	char		 id[ID_SIZE];
	char		 tenant[TENANT_SIZE];
	uint8_t		 token_hash[32];
	char		 name[65], hostname[254], version[33], agents[AGENTS_SIZE];
	char		 sandbox_mode[33], labels[4097], resources[1025];
	uint8_t		 csr[4096], csr_hash[32];
	size_t		 csr_len;
	int		 found;		/* the token's row came */
};

static void
enrolment_fail(struct enrolment *e, enum grpc status, const char *text)
{
	log_info("enrolment of %s refused: %s", e->name, text);
	stream_end_ref(e->stream, status, text);
	free(e);
}

static void
reply(struct enrolment *e, struct runner *made)
{
	Marionette__V1__EnrollResponse	 r;
	uint8_t				 buf[2 * CERT_MAX + 256];

	marionette__v1__enroll_response__init(&r);
	r.runner_id = made->id;
	r.certificate_der.data = made->certificate;
	r.certificate_der.len = made->certificate_len;
	ca_certificate(&r.ca_der);
	r.heartbeat_seconds = settings.heartbeat;
	r.lost_after_seconds = settings.lost_after;
	stream_reply(e->stream, buf,
	    marionette__v1__enroll_response__pack(&r, buf));
	stream_end_ref(e->stream, GRPC_OK, "");
	log_info("runner %s (%s) enrolled", e->id, e->name);
}

static void
stored(struct ask *a, const struct answer *ans)
{
	struct enrolment	*e = a->arg;
	struct ticket		 who = { 0 };
	struct runner		*made;
	struct deed		*d;

	if (ans->code[0] != '\0' && strcmp(ans->code, "replayed") != 0) {
		enrolment_fail(e, strncmp(ans->code, "token_", 6) == 0 ||
		    strcmp(ans->code, "invalid_token") == 0 ?
		    GRPC_UNAUTHENTICATED : GRPC_UNAVAILABLE,
		    ans->text[0] != '\0' ? ans->text :
		    "the runner was not stored");
		return;
	}
	if ((made = runner_find(e->id)) == NULL) {
		enrolment_fail(e, GRPC_UNAUTHENTICATED,
		    "the runner token is used up, expired or revoked");
		return;
	}
	reply(e, made);
	/* Its own doing: it has no other name yet. */
	strlcpy(who.tenant, e->tenant, sizeof(who.tenant));
	strlcpy(who.name, e->id, sizeof(who.name));
	d = deed_new(&who, "runner.enroll", e->id, "", e->name);
	deed_tell(d, "");
	free(d);
	free(e);
}

/* A runner that is there already is answered as it is. */
static void
put(struct enrolment *e, const uint8_t *certificate, size_t len)
{
	struct msg_runner_put	 m;
	uint8_t			 hash[32];

	crypto_hash_sha256(hash, certificate, len);
	m.runner = e->id;
	m.token_hash = e->token_hash;
	m.token_hash_len = sizeof(e->token_hash);
	m.csr_hash = e->csr_hash;
	m.csr_hash_len = sizeof(e->csr_hash);
	m.name = e->name;
	m.hostname = e->hostname;
	m.version = e->version;
	m.agents = e->agents;
	m.sandbox_mode = e->sandbox_mode;
	m.labels = e->labels;
	m.resources = e->resources;
	m.certificate = certificate;
	m.certificate_len = len;
	m.cert_hash = hash;
	m.cert_hash_len = sizeof(hash);
	if (ask(PROC_STORAGED, MSG_RUNNER_PUT, &m, WRITE_SECONDS, stored,
	    e) == NULL)
		enrolment_fail(e, GRPC_UNAVAILABLE, "too much is under way");
}

static void
certified(struct ask *a, const struct answer *ans)
{
	if (ans->code[0] != '\0')
		enrolment_fail(a->arg,
		    strcmp(ans->code, "validation_error") == 0 ?
		    GRPC_INVALID_ARGUMENT : GRPC_UNAVAILABLE, ans->text);
}

void
on_runner_certified(struct peer *p, uint64_t ref,
    const struct msg_runner_certified *m)
{
	struct answer	 ans = { 0 };
	struct ask	*a;

	if ((a = ask_find(p, ref)) == NULL)
		return;
	if (!a->told)
		put(a->arg, m->certificate, m->certificate_len);
	ans.code = ans.text = "";
	ask_answer(p, ref, &ans);
}

/* Words for people, whatever storaged said. */
static const char *
token_text(const struct answer *ans)
{
	if (ans->text[0] != '\0')
		return (ans->text);
	if (strcmp(ans->code, "token_revoked") == 0)
		return ("the runner token was revoked");
	if (strcmp(ans->code, "token_expired") == 0)
		return ("the runner token is expired or used up");
	return ("the runner token is not known");
}

static void
token_found(struct ask *a, const struct answer *ans)
{
	struct msg_runner_certify	 m;
	struct enrolment		*e = a->arg;

	if (strcmp(ans->code, "unavailable") == 0) {
		enrolment_fail(e, GRPC_UNAVAILABLE, ans->text);
		return;
	}
	if (ans->code[0] != '\0' || !e->found) {
		enrolment_fail(e, GRPC_UNAUTHENTICATED, token_text(ans));
		return;
	}
	if (e->id[0] != '\0') {		/* the answer to it was lost */
		put(e, (const uint8_t *)"", 0);
		return;
	}
	id_make(e->id, "rnr");
	m.runner = e->id;
	m.csr = e->csr;
	m.csr_len = e->csr_len;
	if (ask(PROC_PROVIDERD, MSG_RUNNER_CERTIFY, &m, READ_SECONDS,
	    certified, e) == NULL)
		enrolment_fail(e, GRPC_UNAVAILABLE, "too much is under way");
}

void
on_runner_token_row(struct peer *p, uint64_t ref,
    const struct msg_runner_token_row *m)
{
	struct enrolment	*e;
	struct ask		*a;

	if ((a = ask_find(p, ref)) == NULL || a->told)
		return;
	e = a->arg;
	e->found = 1;
	strlcpy(e->tenant, m->tenant, sizeof(e->tenant));
	strlcpy(e->id, m->runner, sizeof(e->id));
}

void
enrol(uint64_t ref, const uint8_t hash[32],
    const Marionette__V1__EnrollRequest *m)
{
	struct msg_runner_token_find	 find;
	struct enrolment		*e;

	if ((e = calloc(1, sizeof(*e))) == NULL)
		fatal("enrolment");
	e->stream = ref;
	memcpy(e->token_hash, hash, sizeof(e->token_hash));
	strlcpy(e->name, m->name, sizeof(e->name));
	strlcpy(e->hostname, m->hostname, sizeof(e->hostname));
	strlcpy(e->version, m->version, sizeof(e->version));
	wire_words(e->agents, sizeof(e->agents), m->agents, m->n_agents);
	strlcpy(e->sandbox_mode, m->sandbox_mode, sizeof(e->sandbox_mode));
	strlcpy(e->labels, m->labels_json, sizeof(e->labels));
	strlcpy(e->resources, m->resources_json, sizeof(e->resources));
	memcpy(e->csr, m->csr_der.data, m->csr_der.len);
	e->csr_len = m->csr_der.len;
	crypto_hash_sha256(e->csr_hash, e->csr, e->csr_len);
	find.hash = e->token_hash;
	find.hash_len = sizeof(e->token_hash);
	find.csr_hash = e->csr_hash;
	find.csr_hash_len = sizeof(e->csr_hash);
	if (!ca_is_known())
		enrolment_fail(e, GRPC_UNAVAILABLE, "the server is starting");
	else if (ask(PROC_STORAGED, MSG_RUNNER_TOKEN_FIND, &find, READ_SECONDS,
	    token_found, e) == NULL)
		enrolment_fail(e, GRPC_UNAVAILABLE, "too much is under way");
}
