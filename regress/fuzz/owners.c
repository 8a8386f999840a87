/*
 * owners.c - see owners.h.  What frontd says to an owner must unpack, and what
 * looks like JSON in it must be JSON that PostgreSQL can store: no owner would
 * look again (promise 4).
 */
#include <sys/socket.h>

#include <err.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api.h"
#include "channel.h"
#include "frontd_msg.h"
#include "fuzz.h"
#include "owners.h"
#include "worker.h"

#define BYTES(s)	(const uint8_t *)(s), strlen(s)
#define IN_SIZE		(16U << 20)
#define BIG		(24 * 1024)	/* of lines, at once */
#define EVENTS		100

struct owners	 owners;

static enum proc	 self = PROC_MAX;
static int		 ends[PROC_MAX][2];	/* control, bulk; -1: none */
static uint8_t		*in;

static void
closed(struct peer *p, const char *why)
{
	fprintf(stderr, "%s: %s\n", p->name, why != NULL ? why : "the end");
	abort();
}

static void
owner_up(enum proc proc)
{
	struct peer	*p = peer_of(proc);
	int		 sv[2], i;

	for (i = 0; i < proc_edges[self][proc]; i++) {
		if (socketpair(AF_UNIX, SOCK_STREAM, 0, sv) == -1)
			err(1, "socketpair");
		peer_open(p, i, sv[0], 1);
		ends[proc][i] = sv[1];
	}
	p->up = 1;
	api_peer_up(p);
}

static void
owner_down(enum proc proc)
{
	struct peer	*p = peer_of(proc);
	int		 i;

	for (i = 0; i < 2; i++) {
		if (ends[proc][i] != -1)
			close(ends[proc][i]);
		ends[proc][i] = -1;
	}
	peer_close(p);
	api_peer_down(p);
}

int
owners_want(char c)
{
	return (owners.quirks != NULL && strchr(owners.quirks, c) != NULL);
}

void
owners_leave(void)
{
	int	 i;

	for (i = 0; i < PROC_MAX; i++)
		if (ends[i][0] != -1 && i != PROC_PARENT &&
		    (i != PROC_SESSIOND || !owners_want('s')) &&
		    (i != PROC_TASKD || !owners_want('q')))
			owner_down((enum proc)i);
}

void
owners_return(void)
{
	int	 i;

	for (i = 0; i < PROC_MAX; i++)
		if (proc_edges[self][i] != 0 && ends[i][0] == -1)
			owner_up((enum proc)i);
}

void
owners_begin(enum proc me)
{
	static const struct peer_ops	 ops = { closed };
	int				 i;

	owners.asked = 0;
	if (self == me)
		return;
	if (in == NULL && (in = malloc(IN_SIZE)) == NULL)
		err(1, NULL);
	for (i = 0; i < PROC_MAX; i++) {
		if (self != PROC_MAX && proc_edges[self][i] != 0)
			owner_down((enum proc)i);
		ends[i][0] = ends[i][1] = -1;
	}
	self = me;
	peer_init(worker_base(), me, &ops);
	for (i = 0; i < PROC_MAX; i++)
		if (proc_edges[me][i] != 0)
			owner_up((enum proc)i);
}

static void
say(enum proc proc, uint64_t ref, enum msg_type type, const void *m, int fd)
{
	const struct msg_desc	*d = &msg_descs[type];
	union { struct cmsghdr h; char b[CMSG_SPACE(sizeof(int))]; } cm;
	struct msghdr		 mh = { 0 };
	struct frame		 f = { 0 };
	struct iovec		 iov;
	uint8_t			*p;
	ssize_t			 n = msg_size(d, m);
	int			 to;

	CLAIM(n != -1);
	f.len = (uint32_t)(sizeof(f) + (size_t)n);
	f.type = (uint16_t)type;
	f.ref = ref;
	f.flags = fd != -1 ? FRAME_FD : 0;
	if ((p = malloc(f.len)) == NULL)
		err(1, NULL);
	memcpy(p, &f, sizeof(f));
	msg_pack(d, m, p + sizeof(f));
	iov.iov_base = p;
	iov.iov_len = f.len;
	mh.msg_iov = &iov;
	mh.msg_iovlen = 1;
	if (fd != -1) {
		memset(&cm, 0, sizeof(cm));
		mh.msg_control = &cm;
		mh.msg_controllen = sizeof(cm.b);
		cm.h.cmsg_len = CMSG_LEN(sizeof(int));
		cm.h.cmsg_level = SOL_SOCKET;
		cm.h.cmsg_type = SCM_RIGHTS;
		memcpy(CMSG_DATA(&cm.h), &fd, sizeof(fd));
	}
	to = ends[proc][(d->flags & MSG_F_BULK) != 0];
	if (to != -1 && sendmsg(to, &mh, MSG_NOSIGNAL | MSG_DONTWAIT) !=
	    (ssize_t)f.len)
		err(1, "%s", d->name);
	free(p);
}

