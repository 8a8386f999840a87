/*
 * child.c - see child.h.  Environment: STORAGED (the program), OWNER and WORKER
 * (conninfo), ROOT (its root directory when we are root), PSQL (a command that
 * runs SQL as the owner).
 */
#include <sys/socket.h>
#include <sys/wait.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "child.h"

#define IN_SIZE		(16U << 20)

struct frame {
	uint32_t	 len;
	uint16_t	 type;
	uint16_t	 flags;
	uint64_t	 ref;
};

int	 failures, count;

void
ok(int cond, const char *what)
{
	printf("%s %d - %s\n", cond ? "ok" : "not ok", ++count, what);
	fflush(stdout);
	failures += !cond;
}

static void
die(const char *what)
{
	perror(what);
	exit(1);
}

uint64_t
now_ms(void)
{
	struct timespec	 ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ((uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000);
}

const char *
env(const char *name)
{
	const char	*s = getenv(name);

	if (s == NULL) {
		fprintf(stderr, "%s is not set; run regress/sql/run.sh\n",
		    name);
		exit(1);
	}
	return (s);
}

int
shell(const char *command)
{
	return (system(command));
}

int
sql(const char *text)
{
	char	 buf[4096];

	snprintf(buf, sizeof(buf), "%s -c \"%s\" >/dev/null", env("PSQL"),
	    text);
	return (shell(buf));
}

int
holds(int ms, const char *fmt, ...)
{
	uint64_t	 end = now_ms() + (uint64_t)ms;
	char		 cond[1024], buf[2048];
	va_list		 ap;
	int		 is;

	va_start(ap, fmt);
	vsnprintf(cond, sizeof(cond), fmt, ap);
	va_end(ap);
	snprintf(buf, sizeof(buf), "%s -At -c \"SET mn.tenant = '*'; SELECT "
	    "%s\" | grep -qx t", env("PSQL"), cond);
	do {
		is = shell(buf) == 0;
	} while (!is && now_ms() < end);
	return (is);
}

/* ---- frames -------------------------------------------------------------- */

static size_t
pack(uint8_t *buf, size_t size, enum msg_type type, uint64_t ref,
    const void *m)
{
	const struct msg_desc	*d = &msg_descs[type];
	struct frame		 f;
	ssize_t			 n;

	if ((n = msg_size(d, m)) == -1 || sizeof(f) + (size_t)n > size)
		die(d->name);
	memset(&f, 0, sizeof(f));
	f.len = (uint32_t)(sizeof(f) + (size_t)n);
	f.type = (uint16_t)type;
	f.ref = ref;
	memcpy(buf, &f, sizeof(f));
	msg_pack(d, m, buf + sizeof(f));
	return (f.len);
}

static void
send_all(struct chan *c, const uint8_t *buf, size_t len)
{
	ssize_t	 n;

	while (len > 0) {
		if ((n = send(c->fd, buf, len, MSG_NOSIGNAL)) == -1) {
			if (errno == EPIPE || errno == ECONNRESET)
				return;	/* it has ended; the test will say */
			die("send");
		}
		buf += n;
		len -= (size_t)n;
	}
}

void
say(struct chan *c, enum msg_type type, uint64_t ref, const void *m)
{
	static uint8_t	 buf[2U << 20];

	send_all(c, buf, pack(buf, sizeof(buf), type, ref, m));
}

static void
say_fd(struct chan *c, enum msg_type type, const void *m, int fd)
{
	union {
		struct cmsghdr	 hdr;
		char		 buf[CMSG_SPACE(sizeof(int))];
	}		 cmsg;
	struct msghdr	 mh;
	struct iovec	 iov;
	struct frame	 f;
	uint8_t		 buf[1024];

	memset(&mh, 0, sizeof(mh));
	memset(&cmsg, 0, sizeof(cmsg));
	iov.iov_base = buf;
	iov.iov_len = pack(buf, sizeof(buf), type, 0, m);
	memcpy(&f, buf, sizeof(f));
	f.flags = 1;
	memcpy(buf, &f, sizeof(f));
	mh.msg_iov = &iov;
	mh.msg_iovlen = 1;
	mh.msg_control = &cmsg;
	mh.msg_controllen = sizeof(cmsg.buf);
	cmsg.hdr.cmsg_len = CMSG_LEN(sizeof(int));
	cmsg.hdr.cmsg_level = SOL_SOCKET;
	cmsg.hdr.cmsg_type = SCM_RIGHTS;
	memcpy(CMSG_DATA(&cmsg.hdr), &fd, sizeof(int));
	if (sendmsg(c->fd, &mh, MSG_NOSIGNAL) == -1 && errno != EPIPE &&
	    errno != ECONNRESET)
		die("sendmsg");
	close(fd);
}

/* The body of what hear() returned last, until the next hear(). */
union body	 body;
static size_t	 used;		/* bytes of c->in to be dropped */
static struct chan *used_of;

void
drop_used(void)
{
	if (used_of == NULL)
		return;
	memmove(used_of->in, used_of->in + used, used_of->len - used);
	used_of->len -= used;
	used_of = NULL;
}

/* The next message within ms: its type, MSG_NONE when there is none. */
enum msg_type
hear(struct chan *c, int ms, uint64_t *ref)
{
	struct pollfd	 pfd = { .fd = c->fd, .events = POLLIN };
	struct frame	 f;
	uint64_t	 end = now_ms() + (uint64_t)ms;
	ssize_t		 n;

	drop_used();
	for (;;) {
		if (c->len >= sizeof(f)) {
			memcpy(&f, c->in, sizeof(f));
			if (c->len >= f.len)
				break;
		}
		if (now_ms() > end || poll(&pfd, 1, (int)(end - now_ms())) <= 0)
			return (MSG_NONE);
		if ((n = recv(c->fd, c->in + c->len, IN_SIZE - c->len, 0)) <=
		    0)
			return (MSG_NONE);
		c->len += (size_t)n;
	}
	if (msg_unpack(&msg_descs[f.type], c->in + sizeof(f),
	    f.len - sizeof(f), &body) == -1)
		die("unpack");
	used = f.len;
	used_of = c;
	*ref = f.ref;
	return ((enum msg_type)f.type);
}

int
is_told(const struct chan *c, int ms)
{
	struct pollfd	 pfd = { .fd = c->fd, .events = POLLIN };

	return (poll(&pfd, 1, ms) == 1);
}

static void
chan_open(struct chan *c, int fd)
{
	c->fd = fd;
	c->len = 0;
	if (c->in == NULL && (c->in = malloc(IN_SIZE)) == NULL)
		die("malloc");
}

/* ---- a storaged ---------------------------------------------------------- */

static void
option(struct child *ch, const char *name, const char *value)
{
	struct msg_proc_option	 m = { name, value };

	say(&ch->parent, MSG_PROC_OPTION, 0, &m);
}

static void
peer_pair(struct child *ch, enum proc who, int bulk, uint32_t generation)
{
	struct msg_proc_peer	 m = { 0 };
	int			 sv[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) == -1)
		die("socketpair");
	m.peer = (uint8_t)who;
	m.bulk = (uint8_t)bulk;
	m.generation = generation;
	say_fd(&ch->parent, MSG_PROC_PEER, &m, sv[1]);
	chan_open(bulk ? &ch->bulk[who] : &ch->control[who], sv[0]);
}

