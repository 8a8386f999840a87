/*
 * api_runner.c - runners, what agents they offer, and the tokens that they
 * enrol with.
 */
#include <stdlib.h>
#include <string.h>

#include "api_tables.h"
#include "body.h"
#include "frontd_msg.h"

static const struct filter	 runner_filters[] = {
	{ "status", "offline|idle|busy|paused" }, { "pool", NULL },
	{ NULL, NULL }
};
static const struct filter	 token_filters[] = {
	{ "status", "active|rotating|revoked|expired" }, { "pool", NULL },
	{ NULL, NULL }
};
static const char *const	 no_params[] = { NULL };

static void
runner_list(struct request *req)
{
	const struct identity	*who;
	struct msg_runner_list	 m;
	size_t			 len;
	char			*q;

	if ((who = auth(req)) == NULL || (q = list_query(req, runner_filters,
	    F_LIST | F_LABELS, &len)) == NULL)
		return;
	m = (struct msg_runner_list){ ASKS(req, who, PROC_RUNNERD),
	    .query = (uint8_t *)q, .query_len = len };
	api_read(req, PROC_RUNNERD, MSG_RUNNER_LIST, &m);
	json_text_free(q);
}

static void
runner_get(struct request *req)
{
	const struct identity	*who;
	struct msg_runner_get	 m;

	if ((who = auth(req)) == NULL || path_id(req, 0, "rnr") == -1 ||
	    query_only(req, no_params) == -1)
		return;
	m = (struct msg_runner_get){ ASKS(req, who, PROC_RUNNERD),
	    .runner = req->arg[0] };
	api_read(req, PROC_RUNNERD, MSG_RUNNER_GET, &m);
}

static void
agent_list(struct request *req)
{
	const struct identity	*who;
	struct msg_agent_list	 m;

	if ((who = auth(req)) == NULL || query_only(req, no_params) == -1)
		return;
	m = (struct msg_agent_list){ ASKS(req, who, PROC_RUNNERD) };
	api_read(req, PROC_RUNNERD, MSG_AGENT_LIST, &m);
}

static void
runner_token_created(struct request *req, enum msg_type type, const void *v,
    void *arg)
{
	const struct msg_runner_token_created	*m = v;

	(void)arg;
	if (type == MSG_REFUSED)
		refusal_reply(req, v);
	else
		token_reply(req, m->body, m->body_len, "token", m->token,
		    m->token_len, m->replayed);
}

static void
runner_token_create(struct request *req)
{
	static const struct expect	 expect = {
					    .want = MSG_RUNNER_TOKEN_CREATED,
					    .flags = P_AGAIN,
					    .done = runner_token_created };
	const struct identity		*who;
	struct msg_runner_token_create	 m;
	struct idem			 idem;
	struct body			 b;

	if ((who = auth(req)) == NULL || query_only(req, no_params) == -1 ||
	    body_open(&b, req) == -1)
		return;
	m = (struct msg_runner_token_create){ ASKS(req, who, PROC_RUNNERD) };
	m.pool = body_str(&b, "pool", 64, B_REQUIRED);
	m.name = body_str(&b, "name", 64, 0);
	m.shared = (uint8_t)body_bool(&b, "shared");
	m.max_uses = (uint32_t)body_int(&b, "max_uses", 0, 1000000, 0);
	m.expires = body_time(&b, "expires_at");
	if (body_close(&b) == -1)
		return;
	if (idem_make(req, who, b.root, &idem) == 0) {
		m.idem_key = idem.key;
		m.idem_hash = idem.hash;
		m.idem_hash_len = sizeof(idem.hash);
		pending_ask(req, PROC_RUNNERD, MSG_RUNNER_TOKEN_CREATE, &m,
		    &expect);
	}
	body_free(&b);
}

static void
runner_token_list(struct request *req)
{
	const struct identity		*who;
	struct msg_runner_token_list	 m;
	size_t				 len;
	char				*q;

	if ((who = auth(req)) == NULL || (q = list_query(req, token_filters,
	    F_LIST, &len)) == NULL)
		return;
	m = (struct msg_runner_token_list){ ASKS(req, who, PROC_RUNNERD),
	    .query = (uint8_t *)q, .query_len = len };
	api_read(req, PROC_RUNNERD, MSG_RUNNER_TOKEN_LIST, &m);
	json_text_free(q);
}

static void
runner_token_revoke(struct request *req)
{
	const struct identity		*who;
	struct msg_runner_token_revoke	 m;
	struct body			 b;

	if ((who = auth(req)) == NULL || path_id(req, 0, "rtk") == -1 ||
	    query_only(req, no_params) == -1 || body_open(&b, req) == -1)
		return;
	m = (struct msg_runner_token_revoke){ ASKS(req, who, PROC_RUNNERD),
	    .runner_token = req->arg[0],
	    .reason = body_str(&b, "reason", 512, 0) };
	if (body_close(&b) == -1)
		return;
	api_write(req, PROC_RUNNERD, MSG_RUNNER_TOKEN_REVOKE, &m, P_AGAIN);
	body_free(&b);
}

#define TOKENS	"/admin/api/v1/runner-tokens"

const struct route	 runner_routes[] = {
	{ M_GET, LISTEN_REST, "/api/v1/runners", "runners:read", 0, 0,
	    runner_list },
	{ M_GET, LISTEN_REST, "/api/v1/runners/{id}", "runners:read", 0, 0,
	    runner_get },
	{ M_GET, LISTEN_REST, "/api/v1/agents", "runners:read", 0, 0,
	    agent_list },
	{ M_GET, ADMIN, "/admin/api/v1/runners", "admin:*", 0, 0,
	    runner_list },
	{ M_GET, ADMIN, "/admin/api/v1/runners/{id}", "admin:*", 0, 0,
	    runner_get },
	{ M_POST, ADMIN, TOKENS, "admin:*", BODY_SMALL, R_JSON,
	    runner_token_create },
	{ M_GET, ADMIN, TOKENS, "admin:*", 0, 0, runner_token_list },
	{ M_POST, ADMIN, TOKENS "/{id}/revoke", "admin:*", BODY_SMALL, R_JSON,
	    runner_token_revoke },
	{ 0 }
};
