/*
 * mctl run: the whole of it.  A session, a task, its log, and each question
 * of the agent's put to the person at the terminal; then the result.  The
 * session it made ends with it, unless it is to be kept or the task is left
 * at work.
 */

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "job.h"
#include "text.h"

#define POLL_MS		2000

static const struct opt run_opts[] = {
	{ "session", "ID", "work in this session", 0 },
	{ "keep", NULL, "leave the session, to go on in it", 0 },
	{ "yes", NULL, "approve whatever the agent asks", 'y' },
	{ "name", "NAME", "the session's name", 0 },
	{ "model", "MODEL", "the model the agent is to use", 0 },
	{ "label", "K=V", "a label of the session; may be repeated", 0 },
	{ "agent-config", "ID", "a stored credential of the server's", 0 },
	{ "no-byok", NULL, "leave ANTHROPIC_API_KEY alone", 0 },
	{ "base-url", "URL", "where that key is good", 0 },
	{ "timeout", "SECONDS", "of execution; waiting does not count", 0 },
	{ NULL, NULL, NULL, 0 }
};

static volatile sig_atomic_t	 interrupts;

static void
on_interrupt(int sig)
{
	(void)sig;
	interrupts++;
}

static int
was_interrupted(void)
{
	return (interrupts != 0);
}

/* The second one ends whatever is waited for. */
static int
has_left(void)
{
	return (interrupts > 1);
}

static void
interrupts_catch(struct mctl *m)
{
	struct sigaction	 sa;

	memset(&sa, 0, sizeof(sa));
	sa.sa_handler = on_interrupt;
	sigemptyset(&sa.sa_mask);
	sigaction(SIGINT, &sa, NULL);
	m->left = has_left;
}

/* claude and a key in the environment: that key, and its address. */
static void
byok_add(struct job *j, json_t *body, const char *agent)
{
	const char	*key, *url;

	if (strcmp(agent, "claude") != 0 || args_has(j->args, "no-byok") ||
	    args_has(j->args, "agent-config") ||
	    (key = getenv("ANTHROPIC_API_KEY")) == NULL || *key == '\0')
		return;
	json_object_set_new(body, "api_key", json_string(key));
	url = getenv("ANTHROPIC_BASE_URL");
	if (url != NULL && *url != '\0' && !args_has(j->args, "base-url"))
		json_object_set_new(body, "base_url", json_string(url));
	if (!j->m->quiet)
		fputs("mctl: the session uses your ANTHROPIC_API_KEY "
		    "(--no-byok: the server's own)\n", stderr);
}

static int
session_make(struct job *j, const char *agent)
{
	static const char *const	 map[][2] = { { "name", "name" },
	    { "model", "model" }, { "agent-config", "agent_config_id" },
	    { "base-url", "base_url" } };
	const char			*s;
	json_t				*body, *doc = NULL;
	size_t				 i;

	if ((body = json_pack("{s:s}", "agent", agent)) == NULL)
		return (usage_error(j->m, "the agent's name is not UTF-8"));
	for (i = 0; i < sizeof(map) / sizeof(map[0]); i++)
		if ((s = args_str(j->args, map[i][0])) != NULL)
			json_object_set_new(body, map[i][1], json_string(s));
	byok_add(j, body, agent);
	j->m->rc = EX_USE;
	if (args_labels(j->m, j->args, body) == 0)
		doc = api_send(j->m, "POST", "/api/v1/sessions", body, NULL);
	json_decref(body);
	if (doc == NULL)
		return (j->m->rc);
	j->session = api_path(j->m, "", doc_str(doc, "id"), "");
	json_decref(doc);
	j->made = 1;
	return (j->session == NULL ? EX_ERROR : EX_DONE);
}

static int
task_make(struct job *j, const char *prompt)
{
	json_t	*body, *doc;

	body = json_pack("{s:s, s:s}", "session_id", j->session, "prompt",
	    prompt);
	if (body == NULL)
		return (usage_error(j->m, "the prompt is not UTF-8"));
	if (j->timeout != -1)
		json_object_set_new(body, "timeout_seconds",
		    json_integer(j->timeout));
	doc = api_send(j->m, "POST", "/api/v1/tasks", body, NULL);
	json_decref(body);
	if (doc == NULL)
		return (j->m->rc);
	j->task = api_path(j->m, "", doc_str(doc, "id"), "");
	json_decref(doc);
	if (j->task == NULL)
		return (EX_ERROR);
	j->pending = xasprintf("/api/v1/permissions?task_id=%s&status=pending",
	    j->task);
	return (EX_DONE);
}

