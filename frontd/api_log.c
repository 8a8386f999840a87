/*
 * api_log.c - a task's log: pages, and the stream that follows it to the end.
 * runnerd is the hub; a position is `attempt.line' (promise 15).  A stream ends
 * with an `end' event that carries the task; who comes back with the last
 * position after that gets 204, which tells an EventSource to stop.  So an end
 * that no line came before has a position: one that is before all attempts.
 */
#include <stdlib.h>
#include <string.h>

#include "api_tables.h"
#include "body.h"
#include "follow.h"
#include "frontd_msg.h"
#include "log.h"
#include "text.h"

#define LOG_CREDIT_BYTES	STREAM_HIGH

static void	 log_start(struct follow *);
static void	 log_give(struct follow *, uint32_t);
static void	 log_stop(struct follow *);
static int	 log_resumable(const struct follow *);

static const struct follow_kind	 log_kind = { PROC_RUNNERD,
	LOG_CREDIT_BYTES / 4, log_start, log_give, log_stop, log_resumable };

static const struct filter	 log_filters[] = {
	{ "level", NULL }, { "stream", "stdout|stderr|system" }, { NULL, NULL }
};

static void
log_list(struct request *req)
{
	const struct identity	*who;
	struct msg_log_list	 m = { 0 };
	size_t			 len;
	char			*q;

	if ((who = auth(req)) == NULL || path_id(req, 0, "task") == -1 ||
	    (q = list_query(req, log_filters, F_LOG, &len)) == NULL)
		return;
	m = (struct msg_log_list){ ASKS(req, who, PROC_RUNNERD),
	    .task = req->arg[0], .query = (uint8_t *)q, .query_len = len };
	api_read(req, PROC_RUNNERD, MSG_LOG_LIST, &m);
	json_text_free(q);
}

static void
log_start(struct follow *f)
{
	struct request		*req = follow_request(f);
	struct msg_log_follow	 m = { ASKS(req, &f->lease.who, PROC_RUNNERD),
				    .task = f->task, .after = f->after,
				    .credit = LOG_CREDIT_BYTES };

	if (send_log_follow(peer_of(PROC_RUNNERD), f->ref, &m) == -1)
		follow_wait(f);
}

static void
log_give(struct follow *f, uint32_t n)
{
	struct msg_log_credit	 m = { .credit = n };

	send_log_credit(peer_of(PROC_RUNNERD), f->ref, &m);
}

static void
log_stop(struct follow *f)
{
	struct msg_log_unfollow	 m = { 0 };

	send_log_unfollow(peer_of(PROC_RUNNERD), f->ref, &m);
}

static int
log_resumable(const struct follow *f)
{
	(void)f;
	return (1);
}

static void
log_stream(struct request *req)
{
	static const char *const	 params[] = { "after", NULL };
	const struct identity		*who;
	struct follow			*f;
	char				 after[33];

	if ((who = auth(req)) == NULL || path_id(req, 0, "task") == -1 ||
	    query_only(req, params) == -1 ||
	    follow_position(req, after, sizeof(after), position_is) == -1)
		return;
	f = follow_new(req, who, &log_kind);
	strlcpy(f->task, req->arg[0], sizeof(f->task));
	strlcpy(f->after, after, sizeof(f->after));
	f->given = *after != '\0';
	follow_ask(f);
}

/* Finished JSON objects, a newline after each; first is the number of one. */
void
on_log_lines(struct peer *p, uint64_t ref, const struct msg_log_lines *m)
{
	struct follow	*f = follow_find(p, ref);
	const char	*s = (const char *)m->lines, *end = s + m->lines_len;
	const char	*nl;
	struct request	*req;
	uint64_t	 n;
	size_t		 dot;

	if (f == NULL)
		return;
	if (m->count == 0) {
		/* Followed; whether to 204 or to more lines comes next. */
		if (f->given)
			f->begin_at = 0;
		else
			follow_begin(f);
		return;
	}
	follow_begin(f);
	req = follow_request(f);
	dot = text_u64(f->after, m->attempt);
	f->after[dot++] = '.';
	for (n = m->first; s < end; s = nl + 1, n++) {
		if ((nl = memchr(s, '\n', (size_t)(end - s))) == NULL)
			nl = end;
		text_u64(f->after + dot, n);
		stream_put(req, f->after, "log", s, (size_t)(nl - s));
	}
	if (follow_flush(f) == 0)
		follow_used(f, (uint32_t)m->lines_len);
}

/* Has the task (a document) ended?  Unless it was retried meanwhile. */
static int
has_ended(const struct msg_document *m)
{
	json_t		*task, *status;
	const char	*s;
	int		 ended;

	task = json_loadb((const char *)m->body, m->body_len, 0, NULL);
	status = json_object_get(task, "status");
	s = json_is_string(status) ? json_string_value(status) : "completed";
	ended = word_is("completed|failed|canceled", s);
	json_decref(task);
	return (ended);
}

/* The task, after its last line. */
static void
log_ended(struct request *req, enum msg_type type, const void *m, void *arg)
{
	const struct msg_document	*d = m;
	struct follow			*f = req->data;
	const char			*s;
	char				*line;
	size_t				 i;

	(void)arg;
	if (f == NULL)
		return;
	if (type == MSG_REFUSED) {
		/* Who came back would be told 204, and not the end. */
		if (!refusal_may_pass(m))
			follow_end(f, 0);
		else if (f->away && !f->lost)
			follow_wait(f);
		return;
	}
	if (!has_ended(d)) {
		/* Unless runnerd's return has done, or will do, the same. */
		if (f->away && !f->lost) {
			f->away = 0;
			log_start(f);
		}
		return;
	}
	if ((line = malloc(d->body_len + 1)) == NULL)
		fatal("stream");
	/* JSON: a line feed is white space between tokens. */
	s = (const char *)d->body;
	for (i = 0; i < d->body_len; i++)
		line[i] = s[i] == '\n' ? ' ' : s[i];
	if (follow_send(f, *f->after == '\0' ? "0.0" : NULL, "end", line,
	    d->body_len) == 0)
		follow_end(f, 1);
	free(line);
}

void
on_log_end(struct peer *p, uint64_t ref, const struct msg_log_end *m)
{
	static const struct expect	 expect = { .done = log_ended };
	struct follow			*f = follow_find(p, ref);
	struct request			*req;
	struct msg_task_get		 get;

	if (f == NULL)
		return;
	req = follow_request(f);
	f->away = 1;		/* runnerd has forgotten it */
	if (!f->begun && f->given) {
		follow_forget(f);
		reply_empty(req, 204);
		return;
	}
	follow_begin(f);
	get = (struct msg_task_get){ ASKS(req, &f->lease.who, PROC_TASKD),
	    .task = m->task };
	pending_ask(req, PROC_TASKD, MSG_TASK_GET, &get, &expect);
}

const struct route	 log_routes[] = {
	{ M_GET, LISTEN_REST, "/api/v1/tasks/{id}/logs", "tasks:read", 0, 0,
	    log_list },
	{ M_GET, LISTEN_REST, "/api/v1/tasks/{id}/logs/stream", "tasks:read",
	    0, R_WEBSOCKET, log_stream },
	{ 0 }
};
