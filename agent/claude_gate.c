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

#define ID_MAX		128

/* From its question until it is denied, or the run ends; ask.c bounds both. */
struct call {
	TAILQ_ENTRY(call)	 entry;		/* while it is asked about */
	RB_ENTRY(call)		 by_id;		/* once it is approved */
	char			*request_id;
	char			*id;
};

static int
call_cmp(struct call *a, struct call *b)
{
	return (strcmp(a->id, b->id));
}

RB_PROTOTYPE(calls, call, by_id, call_cmp)
RB_GENERATE(calls, call, by_id, call_cmp)

static void
call_free(struct call *c)
{
	free(c->request_id);
	free(c->id);
	free(c);
}

void
gate_init(struct gate *g)
{
	TAILQ_INIT(&g->asked);
	RB_INIT(&g->approved);
}

void
gate_free(struct gate *g)
{
	struct call	*c;

	while ((c = TAILQ_FIRST(&g->asked)) != NULL) {
		TAILQ_REMOVE(&g->asked, c, entry);
		call_free(c);
	}
	while ((c = RB_ROOT(&g->approved)) != NULL) {
		RB_REMOVE(calls, &g->approved, c);
		call_free(c);
	}
}

void
gate_asked(struct gate *g, const char *request_id, const char *id)
{
	struct call	*c;

	if (strlen(id) > ID_MAX)
		return;		/* Never approved, then. */
	c = xcalloc(1, sizeof(*c));
	c->request_id = xstrdup(request_id);
	c->id = xstrdup(id);
	TAILQ_INSERT_TAIL(&g->asked, c, entry);
}

void
gate_answered(struct gate *g, const char *request_id, int approved)
{
	struct call	*c;

	TAILQ_FOREACH(c, &g->asked, entry)
		if (strcmp(c->request_id, request_id) == 0)
			break;
	if (c == NULL)
		return;
	TAILQ_REMOVE(&g->asked, c, entry);
	if (!approved || RB_INSERT(calls, &g->approved, c) != NULL)
		call_free(c);
}

const char *
gate_breach(struct gate *g, json_t *frame)
{
	union { const char *c; char *v; } u;
	struct call	 key;
	json_t		*content, *b;
	size_t		 i;

	content = json_object_get(json_object_get(frame, "message"), "content");
	json_array_foreach(content, i, b) {
		u.c = claude_str(b, "tool_use_id");
		key.id = u.v;
		if (strcmp(claude_str(b, "type"), "tool_result") == 0 &&
		    !json_is_true(json_object_get(b, "is_error")) &&
		    RB_FIND(calls, &g->approved, &key) == NULL)
			return (u.c);
	}
	return (NULL);
}