static void
cancel(struct job *j)
{
	json_t	*body, *doc;
	char	*path;

	fputs("\nmctl: asking the task to stop; Ctrl-C again leaves it\n",
	    stderr);
	path = xasprintf("/api/v1/tasks/%s/cancel", j->task);
	body = json_pack("{s:s}", "reason", "interrupted");
	doc = api_send(j->m, "POST", path, body, NULL);
	j->canceled = j->m->settled;
	json_decref(doc);
	json_decref(body);
	free(path);
}

static int
on_tick(struct follow *f)
{
	struct job	*j = f->arg;

	if (has_left())
		return (1);
	if (interrupts == 1 && !j->canceled)
		cancel(j);
	if (!f->asked && when_ticks() - j->polled < POLL_MS)
		return (0);
	f->asked = 0;
	return (questions(j, was_interrupted));
}

/* The result, unless the log ended with it. */
static void
result_print(struct job *j)
{
	struct follow	*f = &j->follow;
	const char	*result = doc_str(f->end, "result");

	if (j->m->output == OUT_JSON || j->m->output == OUT_YAML) {
		out_one(j->m, f->end);
		return;
	}
	if (*result != '\0' && (f->render.said.len == 0 ||
	    strcmp(f->render.said.data, result) != 0)) {
		text_put(stdout, result, strlen(result), TEXT_LINES);
		putchar('\n');
	}
	fflush(stdout);
	task_tell(j->m, f->end);
}

/* Its runner is free for the next one when this returns, if all is well. */
static void
session_end(struct job *j)
{
	json_t	*doc;
	char	*path;

	path = xasprintf("/api/v1/sessions/%s/terminate?wait=10", j->session);
	doc = api_send(j->m, "POST", path, NULL, NULL);
	json_decref(doc);
	free(path);
}

/* What happens to the session, said where it matters. */
static void
leave(struct job *j, int ended)
{
	if (ended && j->made && !args_has(j->args, "keep")) {
		session_end(j);
		return;
	}
	if (!ended && j->task != NULL)
		task_left(j->task);
	fprintf(stderr, "mctl: session %s stays; `mctl run --session %s AGENT "
	    "PROMPT' goes on, `mctl sessions terminate %s' ends it\n",
	    j->session, j->session, j->session);
}

static int
job_run(struct job *j, const char *prompt)
{
	struct follow	*f = &j->follow;
	int		 rc;

	if ((rc = task_make(j, prompt)) != EX_DONE) {
		leave(j, 1);
		return (rc);
	}
	f->m = j->m;
	f->task = j->task;
	f->tick = on_tick;
	f->arg = j;
	f->silent = j->m->quiet || j->m->output == OUT_JSON ||
	    j->m->output == OUT_YAML;
	rc = follow_run(f);
	if (rc != 0) {
		leave(j, 0);
		return (rc == -1 ? j->m->rc : EX_ERROR);
	}
	result_print(j);
	leave(j, 1);
	if ((rc = task_code(f->end)) == EX_DONE && j->denied)
		rc = EX_DENIED;
	return (rc);
}

static int
do_run(struct mctl *m, const struct args *a)
{
	static struct job	 j;
	const char		*s = getenv("MARIONETTE_YES");
	char			*prompt;
	int			 rc = EX_DONE;

	j.m = m;
	j.args = a;
	j.yes = args_has(a, "yes") || (s != NULL && strcmp(s, "1") == 0);
	j.person = isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
	j.timeout = -1;
	if (args_num(m, a, "timeout", 1, 31536000, &j.timeout) != 0)
		return (EX_USE);
	if (strcmp(a->operand[1], "-") != 0)
		prompt = xstrdup(a->operand[1]);
	else if (args_file(m, "-", &prompt) != 0)
		return (EX_USE);
	if (*prompt == '\0' || !text_is_utf8(prompt, strlen(prompt))) {
		rc = usage_error(m, *prompt == '\0' ? "the prompt is empty" :
		    "the prompt is not UTF-8");
		free(prompt);
		return (rc);
	}
	interrupts_catch(m);
	if ((s = args_str(a, "session")) == NULL)
		rc = session_make(&j, a->operand[0]);
	else if ((j.session = api_path(m, "", s, "")) == NULL)
		rc = EX_USE;
	if (rc == EX_DONE)
		rc = job_run(&j, prompt);
	follow_free(&j.follow);
	free(j.session);
	free(j.task);
	free(j.pending);
	free(prompt);
	return (rc);
}

const struct cmd_entry cmd_run_entry[] = {
	{ "run", NULL, "AGENT PROMPT", run_opts, 2, 2, 0,
	    "Do it all: session, task, log, questions, result", do_run },
	{ NULL, NULL, NULL, NULL, 0, 0, 0, NULL, NULL }
};