void
owners_say(enum proc p, uint64_t ref, enum msg_type type, const void *m)
{
	say(p, ref, type, m, -1);
}

void
owners_die(enum proc p)
{
	if (ends[p][0] != -1)
		owner_down(p);
}

void
owners_restart(enum proc p)
{
	owners_die(p);
	owner_up(p);
}

/* The same ticket for everybody: they are not opened here. */
#define IDENTITY							\
	.key = "key_00000000000000000000000001", .name = "fuzz",	\
	.tenant = "t1", .scopes = owners_want('u') ? "tasks:eat" :	\
	    owners.scopes,						\
	.expires = worker_now_ms() / 1000 + (owners_want('x') ? 8 :	\
	    owners_want('l') ? 3600 : owners_want('y') ? 2 : 60),	\
	.sessiond = (const uint8_t *)"s", .sessiond_len = 1,		\
	.taskd = (const uint8_t *)"t", .taskd_len = 1,			\
	.runnerd = (const uint8_t *)"r", .runnerd_len = 1,		\
	.tunneld = (const uint8_t *)"u", .tunneld_len = 1,		\
	.providerd = (const uint8_t *)"p", .providerd_len = 1

void
owners_pass(int fd)
{
	const struct msg_local_client	 m = { IDENTITY };

	say(PROC_SESSIOND, 0, MSG_LOCAL_CLIENT, &m, fd);
	close(fd);
}

void
owners_revoke(void)
{
	const struct msg_auth_revoked	 m = { "key_00000000000000000000000001" };

	say(PROC_SESSIOND, 0, MSG_AUTH_REVOKED, &m, -1);
}

void
owners_report(const uint8_t *p, size_t n)
{
	struct msg_proc_report	 m = { .name = "taskd", .pid = 7, .jail = 2,
				    .root = "/var/empty", .ready = 1,
				    .started_ms = 1000, .metrics = p,
				    .metrics_len = n };

	if (n > 32768)
		return;
	say(PROC_PARENT, 0, MSG_PROC_REPORT, &m, -1);
	m.name = "runnerd";
	say(PROC_PARENT, 0, MSG_PROC_REPORT, &m, -1);
}

/* The first character of the body says what a follower is sent. */
static void
say_lines(uint64_t ref, const struct msg_log_follow *f)
{
	static char		 big[BIG];
	struct msg_log_lines	 l = { .attempt = 1, .first = 1, .count = 2,
				    .lines = (const uint8_t *)
				    "{\"n\":1}\n{\"n\":2}\n", .lines_len = 16 };
	struct msg_log_end	 e = { .task = f->task };
	struct msg_refused	 no = { .code = owners.code, .text = "later" };
	int			 i;

	if (owners.body[0] == 'n')
		l.count = 0, l.lines_len = 0;
	if (owners.body[0] != 'e')
		say(PROC_RUNNERD, ref, MSG_LOG_LINES, &l, -1);
	if (owners.body[0] == 'b') {
		memset(big, '1', sizeof(big));
		big[BIG - 1] = '\n';
		l.lines = (const uint8_t *)big;
		l.lines_len = BIG;
		l.count = 1;
		for (i = 0; i < 4; i++) {
			l.first += l.count;
			say(PROC_RUNNERD, ref, MSG_LOG_LINES, &l, -1);
		}
	}
	if (owners.body[0] == 'r')
		say(PROC_RUNNERD, ref, MSG_REFUSED, &no, -1);
	else if (owners.mood != MOOD_REPLAYED)
		say(PROC_RUNNERD, ref, MSG_LOG_END, &e, -1);
}

