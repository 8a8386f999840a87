/*
 * roundtrip.c - every message of the table: packed, unpacked and compared; each
 * truncation, a byte too much, each bound exceeded and bad text refused; and
 * over a real channel: only the senders of the table are heard, a descriptor
 * that is missing or too many ends the channel.
 */
#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "peer.h"

static int		 failed, tested;
static enum msg_type	 heard;
static int		 heard_fd, closed;

int
proc_dispatch(struct peer *p, uint64_t ref, enum msg_type type, const void *m,
    int fd)
{
	(void)p;
	(void)ref;
	(void)m;
	heard = type;
	heard_fd = fd != -1;
	if (fd != -1)
		close(fd);
	return (0);
}

static void
on_closed(struct peer *p, const char *why)
{
	(void)p;
	(void)why;
	closed = 1;
}

static void
check(int ok, const struct msg_desc *d, const char *what)
{
	tested++;
	if (ok)
		return;
	failed++;
	printf("# %s: %s\n", d->name, what);
}

static int
is_number(const struct msg_field *f)
{
	return (f->type <= FIELD_U64);
}

static int
is_bytes(const struct msg_field *f)
{
	return (f->type == FIELD_BLOB || f->type == FIELD_SECRET);
}

/* Text of n bytes, freed by nobody: the test is short-lived. */
static char *
text(size_t n, char c)
{
	char	*s = malloc(n + 1);

	memset(s, c, n);
	s[n] = '\0';
	return (s);
}

static void
set_ptr(void *m, size_t off, const void *p)
{
	memcpy((uint8_t *)m + off, &p, sizeof(p));
}

/* Every field set; variable ones to len bytes or their bound. */
static void
fill(const struct msg_desc *d, void *m, size_t len)
{
	const struct msg_field	*f;
	uint64_t		 v;
	size_t			 n;
	unsigned int		 i;

	memset(m, 0, MSG_STRUCT_MAX);
	for (i = 0; i < d->nfields; i++) {
		f = &d->fields[i];
		if (is_number(f)) {
			v = 0xf1e2d3c4b5a69788ULL + i;
			n = (size_t)1 << f->type;
			memcpy((uint8_t *)m + f->off, &v, n);
			continue;
		}
		n = len < f->bound ? len : f->bound;
		set_ptr(m, f->off, text(n, (char)('a' + i % 26)));
		if (is_bytes(f))
			memcpy((uint8_t *)m + f->len_off, &n, sizeof(n));
	}
}

static int
same(const struct msg_desc *d, const void *a, const void *b)
{
	const struct msg_field	*f;
	const char		*x, *y;
	size_t			 n, k;
	unsigned int		 i;

	for (i = 0; i < d->nfields; i++) {
		f = &d->fields[i];
		if (is_number(f)) {
			n = (size_t)1 << f->type;
			if (memcmp((const uint8_t *)a + f->off,
			    (const uint8_t *)b + f->off, n) != 0)
				return (0);
			continue;
		}
		memcpy(&x, (const uint8_t *)a + f->off, sizeof(x));
		memcpy(&y, (const uint8_t *)b + f->off, sizeof(y));
		if (is_bytes(f)) {
			memcpy(&n, (const uint8_t *)a + f->len_off, sizeof(n));
			memcpy(&k, (const uint8_t *)b + f->len_off, sizeof(k));
			if (n != k || memcmp(x, y, n) != 0)
				return (0);
		} else if (strcmp(x, y) != 0)
			return (0);
	}
	return (1);
}

static void
test_body(const struct msg_desc *d, size_t len)
{
	uint64_t	 in[MSG_STRUCT_MAX / 8], out[MSG_STRUCT_MAX / 8];
	uint8_t		*buf, *cut;
	ssize_t		 n;
	size_t		 k, step;

	check(d->size <= MSG_STRUCT_MAX, d, "struct over MSG_STRUCT_MAX");
	fill(d, in, len);
	n = msg_size(d, in);
	check(n >= 0 && (size_t)n <= d->max, d, "size beyond max");
	buf = malloc((size_t)n + 1);
	msg_pack(d, in, buf);
	check(msg_unpack(d, buf, (size_t)n, out) == 0, d, "does not unpack");
	check(same(d, in, out), d, "is not what was sent");
	buf[n] = 0;
	check(msg_unpack(d, buf, (size_t)n + 1, out) == -1, d,
	    "a byte too much was taken");
	/* Exactly sized copies, so that a sanitizer sees a read behind them. */
	step = n > 4096 ? (size_t)n / 997 : 1;
	for (k = 0; k < (size_t)n; k += step) {
		cut = malloc(k + 1);
		memcpy(cut, buf, k);
		check(msg_unpack(d, cut, k, out) == -1, d,
		    "a truncation was taken");
		free(cut);
	}
	free(buf);
}

