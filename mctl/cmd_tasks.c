/*
 * mctl tasks: prompts inside a session, their runs and logs.
 */

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "follow.h"

static const struct col cols[] = {
	{ "ID", "id", COL_TEXT, 0, 0 },
	{ "STATUS", "status", COL_TEXT, 0, 0 },
	{ "WAITING", "waiting_for", COL_TEXT, 0, 0 },
	{ "SESSION", "session_id", COL_TEXT, 1, 0 },
	{ "PROMPT", "prompt", COL_TEXT, 0, 48 },
	{ "RETRIES", "retry_count", COL_TEXT, 1, 0 },
	{ "RESULT", "result|error.message|error", COL_TEXT, 1, 48 },
	{ "LABELS", "labels", COL_LABELS, 1, 48 },
	{ "AGE", "created_at", COL_AGE, 0, 0 },
	{ NULL, NULL, COL_TEXT, 0, 0 }
};

static const struct col run_cols[] = {
	{ "ID", "id", COL_TEXT, 0, 0 },
	{ "ATTEMPT", "attempt", COL_TEXT, 0, 0 },
	{ "STATUS", "status", COL_TEXT, 0, 0 },
	{ "RUNNER", "runner_id", COL_TEXT, 0, 0 },
	{ "EXIT", "exit_code", COL_TEXT, 0, 0 },
	{ "ERROR", "error.message|error", COL_TEXT, 0, 48 },
	{ "STARTED", "started_at", COL_AGE, 1, 0 },
	{ "ENDED", "ended_at", COL_AGE, 1, 0 },
	{ "QUEUED", "queued_at", COL_AGE, 0, 0 },
	{ NULL, NULL, COL_TEXT, 0, 0 }
};

static const struct opt create_opts[] = {
	{ "session", "ID", "the session to work in", 0 },
	{ "prompt", "TEXT", "what the agent is to do", 0 },
	{ "prompt-file", "FILE", "the same from a file; - is stdin", 0 },
	{ "timeout", "SECONDS", "of execution; waiting does not count", 0 },
	{ "max-retries", "N", "new attempts after a failure (0)", 0 },
	{ "priority", "N", "greater goes first (0)", 0 },
	{ "label", "K=V", "a label; may be repeated", 0 },
	{ "wait", NULL, "until it has ended; exit 3 if it failed", 0 },
	{ "follow", NULL, "show its log until it has ended", 'f' },
	{ "idempotency-key", "K", "the same key makes the same task", 0 },
	{ NULL, NULL, NULL, 0 }
};

static const struct opt list_opts[] = {
	{ "session", "ID", "of this session", 0 },
	{ "status", "STATUS", "pending, running, completed ...; repeatable", 0 },
	{ "label", "K=V", "with this label; repeatable, all must be there", 0 },
	LIST_OPTS,
	{ NULL, NULL, NULL, 0 }
};

static const struct opt cancel_opts[] = {
	{ "reason", "TEXT", "kept with the task", 0 },
	{ NULL, NULL, NULL, 0 }
};

/* The prompt out of --prompt or --prompt-file, to free; NULL: told. */
static char *
prompt_get(struct mctl *m, const struct args *a)
{
	const char	*text, *file;
	char		*s;

	text = args_str(a, "prompt");
	file = args_str(a, "prompt-file");
	if ((text == NULL) == (file == NULL)) {
		usage_error(m, "one of --prompt and --prompt-file is needed");
		return (NULL);
	}
	if (text != NULL)
		s = xstrdup(text);
	else if (args_file(m, file, &s) != 0)
		return (NULL);
	if (*s == '\0') {
		usage_error(m, "the prompt is empty");
		free(s);
		return (NULL);
	}
	return (s);
}

static json_t *
body_make(struct mctl *m, const struct args *a, const char *session)
{
	long long	 timeout = -1, retries = -1, priority = -1000;
	json_t		*body;
	char		*prompt;

	if (args_num(m, a, "timeout", 1, 31536000, &timeout) != 0 ||
	    args_num(m, a, "max-retries", 0, 100, &retries) != 0 ||
	    args_num(m, a, "priority", 0, 1000, &priority) != 0 ||
	    (prompt = prompt_get(m, a)) == NULL)
		return (NULL);
	body = json_pack("{s:s, s:s}", "session_id", session, "prompt",
	    prompt);
	free(prompt);
	if (body == NULL) {
		usage_error(m, "the prompt is not UTF-8");
		return (NULL);
	}
	if (timeout != -1)
		json_object_set_new(body, "timeout_seconds",
		    json_integer(timeout));
	if (retries != -1)
		json_object_set_new(body, "max_retries",
		    json_integer(retries));
	if (priority != -1000)
		json_object_set_new(body, "priority", json_integer(priority));
	if (args_labels(m, a, body) != 0) {
		json_decref(body);
		return (NULL);
	}
	return (body);
}

static int
create_follow(struct mctl *m, const char *id)
{
	struct follow	 f = { 0 };
	int		 rc;

	f.m = m;
	f.task = id;
	f.silent = m->quiet;
	if (follow_run(&f) != 0) {
		task_left(id);
		follow_free(&f);
		return (m->rc);
	}
	if (m->output == OUT_JSON || m->output == OUT_YAML)
		out_line(m, f.end);
	else if (m->quiet)
		out_one(m, f.end);
	task_tell(m, f.end);
	rc = task_code(f.end);
	follow_free(&f);
	return (rc);
}

