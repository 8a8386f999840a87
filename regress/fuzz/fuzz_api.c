/*
 * fuzz_api.c - a request to all of frontd, whose owners answer as the input
 * wants.  The input: listener and flags, row, mood of the owners, credential,
 * then strings that end with a NUL: arguments of the path, query, a header
 * field of its own, what owners say; the rest is the body.  Before what owners
 * say quirks may stand, letters between two \001:
 *	d D	they are away when the request comes, and back a turn later or
 *		when time has passed
 *	k K	they die after their answer, and are back as these are
 *	z	they die when time has passed
 *	s q	sessiond, or taskd, is not among those
 *	w f	taskd is silent, or refuses
 *	r	we are to stop when the request is there
 *	h m	less time passes, or only a moment
 *	2	the same request comes on a second connection, too
 *	i	whoever it is is known, whatever the mood
 *	u	has a scope that nobody knows
 *	x y l	and will be that for 8 or 2 seconds, or for an hour
 *	t n	a refusal has details; it has neither text nor a time
 *	c e	a document was created; it has neither status nor ETag
 * covers: frontd/agent.c frontd/api.c frontd/api_agent_config.c
 * covers: frontd/api_event.c frontd/api_key.c frontd/api_log.c
 * covers: frontd/api_meta.c frontd/api_permission.c frontd/api_runner.c
 * covers: frontd/api_session.c frontd/api_status.c frontd/api_task.c
 * covers: frontd/auth.c frontd/body.c frontd/credential.c frontd/etag.c
 * covers: frontd/families.c frontd/follow.c frontd/idem.c frontd/identity.c
 * covers: frontd/json.c frontd/lease.c frontd/list.c frontd/local.c
 * covers: frontd/pending.c frontd/query.c frontd/refusal.c frontd/retry.c
 * covers: frontd/route.c frontd/stream.c frontd/token.c frontd/when.c
 * world: owners.c
 */
#include <sys/socket.h>

#include <err.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api.h"
#include "body.h"
#include "engine.h"
#include "follow.h"
#include "fuzz.h"
#include "owners.h"
#include "worker.h"

#define REPLY_MAX	(2U << 20)
#define TURNS_MAX	16
#define LONG_MS		31000
#define SHORT_MS	5000
#define MOMENT_MS	500
#define HOUR_MS		3600000ULL
#define QUIRK		'\001'
#define ID_TAIL		"_00000000000000000000000001"

#define F_SILENT	0x04	/* the client goes at once */
#define F_REVOKED	0x08
#define F_WEBSOCKET	0x10
#define F_TWICE		0x20	/* the same request again */
#define F_READER	0x40	/* a credential that may nearly nothing */
#define F_REPORT	0x80	/* the parent reports; metrics are the body */

static char	*reply, *said;
static size_t	 nreply;
static enum mood wished;
static int	 draining;

void	 heard(struct peer *, uint64_t, enum msg_type, const void *, int);

int
worker_draining(void)
{
	return (draining);
}

/* What worker.c would be told: nobody says it. */
void
heard(struct peer *p, uint64_t ref, enum msg_type type, const void *m, int fd)
{
	(void)p;
	(void)ref;
	(void)m;
	(void)fd;
	fuzz_broken(msg_descs[type].name, __FILE__, __LINE__);
}

/* ---- the request ---- */

static const struct route *
row_of(unsigned int n, enum listener_kind kind)
{
	const struct route *const	*t;
	const struct route		*r;
	unsigned int			 k, found = 0;

	for (k = 0; k < 2; k++, n %= found, found = 0)
		for (t = route_tables; *t != NULL; t++)
			for (r = *t; r->path != NULL; r++)
				if ((r->listeners & (int)kind) != 0 &&
				    found++ == n && k == 1)
					return (r);
	abort();
}

/* What of s may stand in a request line stands there as it is. */
static void
add_raw(struct buf *b, const char *s)
{
	for (; *s != '\0'; s++)
		if (*s > ' ' && *s <= '~' && *s != '#')
			buf_add(b, s, 1);
		else
			buf_printf(b, "%%%02x", (unsigned char)*s);
}

/* `{id}' behind "tasks/" is an id of a task, unless there is something else. */
static void
add_path(struct buf *b, const char *path, const char *arg)
{
	static const char *const	 of[][2] = {
		{ "sessions/", "sess" }, { "tasks/", "task" },
		{ "permissions/", "perm" }, { "runners/", "rnr" },
		{ "runner-tokens/", "rtk" }, { "keys/", "key" },
		{ "agent-configs/", "acfg" }
	};
	const char			*brace = strchr(path, '{');
	size_t				 i, n;

	n = brace != NULL ? (size_t)(brace - path) : strlen(path);
	buf_add(b, path, n);
	if (brace == NULL)
		return;
	if (*arg != '\0')
		add_raw(b, arg);
	for (i = 0; i < sizeof(of) / sizeof(of[0]) && *arg == '\0'; i++)
		if (n > strlen(of[i][0]) && strncmp(brace -
		    strlen(of[i][0]), of[i][0], strlen(of[i][0])) == 0)
			buf_printf(b, "%s%s", of[i][1], ID_TAIL);
	buf_printf(b, "%s", strchr(brace, '}') + 1);
}

