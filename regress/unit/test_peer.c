/* links: */
/*
 * Channels: descriptors arrive with their frame and no other, what does not
 * fit is sent later, a full queue ends the channel, and so does what is wrong.
 */
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "peer.h"

#define LISTENERS	40

static struct event_base	*base;
static int			 far;	/* the parent's end, as bytes */
static unsigned int		 ended, options, listeners;
static char			 why_ended[64];
static ino_t			 inodes[LISTENERS];

static int	 no_memory;		/* in the kernel */
static unsigned int tries;

ssize_t
sendmsg(int fd, const struct msghdr *mh, int flags)
{
	tries++;
	if (no_memory) {
		errno = ENOBUFS;
		return (-1);
	}
	return (syscall(SYS_sendmsg, fd, mh, flags));
}

static void
closed(struct peer *p, const char *why)
{
	(void)p;
	ended++;
	strlcpy(why_ended, why != NULL ? why : "", sizeof(why_ended));
}

static const struct peer_ops	 ops = { closed };

static ino_t
inode(int fd)
{
	struct stat	 st;

	assert_int_equal(fstat(fd, &st), 0);
	return (st.st_ino);
}

int
proc_dispatch(struct peer *p, uint64_t ref, enum msg_type type, const void *m,
    int fd)
{
	const struct msg_proc_option	*o = m;

	assert_int_equal(p->proc, PROC_PARENT);
	if (type == MSG_PROC_LISTENER) {
		assert_int_equal(inode(fd), inodes[ref]);
		close(fd);
		assert_int_equal(ref, listeners++);
		return (0);
	}
	if (type != MSG_PROC_OPTION)
		return (-1);
	assert_int_equal(fd, -1);
	assert_int_equal(o->value[0], 'a' + (char)(ref % 26));
	assert_int_equal(strlen(o->value), ref % 8193 + 1);
	options++;
	return (0);
}

/* This process is `me', its peer at the other end of a small socketpair. */
static struct peer *
begin(enum proc me, enum proc other)
{
	struct peer	*p;
	int		 sv[2], small = 4096;

	peer_init(base, me, &ops);
	p = peer_of(other);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	assert_int_equal(setsockopt(sv[0], SOL_SOCKET, SO_SNDBUF, &small,
	    sizeof(small)), 0);
	peer_open(p, 0, sv[0], 1);
	p->up = 1;
	far = sv[1];
	ended = options = listeners = 0;
	why_ended[0] = '\0';
	return (p);
}

static void
finish(struct peer *p)
{
	peer_close(p);
	close(far);
}

static void
turn(void)
{
	peers_flush();
	event_base_loop(base, EVLOOP_NONBLOCK);
}

static int
send_option(struct peer *p, uint64_t ref)
{
	static char		 value[8193];
	struct msg_proc_option	 m = { .name = "x", .value = value };
	size_t			 n = ref % 8193 + 1;

	if (n > 8192)
		n = 8192;
	memset(value, 'a' + (char)(ref % 26), n);
	value[n] = '\0';
	return (peer_send(p, ref, MSG_PROC_OPTION, &m, -1));
}

static void
send_listener(struct peer *p, unsigned int i)
{
	struct msg_proc_listener	 m = { .name = "api", .address = "x" };
	int				 fd;

	fd = open("/tmp", O_TMPFILE | O_RDWR, 0600);
	assert_int_not_equal(fd, -1);
	inodes[i] = inode(fd);
	assert_int_equal(peer_send(p, i, MSG_PROC_LISTENER, &m, fd), 0);
}

/* What the far end has read so far. */
static struct {
	uint8_t		 buf[1 << 16];
	size_t		 got;
	unsigned int	 fds, frames;
}		 reader;

