/*
 * agent_claude.c - Claude Code, driven by its stream-json protocol.  The gate:
 * no settings but ours, every tool call stopped by the PreToolUse callback,
 * which answers "ask", so that the program must come with can_use_tool, which
 * a person answers.  The prompt is sent only after the callback was accepted.
 * A call that is shown as done and was not approved ends the run.  An unknown
 * frame is a log line, an unknown request is refused.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "claude.h"
#include "conversation.h"
#include "log.h"
#include "room.h"
#include "run.h"
#include "spec.h"
#include "util.h"

#define CLAUDE_SETTINGS	"{\"permissions\":{\"ask\":[\"*\"]}}"
/* Those that end with their call: what goes on alone is not supervised. */
#define CLAUDE_TOOLS	"Bash,Read,Write,Edit,Glob,Grep,WebFetch,WebSearch," \
			"Task,NotebookEdit,AskUserQuestion,EnterPlanMode," \
			"ExitPlanMode,Skill"
#define CLAUDE_HOOK	"marionette"
#define CLAUDE_HOOK_S	604800

/* Lives as long as its run. */
struct claude {
	struct conversation	 conversation;
	struct held		 held;
	struct gate		 gate;
	int			 gated;	/* the callback was accepted */
	int			 done;	/* a result came */
	int			 breached; /* a call was not approved */
};

static void
claude_env(struct run *r, struct spec *spec)
{
	static const char *const	 quiet[] = {
		"DISABLE_TELEMETRY", "DISABLE_ERROR_REPORTING",
		"DISABLE_AUTOUPDATER", "DISABLE_BUG_COMMAND",
		"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC",
		/* Nothing outlives its turn; no file is read by naming it. */
		"CLAUDE_CODE_DISABLE_BACKGROUND_TASKS",
		"CLAUDE_CODE_DISABLE_FILE_MENTIONS"
	};
	const char			*url = r->session->secret.base_url;
	size_t				 i;

	for (i = 0; i < sizeof(quiet) / sizeof(quiet[0]); i++)
		spec_env(spec, quiet[i], "1");
	/* By a pipe: what it runs inherits environments, and can read its. */
	if (r->key != NULL) {
		spec_put(spec, SPEC_KEY, r->key);
		spec_env(spec, "CLAUDE_CODE_API_KEY_FILE_DESCRIPTOR",
		    HOLDER_KEY_S);
	}
	if (url != NULL)
		spec_env(spec, "ANTHROPIC_BASE_URL", url);
}

static int
claude_start(struct run *r, struct spec *spec)
{
	static const char *const	 args[] = {
		"-p", "--output-format", "stream-json", "--input-format",
		"stream-json", "--verbose", "--include-partial-messages",
		"--permission-prompt-tool", "stdio", "--setting-sources", "",
		"--strict-mcp-config", "--settings", CLAUDE_SETTINGS,
		"--tools=" CLAUDE_TOOLS
	};
	const struct conversation	*conversation;
	struct claude			*c;
	char				*arg;
	size_t				 i;

	r->kd = c = xcalloc(1, sizeof(*c));
	gate_init(&c->gate);
	conversation = &c->conversation;
	if (conversation_open(r, &c->conversation) == -1) {
		r->error = xstrdup("The runner cannot store the name of the "
		    "conversation.");
		return (-1);
	}
	r->conversation = xstrdup(conversation->uuid);
	spec_put(spec, SPEC_ARG, "claude");
	for (i = 0; i < sizeof(args) / sizeof(args[0]); i++)
		spec_put(spec, SPEC_ARG, args[i]);
	spec_put(spec, SPEC_ARG, conversation->resumed ? "--resume" :
	    "--session-id");
	spec_put(spec, SPEC_ARG, conversation->uuid);
	if (r->session->model[0] != '\0') {
		spec_put(spec, SPEC_ARG, "--model");
		spec_put(spec, SPEC_ARG, r->session->model);
	}
	if (env->mcp_config != NULL) {
		arg = xasprintf("--mcp-config=%s", env->mcp_config);
		spec_put(spec, SPEC_ARG, arg);
		free(arg);
	}
	claude_env(r, spec);
	return (0);
}

static void
claude_begin(struct run *r)
{
	run_write_json(r, json_pack("{s:s, s:s, s:{s:s, s:{s:[{s:[s], s:i}]}}}",
	    "type", "control_request", "request_id", "init-1", "request",
	    "subtype", "initialize", "hooks", "PreToolUse",
	    "hookCallbackIds", CLAUDE_HOOK, "timeout", CLAUDE_HOOK_S));
}

