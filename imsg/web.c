/*
 * web.c - see web.h.
 */
#include <errno.h>
#include <stdio.h>

#include "web.h"
#include "worker.h"

static const uint8_t	*key;

void
web_key(const uint8_t *k)
{
	key = k;
}

int
authorised(struct peer *p, uint64_t ref, const uint8_t *ticket, size_t len,
    uint64_t scopes, struct ticket *who)
{
	char	 text[128];

	if (ticket_open(who, ticket, len, key, worker_now_ms() / 1000) == -1) {
		if (errno == ETIMEDOUT)
			refuse(p, ref, "token_expired",
			    "the credential has expired");
		else
			refuse(p, ref, "invalid_auth",
			    "the credential is not valid");
		return (0);
	}
	if ((who->scopes & scopes) == scopes)
		return (1);
	snprintf(text, sizeof(text), "the credential lacks the scope %s",
	    scope_name(scopes & ~who->scopes));
	refuse(p, ref, "forbidden", text);
	return (0);
}

void
refuse(struct peer *p, uint64_t ref, const char *code, const char *text)
{
	struct msg_refused	 m = { .code = code, .text = text };

	peer_send(p, ref, MSG_REFUSED, &m, -1);
}

int
web_is_behind(struct peer *p, uint64_t ref)
{
	if (peer_queued(p) <= PEER_QUEUE_HARD / 2)
		return (0);
	refuse(p, ref, "unavailable", "too much is on its way to the web; try "
	    "again");
	return (1);
}

void
refuse_answer(struct peer *p, uint64_t ref, const struct answer *ans)
{
	struct msg_refused	 m;

	m.code = ans->code;
	m.text = ans->text;
	m.retry_after = ans->retry_after;
	m.body = ans->doc;
	m.body_len = ans->doc_len;
	peer_send(p, ref, MSG_REFUSED, &m, -1);
}