static void
read_some(void)
{
	union {
		struct cmsghdr	 hdr;
		char		 space[CMSG_SPACE(64)];
	}		 c;
	struct iovec	 iov = { reader.buf + reader.got, 700 };
	struct msghdr	 mh = { .msg_iov = &iov, .msg_iovlen = 1,
	    .msg_control = &c, .msg_controllen = sizeof(c) };
	ssize_t		 n;
	int		 fd;

	if ((n = recvmsg(far, &mh, MSG_DONTWAIT)) <= 0)
		return;
	reader.got += (size_t)n;
	if (mh.msg_controllen == 0)
		return;
	assert_int_equal(c.hdr.cmsg_len, CMSG_LEN(sizeof(int)));
	memcpy(&fd, CMSG_DATA(&c.hdr), sizeof(fd));
	assert_int_equal(inode(fd), inodes[reader.fds++]);
	close(fd);
}

/* Takes whole frames away: the descriptor of each came before its end. */
static void
take_frames(void)
{
	uint32_t	 len;
	uint16_t	 type;
	size_t		 off;

	for (off = 0; reader.got - off >= FRAME_HEADER; off += len) {
		memcpy(&len, reader.buf + off, 4);
		memcpy(&type, reader.buf + off + 4, 2);
		if (reader.got - off < len)
			break;
		if (type == MSG_PROC_LISTENER)
			assert_true(reader.fds > reader.frames / 2);
		reader.frames++;
	}
	memmove(reader.buf, reader.buf + off, reader.got - off);
	reader.got -= off;
}

/* All at once through a socket that takes a few frames. */
static void
descriptors(void **state)
{
	struct peer	*p = begin(PROC_PARENT, PROC_API);
	unsigned int	 i, turns;

	(void)state;
	for (i = 0; i < LISTENERS; i++) {
		send_option(p, i * 211);
		send_listener(p, i);
	}
	for (turns = 0; turns < 100000 && (peer_queued(p) > 0 ||
	    reader.frames < 2 * LISTENERS); turns++) {
		turn();
		read_some();
		take_frames();
	}
	assert_int_equal(reader.fds, LISTENERS);
	assert_int_equal(reader.frames, 2 * LISTENERS);
	assert_int_equal(ended, 0);
	finish(p);
}

/* Bytes of the parent's, as this program would frame them. */
static size_t
frame(uint8_t *out, enum msg_type type, uint16_t flags, uint64_t ref,
    const void *m)
{
	uint32_t	 len;
	uint16_t	 t = (uint16_t)type;

	len = (uint32_t)(FRAME_HEADER + msg_size(&msg_descs[type], m));
	memcpy(out, &len, 4);
	memcpy(out + 4, &t, 2);
	memcpy(out + 6, &flags, 2);
	memcpy(out + 8, &ref, 8);
	msg_pack(&msg_descs[type], m, out + FRAME_HEADER);
	return (len);
}

static void
say(const uint8_t *p, size_t len, int nfds)
{
	union {
		struct cmsghdr	 hdr;
		char		 space[CMSG_SPACE(8 * sizeof(int))];
	}		 c;
	struct iovec	 iov = { (void *)(uintptr_t)p, len };
	struct msghdr	 mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	int		 fds[8], i, fd;

	fd = open("/tmp", O_TMPFILE | O_RDWR, 0600);
	inodes[0] = inode(fd);
	for (i = 0; i < nfds; i++)
		fds[i] = fd;
	if (nfds > 0) {
		memset(&c, 0, sizeof(c));
		mh.msg_control = &c;
		mh.msg_controllen = CMSG_SPACE((size_t)nfds * sizeof(int));
		c.hdr.cmsg_len = CMSG_LEN((size_t)nfds * sizeof(int));
		c.hdr.cmsg_level = SOL_SOCKET;
		c.hdr.cmsg_type = SCM_RIGHTS;
		memcpy(CMSG_DATA(&c.hdr), fds, (size_t)nfds * sizeof(int));
	}
	assert_int_equal(sendmsg(far, &mh, 0), len);
	close(fd);
}

static unsigned int
open_fds(void)
{
	unsigned int	 n = 0;
	int		 fd;

	for (fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) != -1;
	return (n);
}

