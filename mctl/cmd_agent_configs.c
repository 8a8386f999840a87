/*
 * mctl admin agent-configs: credentials of coding agents that the server
 * keeps, sealed.
 */

#include <stdlib.h>
#include <string.h>

#include "doc.h"

#define CONFIGS	"/admin/api/v1/agent-configs"

static const struct col cols[] = {
	{ "ID", "id", COL_TEXT, 0, 0 },
	{ "NAME", "name", COL_TEXT, 0, 32 },
	{ "AGENT", "agent", COL_TEXT, 0, 24 },
	{ "DEFAULT", "is_default", COL_TEXT, 0, 0 },
	{ "MODEL", "model", COL_TEXT, 1, 32 },
	{ "BASE-URL", "base_url", COL_TEXT, 1, 48 },
	{ "AGE", "created_at", COL_AGE, 0, 0 },
	{ NULL, NULL, COL_TEXT, 0, 0 }
};

static const struct opt create_opts[] = {
	{ "name", "NAME", "a name for people", 0 },
	{ "agent", "KIND", "claude ...", 0 },
	{ "model", "MODEL", "the model, if the session names none", 0 },
	{ "base-url", "URL", "where the agent finds its model", 0 },
	{ "default", NULL, "for sessions that name no credential", 0 },
	{ "api-key-env", "VAR", "the agent's key: from a variable,", 0 },
	{ "api-key-fd", "N", "from a descriptor,", 0 },
	{ "api-key-file", "FILE", "or from a file", 0 },
	{ NULL, NULL, NULL, 0 }
};

static const struct opt list_opts[] = {
	LIST_OPTS,
	{ NULL, NULL, NULL, 0 }
};

static int
do_create(struct mctl *m, const struct args *a)
{
	const char	*name, *agent, *s;
	json_t		*body, *doc;
	char		*key = NULL;

	if ((name = args_str(a, "name")) == NULL ||
	    (agent = args_str(a, "agent")) == NULL)
		return (usage_error(m, "--name and --agent are needed"));
	if (secret_read(m, a, &key) != 0)
		return (EX_USE);
	if (key == NULL)
		return (usage_error(m, "one of --api-key-env, --api-key-fd, "
		    "--api-key-file is needed"));
	body = json_pack("{s:s, s:s, s:s}", "name", name, "agent", agent,
	    "api_key", key);
	secret_free(key);
	if (body == NULL)
		return (usage_error(m, "what was given is not UTF-8"));
	if ((s = args_str(a, "model")) != NULL)
		json_object_set_new(body, "model", json_string(s));
	if ((s = args_str(a, "base-url")) != NULL)
		json_object_set_new(body, "base_url", json_string(s));
	if (args_has(a, "default"))
		json_object_set_new(body, "is_default", json_true());
	doc = api_send(m, "POST", CONFIGS, body, NULL);
	json_decref(body);
	if (doc == NULL)
		return (m->rc);
	out_record(m, doc, cols);
	json_decref(doc);
	return (EX_DONE);
}

static int
do_list(struct mctl *m, const struct args *a)
{
	struct str	 s = { 0 };

	str_puts(&s, CONFIGS);
	return (list_all(m, a, NULL, &s, cols));
}

/* get, delete. */
static int
do_one(struct mctl *m, const struct args *a)
{
	json_t	*doc;
	char	*path;

	path = api_path(m, CONFIGS "/", a->operand[0], "");
	if (path == NULL)
		return (EX_USE);
	if (strcmp(m->cmd->verb, "get") == 0)
		doc = api_get(m, path);
	else
		doc = api_send(m, "DELETE", path, NULL, NULL);
	free(path);
	if (doc == NULL)
		return (m->rc);
	if (json_object_size(doc) > 0)
		out_one(m, doc);
	json_decref(doc);
	return (EX_DONE);
}

const struct cmd_entry cmd_agent_configs[] = {
	{ "admin agent-configs", "create", NULL, create_opts, 0, 0, CMD_ADMIN,
	    "Give the server an agent's credential to keep", do_create },
	{ "admin agent-configs", "list", NULL, list_opts, 0, 0, CMD_ADMIN,
	    "List stored credentials, without their keys", do_list },
	{ "admin agent-configs", "get", "CONFIG", NULL, 1, 1, CMD_ADMIN,
	    "Show one", do_one },
	{ "admin agent-configs", "delete", "CONFIG", NULL, 1, 1, CMD_ADMIN,
	    "Forget one", do_one },
	{ NULL, NULL, NULL, NULL, 0, 0, 0, NULL, NULL }
};