static void
claude_prompt(struct run *r)
{
	struct claude	*c = r->kd;
	const char	*text = r->prompt;
	char		*said;

	if (c->conversation.heard)
		text = "Your work on the last request was interrupted: the "
		    "process was stopped before it had finished. Some of it may "
		    "be done. Look at the state of the workspace and go on from "
		    "there. Do not begin again.";
	/* A slash at the start would make it a command of the program's own. */
	said = xasprintf("%s%s", text[0] == '/' ? " " : "", text);
	run_write_json(r, json_pack("{s:s, s:{s:s, s:s}}", "type", "user",
	    "message", "role", "user", "content", said));
	freezero(said, strlen(said));
}

static void
claude_reply(struct run *r, const char *request_id, json_t *response)
{
	run_write_json(r, json_pack("{s:s, s:{s:s, s:s, s:o}}", "type",
	    "control_response", "response", "subtype", "success",
	    "request_id", request_id, "response", response));
}

static void
claude_refuse(struct run *r, const char *request_id, const char *why)
{
	run_write_json(r, json_pack("{s:s, s:{s:s, s:s, s:s}}", "type",
	    "control_response", "response", "subtype", "error", "request_id",
	    request_id, "error", why));
}

static void
claude_ask(struct run *r, const char *id, json_t *req)
{
	const char	*tool = claude_str(req, "tool_name"), *kind = "tool";
	struct claude	*c = r->kd;
	json_t		*input = json_object_get(req, "input");
	char		*action;

	if (tool[0] == '\0' || !json_is_object(input)) {
		claude_refuse(r, id, "not understood");
		return;
	}
	if (strcmp(tool, "AskUserQuestion") == 0)
		kind = "question";
	else if (strcmp(tool, "ExitPlanMode") == 0)
		kind = "plan";
	gate_asked(&c->gate, id, claude_str(req, "tool_use_id"));
	action = claude_action(tool, input);
	ask_new(r, id, kind, tool, input, action);
	free(action);
}

static void
claude_request(struct run *r, json_t *j)
{
	const char	*id = claude_str(j, "request_id");
	json_t		*req = json_object_get(j, "request");
	const char	*what = claude_str(req, "subtype");

	if (id[0] == '\0')
		return;
	if (strcmp(what, "can_use_tool") == 0)
		claude_ask(r, id, req);
	else if (strcmp(what, "hook_callback") == 0)
		claude_reply(r, id, json_pack("{s:{s:s, s:s, s:s}}",
		    "hookSpecificOutput", "hookEventName", "PreToolUse",
		    "permissionDecision", "ask", "permissionDecisionReason",
		    "A person decides."));
	else
		claude_refuse(r, id, "not supported");
}

static void
claude_response(struct run *r, json_t *j)
{
	struct claude	*c = r->kd;
	json_t		*resp = json_object_get(j, "response");

	if (strcmp(claude_str(resp, "request_id"), "init-1") != 0)
		return;
	if (strcmp(claude_str(resp, "subtype"), "success") == 0) {
		if (!c->gated && r->status == NULL)
			claude_prompt(r);
		c->gated = 1;
		return;
	}
	/* Without the gate nothing is run. */
	free(r->error);
	r->error = xstrdup("Claude Code did not accept the permission gate.");
	run_close_in(r);
	run_expect_end(r);
}

/* The server takes no more: with it RunCompleted would be refused for ever. */
static void
claude_add(uint64_t *total, json_t *usage, const char *name)
{
	uint64_t	 n = claude_count(usage, name);

	*total = n > INT64_MAX - *total ? INT64_MAX : *total + n;
}

static void
claude_result(struct run *r, json_t *j)
{
	struct claude	*c = r->kd;
	json_t		*u = json_object_get(j, "usage");
	const char	*text = claude_str(j, "result");
	double		 cost;

	c->done = 1;
	free(r->result);
	r->result = xstrdup(text);
	claude_add(&r->tokens_input, u, "input_tokens");
	claude_add(&r->tokens_input, u, "cache_creation_input_tokens");
	claude_add(&r->tokens_input, u, "cache_read_input_tokens");
	claude_add(&r->tokens_output, u, "output_tokens");
	cost = json_number_value(json_object_get(j, "total_cost_usd"));
	if (cost >= 0 && cost < 1e9)
		r->cost_microusd = (uint64_t)(cost * 1e6 + 0.5);
	if (json_is_false(json_object_get(j, "is_error")) &&
	    strcmp(claude_str(j, "subtype"), "success") == 0)
		r->succeeded |= r->status == NULL;
	else if (r->error == NULL) {
		r->failed = 1;
		r->error = claude_error(j);
		r->error_code = xstrdup(json_object_get(j, "api_error_status")
		    != NULL ? "model_error" : "agent_failed");
	}
	run_close_in(r);
	run_expect_end(r);
}