static void
say_events(uint64_t ref)
{
	struct msg_event_line	 l = { .position = "7.1", .type = "" };
	struct msg_refused	 no = { .code = owners.code, .text = "later" };
	int			 i, n = owners.body[0] == 'b' ? EVENTS : 1;

	say(PROC_SESSIOND, ref, MSG_EVENT_LINE, &l, -1);
	l.position = "7.2";
	l.type = "task.created";
	l.body = (const uint8_t *)"{}";
	l.body_len = 2;
	for (i = 0; i < n; i++)
		say(PROC_SESSIOND, ref, MSG_EVENT_LINE, &l, -1);
	if (owners.body[0] == 'r')
		say(PROC_SESSIOND, ref, MSG_REFUSED, &no, -1);
}

/* Answers that are no document; 0 when there is none of its own. */
static int
special(enum proc p, uint64_t ref, enum msg_type type, const void *m)
{
	const struct msg_authenticated	 a = { IDENTITY };
	int				 old = owners.mood == MOOD_REPLAYED;
	struct msg_key_created		 kc = { BYTES(old ? "" : "mk_x"),
					    (uint8_t)old, BYTES(owners.body) };
	struct msg_runner_token_created	 rc = { BYTES(old ? "" : "rtok_x"),
					    (uint8_t)old, BYTES(owners.body) };
	struct msg_stream_ticket_created tc = { BYTES("ticket"), a.expires };
	struct msg_key_held		 kh;

	switch ((int)type) {
	case MSG_AUTH_KEY:
	case MSG_AUTH_PASSWORD:
	case MSG_AUTH_STREAM:
	case MSG_AUTH_RENEW:
		say(p, ref, MSG_AUTHENTICATED, &a, -1);
		return (1);
	case MSG_KEY_HOLD:
		kh.key_ref = ((const struct msg_key_hold *)m)->key_ref;
		say(p, ref, MSG_KEY_HELD, &kh, -1);
		return (1);
	case MSG_KEY_CREATE:
		say(p, ref, MSG_KEY_CREATED, &kc, -1);
		return (1);
	case MSG_RUNNER_TOKEN_CREATE:
		say(p, ref, MSG_RUNNER_TOKEN_CREATED, &rc, -1);
		return (1);
	case MSG_STREAM_TICKET_CREATE:
		say(p, ref, MSG_STREAM_TICKET_CREATED, &tc, -1);
		return (1);
	case MSG_LOG_FOLLOW:
		say_lines(ref, m);
		return (1);
	case MSG_EVENT_FOLLOW:
		say_events(ref);
		return (1);
	case MSG_LOG_CREDIT:
	case MSG_LOG_UNFOLLOW:
	case MSG_EVENT_CREDIT:
	case MSG_EVENT_UNFOLLOW:
		return (1);
	}
	return (0);
}

static int
is_identity(enum msg_type type)
{
	return (type == MSG_AUTH_KEY || type == MSG_AUTH_PASSWORD ||
	    type == MSG_AUTH_STREAM || type == MSG_AUTH_RENEW);
}

/* Text that a statement gets as jsonb. */
static void
check_fields(const struct msg_desc *d, const void *m)
{
	const struct msg_field	*f;
	const char		*s;
	json_t			*j;
	size_t			 n;
	unsigned int		 i;

	for (i = 0; i < d->nfields; i++) {
		f = &d->fields[i];
		if (f->type != FIELD_BLOB)
			continue;
		memcpy(&s, (const char *)m + f->off, sizeof(s));
		memcpy(&n, (const char *)m + f->len_off, sizeof(n));
		if (n == 0 || (s[0] != '{' && s[0] != '['))
			continue;
		if (strstr(f->name, "hash") != NULL)
			continue;
		j = json_loadb(s, n, JSON_REJECT_DUPLICATES, NULL);
		CLAIM(j != NULL);
		json_decref(j);
	}
}

