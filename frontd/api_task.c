/*
 * api_task.c - tasks and their runs.
 */
#include <stdlib.h>
#include <string.h>

#include "api_tables.h"
#include "body.h"
#include "frontd_msg.h"
#include "log.h"
#include "worker.h"

#define LABELS_MAX	8192
#define ANNOTATIONS_MAX	16384
#define SECONDS_MAX	2592000
#define TIMEOUT_DEFAULT	3600

static const struct filter	 task_filters[] = {
	{ "session_id", "id:sess" },
	{ "status", "pending|running|completed|failed|canceled" },
	{ NULL, NULL }
};

/* A created task's document, kept while its end is waited for. */
struct created {
	int		 wait;
	int		 replayed;
	size_t		 ticket_len;
	uint8_t		 ticket[256];
	size_t		 len;
	char		 body[];
};

static void
created_reply(struct request *req, const char *body, size_t len, int replayed)
{
	if (replayed)
		reply_header(req, "Idempotent-Replayed", "true");
	reply_json(req, 201, body, len);
}

/* The wait is over, one way or another: the task exists. */
static void
task_waited(struct request *req, enum msg_type type, const void *m, void *arg)
{
	const struct msg_document	*d = m;
	const struct created		*c = arg;

	if (type == MSG_DOCUMENT)
		created_reply(req, (const char *)d->body, d->body_len,
		    c->replayed);
	else
		created_reply(req, c->body, c->len, c->replayed);
}

/* Created; ?wait= holds the answer until the task has ended. */
static void
task_created(struct request *req, enum msg_type type, const void *m, void *arg)
{
	const struct msg_document	*d = m;
	struct created			*c = arg, *next;
	struct msg_task_get		 get;
	struct expect			 expect = { .flags = P_READ,
					    .done = task_waited };
	json_t				*task, *id;

	if (type == MSG_REFUSED) {
		refusal_reply(req, m);
		return;
	}
	if (c->wait == 0 || worker_draining()) {
		document_reply(req, d);
		return;
	}
	task = json_loadb((const char *)d->body, d->body_len, 0, NULL);
	id = json_object_get(task, "id");
	if (!json_is_string(id)) {
		json_decref(task);
		document_reply(req, d);
		return;
	}
	if ((next = malloc(sizeof(*next) + d->body_len)) == NULL)
		fatal("task");
	*next = *c;
	next->replayed = d->replayed;
	next->len = d->body_len;
	memcpy(next->body, d->body, d->body_len);
	expect.wait = (unsigned int)c->wait;
	expect.arg = next;
	expect.arg_len = sizeof(*next) + next->len;
	get = (struct msg_task_get){ .ticket = next->ticket,
	    .ticket_len = next->ticket_len, .request_id = req->request_id,
	    .task = json_string_value(id), .wait = (uint32_t)c->wait };
	pending_ask(req, PROC_TASKD, MSG_TASK_GET, &get, &expect);
	json_decref(task);
}

static struct created *
created_new(const struct identity *who, unsigned int wait)
{
	struct created	*c;
	int		 i = PROC_TASKD - PROC_SESSIOND;

	if ((c = calloc(1, sizeof(*c))) == NULL)
		fatal("task");
	c->wait = (int)wait;
	memcpy(c->ticket, who->ticket[i], who->ticket_len[i]);
	c->ticket_len = who->ticket_len[i];
	return (c);
}

/* Text of an object member, or "{}". */
static char *
map_text(json_t *map, size_t *len)
{
	json_t	*empty;
	char	*text;

	if (map != NULL)
		return (json_text(map, len));
	empty = json_object();
	text = json_text(empty, len);
	json_decref(empty);
	return (text);
}

static void
task_create(struct request *req)
{
	static const char *const	 params[] = { "wait", NULL };
	static const char *const	 later[] = { "deadline", NULL };
	const struct identity		*who;
	struct msg_task_create		 m = { 0 };
	struct expect			 expect = { .flags = P_AGAIN,
					    .done = task_created,
					    .arg_len =
					    sizeof(struct created) };
	struct idem			 idem = { .key = "" };
	struct body			 b;
	json_t				*labels, *annotations;
	char				 id[ID_SIZE];
	char				*l, *a;
	unsigned int			 wait;

	if ((who = auth(req)) == NULL || query_only(req, params) == -1 ||
	    query_wait(req, &wait) == -1 || body_open(&b, req) == -1)
		return;
	m = (struct msg_task_create){ ASKS(req, who, PROC_TASKD) };
	m.session = body_id(&b, "session_id", "sess", B_REQUIRED);
	m.prompt = body_str(&b, "prompt", BODY_PROMPT, B_REQUIRED);
	m.continue_from = body_id(&b, "continue_from", "task", 0);
	m.timeout = (uint32_t)body_int(&b, "timeout_seconds", 1, SECONDS_MAX,
	    TIMEOUT_DEFAULT);
	m.max_retries = (uint32_t)body_int(&b, "max_retries", 0, 100, 0);
	m.priority = (uint32_t)body_int(&b, "priority", 0, 1000, 0);
	labels = body_map(&b, "labels", LABELS_MAX, 0);
	annotations = body_map(&b, "annotations", ANNOTATIONS_MAX, 0);
	body_unsupported(&b, later);
	if (body_close(&b) == -1)
		return;
	if (req->header[H_IDEMPOTENCY_KEY] == NULL ||
	    idem_make(req, who, b.root, &idem) == 0) {
		id_make(id, "task");
		m.task = id;
		l = map_text(labels, &m.labels_len);
		a = map_text(annotations, &m.annotations_len);
		m.labels = (uint8_t *)l;
		m.annotations = (uint8_t *)a;
		m.idem_key = idem.key;
		m.idem_hash = idem.hash;
		m.idem_hash_len = idem.key[0] != '\0' ?
		    sizeof(idem.hash) : 0;
		expect.arg = created_new(who, wait);
		pending_ask(req, PROC_TASKD, MSG_TASK_CREATE, &m, &expect);
		json_text_free(l);
		json_text_free(a);
	}
	body_free(&b);
}