static void
wrong(void **state)
{
	struct msg_proc_listener m = { .name = "api", .address = "x" };
	struct msg_proc_option	 o = { .name = "x", .value = "a" };
	struct msg_proc_ready	 ready = { 0 };
	struct peer		*p;
	uint8_t			 buf[256];
	size_t			 n;
	unsigned int		 i, before = open_fds();
	static const struct {
		int		 listener, flags, nfds, cut;
		const char	*why;
	}			 cases[] = {
		{ 1, 1, 1, 0, "" },
		{ 1, 1, 0, 0, "missing descriptor" },
		{ 1, 0, 1, 0, "descriptor flag" },
		{ 1, 1, 2, 0, "extra descriptor" },
		{ 1, 1, 8, 0, "descriptors cut off" },
		{ 0, 0, 1, 0, "extra descriptor" },
		{ 0, 1, 1, 0, "descriptor flag" },
		{ 0, 0, 0, 1, "malformed body" },
	};

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		p = begin(PROC_API, PROC_PARENT);
		n = cases[i].listener ? frame(buf, MSG_PROC_LISTENER,
		    (uint16_t)cases[i].flags, 0, &m) : frame(buf,
		    MSG_PROC_OPTION, (uint16_t)cases[i].flags, 0, &o);
		if (cases[i].cut)
			buf[FRAME_HEADER]++;
		say(buf, n, cases[i].nfds);
		turn();
		assert_int_equal(ended, cases[i].why[0] != '\0');
		assert_string_equal(why_ended, cases[i].why);
		finish(p);
		assert_int_equal(open_fds(), before);
	}
	/* What a parent never says; what is too long. */
	p = begin(PROC_API, PROC_PARENT);
	say(buf, frame(buf, MSG_PROC_READY, 0, 0, &ready), 0);
	turn();
	assert_string_equal(why_ended, "not its message");
	finish(p);
	p = begin(PROC_API, PROC_PARENT);
	n = frame(buf, MSG_PROC_OPTION, 0, 0, &o);
	buf[3] = 0x7f;
	say(buf, n, 0);
	turn();
	assert_string_equal(why_ended, "impossible frame");
	finish(p);
	assert_int_equal(open_fds(), before);
}

/*
 * Killed while it said something: that is no fault of its own, and who is
 * accused of one is killed, which would be its successor by now.
 */
static void
died(void **state)
{
	struct msg_proc_listener m = { .name = "api", .address = "x" };
	struct peer		*p;
	uint8_t			 buf[256];
	size_t			 n = frame(buf, MSG_PROC_LISTENER, 1, 0, &m), i;
	unsigned int		 before = open_fds();

	(void)state;
	for (i = 1; i < n; i++) {
		p = begin(PROC_API, PROC_PARENT);
		say(buf, i, 1);
		turn();
		assert_int_equal(ended, 0);
		close(far);
		turn();
		assert_int_equal(ended, 1);
		assert_string_equal(why_ended, "");
		far = -1;
		finish(p);
		assert_int_equal(open_fds(), before);
	}
}

/* Byte by byte, and what the dead still said. */
static void
pieces(void **state)
{
	struct msg_proc_option	 o = { .name = "x", .value = "a" };
	struct peer		*p = begin(PROC_API, PROC_PARENT);
	uint8_t			 buf[256];
	size_t			 n = frame(buf, MSG_PROC_OPTION, 0, 0, &o), i;

	(void)state;
	for (i = 0; i < n; i++) {
		assert_int_equal(options, 0);
		say(buf + i, 1, 0);
		turn();
	}
	assert_int_equal(options, 1);
	for (i = 0; i < 3; i++)
		say(buf, n, 0);
	close(far);
	peer_drain(p);
	assert_int_equal(options, 4);
	assert_int_equal(ended, 0);
	far = -1;
	finish(p);
}

