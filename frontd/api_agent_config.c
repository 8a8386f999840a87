/*
 * api_agent_config.c - stored credentials of coding agents.  providerd seals
 * the key; nobody reads it back.
 */
#include <stdlib.h>
#include <string.h>

#include "api_tables.h"
#include "body.h"
#include "frontd_msg.h"

static const struct filter	 config_filters[] = {
	{ "agent", NULL }, { NULL, NULL }
};
static const char *const	 no_params[] = { NULL };

static void
agent_config_create(struct request *req)
{
	static const char *const	 later[] = { "extra", NULL };
	const struct identity		*who;
	const char			*key;
	struct msg_agent_config_create	 m;
	struct idem			 idem;
	struct body			 b;

	if ((who = auth(req)) == NULL || query_only(req, no_params) == -1 ||
	    body_open(&b, req) == -1)
		return;
	m = (struct msg_agent_config_create){ ASKS(req, who, PROC_PROVIDERD) };
	m.name = body_str(&b, "name", 64, B_REQUIRED);
	m.agent = body_agent(&b, B_REQUIRED);
	key = body_key(&b, B_REQUIRED);
	m.model = body_str(&b, "model", 128, 0);
	m.base_url = body_base_url(&b);
	m.is_default = (uint8_t)body_bool(&b, "is_default");
	body_unsupported(&b, later);
	body_wipe(req);
	if (body_close(&b) == -1)
		return;
	if (idem_make(req, who, b.root, &idem) == 0) {
		m.key = (const uint8_t *)key;
		m.key_len = strlen(key);
		m.idem_key = idem.key;
		m.idem_hash = idem.hash;
		m.idem_hash_len = sizeof(idem.hash);
		api_write(req, PROC_PROVIDERD, MSG_AGENT_CONFIG_CREATE, &m,
		    P_AGAIN);
	}
	body_free(&b);
}

static void
agent_config_list(struct request *req)
{
	const struct identity		*who;
	struct msg_agent_config_list	 m;
	size_t				 len;
	char				*q;

	if ((who = auth(req)) == NULL || (q = list_query(req, config_filters,
	    F_LIST, &len)) == NULL)
		return;
	m = (struct msg_agent_config_list){ ASKS(req, who, PROC_PROVIDERD),
	    .query = (uint8_t *)q, .query_len = len };
	api_read(req, PROC_PROVIDERD, MSG_AGENT_CONFIG_LIST, &m);
	json_text_free(q);
}

static void
agent_config_get(struct request *req)
{
	const struct identity		*who;
	struct msg_agent_config_get	 m;

	if ((who = auth(req)) == NULL || path_id(req, 0, "acfg") == -1 ||
	    query_only(req, no_params) == -1)
		return;
	m = (struct msg_agent_config_get){ ASKS(req, who, PROC_PROVIDERD),
	    .agent_config = req->arg[0] };
	api_read(req, PROC_PROVIDERD, MSG_AGENT_CONFIG_GET, &m);
}

static void
agent_config_delete(struct request *req)
{
	const struct identity		*who;
	struct msg_agent_config_delete	 m;

	if ((who = auth(req)) == NULL || path_id(req, 0, "acfg") == -1 ||
	    query_only(req, no_params) == -1)
		return;
	m = (struct msg_agent_config_delete){ ASKS(req, who, PROC_PROVIDERD),
	    .agent_config = req->arg[0] };
	api_write(req, PROC_PROVIDERD, MSG_AGENT_CONFIG_DELETE, &m, P_AGAIN);
}

#define CONFIGS		"/api/v1/agent-configs"
#define CONFIG		CONFIGS "/{id}"

const struct route	 agent_config_routes[] = {
	{ M_POST, LISTEN_REST, CONFIGS, "credentials:write", BODY_SMALL,
	    R_JSON, agent_config_create },
	{ M_GET, LISTEN_REST, CONFIGS, "credentials:read", 0, 0,
	    agent_config_list },
	{ M_GET, LISTEN_REST, CONFIG, "credentials:read", 0, 0,
	    agent_config_get },
	{ M_DELETE, LISTEN_REST, CONFIG, "credentials:write", 0, 0,
	    agent_config_delete },
	{ M_POST, ADMIN, "/admin" CONFIGS, "admin:*", BODY_SMALL, R_JSON,
	    agent_config_create },
	{ M_GET, ADMIN, "/admin" CONFIGS, "admin:*", 0, 0,
	    agent_config_list },
	{ M_GET, ADMIN, "/admin" CONFIG, "admin:*", 0, 0, agent_config_get },
	{ M_DELETE, ADMIN, "/admin" CONFIG, "admin:*", 0, 0,
	    agent_config_delete },
	{ 0 }
};
