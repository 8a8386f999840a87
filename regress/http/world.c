/*
 * world.c - everybody but frontd, for tests of its API half: starts one frontd
 * as the parent does, plays all its peers, and answers every request with a
 * document that tells what the owner was sent.  What is to go wrong comes as
 * X-Request-ID: do-refuse-CODE, do-silent, do-die (the owner dies at the first
 * asking and is replaced).  Commands on standard input:
 *	kill PROC	that peer dies and is replaced
 *	gone PROC	that peer dies
 *	revoke		the keys are revoked
 *	scan TEXT	how often TEXT is in frontd's memory
 *	count MESSAGE	how often it was received
 *	local PATH	serves a local client on a unix socket
 *	drain TEXT	runnerd says TEXT on the last stream that was opened; then
 *			the parent drains frontd, which finds both at once
 * world FRONTD api|admin|runner
 */
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <netinet/in.h>

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "message.h"
#include "text.h"

#define BUF		(9U << 20)
#define FRAME		16
#define SCAN_PIECE	(1U << 20)
#define SCAN_REGION	(1ULL << 32)

struct chan {
	int		 fd;
	enum proc	 proc;
	uint8_t		*in;
	size_t		 len;
};

static struct chan	 ctl[PROC_MAX], bulk[PROC_MAX];
static uint32_t		 generation[PROC_MAX];
static enum proc	 front;
static pid_t		 pid;
static unsigned int	 counts[MSG_MAX];
static int		 revoked, local = -1;
static uint64_t		 died;		/* ref that killed its owner */
static uint64_t		 opened;	/* ref of the newest stream */

static void
frame(struct chan *c, uint64_t ref, enum msg_type type, const void *m, int fd)
{
	const struct msg_desc	*d = &msg_descs[type];
	union {
		struct cmsghdr	 hdr;
		char		 buf[CMSG_SPACE(sizeof(int))];
	}			 cmsg;
	struct msghdr		 mh = { 0 };
	struct iovec		 iov;
	ssize_t			 n;
	uint8_t			*buf;
	uint32_t		 len;
	uint16_t		 t = (uint16_t)type, flags = fd != -1;

	if ((n = msg_size(d, m)) == -1)
		err(1, "%s", d->name);
	len = FRAME + (uint32_t)n;
	if ((buf = malloc(len)) == NULL)
		err(1, NULL);
	memcpy(buf, &len, 4);
	memcpy(buf + 4, &t, 2);
	memcpy(buf + 6, &flags, 2);
	memcpy(buf + 8, &ref, 8);
	msg_pack(d, m, buf + FRAME);
	iov.iov_base = buf;
	iov.iov_len = len;
	mh.msg_iov = &iov;
	mh.msg_iovlen = 1;
	if (fd != -1) {
		memset(&cmsg, 0, sizeof(cmsg));
		mh.msg_control = &cmsg;
		mh.msg_controllen = sizeof(cmsg.buf);
		cmsg.hdr.cmsg_len = CMSG_LEN(sizeof(int));
		cmsg.hdr.cmsg_level = SOL_SOCKET;
		cmsg.hdr.cmsg_type = SCM_RIGHTS;
		memcpy(CMSG_DATA(&cmsg.hdr), &fd, sizeof(int));
	}
	while (iov.iov_len > 0) {
		if ((n = sendmsg(c->fd, &mh, MSG_NOSIGNAL)) == -1) {
			if (errno == EINTR)
				continue;
			warn("to %s", proc_names[c->proc]);
			break;
		}
		iov.iov_base = (uint8_t *)iov.iov_base + n;
		iov.iov_len -= (size_t)n;
		mh.msg_control = NULL;
		mh.msg_controllen = 0;
	}
	free(buf);
	if (fd != -1)
		close(fd);
}

static void
chan_close(struct chan *c)
{
	if (c->fd != -1)
		close(c->fd);
	c->fd = -1;
	c->len = 0;
}