void
peer_connect(struct child *ch, enum proc who, uint32_t generation)
{
	if (proc_edges[PROC_STORAGED][who] == 0)
		return;
	peer_pair(ch, who, 0, generation);
	if (proc_edges[PROC_STORAGED][who] == 2)
		peer_pair(ch, who, 1, generation);
}

void
child_start(struct child *ch)
{
	struct msg_proc_start		 start = { 0 };
	struct msg_proc_configured	 done = { 0 };
	int				 sv[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) == -1)
		die("socketpair");
	if ((ch->pid = fork()) == -1)
		die("fork");
	if (ch->pid == 0) {
		if (sv[1] != 3)
			dup2(sv[1], 3);
		closefrom(4);
		execl(env("STORAGED"), "storaged", "-P", "storaged",
		    (char *)NULL);
		die(env("STORAGED"));
	}
	close(sv[1]);
	chan_open(&ch->parent, sv[0]);
	start.name = "storaged";
	start.table = msg_table_hash;
	start.table_len = sizeof(msg_table_hash);
	start.root = env("ROOT");
	start.jail = 1;
	if (geteuid() == 0) {
		start.jail = 2;
		start.uid = start.gid = 65534;
	}
	start.verbose = getenv("VERBOSE") != NULL;
	say(&ch->parent, MSG_PROC_START, 0, &start);
	option(ch, "conninfo-owner", env("OWNER"));
	option(ch, "conninfo", env("WORKER"));
	option(ch, "server-id", ch->server_id != NULL ? ch->server_id : "77");
	option(ch, "instance", ch->instance != NULL ? ch->instance : "ours");
	option(ch, "log-retention-days", "30");
	option(ch, "role", "marionette");
	say(&ch->parent, MSG_PROC_CONFIGURED, 0, &done);
	peer_connect(ch, PROC_SESSIOND, 1);
	peer_connect(ch, PROC_TASKD, 1);
	peer_connect(ch, PROC_RUNNERD, 1);
	peer_connect(ch, PROC_PROVIDERD, 1);
}

