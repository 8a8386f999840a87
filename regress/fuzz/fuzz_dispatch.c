/*
 * fuzz_dispatch.c - what a captured process could say to another: frames on a
 * channel into the decoder and the generated dispatch of every program, with a
 * handler that packs again what it was given.  The input: who says it, to whom,
 * how (+1 the bulk channel, +2 read out of turn, +4 answers are read late, +8
 * there are many of each), then frames, each begun by a byte:
 *	0-3	a message of this edge (the n-th), its fields from so many bytes
 *	4	the same, one byte of the frame changed
 *	5	the same, a part of it
 *	6	any type, flags and body
 *	7	bytes without a frame around them
 *	+8	the other number of descriptors
 *	+64	(with 8) five at once
 *	+16	more comes before anybody reads
 *	+32	(with 7) a row of the database becomes a message instead
 * Each message that arrives is answered with one of those that may go back.
 * covers: imsg/message.c imsg/peer.c imsg/outqueue.c
 * covers: gen/parent_msg.c gen/frontd_msg.c gen/sessiond_msg.c
 * covers: gen/taskd_msg.c gen/runnerd_msg.c gen/tunneld_msg.c
 * covers: gen/providerd_msg.c gen/storaged_msg.c
 */
#include <sys/socket.h>

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "channel.h"
#include "fuzz.h"
#include "worker.h"

#define BODY_MAX	4096
#define FRAMES_MAX	64
#define FIELDS_MAX	64	/* of a message */
#define OFTEN		200	/* times, an answer */

typedef int	 dispatch(struct peer *, uint64_t, enum msg_type, const void *,
		    int);
dispatch	 dispatch_parent, dispatch_frontd, dispatch_sessiond,
		 dispatch_taskd, dispatch_runnerd, dispatch_tunneld,
		 dispatch_providerd, dispatch_storaged;
void		 heard(struct peer *, uint64_t, enum msg_type, const void *,
		    int);

static enum proc	 from, self;
static uint8_t		*sent[FRAMES_MAX];	/* bodies, well-formed */
static size_t		 nsent, nheard;
static int		 bulk, direct, slow, often, ended, broken, null = -1;

/* ---- the receiver ---- */

int
proc_dispatch(struct peer *p, uint64_t ref, enum msg_type type, const void *m,
    int fd)
{
	static dispatch *const	 of[PROC_MAX] = {
		[PROC_PARENT] = dispatch_parent, [PROC_API] = dispatch_frontd,
		[PROC_ADMIN] = dispatch_frontd, [PROC_RUNNER] = dispatch_frontd,
		[PROC_SESSIOND] = dispatch_sessiond,
		[PROC_TASKD] = dispatch_taskd,
		[PROC_RUNNERD] = dispatch_runnerd,
		[PROC_TUNNELD] = dispatch_tunneld,
		[PROC_PROVIDERD] = dispatch_providerd,
		[PROC_STORAGED] = dispatch_storaged
	};

	/* peer.c asked the table, and whoever is in it has a handler. */
	CLAIM(of[self](p, ref, type, m, fd) == 0);
	return (0);
}

/* The n-th message between these two on this channel, or MSG_NONE. */
static enum msg_type
nth(unsigned int n, enum proc a, enum proc b, int is_bulk)
{
	unsigned int	 i, k, found = 0;

	for (k = 0; k < 2; k++, n = found > 0 ? n % found : 0, found = 0)
		for (i = MSG_NONE + 1; i < MSG_MAX; i++)
			if (msg_may((enum msg_type)i, a, b) &&
			    ((msg_descs[i].flags & MSG_F_BULK) != 0) ==
			    is_bulk && found++ == n && k == 1)
				return ((enum msg_type)i);
	return (MSG_NONE);
}

static void
answer_once(struct peer *p, uint64_t ref, enum msg_type type)
{
	uint64_t		 m[MSG_STRUCT_MAX / 8] = { 0 };
	const struct msg_desc	*d = &msg_descs[type];
	uint8_t			 packed[BODY_MAX];
	int			 fd = -1, rc;
	ssize_t			 n;

	if ((d->flags & MSG_F_FD) != 0 && (fd = dup(null)) == -1)
		err(1, "/dev/null");
	if ((ref & 1) == 0 || fd != -1)
		rc = peer_send(p, ref, type, m, fd);
	else {
		n = msg_size(d, m);
		CLAIM(n >= 0 && n <= BODY_MAX);
		msg_pack(d, m, packed);
		rc = peer_send_packed(p, ref, type, packed, (size_t)n);
	}
	CLAIM(rc == 0 && peer_queued(p) > 0);
}

static void
answer(struct peer *p, uint64_t ref)
{
	enum msg_type	 type = nth((unsigned int)ref, self, from,
			    p->bulk.fd != -1);
	unsigned int	 n = 1;

	if (type == MSG_NONE)
		return;
	if (often && (msg_descs[type].flags & MSG_F_FD) == 0)
		n = OFTEN;
	while (n-- > 0)
		answer_once(p, ref, type);
}

