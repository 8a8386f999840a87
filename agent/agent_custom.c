/*
 * agent_custom.c - any program as an agent: the task is a line of JSON on its
 * stdin, what it prints is its log, and a few types of JSON lines mean
 * something.  Whatever is not understood is a log line and nothing else.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "log.h"
#include "place.h"
#include "run.h"
#include "spec.h"
#include "util.h"

#define CONTEXT_MAX	65536

/* Lives as long as its run. */
struct custom {
	char	*context;	/* to be kept, or NULL */
	int	 failing;	/* the disk refused it */
};

static int
custom_start(struct run *r, struct spec *spec)
{
	const char	*url = r->session->secret.base_url;

	r->kd = xcalloc(1, sizeof(struct custom));
	spec_put(spec, SPEC_ARG, r->program->path);
	if (r->key != NULL)
		spec_env(spec, "MARIONETTE_API_KEY", r->key);
	if (url != NULL)
		spec_env(spec, "MARIONETTE_BASE_URL", url);
	return (0);
}

/* The server's, else what the program itself left last time. */
static json_t *
custom_context(struct run *r)
{
	json_t	*j = NULL;
	char	*path, *text;

	if (r->context_json[0] != '\0')
		j = json_loads(r->context_json, JSON_DECODE_ANY, NULL);
	if (j == NULL) {
		path = xasprintf("%s/context", r->session->dir);
		text = file_read(path, CONTEXT_MAX, NULL);
		if (text != NULL)
			j = json_loads(text, JSON_DECODE_ANY, NULL);
		free(text);
		free(path);
	}
	return (j != NULL ? j : json_null());
}

static void
custom_begin(struct run *r)
{
	run_write_json(r, json_pack("{s:s, s:s, s:s, s:s, s:i, s:b, s:o}",
	    "type", "task", "prompt", r->prompt, "session_id", r->session->id,
	    "task_id", r->task_id, "attempt", (int)r->rec->attempt,
	    "interrupted", r->interrupted, "context", custom_context(r)));
}

static const char *
custom_str(json_t *j, const char *name)
{
	const char	*s = json_string_value(json_object_get(j, name));

	return (s != NULL ? s : "");
}

static uint64_t
custom_count(json_t *j, const char *name)
{
	json_int_t	 n = json_integer_value(json_object_get(j, name));

	return (n > 0 ? (uint64_t)n : 0);
}

static void
custom_ask(struct run *r, json_t *j)
{
	const char	*id = custom_str(j, "id"), *tool = custom_str(j, "tool");
	json_t		*input = json_object_get(j, "input");

	if (id[0] == '\0' || tool[0] == '\0') {
		run_system(r, "warn", "A permission_request without id or tool "
		    "was not passed on.");
		return;
	}
	input = input != NULL ? json_incref(input) : json_object();
	ask_new(r, id, "tool", tool, input, custom_str(j, "action")[0] != '\0' ?
	    custom_str(j, "action") : tool);
	json_decref(input);
}

static void
custom_usage(struct run *r, json_t *j)
{
	double	 cost = json_number_value(json_object_get(j, "cost_usd"));

	/* Totals of the run so far. */
	r->tokens_input = custom_count(j, "tokens_input");
	r->tokens_output = custom_count(j, "tokens_output");
	if (cost >= 0 && cost < 1e9)
		r->cost_microusd = (uint64_t)(cost * 1e6 + 0.5);
}

static void
custom_result(struct run *r, json_t *j)
{
	json_t	*v = json_object_get(j, "result");

	free(r->result);
	if (json_is_string(v))
		r->result = xstrdup(json_string_value(v));
	else
		r->result = v != NULL ? json_dumps(v, JSON_ENCODE_ANY) :
		    xstrdup(custom_str(j, "text"));
	if (json_is_true(json_object_get(j, "is_error")))
		r->failed = 1;
}

static void
custom_keep(struct run *r, json_t *j)
{
	struct custom	*c = r->kd;
	char		*text;

	text = json_dumps(json_object_get(j, "context"), JSON_ENCODE_ANY);
	if (text == NULL || strlen(text) > CONTEXT_MAX) {
		run_system(r, "warn", "A context without content, or larger "
		    "than 64 KiB, was not kept.");
		free(text);
		return;
	}
	free(c->context);
	c->context = text;
}

/*
 * The last of a turn is made durable: a thousand would keep us from others.  What
 * the disk refuses is tried again in the next ones.
 */
static void
custom_turn(struct run *r)
{
	struct custom	*c = r->kd;

	if (c == NULL || c->context == NULL)
		return;
	if (place_write(r->session->dir, "context", c->context) == -1) {
		if (!c->failing)
			log_warn("session %s: context", r->session->id);
		c->failing = 1;
		return;
	}
	c->failing = 0;
	free(c->context);
	c->context = NULL;
}

static void
custom_line(struct run *r, const char *line, size_t len)
{
	struct logged	 how = { "stdout", "info", "text", NULL };
	const char	*type;
	json_t		*j = NULL;

	if (len > 0 && line[0] == '{')
		j = json_loadb(line, len, JSON_ALLOW_NUL, NULL);
	type = custom_str(j, "type");
	if (strcmp(type, "permission_request") == 0) {
		how.kind = "permission";
		how.text = custom_str(j, "action");
	} else if (strcmp(type, "usage") == 0)
		how.kind = "usage";
	else if (strcmp(type, "result") == 0) {
		how.kind = "message";
		how.text = custom_str(j, "result")[0] != '\0' ?
		    custom_str(j, "result") : custom_str(j, "text");
	} else if (strcmp(type, "progress") == 0)
		how.text = custom_str(j, "step");
	run_log(r, &how, line, len);
	if (strcmp(type, "permission_request") == 0)
		custom_ask(r, j);
	else if (strcmp(type, "usage") == 0)
		custom_usage(r, j);
	else if (strcmp(type, "progress") == 0)
		run_progress(r, (unsigned int)(custom_count(j, "percent") > 100
		    ? 100 : custom_count(j, "percent")), custom_str(j, "step"));
	else if (strcmp(type, "result") == 0)
		custom_result(r, j);
	else if (strcmp(type, "context") == 0)
		custom_keep(r, j);
	json_decref(j);
}

static void
custom_answer(struct run *r, struct ask *a, int approved, const char *reason,
    json_t *input, json_t *answers)
{
	json_t	*j;

	j = json_pack("{s:s, s:s, s:b, s:s}", "type", "permission_answer",
	    "id", a->program_id, "approved", approved, "reason", reason);
	if (approved && input != NULL)
		json_object_set(j, "input", input);
	if (approved && answers != NULL)
		json_object_set(j, "answers", answers);
	run_write_json(r, j);
}

static void
custom_ended(struct run *r, int wait_status)
{
	struct custom	*c = r->kd;

	/* Its exit status is the whole truth; run.c words it. */
	(void)wait_status;
	custom_turn(r);
	if (c != NULL && c->failing)
		run_system(r, "warn", "The runner's disk is full: what this "
		    "left for the next task could not be kept.");
}

static void
custom_release(struct run *r)
{
	struct custom	*c = r->kd;

	custom_turn(r);
	if (c != NULL)
		free(c->context);
	free(c);
	r->kd = NULL;
}

const struct kind	kind_custom = {
	"custom", custom_start, custom_begin, custom_line, custom_answer, NULL,
	custom_ended, custom_turn, custom_release
};
