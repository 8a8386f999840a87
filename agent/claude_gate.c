/*
 * claude_gate.c - the calls that Claude Code asked about, and whether it may:
 * what it shows as done without that was let through by a broken gate.  A result
 * that is an error is not held against it: a call that was denied, cut short or
 * not understood ends so, asked about or not.
 */
#include <stdlib.h>
#include <string.h>

#include "claude.h"
#include "util.h"

#define CALLS_MAX	1024	/* far more than it has going on at once */
#define ID_MAX		128

/* From its question until it is denied, or the oldest of too many. */
struct call {
	TAILQ_ENTRY(call)	 entry;
	char			*request_id;	/* NULL: approved */
	char			*id;
};

static void
call_free(struct gate *g, struct call *c)
{
	TAILQ_REMOVE(&g->calls, c, entry);
	g->n--;
	free(c->request_id);
	free(c->id);
	free(c);
}

void
gate_init(struct gate *g)
{
	TAILQ_INIT(&g->calls);
	g->n = 0;
}

void
gate_free(struct gate *g)
{
	while (!TAILQ_EMPTY(&g->calls))
		call_free(g, TAILQ_FIRST(&g->calls));
}

void
gate_asked(struct gate *g, const char *request_id, const char *id)
{
	struct call	*c;

	if (strlen(id) > ID_MAX)
		return;		/* Never approved, then. */
	if (g->n == CALLS_MAX)
		call_free(g, TAILQ_FIRST(&g->calls));
	c = xcalloc(1, sizeof(*c));
	c->request_id = xstrdup(request_id);
	c->id = xstrdup(id);
	TAILQ_INSERT_TAIL(&g->calls, c, entry);
	g->n++;
}

void
gate_answered(struct gate *g, const char *request_id, int approved)
{
	struct call	*c;

	TAILQ_FOREACH(c, &g->calls, entry)
		if (c->request_id != NULL &&
		    strcmp(c->request_id, request_id) == 0)
			break;
	if (c == NULL)
		return;
	free(c->request_id);
	c->request_id = NULL;
	if (!approved)
		call_free(g, c);
}

static int
gate_approved(const struct gate *g, const char *id)
{
	struct call	*c;

	TAILQ_FOREACH(c, &g->calls, entry)
		if (c->request_id == NULL && strcmp(c->id, id) == 0)
			return (1);
	return (0);
}

const char *
gate_breach(const struct gate *g, json_t *frame)
{
	json_t	*content, *b;
	size_t	 i;

	content = json_object_get(json_object_get(frame, "message"), "content");
	json_array_foreach(content, i, b)
		if (strcmp(claude_str(b, "type"), "tool_result") == 0 &&
		    !json_is_true(json_object_get(b, "is_error")) &&
		    !gate_approved(g, claude_str(b, "tool_use_id")))
			return (claude_str(b, "tool_use_id"));
	return (NULL);
}
