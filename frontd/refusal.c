/*
 * refusal.c - what owners answered becomes an HTTP answer.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "body.h"
#include "frontd_msg.h"
#include "log.h"

static const struct {
	const char	*code;
	int		 status;
}	codes[] = {
	{ "invalid_json", 400 }, { "validation_error", 400 },
	{ "invalid_id", 400 }, { "missing_auth", 401 },
	{ "invalid_auth", 401 }, { "invalid_token", 401 },
	{ "token_revoked", 401 }, { "token_expired", 401 },
	{ "forbidden", 403 }, { "not_found", 404 }, { "invalid_state", 409 },
	{ "already_answered", 409 }, { "retries_exhausted", 409 },
	{ "idempotency_conflict", 409 }, { "in_use", 409 },
	{ "credential_required", 409 }, { "gone", 410 },
	{ "precondition_failed", 412 }, { "payload_too_large", 413 },
	{ "misdirected", 421 }, { "rate_limited", 429 },
	{ "internal_error", 500 }, { "upstream_unreachable", 502 },
	{ "unavailable", 503 }, { "outcome_unknown", 504 },
};

int
refusal_status(const char *code)
{
	size_t	 i;

	for (i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (strcmp(codes[i].code, code) == 0)
			return (codes[i].status);
	return (500);
}

/* RFC 9110 11.6.1: a 401 says how to authenticate. */
static void
refusal_headers(struct request *req, int status, unsigned int retry_after)
{
	if (status == 401)
		reply_header(req, "WWW-Authenticate", "%s",
		    req->kind == LISTEN_API ? "Bearer realm=\"Marionette\"" :
		    "Basic realm=\"Marionette\", charset=\"UTF-8\"");
	if (retry_after == 0 && (status == 503 || status == 429))
		retry_after = 1;
	if (retry_after > 0)
		reply_header(req, "Retry-After", "%u", retry_after);
}

/*
 * A ticket that expired on its way, or that a restarted server no longer
 * knows, is our business: the credential may be good.
 */
static int
is_stale_ticket(const struct msg_refused *m)
{
	return (strcmp(m->code, "token_expired") == 0 ||
	    strcmp(m->code, "invalid_auth") == 0);
}

/* The same question may be answered otherwise soon. */
int
refusal_may_pass(const struct msg_refused *m)
{
	return (strcmp(m->code, "unavailable") == 0 ||
	    strcmp(m->code, "rate_limited") == 0 || is_stale_ticket(m));
}

/* What an owner would not have is not brought to it again. */
int
refusal_forgets(const struct request *req, const struct msg_refused *m)
{
	if ((req->route->flags & R_NOAUTH) != 0 || !is_stale_ticket(m))
		return (0);
	auth_forget(req);
	return (1);
}

static void
refusal_say(struct request *req, const char *code, const char *text,
    unsigned int retry_after, const char *details)
{
	int	 status = refusal_status(code);

	if (strcmp(code, "unavailable") == 0 && request_retry(req))
		return;
	refusal_headers(req, status, retry_after);
	reply_error(req, status, code, *text != '\0' ? text : code, details);
}

void
refusal_reply(struct request *req, const struct msg_refused *m)
{
	const char	*code = m->code, *text = m->text;
	char		*details = NULL;

	if (refusal_forgets(req, m)) {
		code = "unavailable";
		text = "the server is renewing who you are, try again";
	}
	if (refusal_status(code) == 500)
		log_warnx("%s %s: %s: %s", req->request_id, req->path, m->code,
		    m->text);
	if (m->body_len > 0) {
		if ((details = malloc(m->body_len + 1)) == NULL)
			fatal("refusal");
		memcpy(details, m->body, m->body_len);
		details[m->body_len] = '\0';
	}
	refusal_say(req, code, text, m->retry_after, details);
	free(details);
}

void
refuse(struct request *req, const char *code, const char *fmt, ...)
{
	char	 text[1024];
	va_list	 ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	refusal_say(req, code, text, 0, NULL);
}

void
refuse_later(struct request *req, const char *code, const char *text,
    unsigned int retry_after)
{
	refusal_say(req, code, text, retry_after, NULL);
}

void
document_reply(struct request *req, const struct msg_document *m)
{
	int	 status = m->status != 0 ? m->status : 200;

	etag_reply(req, m->etag);
	if (status == 200 && etag_is_known(req, m->etag)) {
		reply_empty(req, 304);
		return;
	}
	if (m->replayed)
		reply_header(req, "Idempotent-Replayed", "true");
	if (status == 204 || m->body_len == 0)
		reply_empty(req, 204);
	else
		reply_json(req, status, (const char *)m->body, m->body_len);
}
