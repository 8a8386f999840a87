/*
 * world_owner.c - what the owners answer: a document that tells what they were
 * sent, or what is to go wrong.
 */
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "text.h"
#include "world.h"

#define LOG_MAX		262144		/* of one message */
#define LOG_LINE	180

unsigned int	 counts[MSG_MAX];
int		 revoked;
enum msg_type	 busy_with;
uint64_t	 opened;
static uint64_t	 died;			/* ref that killed its owner */

static void
reply(struct chan *c, uint64_t ref, unsigned int status, const char *body)
{
	struct msg_document	 m = { .status = (uint16_t)status,
				    .etag = "v1",
				    .body = (const uint8_t *)body,
				    .body_len = strlen(body) };

	frame(c, ref, MSG_DOCUMENT, &m, -1);
}

static void
refused(struct chan *c, uint64_t ref, const char *code)
{
	struct msg_refused	 m = { .code = code, .text = "as was wished" };

	frame(c, ref, MSG_REFUSED, &m, -1);
}

static char	 echo[CHAN_SIZE];

/* The message as JSON: what the owner got. */
static void
describe(enum msg_type type, const void *m)
{
	const struct msg_desc	*d = &msg_descs[type];
	const struct msg_field	*f;
	const char		*s;
	uint64_t		 v;
	size_t			 n;
	unsigned int		 i;
	char			*o = echo, *end = echo + sizeof(echo) - 1024;

	o += sprintf(o, "{\"message\":\"%s\"", d->name);
	for (i = 0; i < d->nfields; i++) {
		f = &d->fields[i];
		v = 0;
		o += sprintf(o, ",\"%s\":", f->name);
		switch (f->type) {
		case FIELD_U8:
			memcpy(&v, (const char *)m + f->off, 1);
			break;
		case FIELD_U16:
			memcpy(&v, (const char *)m + f->off, 2);
			break;
		case FIELD_U32:
			memcpy(&v, (const char *)m + f->off, 4);
			break;
		case FIELD_U64:
			memcpy(&v, (const char *)m + f->off, 8);
			break;
		case FIELD_ID:
		case FIELD_STR:
		case FIELD_BLOB:
		case FIELD_SECRET:
			memcpy(&s, (const char *)m + f->off, sizeof(s));
			if (f->type == FIELD_ID || f->type == FIELD_STR)
				n = strlen(s);
			else
				memcpy(&n, (const char *)m + f->len_off,
				    sizeof(n));
			*o++ = '"';
			if (f->type == FIELD_SECRET)
				o += sprintf(o, "secret of %zu", n);
			else if (!text_is_utf8(s, n)) {
				text_hex(o, (const uint8_t *)s, n);
				o += 2 * n;
			} else
				o += text_json(o, (size_t)(end - o), s, n);
			*o++ = '"';
			continue;
		}
		o += sprintf(o, "%" PRIu64, v);
	}
	strcpy(o, "}");
}

static void
authenticated(struct chan *c, uint64_t ref, const char *scopes,
    unsigned int seconds)
{
	static const uint8_t		 t[8] = "ticket";
	struct msg_authenticated	 m = { .key =
		"key_01234567890123456789012345", .name = "tester",
		.tenant = "t1", .scopes = scopes,
		.expires = (uint64_t)time(NULL) + seconds, .sessiond = t,
		.sessiond_len = 8, .taskd = t, .taskd_len = 8, .runnerd = t,
		.runnerd_len = 8, .tunneld = t, .tunneld_len = 8,
		.providerd = t, .providerd_len = 8 };

	frame(c, ref, MSG_AUTHENTICATED, &m, -1);
}

static int
is_hash(const struct msg_auth_key *m, const char *token)
{
	uint8_t	 h[32];

	crypto_hash_sha256(h, (const uint8_t *)token, strlen(token));
	return (memcmp(h, m->hash, 32) == 0);
}

