/*
 * api_key.c - API keys (admin) and tickets for browsers' streams.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api_tables.h"
#include "body.h"
#include "frontd_msg.h"
#include "log.h"
#include "text.h"
#include "ticket.h"

#define SCOPES_MAX	1024

static const struct filter	 key_filters[] = {
	{ "status", "active|revoked|expired" }, { NULL, NULL }
};
static const char *const	 no_params[] = { NULL };

static void
key_created(struct request *req, enum msg_type type, const void *v, void *arg)
{
	const struct msg_key_created	*m = v;

	(void)arg;
	if (type == MSG_REFUSED)
		refusal_reply(req, v);
	else
		token_reply(req, m->body, m->body_len, "key", m->token,
		    m->token_len, m->replayed);
}

/* scopes: an array of words, or nothing for `*'. */
static void
key_scopes(struct body *b, char *out, size_t size)
{
	json_t		*list, *v;
	const char	*s;
	uint64_t	 bits;
	size_t		 i;

	strlcpy(out, "*", size);
	if ((list = body_get(b, "scopes")) == NULL)
		return;
	if (!json_is_array(list) || json_array_size(list) == 0) {
		body_fail(b, "scopes", "scopes: expected an array of scopes as"
		    " in [\"tasks:write\", \"events:read\"]");
		return;
	}
	out[0] = '\0';
	json_array_foreach(list, i, v) {
		s = json_is_string(v) ? json_string_value(v) : "";
		if (strchr(s, ' ') != NULL || *s == '\0' ||
		    scopes_parse(s, &bits) == -1) {
			body_fail(b, "scopes", "scopes: \"%.*s\" is no scope;"
			    " expected resource:read, resource:write,"
			    " resource:*, admin:* or *",
			    text_cut(s, NAME_SHOWN), s);
			return;
		}
		if (*out != '\0')
			strlcat(out, " ", size);
		if (strlcat(out, s, size) >= size)
			body_fail(b, "scopes", "scopes: too many of them");
	}
}

static void
key_create(struct request *req)
{
	static const struct expect	 expect = { .want = MSG_KEY_CREATED,
					    .flags = P_AGAIN,
					    .done = key_created };
	const struct identity		*who;
	struct msg_key_create		 m;
	struct idem			 idem;
	struct body			 b;
	char				 scopes[SCOPES_MAX + 1];

	if ((who = auth(req)) == NULL || query_only(req, no_params) == -1 ||
	    body_open(&b, req) == -1)
		return;
	m = (struct msg_key_create){ ASKS(req, who, PROC_SESSIOND),
	    .scopes = scopes };
	m.name = body_str(&b, "name", 64, B_REQUIRED);
	key_scopes(&b, scopes, sizeof(scopes));
	m.tenant = body_str(&b, "tenant", 32, 0);
	m.expires = body_time(&b, "expires_at");
	if (body_close(&b) == -1)
		return;
	if (idem_make(req, who, b.root, &idem) == 0) {
		m.idem_key = idem.key;
		m.idem_hash = idem.hash;
		m.idem_hash_len = sizeof(idem.hash);
		pending_ask(req, PROC_SESSIOND, MSG_KEY_CREATE, &m, &expect);
	}
	body_free(&b);
}

static void
key_list(struct request *req)
{
	const struct identity	*who;
	struct msg_key_list	 m;
	size_t			 len;
	char			*q;

	if ((who = auth(req)) == NULL || (q = list_query(req, key_filters,
	    F_LIST, &len)) == NULL)
		return;
	m = (struct msg_key_list){ ASKS(req, who, PROC_SESSIOND),
	    .query = (uint8_t *)q, .query_len = len };
	api_read(req, PROC_SESSIOND, MSG_KEY_LIST, &m);
	json_text_free(q);
}

static void
key_revoke(struct request *req)
{
	const struct identity	*who;
	struct msg_key_revoke	 m;
	struct body		 b;

	if ((who = auth(req)) == NULL || path_id(req, 0, "key") == -1 ||
	    query_only(req, no_params) == -1 || body_open(&b, req) == -1)
		return;
	m = (struct msg_key_revoke){ ASKS(req, who, PROC_SESSIOND),
	    .key = req->arg[0], .reason = body_str(&b, "reason", 512, 0) };
	if (body_close(&b) == -1)
		return;
	api_write(req, PROC_SESSIOND, MSG_KEY_REVOKE, &m, P_AGAIN);
	body_free(&b);
}

/* Is it the path of a stream, which a ticket can be for? */
static int
is_stream(const char *path)
{
	char	 id[ID_SIZE];
	size_t	 n;

	if (strcmp(path, "/api/v1/events") == 0)
		return (1);
	if (strncmp(path, "/api/v1/tasks/", 14) != 0)
		return (0);
	n = strcspn(path + 14, "/");
	if (n >= sizeof(id) || strcmp(path + 14 + n, "/logs/stream") != 0)
		return (0);
	memcpy(id, path + 14, n);
	id[n] = '\0';
	return (id_is(id, "task"));
}

static void
stream_ticket_created(struct request *req, enum msg_type type, const void *v,
    void *arg)
{
	const struct msg_stream_ticket_created	*m = v;
	char					 when[TEXT_TIME_SIZE];
	char					 doc[512];
	int					 n;

	if (type == MSG_REFUSED) {
		refusal_reply(req, v);
		return;
	}
	text_time(when, m->expires * 1000);
	n = snprintf(doc, sizeof(doc), "{\"target\":\"%s\",\"expires_at\":"
	    "\"%s\"}", (const char *)arg, when);
	token_reply(req, (uint8_t *)doc, (size_t)n, "ticket", m->token,
	    m->token_len, 0);
}

static void
stream_ticket_create(struct request *req)
{
	const struct identity		*who;
	const char			*target;
	struct msg_stream_ticket_create	 m;
	struct expect			 expect = {
					    .want = MSG_STREAM_TICKET_CREATED,
					    .flags = P_AGAIN,
					    .done = stream_ticket_created };
	struct body			 b;

	if ((who = auth(req)) == NULL || query_only(req, no_params) == -1 ||
	    body_open(&b, req) == -1)
		return;
	target = body_str(&b, "target", 256, B_REQUIRED);
	if (target != NULL && !is_stream(target))
		body_fail(&b, "target", "target: expected the path of a stream:"
		    " /api/v1/events or /api/v1/tasks/{id}/logs/stream");
	if (body_close(&b) == -1)
		return;
	m = (struct msg_stream_ticket_create){ ASKS(req, who, PROC_SESSIOND),
	    .path = target, .origin = credential_origin(req) };
	if ((expect.arg = strdup(target)) == NULL)
		fatal("stream ticket");
	expect.arg_len = strlen(target) + 1;
	pending_ask(req, PROC_SESSIOND, MSG_STREAM_TICKET_CREATE, &m, &expect);
	body_free(&b);
}

#define KEYS	"/admin/api/v1/keys"

const struct route	 key_routes[] = {
	{ M_POST, ADMIN, KEYS, "admin:*", BODY_SMALL, R_JSON, key_create },
	{ M_GET, ADMIN, KEYS, "admin:*", 0, 0, key_list },
	{ M_POST, ADMIN, KEYS "/{id}/revoke", "admin:*", BODY_SMALL, R_JSON,
	    key_revoke },
	{ M_POST, LISTEN_REST, "/api/v1/stream-tickets", NULL, BODY_SMALL,
	    R_JSON, stream_ticket_create },
	{ 0 }
};