static void
chan_open(struct chan *c, enum proc proc, int is_bulk)
{
	struct msg_proc_peer	 m = { .peer = (uint8_t)proc,
				    .bulk = (uint8_t)is_bulk,
				    .generation = generation[proc] };
	int			 sv[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) == -1)
		err(1, "socketpair");
	c->fd = sv[0];
	c->proc = proc;
	c->len = 0;
	if (c->in == NULL && (c->in = malloc(BUF)) == NULL)
		err(1, NULL);
	frame(&ctl[PROC_PARENT], 0, MSG_PROC_PEER, &m, sv[1]);
}

static void
peer_begin(enum proc proc)
{
	int	 edge = proc_edges[front][proc];

	if (edge == 0 || proc == PROC_PARENT)
		return;
	generation[proc]++;
	chan_open(&ctl[proc], proc, 0);
	if (edge == 2)
		chan_open(&bulk[proc], proc, 1);
}

static void
peer_end(enum proc proc)
{
	chan_close(&ctl[proc]);
	chan_close(&bulk[proc]);
}

/* ---- what owners say ---- */

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

static char	 echo[BUF];

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
authenticated(struct chan *c, uint64_t ref, const char *scopes)
{
	static const uint8_t		 t[8] = "ticket";
	struct msg_authenticated	 m = { .key =
		"key_01234567890123456789012345", .name = "tester",
		.tenant = "t1", .scopes = scopes,
		.expires = (uint64_t)time(NULL) + 60, .sessiond = t,
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

static void
auth_key(struct chan *c, uint64_t ref, const struct msg_auth_key *m)
{
	if (is_hash(m, "mk_good"))
		authenticated(c, ref, "*");
	else if (is_hash(m, "mk_admin"))
		authenticated(c, ref, "admin:*");
	else if (is_hash(m, "mk_reader"))
		authenticated(c, ref, "sessions:read");
	else
		refused(c, ref, "invalid_auth");
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

	if (m->task[n - 1] == '9') {
		refused(&ctl[PROC_RUNNERD], ref, "not_found");
		return;
	}
	if (strcmp(m->after, "1.2") == 0) {
		l.lines += 16;
		l.lines_len = 8;
		l.first = 3;
		l.count = 1;
	}
	if (strcmp(m->after, "1.3") != 0)
		frame(&bulk[PROC_RUNNERD], ref, MSG_LOG_LINES, &l, -1);
	if (m->task[n - 1] == '0')
		frame(&bulk[PROC_RUNNERD], ref, MSG_LOG_END, &e, -1);
}

static void
event_follow(uint64_t ref, const struct msg_event_follow *m)
{
	static const char	 one[] = "{\"type\":\"task.created\"}";
	struct msg_event_line	 l = { .position = "7.1", .type = "" };

	if (*m->after == '\0')
		frame(&ctl[PROC_SESSIOND], ref, MSG_EVENT_LINE, &l, -1);
	l.position = *m->after == '\0' ? "7.2" : "7.3";
	l.type = "task.created";
	l.body = (const uint8_t *)one;
	l.body_len = sizeof(one) - 1;
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
	struct msg_stream_ticket_created tc = { TOKEN("good-ticket"),
					    2000000000 };
	struct msg_key_held		 kh;

	switch ((int)type) {
	case MSG_AUTH_KEY:
		auth_key(c, ref, v);
		return (1);
	case MSG_AUTH_PASSWORD:
		if (strcmp(pw->user, "admin") == 0 && pw->password_len == 6 &&
		    memcmp(pw->password, "secret", 6) == 0)
			authenticated(c, ref, "admin:*");
		else
			refused(c, ref, "invalid_auth");
		return (1);
	case MSG_AUTH_STREAM:
		if (st->token_len == 11 && memcmp(st->token, "good-ticket",
		    11) == 0)
			authenticated(c, ref, "*");
		else
			refused(c, ref, "invalid_auth");
		return (1);
	case MSG_AUTH_RENEW:
		if (revoked)
			refused(c, ref, "token_revoked");
		else
			authenticated(c, ref, "*");
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

static void
handle(struct chan *c, uint64_t ref, enum msg_type type, const void *m)
{
	const char			*w = wish(type, m);
	const struct msg_task_get	*get = m;
	char				 doc[256];

	counts[type]++;
	if (type != MSG_AUTH_KEY && strncmp(w, "do-refuse-", 10) == 0)
		refused(c, ref, w + 10);
	else if (type != MSG_AUTH_KEY && strcmp(w, "do-silent") == 0)
		return;
	else if (type != MSG_AUTH_KEY && strcmp(w, "do-die") == 0 &&
	    died != ref) {
		died = ref;
		peer_end(c->proc);
		peer_begin(c->proc);
	} else if (special(c, ref, type, m) || runner(c, ref, type, m))
		return;
	else if (type == MSG_TASK_GET && get->wait == 0) {
		snprintf(doc, sizeof(doc), "{\"id\":\"%s\",\n\"status\":"
		    "\"completed\"}", get->task);
		reply(c, ref, 200, doc);
	} else {
		describe(type, m);
		reply(c, ref, strstr(msg_descs[type].name, "_CREATE") != NULL ?
		    201 : 200, echo);
	}
}

static void
parent_says(enum msg_type type)
{
	enum proc	 p;

	if (type != MSG_PROC_READY)
		return;
	for (p = 0; p < PROC_MAX; p++)
		peer_begin(p);
	printf("ready %d\n", (int)pid);
}

static void
chan_read(struct chan *c)
{
	union {
		uint8_t		 bytes[MSG_STRUCT_MAX];
		uint64_t	 align;
	}		 m;
	int		 fd = c->fd;
	uint64_t	 ref;
	uint32_t	 len;
	uint16_t	 type;
	ssize_t		 n;
	size_t		 off = 0;

	if ((n = read(c->fd, c->in + c->len, BUF - c->len)) <= 0) {
		if (c->proc == PROC_PARENT)
			errx(1, "frontd is gone");
		chan_close(c);
		return;
	}
	c->len += (size_t)n;
	while (c->len - off >= FRAME) {
		memcpy(&len, c->in + off, 4);
		memcpy(&type, c->in + off + 4, 2);
		memcpy(&ref, c->in + off + 8, 8);
		if (c->len - off < len)
			break;
		if (msg_unpack(&msg_descs[type], c->in + off + FRAME,
		    len - FRAME, &m) == -1)
			errx(1, "malformed %s", msg_descs[type].name);
		if (c->proc == PROC_PARENT)
			parent_says(type);
		else
			handle(c, ref, type, &m);
		explicit_bzero(c->in + off, len);
		off += len;
		if (c->fd != fd || c->len == 0)
			return;
	}
	memmove(c->in, c->in + off, c->len - off);
	c->len -= off;
}

/* ---- commands ---- */

/* Occurrences in the part [a, b) of frontd's memory, a piece at a time. */
static int
scan_part(int mem, uint64_t a, uint64_t b, const char *text)
{
	static char	 buf[SCAN_PIECE];
	size_t		 len = strlen(text), had = 0, i;
	ssize_t		 n;
	int		 found = 0;

	while (a < b) {
		n = pread(mem, buf + had, sizeof(buf) - had < b - a ?
		    sizeof(buf) - had : (size_t)(b - a), (off_t)a);
		if (n <= 0)
			break;
		a += (uint64_t)n;
		had += (size_t)n;
		for (i = 0; i + len <= had; i++)
			if (memcmp(buf + i, text, len) == 0)
				found++;
		/* What may begin at the end goes before the next piece. */
		i = had < len - 1 ? had : len - 1;
		memmove(buf, buf + had - i, i);
		had = i;
	}
	return (found);
}

/* Sanitizers map terabytes of shadow, which hold no text. */
static int
scan(const char *text)
{
	char			 path[64], line[512], perms[8];
	unsigned long long	 a, b;
	FILE			*maps;
	int			 mem, found = 0;

	snprintf(path, sizeof(path), "/proc/%d/mem", (int)pid);
	if ((mem = open(path, O_RDONLY | O_CLOEXEC)) == -1)
		err(1, "%s", path);
	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	if ((maps = fopen(path, "re")) == NULL)
		err(1, "%s", path);
	while (fgets(line, sizeof(line), maps) != NULL)
		if (sscanf(line, "%llx-%llx %7s", &a, &b, perms) == 3 &&
		    perms[0] == 'r' && perms[1] == 'w' &&
		    b - a < SCAN_REGION)
			found += scan_part(mem, a, b, text);
	fclose(maps);
	close(mem);
	return (found);
}

static void
serve_local(const char *path)
{
	struct sockaddr_un	 sun = { .sun_family = AF_UNIX };

	strncpy(sun.sun_path, path, sizeof(sun.sun_path) - 1);
	unlink(path);
	if ((local = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) == -1 ||
	    bind(local, (struct sockaddr *)&sun, sizeof(sun)) == -1 ||
	    listen(local, 5) == -1)
		err(1, "%s", path);
}

static void
local_accept(void)
{
	static const uint8_t	 t[8] = "ticket";
	struct msg_local_client	 m = { .uid = 0,
		.key = "key_01234567890123456789012345", .name = "root",
		.tenant = "t1", .scopes = "admin:*",
		.expires = (uint64_t)time(NULL) + 60, .sessiond = t,
		.sessiond_len = 8, .taskd = t, .taskd_len = 8, .runnerd = t,
		.runnerd_len = 8, .tunneld = t, .tunneld_len = 8,
		.providerd = t, .providerd_len = 8 };
	int			 fd;

	if ((fd = accept4(local, NULL, NULL, SOCK_CLOEXEC)) != -1)
		frame(&ctl[PROC_SESSIOND], 0, MSG_LOCAL_CLIENT, &m, fd);
}

static void
report(void)
{
	static const char	 text[] = "# TYPE x_total counter\nx_total 1\n"
				    "y{a=\"b\"} 2\n";
	struct msg_proc_report	 m = { .name = "taskd", .pid = 7, .uid = 8,
				    .root = "/var/empty", .jail = 2,
				    .ready = 1, .started_ms = 1000,
				    .metrics = (const uint8_t *)text,
				    .metrics_len = sizeof(text) - 1 };

	frame(&ctl[PROC_PARENT], 0, MSG_PROC_REPORT, &m, -1);
	m.name = "sessiond";
	frame(&ctl[PROC_PARENT], 0, MSG_PROC_REPORT, &m, -1);
}

/* The parent's channel is the first with something to read. */
static void
drain(const char *text)
{
	struct msg_stream_message	 m = { .body = (const uint8_t *)text,
					    .body_len = strlen(text) };
	struct msg_proc_ping		 ping = { 0 };
	struct msg_proc_drain		 last = { .seconds = 10 };

	if (kill(pid, SIGSTOP) == -1 || waitpid(pid, NULL, WUNTRACED) == -1)
		err(1, "frontd");
	frame(&ctl[PROC_PARENT], 0, MSG_PROC_PING, &ping, -1);
	frame(&ctl[PROC_RUNNERD], opened, MSG_STREAM_MESSAGE, &m, -1);
	frame(&ctl[PROC_PARENT], 0, MSG_PROC_DRAIN, &last, -1);
	kill(pid, SIGCONT);
}

static void
command(char *line)
{
	struct msg_auth_revoked	 rm = { "key_01234567890123456789012345" };
	char			*arg;
	int			 i;

	line[strcspn(line, "\n")] = '\0';
	arg = line + strcspn(line, " ");
	if (*arg != '\0')
		*arg++ = '\0';
	if (strcmp(line, "kill") == 0 || strcmp(line, "gone") == 0) {
		peer_end(proc_by_name(arg));
		if (*line == 'k')
			peer_begin(proc_by_name(arg));
	} else if (strcmp(line, "back") == 0)
		peer_begin(proc_by_name(arg));
	else if (strcmp(line, "revoke") == 0) {
		revoked = 1;
		frame(&ctl[PROC_SESSIOND], 0, MSG_AUTH_REVOKED, &rm, -1);
	} else if (strcmp(line, "local") == 0)
		serve_local(arg);
	else if (strcmp(line, "report") == 0)
		report();
	else if (strcmp(line, "drain") == 0)
		drain(arg);
	else if (strcmp(line, "count") == 0) {
		for (i = 1; i < MSG_MAX; i++)
			if (strcmp(msg_descs[i].name, arg) == 0)
				printf("%u\n", counts[i]);
		return;
	} else if (strcmp(line, "scan") == 0) {
		printf("%d\n", scan(arg));
		return;
	}
	printf("ok\n");
}

static int
listener(unsigned int *port)
{
	struct sockaddr_in	 sin = { .sin_family = AF_INET };
	socklen_t		 len = sizeof(sin);
	int			 fd;

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if ((fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
	    0)) == -1 || bind(fd, (struct sockaddr *)&sin, sizeof(sin)) == -1 ||
	    listen(fd, 50) == -1 ||
	    getsockname(fd, (struct sockaddr *)&sin, &len) == -1)
		err(1, "listener");
	*port = ntohs(sin.sin_port);
	return (fd);
}

static void
start(const char *program, const char *name)
{
	struct msg_proc_start		 st = { .name = name,
					    .table = msg_table_hash,
					    .table_len = 32, .root = "" };
	struct msg_proc_listener	 l = { .name = name,
					    .address = "127.0.0.1" };
	struct msg_proc_configured	 done = { 0 };
	unsigned int			 port;
	int				 sv[2], fd;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) == -1)
		err(1, "socketpair");
	fd = listener(&port);
	switch (pid = fork()) {
	case -1:
		err(1, "fork");
	case 0:
		if (dup2(sv[1], 3) == -1)
			_exit(1);
		fcntl(3, F_SETFD, 0);
		execl(program, program, "-P", name, (char *)NULL);
		_exit(127);
	}
	close(sv[1]);
	ctl[PROC_PARENT].fd = sv[0];
	ctl[PROC_PARENT].proc = PROC_PARENT;
	if ((ctl[PROC_PARENT].in = malloc(BUF)) == NULL)
		err(1, NULL);
	frame(&ctl[PROC_PARENT], 0, MSG_PROC_START, &st, -1);
	frame(&ctl[PROC_PARENT], 0, MSG_PROC_LISTENER, &l, fd);
	frame(&ctl[PROC_PARENT], 0, MSG_PROC_CONFIGURED, &done, -1);
	printf("port %u\n", port);
}

int
main(int argc, char **argv)
{
	struct pollfd	 pfd[2 * PROC_MAX + 2];
	struct chan	*at[2 * PROC_MAX + 2];
	char		 line[1024];
	int		 i, n, k;

	if (argc != 3 || (k = proc_by_name(argv[2])) == -1)
		errx(1, "usage: world FRONTD api|admin|runner");
	front = (enum proc)k;
	if (sodium_init() == -1)
		errx(1, "sodium");
	setvbuf(stdout, NULL, _IOLBF, 0);
	setvbuf(stdin, NULL, _IONBF, 0);
	for (i = 0; i < PROC_MAX; i++)
		ctl[i].fd = bulk[i].fd = -1;
	start(argv[1], argv[2]);
	for (;;) {
		n = 0;
		pfd[n].fd = 0;
		pfd[n++].events = POLLIN;
		pfd[n].fd = local;
		pfd[n++].events = POLLIN;
		for (i = 0; i < PROC_MAX; i++) {
			at[n] = &ctl[i];
			pfd[n].fd = ctl[i].fd;
			pfd[n++].events = POLLIN;
			at[n] = &bulk[i];
			pfd[n].fd = bulk[i].fd;
			pfd[n++].events = POLLIN;
		}
		if (poll(pfd, (nfds_t)n, -1) == -1)
			err(1, "poll");
		for (i = 2; i < n; i++)
			if (pfd[i].revents != 0 && at[i]->fd == pfd[i].fd)
				chan_read(at[i]);
		if (pfd[1].revents != 0)
			local_accept();
		if (pfd[0].revents != 0) {
			if (fgets(line, sizeof(line), stdin) == NULL)
				break;
			command(line);
		}
	}
	peer_end(PROC_PARENT);
	waitpid(pid, NULL, 0);
	return (0);
}
