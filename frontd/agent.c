/*
 * agent.c - what requests say of coding agents: their kind, their key and where
 * it is good.  A key leaves here for providerd and nowhere else; the body that
 * it came in is wiped (architecture 5).
 */
#include <stdlib.h>
#include <string.h>

#include "body.h"
#include "frontd_msg.h"
#include "text.h"

#define AGENT_MAX	64
#define KEY_MAX		8192
#define URL_MAX		512

/* One of the known kinds, or custom:NAME. */
const char *
body_agent(struct body *b, int flags)
{
	const char	*s;

	if ((s = body_str(b, "agent", AGENT_MAX, flags)) == NULL)
		return (NULL);
	if (word_is("claude|codex|gemini|opencode", s))
		return (s);
	/* The agent that ships with every runner goes by its short name. */
	if (strcmp(s, "demo") == 0)
		return ("custom:demo");
	if (strncmp(s, "custom:", 7) == 0 && s[7] != '\0' &&
	    strspn(s + 7, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "0123456789._-") == strlen(s + 7))
		return (s);
	body_fail(b, "agent", "agent: expected claude, codex, gemini, opencode,"
	    " demo or custom:NAME; GET /api/v1/agents tells what runners"
	    " offer");
	return (NULL);
}

/* What is wrong with a key is said without a byte of it. */
const char *
body_key(struct body *b, int flags)
{
	const char	*s;

	if ((s = body_str(b, "api_key", KEY_MAX, flags)) == NULL)
		return (NULL);
	if (!text_is_token(s)) {
		body_fail(b, "api_key", "api_key: expected the key on one line,"
		    " printable and without spaces");
		return (NULL);
	}
	return (s);
}

const char *
body_base_url(struct body *b)
{
	const char	*s;

	if ((s = body_str(b, "base_url", URL_MAX, 0)) == NULL)
		return (NULL);
	if ((strncmp(s, "https://", 8) != 0 && strncmp(s, "http://", 7) != 0) ||
	    !text_is_token(s)) {
		body_fail(b, "base_url", "base_url: expected a URL that begins"
		    " with https:// or http://");
		return (NULL);
	}
	return (s);
}

/* The text of the body held a secret and was parsed. */
void
body_wipe(struct request *req)
{
	request_secret(req);
	if (req->body != NULL)
		explicit_bzero(req->body, req->body_len);
}

/* Asks providerd to hold key under key_ref; done hears KEY_HELD. */
void
key_hold(struct request *req, const struct identity *who, const char *key_ref,
    const char *key, const char *base_url, pending_done done, void *arg,
    size_t arg_len)
{
	const struct msg_key_hold	 m = {
		ASKS(req, who, PROC_PROVIDERD), .key_ref = key_ref,
		.key = (const uint8_t *)key, .key_len = strlen(key),
		.base_url = base_url
	};
	const struct expect		 expect = { .want = MSG_KEY_HELD,
		.flags = P_AGAIN, .done = done, .arg = arg,
		.arg_len = arg_len };

	pending_ask(req, PROC_PROVIDERD, MSG_KEY_HOLD, &m, &expect);
}