static void
task_list(struct request *req)
{
	const struct identity	*who;
	struct msg_task_list	 m;
	size_t			 len;
	char			*q;

	if ((who = auth(req)) == NULL || (q = list_query(req, task_filters,
	    F_LIST | F_LABELS, &len)) == NULL)
		return;
	m = (struct msg_task_list){ ASKS(req, who, PROC_TASKD),
	    .query = (uint8_t *)q, .query_len = len };
	api_read(req, PROC_TASKD, MSG_TASK_LIST, &m);
	json_text_free(q);
}

static void
task_get(struct request *req)
{
	static const char *const	 params[] = { "wait", NULL };
	const struct identity		*who;
	struct msg_task_get		 m;
	struct expect			 expect = { .flags = P_READ };
	unsigned int			 wait;

	if ((who = auth(req)) == NULL || path_id(req, 0, "task") == -1 ||
	    query_only(req, params) == -1 || query_wait(req, &wait) == -1)
		return;
	m = (struct msg_task_get){ ASKS(req, who, PROC_TASKD),
	    .task = req->arg[0], .wait = wait };
	expect.wait = wait;
	pending_ask(req, PROC_TASKD, MSG_TASK_GET, &m, &expect);
}

static const char *const	 no_params[] = { NULL };

static void
task_cancel(struct request *req)
{
	const struct identity	*who;
	struct msg_task_cancel	 m;
	struct body		 b;

	if ((who = auth(req)) == NULL || path_id(req, 0, "task") == -1 ||
	    query_only(req, no_params) == -1 || body_open(&b, req) == -1)
		return;
	m = (struct msg_task_cancel){ ASKS(req, who, PROC_TASKD),
	    .task = req->arg[0], .reason = body_str(&b, "reason", 512, 0) };
	if (body_close(&b) == -1)
		return;
	api_write(req, PROC_TASKD, MSG_TASK_CANCEL, &m, P_AGAIN);
	body_free(&b);
}

static void
task_retry(struct request *req)
{
	const struct identity	*who;
	struct msg_task_retry	 m;
	struct body		 b;
	struct idem		 idem;

	if ((who = auth(req)) == NULL || path_id(req, 0, "task") == -1 ||
	    query_only(req, no_params) == -1 || body_open(&b, req) == -1 ||
	    body_close(&b) == -1)
		return;
	if (idem_make(req, who, b.root, &idem) == 0) {
		m = (struct msg_task_retry){ ASKS(req, who, PROC_TASKD),
		    .task = req->arg[0], IDEM(&idem) };
		api_write(req, PROC_TASKD, MSG_TASK_RETRY, &m, P_AGAIN);
	}
	body_free(&b);
}

static void
task_runs(struct request *req)
{
	const struct identity	*who;
	struct msg_task_runs	 m;

	if ((who = auth(req)) == NULL || path_id(req, 0, "task") == -1 ||
	    query_only(req, no_params) == -1)
		return;
	m = (struct msg_task_runs){ ASKS(req, who, PROC_TASKD),
	    .task = req->arg[0] };
	api_read(req, PROC_TASKD, MSG_TASK_RUNS, &m);
}

#define TASK	"/api/v1/tasks/{id}"

const struct route	 task_routes[] = {
	{ M_POST, LISTEN_REST, "/api/v1/tasks", "tasks:write", BODY_PROMPT,
	    R_JSON, task_create },
	{ M_GET, LISTEN_REST, "/api/v1/tasks", "tasks:read", 0, 0, task_list },
	{ M_GET, LISTEN_REST, TASK, "tasks:read", 0, 0, task_get },
	{ M_POST, LISTEN_REST, TASK "/cancel", "tasks:write", BODY_SMALL,
	    R_JSON, task_cancel },
	{ M_POST, LISTEN_REST, TASK "/retry", "tasks:write", BODY_SMALL,
	    R_JSON, task_retry },
	{ M_GET, LISTEN_REST, TASK "/runs", "tasks:read", 0, 0, task_runs },
	{ 0 }
};