/* A person was to decide this and was not asked: whatever it says, it failed. */
static void
claude_breach(struct run *r, const char *id)
{
	struct claude	*c = r->kd;

	c->breached = 1;
	r->succeeded = 0;
	r->failed = 1;
	free(r->error);
	free(r->error_code);
	r->error = xasprintf("Claude Code did what nobody had approved, and was "
	    "stopped: its gate is broken (call %s).", id);
	r->error_code = xstrdup("gate_breached");
	run_ctl(r, 'K');
}

static void
claude_act(struct run *r, json_t *j)
{
	struct claude	*c = r->kd;
	const char	*type = claude_str(j, "type"), *id;

	if (!c->breached && (id = gate_breach(&c->gate, j)) != NULL)
		claude_breach(r, id);
	if (c->breached)
		return;		/* Nothing of it is believed any more. */
	id = claude_str(j, "request_id");
	if (strcmp(type, "control_request") == 0)
		claude_request(r, j);
	else if (strcmp(type, "control_cancel_request") == 0) {
		gate_answered(&c->gate, id, 0);
		ask_withdrawn(r, id);
	} else if (strcmp(type, "control_response") == 0)
		claude_response(r, j);
	else if (strcmp(type, "result") == 0)
		claude_result(r, j);
}

static void
claude_line(struct run *r, const char *line, size_t len)
{
	struct logged	 how = { "stdout", "info", "text", NULL };
	json_t		*j = NULL;
	char		*text = NULL;
	struct claude	*c = r->kd;

	if (len > 0 && line[0] == '{')
		j = json_loadb(line, len, JSON_ALLOW_NUL, NULL);
	if (j == NULL)
		claude_delta_flush(r, &c->held);
	else if (claude_delta(r, &c->held, j, line, len)) {
		json_decref(j);
		return;
	}
	if (j != NULL)
		text = claude_classify(j, &how);
	how.text = text;
	run_log(r, &how, line, len);
	free(text);
	claude_act(r, j);
	json_decref(j);
}

static void
claude_answer(struct run *r, struct ask *a, int approved, const char *reason,
    json_t *input, json_t *answers)
{
	struct claude	*c = r->kd;
	json_t		*updated, *say;

	gate_answered(&c->gate, a->program_id, approved);
	if (!approved) {
		claude_reply(r, a->program_id, json_pack("{s:s, s:s}",
		    "behavior", "deny", "message", reason[0] != '\0' ? reason :
		    "The person who supervises this said no."));
		return;
	}
	updated = json_deep_copy(input != NULL ? input : a->input);
	if (answers != NULL && json_is_object(answers))
		json_object_set(updated, "answers", answers);
	say = json_pack("{s:s, s:o}", "behavior", "allow", "updatedInput",
	    updated);
	claude_reply(r, a->program_id, say);
}

static void
claude_interrupt(struct run *r)
{
	run_write_json(r, json_pack("{s:s, s:s, s:{s:s}}", "type",
	    "control_request", "request_id", "int-1", "request", "subtype",
	    "interrupt"));
}

static void
claude_ended(struct run *r, int wait_status)
{
	struct claude	*c = r->kd;

	if (c != NULL)
		claude_delta_flush(r, &c->held);
	if (r->status != NULL || c == NULL)
		return;
	if (!c->done)
		r->failed = 1;	/* Whatever its status: it gave no result. */
	if (!c->done && r->error == NULL && WIFEXITED(wait_status))
		r->error = xasprintf("Claude Code ended with status %d and "
		    "without a result.", WEXITSTATUS(wait_status));
}

static void
claude_release(struct run *r)
{
	struct claude	*c = r->kd;

	if (c != NULL) {
		claude_delta_free(&c->held);
		gate_free(&c->gate);
	}
	free(c);
	r->kd = NULL;
}

const struct kind	kind_claude = {
	"claude", claude_start, claude_begin, claude_line, claude_answer,
	claude_interrupt, claude_ended, NULL, claude_release
};