/* Tickets that have expired, until a stream was asked for with them. */
static unsigned int
stale_seconds(void)
{
	static unsigned int	 asked;

	if (asked == 0)
		asked = counts[MSG_EVENT_FOLLOW] + 1;
	return (counts[MSG_EVENT_FOLLOW] >= asked ? 60 : 0);
}

static void
auth_key(struct chan *c, uint64_t ref, const struct msg_auth_key *m)
{
	if (is_hash(m, "mk_good"))
		authenticated(c, ref, "*", 60);
	else if (is_hash(m, "mk_admin"))
		authenticated(c, ref, "admin:*", 60);
	else if (is_hash(m, "mk_short"))
		authenticated(c, ref, "*", 8);
	else if (is_hash(m, "mk_stale"))
		authenticated(c, ref, "*", stale_seconds());
	else if (is_hash(m, "mk_reader"))
		authenticated(c, ref, "sessions:read", 60);
	else
		refused(c, ref, "invalid_auth");
}

/* As much as may be sent, of lines as they are; then the end. */
static void
log_all(uint64_t ref, const struct msg_log_follow *m)
{
	static char		 lines[LOG_MAX];
	struct msg_log_lines	 l = { .attempt = 1, .first = 1,
				    .lines = (const uint8_t *)lines };
	struct msg_log_end	 e = { .task = m->task };

	while (l.lines_len + LOG_LINE < m->credit &&
	    l.lines_len + LOG_LINE < sizeof(lines)) {
		l.count++;
		l.lines_len += (size_t)sprintf(lines + l.lines_len,
		    "{\"n\":\"%0*u\"}\n", LOG_LINE - 9, l.count);
	}
	frame(&bulk[PROC_RUNNERD], ref, MSG_LOG_LINES, &l, -1);
	frame(&bulk[PROC_RUNNERD], ref, MSG_LOG_END, &e, -1);
}

static void
log_follow(uint64_t ref, const struct msg_log_follow *m)
{
	static const char	 lines[] = "{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n";
	struct msg_log_lines	 l = { .attempt = 1, .first = 1, .count = 3,
				    .lines = (const uint8_t *)lines,
				    .lines_len = sizeof(lines) - 1 };
	struct msg_log_end	 e = { .task = m->task };
	size_t			 n = strlen(m->task);
	static int		 busy;

	if (m->task[n - 1] == '9') {
		refused(&ctl[PROC_RUNNERD], ref, "not_found");
		return;
	}
	if (m->task[n - 1] == '7') {
		log_all(ref, m);
		return;
	}
	if (m->task[n - 1] == '8' && *m->after != '\0' && !busy++) {
		refused(&ctl[PROC_RUNNERD], ref, "unavailable");
		return;
	}
	if (strcmp(m->after, "1.2") == 0) {
		l.lines += 16;
		l.lines_len = 8;
		l.first = 3;
		l.count = 1;
	}
	if (m->task[n - 1] == '6') {
		l.count = 0;
		l.lines_len = 0;
	}
	if (strcmp(m->after, "1.3") != 0)
		frame(&bulk[PROC_RUNNERD], ref, MSG_LOG_LINES, &l, -1);
	if (strchr("068", m->task[n - 1]) != NULL)
		frame(&bulk[PROC_RUNNERD], ref, MSG_LOG_END, &e, -1);
}

static void
event_follow(uint64_t ref, const struct msg_event_follow *m)
{
	static const char	 one[] = "{\"type\":\"task.created\"}";
	struct msg_event_line	 l = { .position = "7.1", .type = "" };

	if (*m->after == '\0')
		frame(&ctl[PROC_SESSIOND], ref, MSG_EVENT_LINE, &l, -1);
	l.position = *m->after == '\0' ? "7.2" :
	    strcmp(m->after, "7.2") == 0 ? "stale" : "7.3";
	l.type = "task.created";
	l.body = (const uint8_t *)one;
	l.body_len = sizeof(one) - 1;
	frame(&ctl[PROC_SESSIOND], ref, MSG_EVENT_LINE, &l, -1);
	/* What came since was not for it. */
	l = (struct msg_event_line){ .position = "7.25", .type = "" };
	if (*m->after == '\0')
		frame(&ctl[PROC_SESSIOND], ref, MSG_EVENT_LINE, &l, -1);
}