static void
handle(enum proc p, uint64_t ref, enum msg_type type, const void *m)
{
	static const char	 details[] = "{\"why\":1}";
	struct msg_refused	 no = { .code = owners.code,
				    .text = owners_want('n') ? "" : "as was"
				    " wished", .retry_after =
				    owners_want('n') ? 0 : 3 };
	struct msg_document	 doc = { .status = owners_want('c') ? 201 :
				    owners_want('e') ? 0 : 200,
				    .etag = owners_want('e') ? "" : "v1",
				    .replayed = owners.mood == MOOD_REPLAYED,
				    .body = (const uint8_t *)owners.body,
				    .body_len = strlen(owners.body) };

	/* A runner's bytes go on as they are. */
	if (type != MSG_STREAM_MESSAGE && type != MSG_LOGS_MESSAGE)
		check_fields(&msg_descs[type], m);
	owners.asked++;
	if (p == PROC_TASKD && owners_want('w'))
		return;
	if (owners.heard != NULL) {
		owners.heard(p, ref, type, m);
		return;
	}
	if (owners_want('t')) {
		no.body = (const uint8_t *)details;
		no.body_len = sizeof(details) - 1;
	}
	if (p == PROC_TASKD && owners_want('f')) {
		say(p, ref, MSG_REFUSED, &no, -1);
		return;
	}
	if (is_identity(type) && (owners.mood != MOOD_REFUSED ||
	    owners_want('i'))) {
		special(p, ref, type, m);
		return;
	}
	switch (owners.mood) {
	case MOOD_DOCUMENT:
	case MOOD_REPLAYED:
		if (!special(p, ref, type, m))
			say(p, ref, MSG_DOCUMENT, &doc, -1);
		break;
	case MOOD_REFUSED:
		if (msg_may(MSG_REFUSED, p, self))
			say(p, ref, MSG_REFUSED, &no, -1);
		break;
	case MOOD_WRONG:
		if (special(p, ref, type, m) == 0 && p == PROC_SESSIOND)
			say(p, ref, MSG_STREAM_TICKET_CREATED,
			    &(struct msg_stream_ticket_created){ BYTES("t"),
			    0 }, -1);
		else
			say(p, ref, MSG_DOCUMENT, &doc, -1);
		break;
	case MOOD_SILENT:
	case MOOD_DEAD:
	case MOOD_MAX:
		break;
	}
}

static unsigned int
hear(enum proc p, int bulk)
{
	uint64_t	 m[MSG_STRUCT_MAX / 8];
	struct frame	 f;
	size_t		 len = 0, off = 0;
	ssize_t		 n;
	unsigned int	 frames = 0;

	while (len < IN_SIZE && (n = recv(ends[p][bulk], in + len,
	    IN_SIZE - len, MSG_DONTWAIT)) > 0) {
		len += (size_t)n;
		peers_flush();
	}
	for (; off < len; off += f.len, frames++) {
		CLAIM(len - off >= sizeof(f));
		memcpy(&f, in + off, sizeof(f));
		CLAIM(f.len >= sizeof(f) && f.len <= len - off);
		CLAIM(msg_may(f.type, self, p));
		CLAIM(msg_unpack(&msg_descs[f.type], in + off + sizeof(f),
		    f.len - sizeof(f), m) == 0);
		handle(p, f.ref, f.type, m);
	}
	if (frames > 0 && owners.mood == MOOD_DEAD) {
		owners_restart(p);
		owners.mood = MOOD_DOCUMENT;
	}
	return (frames);
}

unsigned int
owners_turn(void)
{
	unsigned int	 i, n = 0;

	peers_flush();
	for (i = 0; i < PROC_MAX; i++) {
		if (owners.busy[i])
			continue;
		if (ends[i][0] != -1)
			n += hear((enum proc)i, 0);
		if (ends[i][1] != -1)
			n += hear((enum proc)i, 1);
	}
	return (n);
}