/* ref is the number of the frame that it was sent as, or is nobody's. */
void
heard(struct peer *p, uint64_t ref, enum msg_type type, const void *m, int fd)
{
	const struct msg_desc	*d = &msg_descs[type];
	ssize_t			 n = msg_size(d, m);
	uint8_t			*buf;

	CLAIM(p->proc == from && msg_may(type, from, self));
	CLAIM(((d->flags & MSG_F_FD) != 0) == (fd != -1));
	CLAIM(n >= 0 && (size_t)n <= d->max);
	if ((buf = malloc((size_t)n + 1)) == NULL)
		err(1, NULL);
	msg_pack(d, m, buf);
	if (!broken) {
		CLAIM(ref == nheard && ref < nsent);
		CLAIM(memcmp(buf, sent[ref], (size_t)n) == 0);
	}
	nheard++;
	free(buf);
	if (fd != -1)
		close(fd);
	answer(p, ref);
}

static void
on_closed(struct peer *p, const char *why)
{
	(void)p;
	(void)why;
	ended = 1;
}

/* ---- the sender ---- */

static void
push(int s, const void *p, size_t n, unsigned int fds)
{
	union { struct cmsghdr h; char b[CMSG_SPACE(5 * sizeof(int))]; } cm;
	struct msghdr	 mh = { 0 };
	union { const void *c; void *v; } u = { p };
	struct iovec	 iov = { u.v, n };
	unsigned int	 i;

	mh.msg_iov = &iov;
	mh.msg_iovlen = 1;
	if (fds > 0) {
		memset(&cm, 0, sizeof(cm));
		mh.msg_control = &cm;
		mh.msg_controllen = CMSG_SPACE(fds * sizeof(int));
		cm.h.cmsg_len = CMSG_LEN(fds * sizeof(int));
		cm.h.cmsg_level = SOL_SOCKET;
		cm.h.cmsg_type = SCM_RIGHTS;
		for (i = 0; i < fds; i++)
			memcpy(CMSG_DATA(&cm.h) + i * sizeof(int), &null,
			    sizeof(int));
	}
	if (n == 0 || sendmsg(s, &mh, MSG_NOSIGNAL | MSG_DONTWAIT) !=
	    (ssize_t)n)
		broken = 1;
}

static void
fill(struct input *in, const struct msg_desc *d, uint8_t *m, void **mine)
{
	const struct msg_field	*f;
	unsigned int		 i, k;
	size_t			 n;

	memset(m, 0, MSG_STRUCT_MAX);
	for (i = 0; i < d->nfields; i++) {
		f = &d->fields[i];
		if (f->type <= FIELD_U64) {
			for (k = 0; k < 1U << f->type; k++)
				m[f->off + k] = (uint8_t)input_u8(in);
			continue;
		}
		if (f->type == FIELD_ID || f->type == FIELD_STR)
			mine[i] = input_str(in);
		else {
			mine[i] = input_bytes(in, input_u8(in), &n);
			memcpy(m + f->len_off, &n, sizeof(n));
		}
		memcpy(m + f->off, &mine[i], sizeof(mine[i]));
	}
}

/* A frame in *p and how long it is; 0: these fields fit into none. */
static size_t
frame_of(struct input *in, enum msg_type type, int fd, uint8_t **p)
{
	const struct msg_desc	*d = &msg_descs[type];
	struct frame		 f = { 0 };
	uint64_t		 m[MSG_STRUCT_MAX / 8];
	void			*mine[FIELDS_MAX] = { NULL };
	ssize_t			 n;
	size_t			 i;

	CLAIM(d->nfields <= FIELDS_MAX);
	fill(in, d, (uint8_t *)m, mine);
	if ((n = msg_size(d, m)) != -1) {
		f.len = (uint32_t)(sizeof(f) + (size_t)n);
		f.type = (uint16_t)type;
		f.flags = fd ? FRAME_FD : 0;
		f.ref = nsent;
		if ((*p = malloc(f.len)) == NULL)
			err(1, NULL);
		memcpy(*p, &f, sizeof(f));
		msg_pack(d, m, *p + sizeof(f));
	}
	for (i = 0; i < d->nfields; i++)
		free(mine[i]);
	return (n == -1 ? 0 : f.len);
}

/* How many descriptors instead of those that belong to it. */
static unsigned int
many(unsigned int op, unsigned int right)
{
	if ((op & 8) == 0)
		return (right);
	return ((op & 64) != 0 ? 5 : !right);
}

static void
say_message(struct input *in, unsigned int op, int s)
{
	enum msg_type	 type = nth(input_u8(in), from, self, bulk);
	unsigned int	 fds = (msg_descs[type].flags & MSG_F_FD) != 0;
	struct input	 part;
	uint8_t		*p, *fields;
	size_t		 n;

	fields = input_bytes(in, input_u16(in), &part.n);
	part.p = fields;
	n = type == MSG_NONE ? 0 : frame_of(&part, type, (int)fds, &p);
	free(fields);
	if (n == 0)
		return;
	if ((op & 8) != 0) {
		fds = many(op, fds);
		broken = 1;
	}
	if ((op & 7) == 4) {
		p[input_u16(in) % n] ^= (uint8_t)input_u8(in);
		broken = 1;
	} else if ((op & 7) == 5) {
		n = input_u16(in) % n;
		broken = 1;
	}
	push(s, p, n, fds);
	if (broken) {
		free(p);
		return;
	}
	memmove(p, p + sizeof(struct frame), n - sizeof(struct frame));
	sent[nsent++] = p;
}