int
child_ready(struct child *ch, int ms)
{
	uint64_t	 ref;

	return (hear(&ch->parent, ms, &ref) == MSG_PROC_READY);
}

static void
chan_close(struct chan *c)
{
	if (c->in == NULL)
		return;
	if (used_of == c)
		used_of = NULL;
	close(c->fd);
	free(c->in);
	memset(c, 0, sizeof(*c));
}

int
child_end(struct child *ch, int sig)
{
	int	 i, status = 0;

	if (sig != 0)
		kill(ch->pid, sig);
	chan_close(&ch->parent);
	waitpid(ch->pid, &status, 0);
	for (i = 0; i < PROC_MAX; i++) {
		chan_close(&ch->control[i]);
		chan_close(&ch->bulk[i]);
	}
	return (status);
}

void
child_stop(struct child *ch)
{
	kill(ch->pid, SIGSTOP);
	waitpid(ch->pid, NULL, WUNTRACED);
}

void
child_go_on(struct child *ch)
{
	kill(ch->pid, SIGCONT);
}

uint64_t
metric(struct child *ch, const char *name)
{
	struct msg_proc_ping	 ping = { 0 };
	struct msg_proc_pong	 pong;
	enum msg_type		 t;
	char			 text[8192], *at;
	uint64_t		 ref;

	say(&ch->parent, MSG_PROC_PING, 0, &ping);
	do {
		t = hear(&ch->parent, 5000, &ref);
	} while (t != MSG_NONE && t != MSG_PROC_PONG);
	if (t == MSG_NONE)
		return (UINT64_MAX);
	memcpy(&pong, &body, sizeof(pong));
	snprintf(text, sizeof(text), "%.*s", (int)pong.metrics_len,
	    (const char *)pong.metrics);
	if ((at = strstr(text, name)) == NULL)
		return (UINT64_MAX);
	return (strtoull(at + strlen(name), NULL, 10));
}

int
metric_is(struct child *ch, const char *name, uint64_t want, int ms)
{
	uint64_t	 end = now_ms() + (uint64_t)ms;

	while (metric(ch, name) != want)
		if (now_ms() >= end)
			return (0);
	return (1);
}

/* ---- what the owners say ------------------------------------------------- */

void
audit(struct child *ch, enum proc who, uint64_t ref, const char *id,
    const char *detail)
{
	struct msg_audit_put	 m = { 0 };

	m.tenant = ref % 2 != 0 ? "t1" : "t2";
	m.action_log = id;
	m.actor = "test";
	m.action = "test.write";
	m.resource = "none";
	m.request_id = "r";
	m.success = 1;
	m.detail = detail;
	say(&ch->control[who], MSG_AUDIT_PUT, ref, &m);
}

void
session_put(struct child *ch, uint64_t ref, const char *id)
{
	struct msg_session_put	 m = { 0 };
	static const char	 spec[] = "{\"name\":\"n\"}";

	m.tenant = "t1";
	m.session = id;
	m.workspace = "ws_01";
	m.agent = "claude";
	m.agent_config = "";
	m.key_ref = "";
	m.spec = (const uint8_t *)spec;
	m.spec_len = strlen(spec);
	m.actor = "me";
	m.idem_key = "";
	say(&ch->control[PROC_SESSIOND], MSG_SESSION_PUT, ref, &m);
}

/* Waits for STORED or REFUSED of ref: the code, NULL without an answer. */
const char *
answer(struct chan *c, uint64_t want, int ms, uint32_t *rows)
{
	static char		 code[33];
	struct msg_stored	 st;
	struct msg_refused	 no;
	enum msg_type		 t;
	uint64_t		 ref, end = now_ms() + (uint64_t)ms;

	while (now_ms() <= end &&
	    (t = hear(c, (int)(end - now_ms()), &ref)) != MSG_NONE) {
		if (ref != want)
			continue;
		if (t == MSG_STORED) {
			memcpy(&st, &body, sizeof(st));
			if (rows != NULL)
				*rows = st.rows;
			strlcpy(code, st.code, sizeof(code));
			return (code);
		}
		if (t == MSG_REFUSED) {
			memcpy(&no, &body, sizeof(no));
			strlcpy(code, no.code, sizeof(code));
			return (code);
		}
	}
	return (NULL);
}
