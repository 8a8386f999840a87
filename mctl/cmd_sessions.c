/*
 * mctl sessions: long-lived work contexts.
 */

#include <stdlib.h>
#include <string.h>

#include "doc.h"

static const struct col cols[] = {
	{ "ID", "id", COL_TEXT, 0, 0 },
	{ "NAME", "name", COL_TEXT, 0, 32 },
	{ "AGENT", "agent", COL_TEXT, 0, 24 },
	{ "STATUS", "status", COL_TEXT, 0, 0 },
	{ "REASON", "status_reason|suspend_reason", COL_TEXT, 0, 40 },
	{ "RUNNER", "runner_id", COL_TEXT, 1, 0 },
	{ "WORKSPACE", "workspace_id", COL_TEXT, 1, 0 },
	{ "MODEL", "model", COL_TEXT, 1, 32 },
	{ "BYOK", "is_byok", COL_TEXT, 1, 0 },
	{ "LABELS", "labels", COL_LABELS, 1, 48 },
	{ "ACTIVE", "last_activity_at", COL_AGE, 1, 0 },
	{ "AGE", "created_at", COL_AGE, 0, 0 },
	{ NULL, NULL, COL_TEXT, 0, 0 }
};

static const struct opt create_opts[] = {
	{ "agent", "KIND", "claude, custom:NAME ... (see `mctl agents')", 0 },
	{ "name", "NAME", "a name for people", 0 },
	{ "model", "MODEL", "the model the agent is to use", 0 },
	{ "label", "K=V", "a label; may be repeated", 0 },
	{ "agent-config", "ID", "a stored credential of the server's", 0 },
	{ "idle-timeout", "SECONDS", "suspend when idle for so long", 0 },
	{ "byok", NULL, "agent claude: use ANTHROPIC_API_KEY", 0 },
	{ "api-key-env", "VAR", "the agent's own key: from a variable,", 0 },
	{ "api-key-fd", "N", "from a descriptor,", 0 },
	{ "api-key-file", "FILE", "or from a file", 0 },
	{ "base-url", "URL", "where that key is good", 0 },
	{ NULL, NULL, NULL, 0 }
};

static const struct opt list_opts[] = {
	{ "status", "STATUS", "pending, active, suspended ...; repeatable", 0 },
	{ "agent", "KIND", "of this agent; repeatable", 0 },
	{ "label", "K=V", "with this label; repeatable, all must be there", 0 },
	LIST_OPTS,
	{ NULL, NULL, NULL, 0 }
};

static const struct opt wait_opts[] = {
	{ "wait", "SECONDS", "until it is so, at most so long (60)", 0 },
	{ NULL, NULL, NULL, 0 }
};

static const struct opt key_opts[] = {
	{ "api-key-env", "VAR", "the agent's own key: from a variable,", 0 },
	{ "api-key-fd", "N", "from a descriptor,", 0 },
	{ "api-key-file", "FILE", "or from a file", 0 },
	{ "base-url", "URL", "where that key is good", 0 },
	{ NULL, NULL, NULL, 0 }
};

/* --byok: the key that the environment has for this agent. */
static int
byok_find(struct mctl *m, const struct args *a, const char *agent, char **key)
{
	const char	*s;

	if (!args_has(a, "byok"))
		return (0);
	if (*key != NULL)
		return (usage_error(m, "--byok or a key option, not both"));
	if (strcmp(agent, "claude") != 0)
		return (usage_error(m, "--byok knows no variable for agent %s; "
		    "use --api-key-env VAR", agent));
	if ((s = getenv("ANTHROPIC_API_KEY")) == NULL || *s == '\0')
		return (usage_error(m, "--byok: ANTHROPIC_API_KEY is not set"));
	*key = xstrdup(s);
	return (0);
}

/* Options that are fields by another name. */
static void
fields_set(const struct args *a, json_t *body)
{
	static const char *const	 map[][2] = { { "name", "name" },
	    { "model", "model" }, { "agent-config", "agent_config_id" },
	    { "base-url", "base_url" } };
	const char			*s;
	size_t				 i;

	for (i = 0; i < sizeof(map) / sizeof(map[0]); i++)
		if ((s = args_str(a, map[i][0])) != NULL)
			json_object_set_new(body, map[i][1], json_string(s));
}