/* Ask again and again; the server holds each answer if it can. */
static int
create_wait(struct mctl *m, const char *id)
{
	struct follow	 f = { 0 };
	json_t		*doc = NULL;
	char		*path;
	int64_t		 asked;
	int		 rc;

	f.m = m;
	f.task = id;
	f.silent = 1;
	path = xasprintf("/api/v1/tasks/%s?wait=20", id);
	for (;;) {
		asked = when_ticks();
		json_decref(doc);
		if ((doc = api_wait(m, path)) == NULL || task_ended(doc))
			break;
		follow_state(&f, doc);
		if (when_ticks() - asked < 1000)
			sleep(1);
	}
	free(path);
	if (doc == NULL) {
		task_left(id);
		return (m->rc);
	}
	if (m->output == OUT_TABLE && !m->quiet && *doc_str(doc, "result") != 0)
		text_put(stdout, doc_str(doc, "result"),
		    strlen(doc_str(doc, "result")), TEXT_LINES);
	else
		out_record(m, doc, cols);
	if (m->output == OUT_TABLE && !m->quiet && *doc_str(doc, "result") != 0)
		putchar('\n');
	task_tell(m, doc);
	rc = task_code(doc);
	json_decref(doc);
	return (rc);
}

static int
do_create(struct mctl *m, const struct args *a)
{
	const char	*session, *idem;
	json_t		*body, *doc;
	char		*id;
	int		 rc = EX_DONE;

	if ((session = args_str(a, "session")) == NULL)
		return (usage_error(m, "--session is needed"));
	idem = args_str(a, "idempotency-key");
	if (idem != NULL && (*idem == '\0' || strlen(idem) > 255 ||
	    strpbrk(idem, "\r\n") != NULL))
		return (usage_error(m, "--idempotency-key: 1 to 255 printable "
		    "characters"));
	if ((body = body_make(m, a, session)) == NULL)
		return (EX_USE);
	doc = api_send(m, "POST", "/api/v1/tasks", body, idem);
	json_decref(body);
	if (doc == NULL)
		return (m->rc);
	if ((id = api_path(m, "", doc_str(doc, "id"), "")) == NULL)
		rc = EX_ERROR;
	else if (args_has(a, "follow"))
		rc = create_follow(m, id);
	else if (args_has(a, "wait"))
		rc = create_wait(m, id);
	else
		out_record(m, doc, cols);
	json_decref(doc);
	free(id);
	return (rc);
}

static int
do_list(struct mctl *m, const struct args *a)
{
	struct str	 s = { 0 };
	const char	*value;
	int		 i = 0;

	str_puts(&s, "/api/v1/tasks");
	while ((value = args_next(a, "session", &i)) != NULL)
		str_query(&s, "session_id", value);
	return (list_all(m, a, "status\0label\0", &s, cols));
}

static int
do_get(struct mctl *m, const struct args *a)
{
	int	 runs = strcmp(m->cmd->verb, "runs") == 0;
	json_t	*doc = api_get_of(m, "/api/v1/tasks/", a->operand[0],
		    runs ? "/runs" : "");

	if (doc == NULL)
		return (m->rc);
	if (runs)
		out_list(m, doc, run_cols);
	else
		out_one(m, doc);
	json_decref(doc);
	return (EX_DONE);
}

/* cancel, retry: the verb is the last word. */
static int
do_change(struct mctl *m, const struct args *a)
{
	const char	*reason;
	json_t		*body, *doc;
	char		*path, *tail;

	tail = xasprintf("/%s", m->cmd->verb);
	path = api_path(m, "/api/v1/tasks/", a->operand[0], tail);
	free(tail);
	if (path == NULL)
		return (EX_USE);
	body = json_object();
	if ((reason = args_str(a, "reason")) != NULL)
		json_object_set_new(body, "reason", json_string(reason));
	if ((doc = api_send(m, "POST", path, body, NULL)) != NULL)
		out_record(m, doc, cols);
	json_decref(doc);
	json_decref(body);
	free(path);
	return (doc == NULL ? m->rc : EX_DONE);
}

const struct cmd_entry cmd_tasks[] = {
	{ "tasks", "create", NULL, create_opts, 0, 0, 0,
	    "Give an agent a prompt", do_create },
	{ "tasks", "list", NULL, list_opts, 0, 0, 0,
	    "List tasks, newest first", do_list },
	{ "tasks", "get", "TASK", NULL, 1, 1, 0,
	    "Show all of a task", do_get },
	{ "tasks", "cancel", "TASK", cancel_opts, 1, 1, 0,
	    "Stop a task", do_change },
	{ "tasks", "retry", "TASK", NULL, 1, 1, 0,
	    "Try a failed task again", do_change },
	{ "tasks", "runs", "TASK", NULL, 1, 1, 0,
	    "List the attempts at a task", do_get },
	{ NULL, NULL, NULL, NULL, 0, 0, 0, NULL, NULL }
};
