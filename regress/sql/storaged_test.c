/*
 * storaged_test.c - speaks to a real storaged as its parent and as the owners,
 * over socketpairs: batches, a poisoned batch, PostgreSQL killed under it, the
 * advisory lock taken over, events in order.  Environment: STORAGED (the
 * program), OWNER and WORKER (conninfo), ROOT (its root directory when we are
 * root), KILL and START (shell commands that kill -9 and start PostgreSQL),
 * PSQL (a command that runs SQL as the owner).
 * Prints `ok' and `not ok' lines.
 */
#include <sys/socket.h>
#include <sys/wait.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "id.h"
#include "message.h"
#include "peer.h"

#define IN_SIZE		(16U << 20)

struct frame {
	uint32_t	 len;
	uint16_t	 type;
	uint16_t	 flags;
	uint64_t	 ref;
};

/* An end of a channel; frames are taken from `in'. */
struct chan {
	int		 fd;
	uint8_t		*in;
	size_t		 len;
};

struct child {
	pid_t		 pid;
	struct chan	 parent, control[PROC_MAX], bulk[PROC_MAX];
};

static int	 failures, count;

static void
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

static uint64_t
now_ms(void)
{
	struct timespec	 ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ((uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000);
}

static const char *
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

static int
shell(const char *command)
{
	return (system(command));
}

static int
sql(const char *text)
{
	char	 buf[4096];

	snprintf(buf, sizeof(buf), "%s -c \"%s\" >/dev/null", env("PSQL"),
	    text);
	return (shell(buf));
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

static void
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
static union {
	uint8_t		 bytes[MSG_STRUCT_MAX];
	uint64_t	 align;
}		 body;
static size_t	 used;		/* bytes of c->in to be dropped */
static struct chan *used_of;

static void
drop_used(void)
{
	if (used_of == NULL)
		return;
	memmove(used_of->in, used_of->in + used, used_of->len - used);
	used_of->len -= used;
	used_of = NULL;
}

/* The next message within ms: its type, MSG_NONE when there is none. */
static enum msg_type
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

static void
peer_connect(struct child *ch, enum proc who, uint32_t generation)
{
	if (proc_edges[PROC_STORAGED][who] == 0)
		return;
	peer_pair(ch, who, 0, generation);
	if (proc_edges[PROC_STORAGED][who] == 2)
		peer_pair(ch, who, 1, generation);
}

static void
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
	option(ch, "server-id", "77");
	option(ch, "log-retention-days", "30");
	option(ch, "role", "marionette");
	say(&ch->parent, MSG_PROC_CONFIGURED, 0, &done);
	peer_connect(ch, PROC_SESSIOND, 1);
	peer_connect(ch, PROC_TASKD, 1);
	peer_connect(ch, PROC_RUNNERD, 1);
	peer_connect(ch, PROC_PROVIDERD, 1);
}

static int
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

static int
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

/* ---- what the owners say ------------------------------------------------- */

static void
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

static void
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
static const char *
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

/* ---- tests --------------------------------------------------------------- */

/* Many statements at once: all answered, in few commits. */
static void
test_batch(struct child *ch)
{
	char		 id[ID_SIZE];
	const char	*code;
	uint32_t	 rows;
	uint64_t	 i, t0 = now_ms();
	int		 good = 0;

	for (i = 1; i <= 1000; i++) {
		id_make(id, "alog");
		audit(ch, PROC_TASKD, i, id, "batch");
	}
	for (i = 1; i <= 1000; i++) {
		code = answer(&ch->control[PROC_TASKD], i, 5000, &rows);
		good += code != NULL && code[0] == '\0' && rows == 1;
	}
	ok(good == 1000, "a thousand statements of two tenants are answered");
	printf("# %llu ms\n", (unsigned long long)(now_ms() - t0));
}

/* A constraint that one value breaks, in the middle of 64. */
static void
test_poison(struct child *ch, const char *ddl, const char *what)
{
	static char	 names[65][ID_SIZE];
	const char	*code;
	uint64_t	 i;
	int		 good = 0, refused = 0;

	ok(sql(ddl) == 0, "the trap is set");
	for (i = 1; i <= 64; i++) {
		id_make(names[i], "alog");
		audit(ch, PROC_RUNNERD, i, names[i],
		    i == 40 || i == 41 ? "poison" : "fine");
	}
	for (i = 1; i <= 64; i++) {
		code = answer(&ch->control[PROC_RUNNERD], i, 5000, NULL);
		if (i == 40 || i == 41)
			refused += code != NULL &&
			    strcmp(code, "validation_error") == 0;
		else
			good += code != NULL && code[0] == '\0';
	}
	ok(good == 62 && refused == 2, what);
}

/* PostgreSQL dies with writes under way; every one is answered after all. */
static void
test_kill(struct child *ch)
{
	char		 id[ID_SIZE];
	const char	*code;
	uint64_t	 i;
	int		 good = 0;

	for (i = 1; i <= 200; i++) {
		id_make(id, "alog");
		audit(ch, PROC_TASKD, i, id, "before");
		if (i == 100)
			ok(shell(env("KILL")) == 0, "PostgreSQL is killed");
	}
	ok(shell(env("START")) == 0, "and started again");
	for (i = 1; i <= 200; i++) {
		code = answer(&ch->control[PROC_TASKD], i, 20000, NULL);
		good += code != NULL && code[0] == '\0';
	}
	ok(good == 200, "200 statements survive it");
}

/* Without database: refused with unavailable, within twelve seconds. */
static void
test_gone(struct child *ch)
{
	char		 id[ID_SIZE];
	const char	*code;
	uint64_t	 t0;

	ok(shell(env("KILL")) == 0, "PostgreSQL is killed");
	usleep(500000);
	t0 = now_ms();
	id_make(id, "alog");
	audit(ch, PROC_TASKD, 900, id, "gone");
	code = answer(&ch->control[PROC_TASKD], 900, 15000, NULL);
	ok(code != NULL && strcmp(code, "unavailable") == 0,
	    "without a database a write is refused: unavailable");
	ok(now_ms() - t0 < 12500, "before twelve seconds are over");
	ok(shell(env("START")) == 0, "PostgreSQL is started");
	audit(ch, PROC_TASKD, 901, id, "gone");
	code = answer(&ch->control[PROC_TASKD], 901, 15000, NULL);
	ok(code != NULL && code[0] == '\0', "the same again is stored");
}

/* The numbers of events as they come; -1 when they are out of order. */
static int
events(struct child *ch, int ms)
{
	struct msg_event_committed e;
	unsigned long long	 xid = 0, seq = 0, x, s;
	enum msg_type		 t;
	uint64_t		 ref;
	int			 n = 0;

	while ((t = hear(&ch->control[PROC_SESSIOND], ms, &ref)) !=
	    MSG_NONE) {
		if (t != MSG_EVENT_COMMITTED)
			continue;
		memcpy(&e, &body, sizeof(e));
		if (sscanf(e.position, "%llu.%llu", &x, &s) != 2 || x < xid ||
		    (x == xid && s <= seq))
			return (-1);
		xid = x;
		seq = s;
		n++;
	}
	return (n);
}

/* A transaction with a low number that commits late hides later ones. */
static void
test_events(struct child *ch)
{
	char	 id[ID_SIZE], cmd[2048];
	int	 i, n;

	snprintf(cmd, sizeof(cmd), "%s -c \"SET mn.tenant = '*'; BEGIN; SELECT "
	    "mn.event_put('t9', 'runner.online', 'runner', 'r', NULL, NULL, "
	    "'{}', '{}'); SELECT pg_sleep(2); COMMIT\" >/dev/null &",
	    env("PSQL"));
	ok(shell(cmd) == 0, "a slow transaction makes an event");
	usleep(500000);
	for (i = 1; i <= 10; i++) {
		id_make(id, "sess");
		session_put(ch, (uint64_t)i, id);
	}
	n = events(ch, 700);
	ok(n == 0, "events behind it are held back");
	n = events(ch, 3000);
	ok(n == 11, "then all come, each once, in order");
}

/* A second storaged takes the lock from the first one's backend. */
static void
test_takeover(struct child *first)
{
	struct child	 second;
	char		 id[ID_SIZE];
	const char	*code;
	uint64_t	 t0 = now_ms();

	memset(&second, 0, sizeof(second));
	child_start(&second);
	ok(child_ready(&second, 10000), "a second storaged becomes ready");
	ok(now_ms() - t0 >= 1900, "not before two seconds of patience");
	id_make(id, "alog");
	audit(&second, PROC_TASKD, 5, id, "second");
	code = answer(&second.control[PROC_TASKD], 5, 5000, NULL);
	ok(code != NULL && code[0] == '\0', "and writes");
	ok(child_end(first, SIGKILL) != 0, "the first one was alive");
	drop_used();
	*first = second;
}

/* An owner that is restarted does not read past its old writes. */
static void
test_generation(struct child *ch)
{
	struct msg_session_read	 m = { 0 };
	char			 id[ID_SIZE];
	const char		*code;
	uint32_t		 rows = 0;

	id_make(id, "sess");
	session_put(ch, 50, id);
	usleep(100000);
	peer_connect(ch, PROC_SESSIOND, 2);
	m.tenant = "t1";
	m.session = id;
	say(&ch->control[PROC_SESSIOND], MSG_SESSION_READ, 7, &m);
	code = answer(&ch->control[PROC_SESSIOND], 7, 5000, &rows);
	ok(code != NULL && code[0] == '\0' && rows == 1,
	    "a new generation reads what the old one wrote");
}

/* A database of a newer program: it ends before it is ready. */
static int
newer(struct child *ch)
{
	int	 status;

	child_start(ch);
	ok(!child_ready(ch, 10000), "with a newer schema it is not ready");
	status = child_end(ch, 0);
	ok(WIFEXITED(status) && WEXITSTATUS(status) == 1, "it exits with 1");
	return (failures != 0);
}

int
main(int argc, char **argv)
{
	struct child	 ch;
	uint64_t	 ref;

	memset(&ch, 0, sizeof(ch));
	signal(SIGPIPE, SIG_IGN);
	if (argc > 1 && strcmp(argv[1], "newer") == 0)
		return (newer(&ch));
	child_start(&ch);
	ok(child_ready(&ch, 15000), "storaged becomes ready");
	ok(hear(&ch.control[PROC_SESSIOND], 3000, &ref) == MSG_EVENT_HORIZON,
	    "sessiond is told the horizon first");
	test_batch(&ch);
	test_poison(&ch, "ALTER TABLE mn_data.action_log ADD CONSTRAINT trap "
	    "CHECK (detail <> 'poison')",
	    "of 64 in a batch only the two guilty are refused");
	sql("ALTER TABLE mn_data.action_log DROP CONSTRAINT trap");
	test_poison(&ch, "CREATE FUNCTION mn_data.trap() RETURNS trigger "
	    "LANGUAGE plpgsql AS 'BEGIN IF NEW.detail = ''poison'' THEN RAISE "
	    "check_violation; END IF; RETURN NULL; END'; CREATE CONSTRAINT "
	    "TRIGGER trap AFTER INSERT ON mn_data.action_log DEFERRABLE "
	    "INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION mn_data.trap()",
	    "the same when only the commit fails");
	test_events(&ch);
	test_takeover(&ch);
	test_generation(&ch);
	test_kill(&ch);
	test_gone(&ch);
	child_end(&ch, 0);
	ok(1, "storaged ends with its parent");
	printf("# %d of %d failed\n", failures, count);
	return (failures != 0);
}
