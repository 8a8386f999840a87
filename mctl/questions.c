/*
 * The agent's questions in `mctl run': found by asking the server, because a
 * line of the log may tell of one and may not; each is answered once, which is
 * when the server has taken the answer or refused it for good.
 */

#include <stdlib.h>
#include <string.h>

#include "ask.h"
#include "job.h"

static int
was_answered(struct job *j, const char *id)
{
	unsigned int	 i;

	for (i = 0; i < ANSWERED_MAX && i < j->nanswered; i++)
		if (strcmp(j->answered[i], id) == 0)
			return (1);
	return (0);
}

static void
answer_send(struct job *j, json_t *perm, int yes, const char *reason)
{
	const char	*id = doc_str(perm, "id");
	json_t		*body, *doc = NULL;
	char		*path, *slot;

	body = json_object();
	if (reason != NULL)
		json_object_set_new(body, "reason", json_string(reason));
	path = api_path(j->m, "/api/v1/permissions/", id,
	    yes ? "/approve" : "/deny");
	j->m->settled = 1;
	if (path != NULL)
		doc = api_send(j->m, "POST", path, body, NULL);
	free(path);
	json_decref(body);
	if (!j->m->settled)
		return;		/* It stands; it is asked again. */
	if (doc != NULL && !yes)
		j->denied = 1;
	slot = j->answered[j->nanswered++ % ANSWERED_MAX];
	snprintf(slot, sizeof(j->answered[0]), "%s", id);
	json_decref(doc);
}

static int
still_stands(struct mctl *m, const char *id)
{
	struct request	 q = { "GET", NULL, NULL, NULL, 10, 0, 0 };
	struct reply	 r;
	char		*path;
	int		 stands = 1;

	if ((path = api_path(m, "/api/v1/permissions/", id, "")) == NULL)
		return (0);
	q.path = path;
	if (http_do(m, &q, &r) == 0 && r.status == 200)
		stands = strcmp(doc_str(r.doc, "status"), "pending") == 0;
	reply_clear(&r);
	free(path);
	return (stands);
}

/* Nobody to ask: --yes, or no; and it is said. */
static void
answer_alone(struct job *j, json_t *perm)
{
	struct str	 s = { 0 };
	const char	*tool = doc_str(perm, "tool");
	const char	*action = doc_str(perm, "action");

	str_printf(&s, "mctl: %s: ", j->yes ? "approved (--yes)" :
	    "denied (no terminal to ask at; --yes approves)");
	/* The action is the agent's own line; most begin with the tool. */
	if (strncmp(action, tool, strlen(tool)) != 0) {
		text_safe(&s, tool, strlen(tool), 0);
		str_puts(&s, ": ");
	}
	text_safe(&s, action, strlen(action), 0);
	fprintf(stderr, "%s\n", s.data);
	str_free(&s);
	answer_send(j, perm, j->yes, j->yes ? NULL :
	    "nobody was there to ask");
}

/* 1: the person wants to leave. */
static int
question(struct job *j, json_t *perm, int (*interrupted)(void))
{
	enum answer	 a;

	render_break(&j->follow.render);
	if (j->yes || !j->person) {
		answer_alone(j, perm);
		return (0);
	}
	a = ask_person(j->m, perm, still_stands, interrupted);
	if (a == ANSWER_QUIT)
		return (1);
	if (a != ANSWER_NONE)
		answer_send(j, perm, a == ANSWER_YES, NULL);
	return (0);
}

/* What stands open now, until somebody interrupts. */
int
questions(struct job *j, int (*interrupted)(void))
{
	struct request	 q = { "GET", j->pending, NULL, NULL, 10, 0, 0 };
	struct reply	 r;
	json_t		*perm;
	size_t		 i;
	int		 left = 0;

	j->polled = when_ticks();
	if (http_do(j->m, &q, &r) == 0 && r.status == 200)
		json_array_foreach(doc_items(r.doc), i, perm)
			if (!left && !interrupted() &&
			    !was_answered(j, doc_str(perm, "id")))
				left = question(j, perm, interrupted);
	reply_clear(&r);
	return (left);
}