static void
test_bounds(const struct msg_desc *d)
{
	uint64_t		 m[MSG_STRUCT_MAX / 8];
	const struct msg_field	*f;
	unsigned int		 i;
	size_t			 n;

	for (i = 0; i < d->nfields; i++) {
		f = &d->fields[i];
		if (is_number(f))
			continue;
		fill(d, m, 3);
		n = (size_t)f->bound + 1;
		set_ptr(m, f->off, text(n, 'x'));
		if (is_bytes(f))
			memcpy((uint8_t *)m + f->len_off, &n, sizeof(n));
		check(msg_size(d, m) == -1 && errno == EMSGSIZE, d,
		    "a bound was passed");
		if (is_bytes(f))
			continue;
		set_ptr(m, f->off, "\xc0\xaf");
		check(msg_size(d, m) == -1 && errno == EINVAL, d,
		    "bad UTF-8 was packed");
	}
}

/* The frame of type, as from would send it, to self over a socketpair. */
static void
deliver(struct event_base *base, enum msg_type type, enum proc from,
    enum proc self, int with_fd)
{
	static const struct peer_ops	 ops = { on_closed };
	const struct msg_desc		*d = &msg_descs[type];
	uint64_t			 m[MSG_STRUCT_MAX / 8];
	struct { uint32_t len; uint16_t type, flags; uint64_t ref; } head;
	union { struct cmsghdr h; char b[CMSG_SPACE(sizeof(int))]; } cm;
	struct msghdr			 mh;
	struct iovec			 iov;
	uint8_t				 buf[65536];
	int				 sv[2], fd = STDIN_FILENO;

	fill(d, m, 1);
	head.len = (uint32_t)(sizeof(head) + (size_t)msg_size(d, m));
	head.type = (uint16_t)type;
	head.flags = with_fd ? 1 : 0;
	head.ref = 7;
	memcpy(buf, &head, sizeof(head));
	msg_pack(d, m, buf + sizeof(head));
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, sv) == -1)
		abort();
	peer_init(base, self, &ops);
	peer_open(peer_of(from), (d->flags & MSG_F_BULK) != 0, sv[0], 1);
	memset(&mh, 0, sizeof(mh));
	iov.iov_base = buf;
	iov.iov_len = head.len;
	mh.msg_iov = &iov;
	mh.msg_iovlen = 1;
	if (with_fd) {
		memset(&cm, 0, sizeof(cm));
		mh.msg_control = &cm;
		mh.msg_controllen = sizeof(cm.b);
		cm.h.cmsg_len = CMSG_LEN(sizeof(int));
		cm.h.cmsg_level = SOL_SOCKET;
		cm.h.cmsg_type = SCM_RIGHTS;
		memcpy(CMSG_DATA(&cm.h), &fd, sizeof(fd));
	}
	heard = MSG_NONE;
	closed = 0;
	if (sendmsg(sv[1], &mh, 0) != (ssize_t)head.len)
		abort();
	event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	peer_close(peer_of(from));
	close(sv[1]);
}

static void
test_senders(struct event_base *base, enum msg_type type)
{
	const struct msg_desc	*d = &msg_descs[type];
	int			 from, self, may, fd;

	fd = (d->flags & MSG_F_FD) != 0;
	for (from = 0; from < PROC_MAX; from++)
		for (self = 0; self < PROC_MAX; self++) {
			if (from == self)
				continue;
			may = msg_may(type, (enum proc)from, (enum proc)self);
			deliver(base, type, (enum proc)from, (enum proc)self,
			    fd);
			check(may ? heard == type && !closed :
			    heard == MSG_NONE && closed, d,
			    may ? "was not heard" : "a wrong sender was heard");
			if (!may)
				continue;
			check(!fd || heard_fd, d, "its descriptor was lost");
			deliver(base, type, (enum proc)from, (enum proc)self,
			    !fd);
			check(closed, d, fd ? "a missing descriptor was let by"
			    : "an extra descriptor was let by");
		}
}

int
main(void)
{
	struct event_base	*base = event_base_new();
	int			 i, before;

	if (freopen("/dev/null", "w", stderr) == NULL)
		return (2);
	for (i = MSG_NONE + 1; i < MSG_MAX; i++) {
		before = failed;
		test_body(&msg_descs[i], 0);
		test_body(&msg_descs[i], 5);
		if (msg_descs[i].max < 300000)
			test_body(&msg_descs[i], msg_descs[i].max);
		test_bounds(&msg_descs[i]);
		test_senders(base, (enum msg_type)i);
		printf("%s - %s\n", failed == before ? "ok" : "not ok",
		    msg_descs[i].name);
	}
	printf("# %d checks\n", tested);
	event_base_free(base);
	return (failed != 0);
}
