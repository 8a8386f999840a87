/*
 * api_session.c - sessions: their rows and what the bodies mean.  A key that a
 * client brings goes to providerd first and only its key_ref to sessiond.
 */
#include <stdlib.h>
#include <string.h>

#include "api_tables.h"
#include "body.h"
#include "frontd_msg.h"
#include "log.h"

#define SPEC_MAX	65536
#define LABELS_MAX	8192
#define ANNOTATIONS_MAX	16384
#define SECONDS_MAX	31536000

/* What is known of a session to be made while its key is on its way. */
struct making {
	uint8_t		 ticket[256];
	size_t		 ticket_len;
	char		 session[ID_SIZE];	/* PUT credential */
	char		 agent[65];
	char		 agent_config[ID_SIZE];
	char		 key_ref[ID_SIZE];
	struct idem	 idem;
	size_t		 spec_len;
	char		 spec[];
};

/* Of surface 2, not of this version. */
static const char *const	 later[] = { "workspace_id", "source",
	"profile", "provider", "selector", "sandbox", "network_policy",
	"allowed_hosts", "permission_policy", "lifecycle_mode",
	"schedule_cron", "schedule_timezone", "max_lifetime_seconds",
	"suspend_strategy", "budget", NULL };

static const struct filter	 session_filters[] = {
	{ "status", "pending|active|suspended|resuming|terminated" },
	{ "agent", NULL }, { NULL, NULL }
};

static const char *const	 no_params[] = { NULL };

static struct making *
making_new(const struct identity *who, const char *spec, size_t len)
{
	struct making	*k;
	const int	 i = 0;		/* the owner is sessiond itself */

	if ((k = calloc(1, sizeof(*k) + len)) == NULL)
		fatal("session");
	memcpy(k->ticket, who->ticket[i], who->ticket_len[i]);
	k->ticket_len = who->ticket_len[i];
	memcpy(k->spec, spec, len);
	k->spec_len = len;
	return (k);
}

/* Fields that POST and PATCH share, each checked. */
static void
session_fields(struct body *b, int flags)
{
	body_str(b, "name", 128, 0);
	body_str(b, "model", 128, 0);
	body_int(b, "idle_timeout_seconds", 0, SECONDS_MAX, 0);
	body_map(b, "labels", LABELS_MAX, flags);
	body_map(b, "annotations", ANNOTATIONS_MAX, flags);
	body_unsupported(b, later);
}

/* The body without what travels in fields of its own. */
static char *
session_spec(struct body *b, size_t *len)
{
	static const char *const	 own[] = { "agent", "agent_config_id",
					    "api_key", "base_url" };
	const char			*name;
	json_t				*spec = json_object(), *v;
	char				*text;
	size_t				 i;

	json_object_foreach(b->root, name, v) {
		for (i = 0; i < sizeof(own) / sizeof(own[0]); i++)
			if (strcmp(own[i], name) == 0)
				break;
		if (i == sizeof(own) / sizeof(own[0]) && !json_is_null(v))
			json_object_set(spec, name, v);
	}
	text = json_text(spec, len);
	json_decref(spec);
	return (text);
}

static void
session_create_ask(struct request *req, const struct making *k)
{
	struct msg_session_create	 m = {
		.ticket = k->ticket, .ticket_len = k->ticket_len,
		.request_id = req->request_id, IDEM(&k->idem),
		.agent = k->agent, .agent_config = k->agent_config,
		.key_ref = k->key_ref, .spec = (const uint8_t *)k->spec,
		.spec_len = k->spec_len
	};

	api_write(req, PROC_SESSIOND, MSG_SESSION_CREATE, &m, P_AGAIN);
}

static void
session_key_held(struct request *req, enum msg_type type, const void *m,
    void *arg)
{
	const struct making		*k = arg;
	struct msg_session_credential	 c = {
		.ticket = k->ticket, .ticket_len = k->ticket_len,
		.request_id = req->request_id, .session = k->session,
		.key_ref = k->key_ref
	};

	if (type == MSG_REFUSED)
		refusal_reply(req, m);
	else if (*k->session != '\0')
		api_write(req, PROC_SESSIOND, MSG_SESSION_CREDENTIAL, &c,
		    P_AGAIN);
	else
		session_create_ask(req, k);
}

