/*
 * api_permission.c - what agents ask of people, and the answers.
 */
#include <stdlib.h>
#include <string.h>

#include "api_tables.h"
#include "body.h"
#include "frontd_msg.h"

#define ANSWERS_MAX	65536

static const struct filter	 permission_filters[] = {
	{ "session_id", "id:sess" }, { "task_id", "id:task" },
	{ "status", "pending|approved|denied|canceled" },
	{ "risk_level", "low|medium|high|critical" }, { NULL, NULL }
};

static void
permission_list(struct request *req)
{
	const struct identity		*who;
	struct msg_permission_list	 m;
	size_t				 len;
	char				*q;

	if ((who = auth(req)) == NULL || (q = list_query(req,
	    permission_filters, F_LIST, &len)) == NULL)
		return;
	m = (struct msg_permission_list){ ASKS(req, who, PROC_TASKD),
	    .query = (uint8_t *)q, .query_len = len };
	api_read(req, PROC_TASKD, MSG_PERMISSION_LIST, &m);
	json_text_free(q);
}

static const char *const	 no_params[] = { NULL };

static void
permission_get(struct request *req)
{
	const struct identity		*who;
	struct msg_permission_get	 m;

	if ((who = auth(req)) == NULL || path_id(req, 0, "perm") == -1 ||
	    query_only(req, no_params) == -1)
		return;
	m = (struct msg_permission_get){ ASKS(req, who, PROC_TASKD),
	    .permission = req->arg[0] };
	api_read(req, PROC_TASKD, MSG_PERMISSION_GET, &m);
}

static void
permission_decide(struct request *req, int approved)
{
	const struct identity		*who;
	const char			*remember;
	struct msg_permission_decide	 m;
	struct body			 b;
	json_t				*input = NULL, *answers = NULL;
	char				*i = NULL, *a = NULL;

	if ((who = auth(req)) == NULL || path_id(req, 0, "perm") == -1 ||
	    query_only(req, no_params) == -1 || body_open(&b, req) == -1)
		return;
	m = (struct msg_permission_decide){ ASKS(req, who, PROC_TASKD),
	    .permission = req->arg[0], .approved = (uint8_t)approved };
	m.reason = body_str(&b, "reason", 1024, 0);
	m.on_behalf_of = body_str(&b, "on_behalf_of", 128, 0);
	remember = body_enum(&b, "remember", "none|run|session", 0);
	if (remember != NULL && strcmp(remember, "none") != 0)
		body_fail(&b, "remember", "remember: this version of the"
		    " server remembers no decision; expected none");
	if (approved) {
		input = body_json(&b, "input", BODY_PROMPT, 0);
		answers = body_json(&b, "answers", ANSWERS_MAX, 0);
		if (input != NULL && !json_is_object(input))
			body_fail(&b, "input", "input: expected the tool's"
			    " whole input, an object");
	}
	if (body_close(&b) == -1)
		return;
	if (input != NULL)
		m.input = (uint8_t *)(i = json_text(input, &m.input_len));
	if (answers != NULL)
		m.answers = (uint8_t *)(a = json_text(answers,
		    &m.answers_len));
	api_write(req, PROC_TASKD, MSG_PERMISSION_DECIDE, &m, P_AGAIN);
	json_text_free(i);
	json_text_free(a);
	body_free(&b);
}

static void
permission_approve(struct request *req)
{
	permission_decide(req, 1);
}

static void
permission_deny(struct request *req)
{
	permission_decide(req, 0);
}

#define PERMISSION	"/api/v1/permissions/{id}"

const struct route	 permission_routes[] = {
	{ M_GET, LISTEN_REST, "/api/v1/permissions", "permissions:read", 0, 0,
	    permission_list },
	{ M_GET, LISTEN_REST, PERMISSION, "permissions:read", 0, 0,
	    permission_get },
	{ M_POST, LISTEN_REST, PERMISSION "/approve", "permissions:write",
	    BODY_PROMPT, R_JSON, permission_approve },
	{ M_POST, LISTEN_REST, PERMISSION "/deny", "permissions:write",
	    BODY_SMALL, R_JSON, permission_deny },
	{ 0 }
};
