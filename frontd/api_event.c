/*
 * api_event.c - events, followed by SSE or WebSocket.  sessiond is the one hub
 * (promise 14); none is missed and none repeated when the last position is
 * given again.
 */
#include <stdlib.h>
#include <string.h>

#include "api_tables.h"
#include "body.h"
#include "follow.h"
#include "frontd_msg.h"
#include "text.h"

#define EVENT_CREDIT_COUNT	256

static void	 event_start(struct follow *);
static void	 event_give(struct follow *, uint32_t);
static void	 event_stop(struct follow *);
static int	 event_resumable(const struct follow *);

static const struct follow_kind	 event_kind = { PROC_SESSIOND,
	EVENT_CREDIT_COUNT / 4, event_start, event_give, event_stop,
	event_resumable };

static void
event_start(struct follow *f)
{
	struct request		*req = follow_request(f);
	struct msg_event_follow	 m = { ASKS(req, &f->lease.who, PROC_SESSIOND),
				    .after = f->after, .types = f->types,
				    .labels = (const uint8_t *)f->labels,
				    .labels_len = f->labels_len,
				    .credit = EVENT_CREDIT_COUNT };

	if (send_event_follow(peer_of(PROC_SESSIOND), f->ref, &m) == -1)
		follow_wait(f);
}

static void
event_give(struct follow *f, uint32_t n)
{
	struct msg_event_credit	 m = { .credit = n };

	send_event_credit(peer_of(PROC_SESSIOND), f->ref, &m);
}

static void
event_stop(struct follow *f)
{
	struct msg_event_unfollow	 m = { 0 };

	send_event_unfollow(peer_of(PROC_SESSIOND), f->ref, &m);
}

/* Without a position nobody knows what was missed meanwhile. */
static int
event_resumable(const struct follow *f)
{
	return (*f->after != '\0');
}

/* Opaque here: sessiond says what a position is. */
static int
is_position(const char *s)
{
	return (text_is_token(s));
}

/* types=a&types=b,c: letters, dots and stars, as words. */
static int
event_types(struct request *req, char *out, size_t size)
{
	const char	*v;
	size_t		 i;

	out[0] = '\0';
	for (i = 0; i < req->nparams; i++) {
		if (strcmp(req->params[i].name, "types") != 0)
			continue;
		v = req->params[i].value;
		if (*v == '\0' || strspn(v, "abcdefghijklmnopqrstuvwxyz._*,") !=
		    strlen(v)) {
			refuse(req, "validation_error", "types: expected event"
			    " types as in task.completed or permission.*");
			return (-1);
		}
		if (*out != '\0')
			strlcat(out, " ", size);
		if (strlcat(out, v, size) >= size) {
			refuse(req, "validation_error", "types: expected at"
			    " most %zu bytes", size - 1);
			return (-1);
		}
	}
	for (; (out = strchr(out, ',')) != NULL; out++)
		*out = ' ';
	return (0);
}

static int
event_labels(struct request *req, struct follow *f)
{
	json_t	*labels;
	char	*text;
	size_t	 len;
	int	 rc = 0;

	if ((labels = query_labels(req)) == NULL)
		return (-1);
	text = json_text(labels, &len);
	if (json_object_size(labels) == 0)
		len = 0;
	if (len > FOLLOW_LABELS) {
		refuse(req, "validation_error", "label: too many of them");
		rc = -1;
	} else {
		memcpy(f->labels, text, len);
		f->labels_len = len;
	}
	json_text_free(text);
	json_decref(labels);
	return (rc);
}

static void
event_stream(struct request *req)
{
	static const char *const	 params[] = { "after", "types",
					    "label", NULL };
	const struct identity		*who;
	struct follow			*f;
	struct follow			 want = { 0 };

	if ((who = auth(req)) == NULL || query_only(req, params) == -1 ||
	    follow_position(req, want.after, sizeof(want.after),
	    is_position) == -1 ||
	    event_types(req, want.types, sizeof(want.types)) == -1 ||
	    event_labels(req, &want) == -1)
		return;
	f = follow_new(req, who, &event_kind);
	strlcpy(f->after, want.after, sizeof(f->after));
	strlcpy(f->types, want.types, sizeof(f->types));
	memcpy(f->labels, want.labels, want.labels_len);
	f->labels_len = want.labels_len;
	follow_ask(f);
}

/*
 * An empty type says where the stream begins, or how far it has come since, and is
 * no event.  The client is told what it does not know: cut off before the next
 * event it would miss what happens, or come back to where nothing is kept of what
 * was not for it.
 */
static void
event_stands(struct follow *f, const char *position)
{
	int	 is_known = strcmp(f->after, position) == 0;

	strlcpy(f->after, position, sizeof(f->after));
	follow_begin(f);
	if (is_known)
		return;
	stream_position(follow_request(f), f->after);
	follow_flush(f);
}

void
on_event_line(struct peer *p, uint64_t ref, const struct msg_event_line *m)
{
	struct follow	*f = follow_find(p, ref);

	if (f == NULL)
		return;
	if (*m->type == '\0') {
		event_stands(f, m->position);
		return;
	}
	strlcpy(f->after, m->position, sizeof(f->after));
	if (follow_send(f, f->after, m->type, (const char *)m->body,
	    m->body_len) == 0)
		follow_used(f, 1);
}

const struct route	 event_routes[] = {
	{ M_GET, LISTEN_REST, "/api/v1/events", "events:read", 0, R_WEBSOCKET,
	    event_stream },
	{ 0 }
};