static void
say_anything(struct input *in, unsigned int op, int s)
{
	struct frame	 f = { 0 };
	uint8_t		*p, *body;
	size_t		 n;

	broken = 1;
	f.type = (uint16_t)input_u16(in);
	f.flags = (uint16_t)input_u8(in);
	body = input_bytes(in, input_u16(in) % BODY_MAX, &n);
	f.len = (uint32_t)(sizeof(f) + n);
	if ((p = malloc(f.len)) == NULL)
		err(1, NULL);
	memcpy(p, &f, sizeof(f));
	memcpy(p + sizeof(f), body, n);
	push(s, p, f.len, many(op, 0));
	free(body);
	free(p);
}

/* What PostgreSQL gives as text, every field of some message. */
static void
row(struct input *in)
{
	const struct msg_desc	*d;
	uint64_t		 m[MSG_STRUCT_MAX / 8] = { 0 };
	void			*mine[FIELDS_MAX] = { NULL };
	unsigned int		 i;
	int			 fits = 1;

	d = &msg_descs[MSG_NONE + 1 + input_u8(in) % (MSG_MAX - 1 - MSG_NONE)];
	for (i = 0; i < d->nfields; i++) {
		mine[i] = input_str(in);
		if (msg_set_field(&d->fields[i], m, mine[i],
		    strlen(mine[i])) == -1)
			fits = 0;
	}
	if (fits && msg_size(d, m) == -1)
		CLAIM(errno == EINVAL);		/* some text is no UTF-8 */
	for (i = 0; i < d->nfields; i++)
		free(mine[i]);
}

/* What they say is whole frames, however it arrives. */
static void
hear(int s)
{
	static uint8_t	 buf[1 << 20];
	static size_t	 had;
	struct frame	 f;
	ssize_t		 n;
	size_t		 off;

	if (nheard == 0)
		had = 0;
	while ((n = recv(s, buf + had, sizeof(buf) - had, MSG_DONTWAIT)) > 0) {
		had += (size_t)n;
		for (off = 0; had - off >= sizeof(f); off += f.len) {
			memcpy(&f, buf + off, sizeof(f));
			CLAIM(msg_may(f.type, self, from));
			CLAIM(f.len >= sizeof(f));
			if (had - off < f.len)
				break;
		}
		memmove(buf, buf + off, had - off);
		had -= off;
		event_base_loop(worker_base(), EVLOOP_NONBLOCK);
	}
}

static void
turn(int s)
{
	if (direct)
		peer_read(peer_of(from));
	else
		event_base_loop(worker_base(), EVLOOP_NONBLOCK);
	peers_flush();
	if (!slow)
		hear(s);
}

static void
say(struct input *in, int s)
{
	unsigned int	 op = input_u8(in);
	uint8_t		*p;
	size_t		 n;

	if ((op & 7) < 6)
		say_message(in, op, s);
	else if ((op & 7) == 6)
		say_anything(in, op, s);
	else if ((op & 32) != 0)
		row(in);
	else {
		broken = 1;
		p = input_bytes(in, input_u8(in), &n);
		push(s, p, n, many(op, 0));
		free(p);
	}
	if ((op & 16) == 0)
		turn(s);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static const struct peer_ops	 ops = { on_closed };
	struct input			 in = { p, n };
	int				 sv[2], least = 1;

	fuzz_begin();
	if (null == -1 && (null = open("/dev/null", O_RDWR)) == -1)
		err(1, "/dev/null");
	from = (enum proc)(input_u8(&in) % PROC_MAX);
	self = (enum proc)(input_u8(&in) % PROC_MAX);
	bulk = (int)input_u8(&in);
	direct = bulk & 2;
	slow = bulk & 4;
	often = bulk & 8;
	bulk &= 1;
	if (from == self)
		return (0);
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, sv) == -1)
		err(1, "socketpair");
	if (slow)
		setsockopt(sv[0], SOL_SOCKET, SO_SNDBUF, &least, sizeof(least));
	nsent = nheard = 0;
	ended = broken = 0;
	peer_init(worker_base(), self, &ops);
	peer_open(peer_of(from), bulk, sv[0], 1);
	while (in.n > 0 && nsent < FRAMES_MAX)
		say(&in, sv[1]);
	turn(sv[1]);
	hear(sv[1]);
	CLAIM(broken || (!ended && nheard == nsent));
	close(sv[1]);
	peer_drain(peer_of(from));
	peer_close(peer_of(from));
	while (nsent > 0)
		free(sent[--nsent]);
	return (0);
}