static int
do_create(struct mctl *m, const struct args *a)
{
	const char	*agent;
	json_t		*body, *doc;
	char		*key = NULL;
	long long	 idle = -1;
	int		 rc = EX_USE;

	if ((agent = args_str(a, "agent")) == NULL)
		return (usage_error(m, "--agent is needed: claude, custom:NAME "
		    "...; `mctl agents' shows what runners offer"));
	body = json_pack("{s:s}", "agent", agent);
	if (body == NULL || args_labels(m, a, body) != 0 ||
	    args_num(m, a, "idle-timeout", 0, 31536000, &idle) != 0 ||
	    secret_read(m, a, &key) != 0 || byok_find(m, a, agent, &key) != 0)
		goto done;
	fields_set(a, body);
	if (idle != -1)
		json_object_set_new(body, "idle_timeout_seconds",
		    json_integer(idle));
	if (key != NULL)
		json_object_set_new(body, "api_key", json_string(key));
	doc = api_send(m, "POST", "/api/v1/sessions", body, NULL);
	rc = doc == NULL ? m->rc : EX_DONE;
	if (doc != NULL)
		out_record(m, doc, cols);
	json_decref(doc);
done:
	json_decref(body);
	secret_free(key);
	return (rc);
}

static int
do_list(struct mctl *m, const struct args *a)
{
	struct str	 s = { 0 };

	str_puts(&s, "/api/v1/sessions");
	return (list_all(m, a, "status\0agent\0label\0", &s, cols));
}

static int
do_get(struct mctl *m, const struct args *a)
{
	json_t	*doc = api_get_of(m, "/api/v1/sessions/", a->operand[0], "");

	if (doc == NULL)
		return (m->rc);
	out_one(m, doc);
	json_decref(doc);
	return (EX_DONE);
}

/* suspend, resume, terminate, and DELETE: the verb is the last word. */
static int
do_change(struct mctl *m, const struct args *a)
{
	const char	*verb = m->cmd->verb;
	struct str	 s = { 0 };
	json_t		*doc;
	char		*path, *tail, n[24];
	long long	 wait = 0;
	int		 del = strcmp(verb, "delete") == 0;

	if (args_num(m, a, "wait", 1, 60, &wait) != 0)
		return (EX_USE);
	tail = xasprintf("%s%s", del ? "" : "/", del ? "" : verb);
	path = api_path(m, "/api/v1/sessions/", a->operand[0], tail);
	free(tail);
	if (path == NULL)
		return (EX_USE);
	str_puts(&s, path);
	free(path);
	if (wait != 0) {
		snprintf(n, sizeof(n), "%lld", wait);
		str_query(&s, "wait", n);
	}
	doc = api_send(m, del ? "DELETE" : "POST", s.data, NULL, NULL);
	str_free(&s);
	if (doc == NULL)
		return (m->rc);
	if (json_object_size(doc) > 0)
		out_record(m, doc, cols);
	json_decref(doc);
	return (EX_DONE);
}

static int
do_credential(struct mctl *m, const struct args *a)
{
	const char	*url;
	json_t		*body, *doc = NULL;
	char		*key = NULL, *path;

	if (secret_read(m, a, &key) != 0)
		return (EX_USE);
	if (key == NULL)
		return (usage_error(m, "one of --api-key-env, --api-key-fd, "
		    "--api-key-file is needed"));
	path = api_path(m, "/api/v1/sessions/", a->operand[0], "/credential");
	body = json_pack("{s:s}", "api_key", key);
	secret_free(key);
	if ((url = args_str(a, "base-url")) != NULL)
		json_object_set_new(body, "base_url", json_string(url));
	if (path != NULL)
		doc = api_send(m, "PUT", path, body, NULL);
	if (doc != NULL)
		out_record(m, doc, cols);
	json_decref(doc);
	json_decref(body);
	free(path);
	return (doc == NULL ? m->rc : EX_DONE);
}

const struct cmd_entry cmd_sessions[] = {
	{ "sessions", "create", NULL, create_opts, 0, 0, 0,
	    "Make a session with an agent", do_create },
	{ "sessions", "list", NULL, list_opts, 0, 0, 0,
	    "List sessions, newest first", do_list },
	{ "sessions", "get", "SESSION", NULL, 1, 1, 0,
	    "Show all of a session", do_get },
	{ "sessions", "suspend", "SESSION", wait_opts, 1, 1, 0,
	    "Keep the conversation, give the runner back", do_change },
	{ "sessions", "resume", "SESSION", wait_opts, 1, 1, 0,
	    "Wake a suspended session", do_change },
	{ "sessions", "terminate", "SESSION", wait_opts, 1, 1, 0,
	    "End a session for good", do_change },
	{ "sessions", "delete", "SESSION", NULL, 1, 1, 0,
	    "Terminate if need be, and forget", do_change },
	{ "sessions", "credential", "SESSION", key_opts, 1, 1, 0,
	    "Give the agent's own key again after it was lost",
	    do_credential },
	{ NULL, NULL, NULL, NULL, 0, 0, 0, NULL, NULL }
};