#define TOKEN(s)	(const uint8_t *)(s), sizeof(s) - 1

/* Answers that are no DOCUMENT; 1 when it was one. */
static int
special(struct chan *c, uint64_t ref, enum msg_type type, const void *v)
{
	static const char		 obj[] = "{\"id\":\"x_1\"}";
	const struct msg_auth_password	*pw = v;
	const struct msg_key_hold	*hold = v;
	const struct msg_auth_stream	*st = v;
	struct msg_key_created		 kc = { TOKEN("mk_shown"), 0,
					    TOKEN(obj) };
	struct msg_runner_token_created	 rc = { TOKEN("rtok_shown.ca"), 0,
					    TOKEN(obj) };
	const struct msg_stream_ticket_create *sc = v;
	struct msg_stream_ticket_created tc = { TOKEN("good-ticket"),
					    2000000000 };
	static char			 origin[257];
	struct msg_key_held		 kh;

	switch ((int)type) {
	case MSG_AUTH_KEY:
		auth_key(c, ref, v);
		return (1);
	case MSG_AUTH_PASSWORD:
		if (strcmp(pw->user, "admin") == 0 && pw->password_len == 6 &&
		    memcmp(pw->password, "secret", 6) == 0)
			authenticated(c, ref, "admin:*", 60);
		else
			refused(c, ref, "invalid_auth");
		return (1);
	case MSG_AUTH_STREAM:
		if (st->token_len == 11 && memcmp(st->token, "good-ticket",
		    11) == 0 && strcmp(st->origin, origin) == 0)
			authenticated(c, ref, "*", 60);
		else
			refused(c, ref, "invalid_auth");
		return (1);
	case MSG_AUTH_RENEW:
		if (revoked)
			refused(c, ref, "token_revoked");
		else
			authenticated(c, ref, "*", 60);
		return (1);
	case MSG_KEY_HOLD:
		kh.key_ref = hold->key_ref;
		frame(c, ref, MSG_KEY_HELD, &kh, -1);
		return (1);
	case MSG_KEY_CREATE:
		frame(c, ref, MSG_KEY_CREATED, &kc, -1);
		return (1);
	case MSG_RUNNER_TOKEN_CREATE:
		frame(c, ref, MSG_RUNNER_TOKEN_CREATED, &rc, -1);
		return (1);
	case MSG_STREAM_TICKET_CREATE:
		strcpy(origin, sc->origin);
		frame(c, ref, MSG_STREAM_TICKET_CREATED, &tc, -1);
		return (1);
	case MSG_LOG_FOLLOW:
		log_follow(ref, v);
		return (1);
	case MSG_EVENT_FOLLOW:
		event_follow(ref, v);
		return (1);
	case MSG_LOG_CREDIT:
	case MSG_LOG_UNFOLLOW:
	case MSG_EVENT_CREDIT:
	case MSG_EVENT_UNFOLLOW:
		return (1);
	}
	return (0);
}

/*
 * runnerd: what a runner says comes back (of Logs the first bytes, as an
 * acknowledgement would); Enroll ends after one message.
 */