static void
add_credential(struct buf *b, unsigned int kind)
{
	static const char *const	 lines[] = {
		"Authorization: Bearer mk_good\r\n", "",
		"Authorization: Basic YWRtaW46c2VjcmV0\r\n",
		"Authorization: Basic YWRtaW46\r\nSec-Fetch-Site: same-origin"
		"\r\n", "Authorization: Bearer mk_good\r\n"
		"Idempotency-Key: k1\r\n", "Authorization: Bearer mk_good\r\n"
		"If-Match: \"v1\"\r\n", "Authorization: Bearer mk_good\r\n"
		"If-None-Match: W/\"v0\", \"v1\"\r\nLast-Event-ID: 1.1\r\n",
		"Sec-WebSocket-Protocol: marionette.v1, mk_good\r\n"
	};

	buf_printf(b, "%s", lines[kind % (sizeof(lines) / sizeof(lines[0]))]);
}

static void
add_field(struct buf *b, const char *s)
{
	for (; *s != '\0'; s++)
		if (*s >= ' ' && *s <= '~')
			buf_add(b, s, 1);
	buf_printf(b, "\r\n");
}

/* A word, as owners have them. */
static char *
code_of(struct input *in)
{
	char	*s = input_str(in), *p;

	for (p = s; *p != '\0'; p++)
		if ((*p < 'a' || *p > 'z') && *p != '_')
			*p = '_';
	if (strlen(s) > 32)
		s[32] = '\0';
	return (s);
}

/* What owners say, and how. */
static void
say_of(struct input *in)
{
	char	*end;

	said = input_str(in);
	owners.body = said;
	owners.quirks = NULL;
	if (*said != QUIRK || (end = strchr(said + 1, QUIRK)) == NULL)
		return;
	*end = '\0';
	owners.quirks = said + 1;
	owners.body = end + 1;
}

static void
make(struct buf *b, struct input *in, enum listener_kind kind,
    unsigned int flags)
{
	static const char *const	 verbs[] = { "GET", "HEAD", "POST",
					    "PUT", "PATCH", "DELETE",
					    "OPTIONS" };
	const struct route		*r = row_of(input_u8(in), kind);
	unsigned int			 credential;
	char				*arg, *query, *field;

	owners.mood = wished = (enum mood)(input_u8(in) % MOOD_MAX);
	credential = input_u8(in);
	arg = input_str(in);
	query = input_str(in);
	field = input_str(in);
	owners.code = code_of(in);
	say_of(in);
	buf_printf(b, "%s ", verbs[r->method]);
	add_path(b, r->path, arg);
	if (*query != '\0') {
		buf_add(b, "?", 1);
		add_raw(b, query);
	}
	buf_printf(b, " HTTP/1.1\r\nHost: localhost\r\n");
	add_credential(b, credential);
	if (*field != '\0')
		add_field(b, field);
	if ((flags & F_WEBSOCKET) != 0)
		buf_printf(b, "Upgrade: websocket\r\nConnection: Upgrade\r\n"
		    "Sec-WebSocket-Version: 13\r\n"
		    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n");
	if (r->body_max > 0)
		buf_printf(b, "Content-Type: application/json\r\n"
		    "Content-Length: %zu\r\n\r\n", in->n);
	else
		buf_printf(b, "\r\n");
	if (r->body_max > 0 && in->n > 0)
		buf_add(b, in->p, in->n);
	free(arg);
	free(query);
	free(field);
}

/* ---- the reply ---- */

static void
turns(int fd)
{
	ssize_t	 n;
	int	 i;

	for (i = 0; i < TURNS_MAX; i++) {
		event_base_loop(worker_base(), EVLOOP_NONBLOCK);
		http_turn();
		while (fd != -1 && nreply < REPLY_MAX && (n = recv(fd, reply +
		    nreply, REPLY_MAX - nreply, MSG_DONTWAIT)) > 0)
			nreply += (size_t)n;
		if (owners_turn() == 0 && i > 2)
			break;
	}
}

/*
 * Every error is an envelope; nothing that a client says is our fault, though
 * it may want a Transfer-Encoding that there is not (RFC 9112 6.1).
 */
static void
check_reply(void)
{
	const char	*body;
	json_t		*j;
	int		 status;

	if (nreply == 0)
		return;
	reply[nreply] = '\0';
	CLAIM(sscanf(reply, "HTTP/1.1 %3d ", &status) == 1);
	CLAIM(status < 500 || status == 501 || wished != MOOD_DOCUMENT ||
	    owners.quirks != NULL);
	if (status < 400)
		return;
	CLAIM((body = strstr(reply, "\r\n\r\n")) != NULL);
	body += 4;
	if (*body == '\0')
		return;		/* HEAD */
	j = json_loads(body, JSON_DISABLE_EOF_CHECK, NULL);
	CLAIM(j != NULL);
	CLAIM(json_is_string(json_object_get(j, "code")));
	CLAIM(json_is_string(json_object_get(j, "message")));
	CLAIM(json_is_string(json_object_get(j, "request_id")));
	json_decref(j);
}

/* A connection, and the request on it: the client's end. */
static int
connect_with(const struct buf *b, enum listener_kind kind)
{
	int	 pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == -1)
		err(1, "socketpair");
	if (kind == LISTEN_LOCAL)
		owners_pass(pair[0]);
	else
		conn_new(pair[0], kind, NULL, "127.0.0.1", NULL);
	event_base_loop(worker_base(), EVLOOP_NONBLOCK);
	if (send(pair[1], buf_head(b), b->len, MSG_NOSIGNAL) == -1 &&
	    errno != EAGAIN && errno != EPIPE)
		err(1, "send");
	return (pair[1]);
}