/* Nobody reads: the channel is given up, once, and its memory given back. */
static void
limit(void **state)
{
	struct peer	*p = begin(PROC_PARENT, PROC_API);
	unsigned int	 n;

	(void)state;
	for (n = 0; send_option(p, 8191) == 0; n++) {
		if (n % 64 == 0)
			peers_flush();
		assert_true(n < 10000);
	}
	assert_int_equal(errno, ENOBUFS);
	assert_true(peer_is_full(p));
	assert_true(peer_queued(p) > PEER_QUEUE_HARD - 16384);
	assert_int_equal(ended, 0);
	assert_int_equal(send_option(p, 1), -1);
	peers_flush();
	assert_int_equal(ended, 1);
	assert_int_equal(peer_queued(p), 0);
	assert_int_equal(send_option(p, 1), -1);
	assert_int_equal(errno, ENOTCONN);
	peers_flush();
	assert_int_equal(ended, 1);
	finish(p);
}

/* After a burst the queue is as small as before. */
static void
shrinks(void **state)
{
	struct peer	*p = begin(PROC_PARENT, PROC_API);
	static char	 sink[1 << 16];
	unsigned int	 i;

	(void)state;
	for (i = 0; i < 500; i++)
		send_option(p, 8000);
	assert_true(p->ctl.out_size >= 500 * 8000);
	while (peer_queued(p) > 0) {
		turn();
		while (recv(far, sink, sizeof(sink), MSG_DONTWAIT) > 0)
			;
	}
	assert_int_equal(p->ctl.out_size, 0);
	send_option(p, 1);
	close(far);
	far = -1;
	turn();
	assert_int_equal(peer_queued(p), 0);
	assert_int_equal(ended, 1);
	finish(p);
}

/* The kernel has no memory for a while: it is tried again now and then. */
static void
memory(void **state)
{
	struct peer	*p = begin(PROC_PARENT, PROC_API);
	struct timeval	 half = { 0, 500000 };
	char		 byte;
	int		 added;

	(void)state;
	tries = 0;
	added = event_base_get_num_events(base, EVENT_BASE_COUNT_ADDED);
	send_option(p, 1);
	no_memory = 1;
	event_base_loopexit(base, &half);
	while (!event_base_got_exit(base)) {
		peers_flush();
		event_base_loop(base, EVLOOP_ONCE);
	}
	assert_in_range(tries, 2, 100);
	assert_in_range(event_base_get_num_events(base,
	    EVENT_BASE_COUNT_ADDED), added, added + 1);
	no_memory = 0;
	while (peer_queued(p) > 0)
		event_base_loop(base, EVLOOP_ONCE);
	assert_int_equal(recv(far, &byte, 1, MSG_DONTWAIT), 1);
	finish(p);
}

/* Paused, it is not read, but also not taken for dead; nor is its successor. */
static void
paused(void **state)
{
	struct peer	*p = begin(PROC_TASKD, PROC_PARENT);
	uint8_t		 byte = 0;
	int		 sv[2];

	(void)state;
	peer_pause(p, 1);
	assert_int_equal(shutdown(far, SHUT_WR), 0);
	turn();
	assert_int_equal(ended, 0);
	peer_pause(p, 0);
	turn();
	assert_int_equal(ended, 1);
	close(far);
	peer_pause(p, 1);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	peer_open(p, 0, sv[0], 2);
	far = sv[1];
	assert_int_equal(write(far, &byte, 1), 1);
	turn();
	assert_int_equal(p->ctl.in_len, 0);
	peer_pause(p, 0);
	turn();
	assert_int_equal(p->ctl.in_len, 1);
	finish(p);
}

int
main(void)
{
	const struct CMUnitTest	 tests[] = {
		cmocka_unit_test(descriptors),
		cmocka_unit_test(wrong),
		cmocka_unit_test(died),
		cmocka_unit_test(pieces),
		cmocka_unit_test(limit),
		cmocka_unit_test(shrinks),
		cmocka_unit_test(memory),
		cmocka_unit_test(paused),
	};

	base = event_base_new();
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