static int
runner(struct chan *c, uint64_t ref, enum msg_type type, const void *v)
{
	static uint64_t				 unary;
	const struct msg_stream_open		*o = v;
	const struct msg_stream_message		*m = v;
	const struct msg_logs_message		*lm = v;
	struct msg_stream_close			 close_it = { .text = "" };
	struct msg_logs_close			 close_logs = { .text = "" };
	struct msg_stream_credit		 credit;
	struct msg_logs_credit			 more;
	struct msg_stream_message		 hello;
	struct msg_logs_message			 ack;

	switch ((int)type) {
	case MSG_STREAM_OPEN:
		opened = ref;
		if (strcmp(o->method, "Enroll") == 0)
			unary = ref;
		describe(type, v);
		hello.body = (const uint8_t *)echo;
		hello.body_len = strlen(echo);
		if (unary != ref)
			frame(c, ref, MSG_STREAM_MESSAGE, &hello, -1);
		return (1);
	case MSG_STREAM_MESSAGE:
		credit.bytes = (uint32_t)m->body_len;
		frame(c, ref, MSG_STREAM_CREDIT, &credit, -1);
		frame(c, ref, MSG_STREAM_MESSAGE, m, -1);
		if (unary == ref)
			frame(c, ref, MSG_STREAM_CLOSE, &close_it, -1);
		return (1);
	case MSG_STREAM_CLOSE:
		frame(c, ref, MSG_STREAM_CLOSE, &close_it, -1);
		return (1);
	case MSG_LOGS_OPEN:
		return (1);
	case MSG_LOGS_MESSAGE:
		more.bytes = (uint32_t)lm->body_len;
		frame(c, ref, MSG_LOGS_CREDIT, &more, -1);
		ack = *lm;
		ack.body_len = ack.body_len < 8 ? ack.body_len : 8;
		frame(c, ref, MSG_LOGS_MESSAGE, &ack, -1);
		return (1);
	case MSG_LOGS_CLOSE:
		frame(c, ref, MSG_LOGS_CLOSE, &close_logs, -1);
		return (1);
	}
	return (0);
}

/* X-Request-ID of the message, when it has one. */
static const char *
wish(enum msg_type type, const void *m)
{
	const struct msg_desc	*d = &msg_descs[type];
	const char		*s;
	unsigned int		 i;

	for (i = 0; i < d->nfields; i++)
		if (strcmp(d->fields[i].name, "request_id") == 0) {
			memcpy(&s, (const char *)m + d->fields[i].off,
			    sizeof(s));
			return (s);
		}
	return ("");
}

void
handle(struct chan *c, uint64_t ref, enum msg_type type, const void *m)
{
	const char			*w = wish(type, m);
	const struct msg_task_get	*get = m;
	const struct msg_task_create	*create = m;
	char				 doc[256];

	counts[type]++;
	if (type == busy_with) {
		busy_with = MSG_NONE;
		refused(c, ref, "unavailable");
	} else if (type != MSG_AUTH_KEY && strncmp(w, "do-refuse-", 10) == 0)
		refused(c, ref, w + 10);
	else if (type == MSG_TASK_GET && strncmp(w, "do-end-", 7) == 0)
		refused(c, ref, w + 7);
	else if (type != MSG_AUTH_KEY && strcmp(w, "do-silent") == 0)
		return;
	else if (type == MSG_TASK_GET && get->wait > 0 &&
	    strcmp(w, "do-hold") == 0)
		return;
	else if (type != MSG_AUTH_KEY && strncmp(w, "do-die", 6) == 0 &&
	    died != ref) {
		died = ref;
		peer_end(c->proc);
		peer_begin(c->proc);
	} else if (type != MSG_AUTH_KEY && strncmp(w, "do-die-", 7) == 0)
		refused(c, ref, w + 7);
	else if (special(c, ref, type, m) || runner(c, ref, type, m))
		return;
	else if (type == MSG_TASK_GET && get->wait == 0) {
		snprintf(doc, sizeof(doc), "{\"id\":\"%s\",\n\"status\":"
		    "\"completed\"}", get->task);
		reply(c, ref, 200, doc);
	} else if (type == MSG_TASK_CREATE && strcmp(w, "do-hold") == 0) {
		snprintf(doc, sizeof(doc), "{\"id\":\"%s\"}", create->task);
		reply(c, ref, 201, doc);
	} else {
		describe(type, m);
		reply(c, ref, strstr(msg_descs[type].name, "_CREATE") != NULL ?
		    201 : 200, echo);
	}
}