static void
session_create(struct request *req)
{
	const struct identity	*who;
	const char		*agent, *config, *key, *url;
	struct making		*k;
	struct body		 b;
	char			*spec;
	size_t			 len;

	if ((who = auth(req)) == NULL || query_only(req, no_params) == -1 ||
	    body_open(&b, req) == -1)
		return;
	agent = body_agent(&b, B_REQUIRED);
	config = body_id(&b, "agent_config_id", "acfg", 0);
	key = body_key(&b, 0);
	url = body_base_url(&b);
	session_fields(&b, 0);
	if (key != NULL && config != NULL)
		body_fail(&b, "api_key", "api_key: expected without"
		    " agent_config_id; a session has one credential");
	if (url != NULL && key == NULL)
		body_fail(&b, "base_url", "base_url: expected with api_key;"
		    " an agent config has its own");
	body_wipe(req);
	if (body_close(&b) == -1)
		return;
	spec = session_spec(&b, &len);
	k = making_new(who, spec, len);
	json_text_free(spec);
	strlcpy(k->agent, agent, sizeof(k->agent));
	strlcpy(k->agent_config, config != NULL ? config : "",
	    sizeof(k->agent_config));
	if (idem_make(req, who, b.root, &k->idem) == -1)
		free(k);
	else if (key != NULL) {
		id_make(k->key_ref, "sec");
		key_hold(req, who, k->key_ref, key, url, session_key_held, k,
		    sizeof(*k) + len);
	} else {
		session_create_ask(req, k);
		free(k);
	}
	body_free(&b);
}

static void
session_credential(struct request *req)
{
	const struct identity	*who;
	const char		*key, *url;
	struct making		*k;
	struct body		 b;

	if ((who = auth(req)) == NULL || path_id(req, 0, "sess") == -1 ||
	    query_only(req, no_params) == -1 || body_open(&b, req) == -1)
		return;
	key = body_key(&b, B_REQUIRED);
	url = body_base_url(&b);
	body_wipe(req);
	if (body_close(&b) == -1)
		return;
	k = making_new(who, "", 0);
	strlcpy(k->session, req->arg[0], sizeof(k->session));
	id_make(k->key_ref, "sec");
	key_hold(req, who, k->key_ref, key, url, session_key_held, k,
	    sizeof(*k));
	body_free(&b);
}

static void
session_list(struct request *req)
{
	const struct identity	*who;
	struct msg_session_list	 m;
	size_t			 len;
	char			*q;

	if ((who = auth(req)) == NULL || (q = list_query(req, session_filters,
	    F_LIST | F_LABELS, &len)) == NULL)
		return;
	m = (struct msg_session_list){ ASKS(req, who, PROC_SESSIOND),
	    .query = (uint8_t *)q, .query_len = len };
	api_read(req, PROC_SESSIOND, MSG_SESSION_LIST, &m);
	json_text_free(q);
}

static const char *const	 wait_param[] = { "wait", NULL };

static void
session_get(struct request *req)
{
	const struct identity	*who;
	struct msg_session_get	 m;
	struct expect		 expect = { .flags = P_READ };
	unsigned int		 wait;

	if ((who = auth(req)) == NULL || path_id(req, 0, "sess") == -1 ||
	    query_only(req, wait_param) == -1 || query_wait(req, &wait) == -1)
		return;
	m = (struct msg_session_get){ ASKS(req, who, PROC_SESSIOND),
	    .session = req->arg[0], .wait = wait };
	expect.wait = wait;
	pending_ask(req, PROC_SESSIOND, MSG_SESSION_GET, &m, &expect);
}

static void
session_change(struct request *req)
{
	const struct identity		*who;
	struct msg_session_change	 m;
	struct body			 b;
	char				 if_match[65], *patch;
	size_t				 len;

	if ((who = auth(req)) == NULL || path_id(req, 0, "sess") == -1 ||
	    query_only(req, no_params) == -1 ||
	    etag_if_match(req, if_match, sizeof(if_match)) == -1 ||
	    body_open(&b, req) == -1)
		return;
	session_fields(&b, B_PATCH);
	if (body_close(&b) == -1)
		return;
	patch = json_text(b.root, &len);
	body_free(&b);
	m = (struct msg_session_change){ ASKS(req, who, PROC_SESSIOND),
	    .session = req->arg[0], .if_match = if_match,
	    .patch = (uint8_t *)patch, .patch_len = len };
	/* With If-Match the second time would be another question. */
	api_write(req, PROC_SESSIOND, MSG_SESSION_CHANGE, &m,
	    *if_match != '\0' ? P_WRITE : P_AGAIN);
	json_text_free(patch);
}