/* They were there before, so that a local client could be passed. */
static void
away(int fd)
{
	if (!owners_want('d') && !owners_want('D'))
		return;
	owners_leave();
	if (owners_want('D'))
		return;
	turns(fd);
	owners_return();
}

static void
die(void)
{
	if (!owners_want('k') && !owners_want('K'))
		return;
	owners_leave();
	if (owners_want('k'))
		owners_return();
}

static void
once(const struct buf *b, enum listener_kind kind, unsigned int flags)
{
	int	 fd, other = -1;

	nreply = 0;
	fd = connect_with(b, kind);
	if (owners_want('2'))
		other = connect_with(b, kind);
	draining |= owners_want('r');
	if ((flags & F_SILENT) == 0) {
		away(fd);
		turns(fd);
	}
	die();
	if ((flags & F_REVOKED) != 0) {
		owners_revoke();
		if (owners.quirks != NULL)
			turns(fd);
	}
	fuzz_pass(owners_want('h') ? SHORT_MS : owners_want('m') ? MOMENT_MS :
	    LONG_MS);
	api_janitor();
	http_janitor();
	owners_return();
	turns(fd);
	if (owners_want('z')) {
		owners_leave();
		owners_return();
		turns(fd);
	}
	check_reply();
	close(fd);
	if (other != -1)
		close(other);
	turns(-1);
}

/* A day passes: nobody is waited for, and nothing remembered. */
static void
end(void)
{
	char	 text[1024];
	int	 i;

	owners.mood = MOOD_SILENT;
	for (i = 0; i < 20; i++) {
		fuzz_pass(60000);
		api_janitor();
		http_janitor();
		turns(-1);
	}
	CLAIM(http_stats.conns == 0);
	CLAIM(http_stats.bodies == 0);
	CLAIM(http_stats.open == 0 && http_stats.unsent == 0);
	CLAIM(api_is_idle());
	CLAIM(follow_count() == 0);
	CLAIM(auth_count() == 0);
	CLAIM(api_metrics(text, sizeof(text)) > 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static const enum listener_kind	 kinds[] = { LISTEN_API, LISTEN_ADMIN,
					    LISTEN_LOCAL, LISTEN_LOCAL };
	struct input			 in = { p, n };
	struct buf			 b = { 0 };
	enum listener_kind		 kind;
	unsigned int			 flags;
	union { const char *c; char *m; } u;
	/* Time does not go back: what was remembered is old. */
	static uint64_t			 hours;

	fuzz_begin();
	fuzz_pass(HOUR_MS * hours++);
	if (reply == NULL) {
		if ((reply = malloc(REPLY_MAX + 1)) == NULL)
			err(1, NULL);
		api_init();
	}
	flags = input_u8(&in);
	kind = kinds[flags & 3];
	draining = (flags & 3) == 3;
	owners.scopes = (flags & F_READER) != 0 ? "tasks:read" : kind ==
	    LISTEN_API ? "*" : "admin:*";
	owners_begin(kind == LISTEN_API ? PROC_API : PROC_ADMIN);
	make(&b, &in, kind, flags);
	if ((flags & F_REPORT) != 0 && kind != LISTEN_API)
		owners_report(in.p, in.n);
	once(&b, kind, flags);
	if ((flags & F_TWICE) != 0)
		once(&b, kind, flags);
	end();
	buf_free(&b);
	u.c = owners.code;
	free(u.m);
	free(said);
	owners.body = owners.quirks = NULL;
	return (0);
}
