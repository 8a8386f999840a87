/*
 * mctl permissions: what agents ask, and the answers of people.
 */

#include <stdlib.h>
#include <string.h>

#include "ask.h"
#include "doc.h"

static const struct col cols[] = {
	{ "ID", "id", COL_TEXT, 0, 0 },
	{ "STATUS", "status", COL_TEXT, 0, 0 },
	{ "RISK", "risk_level", COL_TEXT, 0, 0 },
	{ "TOOL", "tool", COL_TEXT, 0, 24 },
	{ "ACTION", "action", COL_TEXT, 0, 56 },
	{ "KIND", "kind", COL_TEXT, 1, 0 },
	{ "TASK", "task_id", COL_TEXT, 1, 0 },
	{ "SESSION", "session_id", COL_TEXT, 1, 0 },
	{ "BY", "responded_by|decided_by", COL_TEXT, 1, 32 },
	{ "REASON", "response_reason", COL_TEXT, 1, 40 },
	{ "AGE", "created_at", COL_AGE, 0, 0 },
	{ NULL, NULL, COL_TEXT, 0, 0 }
};

static const struct opt list_opts[] = {
	{ "session", "ID", "of this session", 0 },
	{ "task", "ID", "of this task", 0 },
	{ "status", "STATUS", "pending, approved, denied, canceled", 0 },
	{ "risk", "LEVEL", "low, medium, high, critical; repeatable", 0 },
	LIST_OPTS,
	{ NULL, NULL, NULL, 0 }
};

static const struct opt approve_opts[] = {
	{ "reason", "TEXT", "told to the agent and kept", 0 },
	{ "on-behalf-of", "WHO", "your own user, kept in the audit", 0 },
	{ "input-file", "FILE", "approve this edited input (JSON) instead", 0 },
	{ "answers-file", "FILE", "answers to an agent's question (JSON)", 0 },
	{ NULL, NULL, NULL, 0 }
};

static const struct opt deny_opts[] = {
	{ "reason", "TEXT", "told to the agent and kept", 0 },
	{ "on-behalf-of", "WHO", "your own user, kept in the audit", 0 },
	{ NULL, NULL, NULL, 0 }
};

static int
do_list(struct mctl *m, const struct args *a)
{
	static const char *const	 map[][2] = { { "session",
	    "session_id" }, { "task", "task_id" }, { "risk", "risk_level" } };
	struct str			 s = { 0 };
	const char			*value;
	size_t				 i;
	int				 at;

	str_puts(&s, "/api/v1/permissions");
	for (i = 0; i < sizeof(map) / sizeof(map[0]); i++)
		for (at = 0; (value = args_next(a, map[i][0], &at)) != NULL;)
			str_query(&s, map[i][1], value);
	return (list_all(m, a, "status\0", &s, cols));
}

static int
do_get(struct mctl *m, const struct args *a)
{
	json_t	*doc = api_get_of(m, "/api/v1/permissions/", a->operand[0], "");

	if (doc == NULL)
		return (m->rc);
	if (m->quiet || m->output == OUT_JSON || m->output == OUT_YAML)
		out_one(m, doc);
	else {
		out_record(m, doc, cols);
		ask_input(stdout, doc, 0);
	}
	json_decref(doc);
	return (EX_DONE);
}

/* A file of JSON into body[field], if the option is there. */
static int
json_option(struct mctl *m, const struct args *a, const char *name,
    const char *field, json_t *body)
{
	json_error_t	 error;
	const char	*path;
	json_t		*v;
	char		*text;

	if ((path = args_str(a, name)) == NULL)
		return (0);
	if (args_file(m, path, &text) != 0)
		return (-1);
	v = json_loads(text, JSON_ALLOW_NUL, &error);
	free(text);
	if (v == NULL) {
		usage_error(m, "%s:%d: %s", path, error.line, error.text);
		return (-1);
	}
	json_object_set_new(body, field, v);
	return (0);
}

/* approve or deny: the verb is the last word. */
static int
do_answer(struct mctl *m, const struct args *a)
{
	const char	*s;
	json_t		*body, *doc = NULL;
	char		*path, *tail;

	tail = xasprintf("/%s", m->cmd->verb);
	path = api_path(m, "/api/v1/permissions/", a->operand[0], tail);
	free(tail);
	if (path == NULL)
		return (EX_USE);
	m->rc = EX_USE;
	body = json_object();
	if ((s = args_str(a, "reason")) != NULL)
		json_object_set_new(body, "reason", json_string(s));
	if ((s = args_str(a, "on-behalf-of")) != NULL)
		json_object_set_new(body, "on_behalf_of", json_string(s));
	if (json_option(m, a, "input-file", "input", body) == 0 &&
	    json_option(m, a, "answers-file", "answers", body) == 0)
		doc = api_send(m, "POST", path, body, NULL);
	if (doc != NULL)
		out_record(m, doc, cols);
	json_decref(doc);
	json_decref(body);
	free(path);
	return (doc == NULL ? m->rc : EX_DONE);
}

const struct cmd_entry cmd_permissions[] = {
	{ "permissions", "list", NULL, list_opts, 0, 0, 0,
	    "List what agents have asked", do_list },
	{ "permissions", "get", "PERMISSION", NULL, 1, 1, 0,
	    "Show a request and its full input", do_get },
	{ "permissions", "approve", "PERMISSION", approve_opts, 1, 1, 0,
	    "Allow it", do_answer },
	{ "permissions", "deny", "PERMISSION", deny_opts, 1, 1, 0,
	    "Refuse it; the agent is told the reason", do_answer },
	{ NULL, NULL, NULL, NULL, 0, 0, 0, NULL, NULL }
};