/* ?wait and an optional body with a reason; -1: answered. */
static int
session_reason(struct request *req, unsigned int *wait, char *reason,
    size_t size)
{
	static const char *const	 strategy[] = { "strategy", NULL };
	struct body			 b;
	const char			*s;

	if (path_id(req, 0, "sess") == -1 ||
	    query_only(req, wait_param) == -1 ||
	    query_wait(req, wait) == -1 || body_open(&b, req) == -1)
		return (-1);
	s = body_str(&b, "reason", size - 1, 0);
	body_unsupported(&b, strategy);
	if (body_close(&b) == -1)
		return (-1);
	strlcpy(reason, s != NULL ? s : "", size);
	body_free(&b);
	return (0);
}

static void
session_suspend(struct request *req)
{
	const struct identity		*who;
	struct msg_session_suspend	 m;
	struct expect			 expect = { .flags = P_AGAIN };
	unsigned int			 wait;
	char				 reason[513];

	if ((who = auth(req)) == NULL ||
	    session_reason(req, &wait, reason, sizeof(reason)) == -1)
		return;
	m = (struct msg_session_suspend){ ASKS(req, who, PROC_SESSIOND),
	    .session = req->arg[0], .reason = reason, .wait = wait };
	expect.wait = wait;
	pending_ask(req, PROC_SESSIOND, MSG_SESSION_SUSPEND, &m, &expect);
}

static void
session_resume(struct request *req)
{
	const struct identity		*who;
	struct msg_session_resume	 m;
	struct expect			 expect = { .flags = P_AGAIN };
	unsigned int			 wait;
	char				 reason[513];

	if ((who = auth(req)) == NULL ||
	    session_reason(req, &wait, reason, sizeof(reason)) == -1)
		return;
	m = (struct msg_session_resume){ ASKS(req, who, PROC_SESSIOND),
	    .session = req->arg[0], .wait = wait };
	expect.wait = wait;
	pending_ask(req, PROC_SESSIOND, MSG_SESSION_RESUME, &m, &expect);
}

/* POST .../terminate, and DELETE, which takes it out of the lists too. */
static void
session_terminate(struct request *req)
{
	const struct identity		*who;
	struct msg_session_terminate	 m;
	struct expect			 expect = { .flags = P_AGAIN };
	unsigned int			 wait;
	char				 reason[513];

	if ((who = auth(req)) == NULL ||
	    session_reason(req, &wait, reason, sizeof(reason)) == -1)
		return;
	m = (struct msg_session_terminate){ ASKS(req, who, PROC_SESSIOND),
	    .session = req->arg[0], .reason = reason,
	    .remove = req->method == M_DELETE, .wait = wait };
	expect.wait = wait;
	pending_ask(req, PROC_SESSIOND, MSG_SESSION_TERMINATE, &m, &expect);
}

#define SESSION	"/api/v1/sessions/{id}"

const struct route	 session_routes[] = {
	{ M_POST, LISTEN_REST, "/api/v1/sessions", "sessions:write",
	    BODY_SMALL, R_JSON, session_create },
	{ M_GET, LISTEN_REST, "/api/v1/sessions", "sessions:read", 0, 0,
	    session_list },
	{ M_GET, LISTEN_REST, SESSION, "sessions:read", 0, 0, session_get },
	{ M_PATCH, LISTEN_REST, SESSION, "sessions:write", BODY_SMALL, R_JSON,
	    session_change },
	{ M_DELETE, LISTEN_REST, SESSION, "sessions:write", 0, 0,
	    session_terminate },
	{ M_POST, LISTEN_REST, SESSION "/suspend", "sessions:write",
	    BODY_SMALL, R_JSON, session_suspend },
	{ M_POST, LISTEN_REST, SESSION "/resume", "sessions:write",
	    BODY_SMALL, R_JSON, session_resume },
	{ M_POST, LISTEN_REST, SESSION "/terminate", "sessions:write",
	    BODY_SMALL, R_JSON, session_terminate },
	{ M_PUT, LISTEN_REST, SESSION "/credential", "sessions:write",
	    BODY_SMALL, R_JSON, session_credential },
	{ 0 }
};
