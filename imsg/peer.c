/*
 * peer.c - what is wrong on a channel ends it: a short, long, unknown or
 * forbidden frame, a missing or extra descriptor (promise 22).  The closed
 * callback says so; the parent is then told who did it.  An end within a frame
 * is none of these: who is killed may be saying something.
 */
#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "channel.h"
#include "log.h"
#include "peer.h"

static struct event_base	*base;
static enum proc		 self;
static const struct peer_ops	*ops;
static struct peer		 peers[PROC_MAX];

static void	 channel_readable(evutil_socket_t, short, void *);

static void
channel_init(struct channel *c, struct peer *p, int bulk)
{
	memset(c, 0, sizeof(*c));
	c->peer = p;
	c->fd = -1;
	c->bulk = bulk;
	TAILQ_INIT(&c->marks);
}

void
peer_init(struct event_base *b, enum proc me, const struct peer_ops *o)
{
	int	 i;

	base = b;
	self = me;
	ops = o;
	for (i = 0; i < PROC_MAX; i++) {
		peers[i].proc = (enum proc)i;
		peers[i].name = proc_names[i];
		channel_init(&peers[i].ctl, &peers[i], 0);
		channel_init(&peers[i].bulk, &peers[i], 1);
	}
}

struct peer *
peer_of(enum proc proc)
{
	return (&peers[proc]);
}

static void
channel_close(struct channel *c)
{
	uint32_t	 generation = c->generation;

	if (c->fd == -1)
		return;
	if (c->ev_read != NULL)
		event_free(c->ev_read);
	if (c->ev_write != NULL)
		event_free(c->ev_write);
	close(c->fd);
	channel_drop_fds(c);
	while (c->nfds > 0)
		close(c->fds[--c->nfds]);
	freezero(c->in, c->in_size);
	freezero(c->out, c->out_size);
	channel_init(c, c->peer, c->bulk);
	c->generation = generation;
}

static void
channel_hear(struct channel *c)
{
	if (c->ev_read != NULL && (c->peer->paused ? event_del(c->ev_read) :
	    event_add(c->ev_read, NULL)) == -1)
		fatalx("channel: no event");
}

void
peer_open(struct peer *p, int bulk, int fd, uint32_t generation)
{
	struct channel	*c = bulk ? &p->bulk : &p->ctl;
	int		 fl;

	channel_close(c);
	if ((fl = fcntl(fd, F_GETFL)) == -1 ||
	    fcntl(fd, F_SETFL, fl | O_NONBLOCK) == -1)
		fatal("channel");
	c->fd = fd;
	c->generation = generation;
	if (base == NULL)
		return;
	c->ev_read = event_new(base, fd, EV_READ | EV_PERSIST,
	    channel_readable, c);
	c->ev_write = event_new(base, fd, EV_WRITE, channel_writable, c);
	if (c->ev_read == NULL || c->ev_write == NULL)
		fatalx("channel: no event");
	channel_hear(c);
}

void
peer_pause(struct peer *p, int on)
{
	if (p->paused == (on != 0))
		return;
	p->paused = on != 0;
	channel_hear(&p->ctl);
	channel_hear(&p->bulk);
}

void
peer_close(struct peer *p)
{
	channel_close(&p->ctl);
	channel_close(&p->bulk);
	p->up = 0;
}

int
peer_is_up(const struct peer *p)
{
	return (p->up);
}

size_t
peer_queued(const struct peer *p)
{
	return (p->ctl.out_tail - p->ctl.out_head +
	    p->bulk.out_tail - p->bulk.out_head);
}

int
peer_is_full(const struct peer *p)
{
	return (peer_queued(p) > PEER_QUEUE_SOFT);
}

static int
send_any(struct peer *p, uint64_t ref, enum msg_type type, const void *m,
    const uint8_t *packed, size_t len, int fd)
{
	const struct msg_desc	*d = &msg_descs[type];
	struct channel		*c;
	struct frame		 f;

	if (!msg_may(type, self, p->proc))
		fatalx("%s must not go to %s", d->name, p->name);
	if (((d->flags & MSG_F_FD) != 0) != (fd != -1))
		fatalx("%s: descriptor missing or too many", d->name);
	c = (d->flags & MSG_F_BULK) != 0 ? &p->bulk : &p->ctl;
	if (c->fd == -1) {
		errno = ENOTCONN;
		return (-1);
	}
	f.len = (uint32_t)(sizeof(f) + len);
	f.type = (uint16_t)type;
	f.flags = fd != -1 ? FRAME_FD : 0;
	f.ref = ref;
	return (channel_queue(c, &f, d, m, packed, fd));
}

int
peer_send(struct peer *p, uint64_t ref, enum msg_type type, const void *m,
    int fd)
{
	ssize_t	 len;

	if ((len = msg_size(&msg_descs[type], m)) == -1) {
		log_warn("%s to %s", msg_descs[type].name, p->name);
		return (-1);
	}
	return (send_any(p, ref, type, m, NULL, (size_t)len, fd));
}

int
peer_send_packed(struct peer *p, uint64_t ref, enum msg_type type,
    const uint8_t *buf, size_t len)
{
	return (send_any(p, ref, type, NULL, buf, len, -1));
}

static void
channel_end(struct channel *c, const char *why)
{
	struct peer	*p = c->peer;

	channel_close(c);
	ops->closed(p, why);
}

static void
flush_one(struct channel *c)
{
	if (c->dead)
		channel_end(c, "it does not read: its queue is full");
	else if (c->out_head < c->out_tail)
		channel_flush(c);
}

void
peers_flush(void)
{
	int	 i;

	for (i = 0; i < PROC_MAX; i++) {
		flush_one(&peers[i].ctl);
		flush_one(&peers[i].bulk);
	}
}

/* A descriptor for a frame that wants one, in order of arrival. */
static int
claim_fd(struct channel *c)
{
	int	 fd;

	if (c->nfds == 0)
		return (-1);
	fd = c->fds[0];
	c->nfds--;
	memmove(&c->fds[0], &c->fds[1], c->nfds * sizeof(c->fds[0]));
	return (fd);
}

/* NULL, or what is wrong with this whole frame. */
static const char *
frame_handle(struct channel *c, const struct frame *f, uint8_t *body)
{
	union {
		uint8_t		 bytes[MSG_STRUCT_MAX];
		uint64_t	 align;
	}			 m;
	const struct msg_desc	*d = &msg_descs[f->type];
	int			 fd = -1, was = c->fd;

	if (!msg_may(f->type, c->peer->proc, self))
		return ("not its message");
	if (((d->flags & MSG_F_BULK) != 0) != (c->bulk != 0))
		return ("wrong channel");
	if (((d->flags & MSG_F_FD) != 0) != ((f->flags & FRAME_FD) != 0))
		return ("descriptor flag");
	if (msg_unpack(d, body, f->len - sizeof(*f), &m) == -1)
		return ("malformed body");
	if ((f->flags & FRAME_FD) != 0 && (fd = claim_fd(c)) == -1)
		return ("missing descriptor");
	log_debug("%s from %s", d->name, c->peer->name);
	if (proc_dispatch(c->peer, f->ref, f->type, &m, fd) == -1) {
		if (fd != -1)
			close(fd);
		return ("no handler");
	}
	/* A handler that closed the channel has freed the body with it. */
	if ((d->flags & MSG_F_SECRET) != 0 && c->fd == was && c->in_len > 0)
		explicit_bzero(body, f->len - sizeof(*f));
	return (NULL);
}

/* The frame at p, n bytes there: 1 whole, 0 not yet, -1 impossible. */
static int
frame_look(const uint8_t *p, size_t n, struct frame *f)
{
	if (n < sizeof(*f))
		return (0);
	memcpy(f, p, sizeof(*f));
	if (f->type <= MSG_NONE || f->type >= MSG_MAX ||
	    f->len < sizeof(*f) ||
	    f->len - sizeof(*f) > msg_descs[f->type].max)
		return (-1);
	return (n >= f->len);
}

/* Handles every whole frame; max: at most so many (0 all). */
static const char *
channel_frames(struct channel *c, unsigned int max, unsigned int *done)
{
	struct frame	 f;
	const char	*why;
	uint8_t		*in;
	size_t		 off = 0;
	int		 whole = 0, fd = c->fd;

	for (*done = 0; max == 0 || *done < max; (*done)++) {
		whole = frame_look(c->in + off, c->in_len - off, &f);
		if (whole != 1)
			break;
		in = c->in;
		why = frame_handle(c, &f, c->in + off + sizeof(f));
		/* The handler may have closed or replaced the channel. */
		if (c->fd != fd || c->in != in)
			return (NULL);
		if (why != NULL) {
			log_warnx("%s from %s: %s", msg_descs[f.type].name,
			    c->peer->name, why);
			return (why);
		}
		off += f.len;
	}
	if (whole == -1)
		return ("impossible frame");
	if (off > 0) {
		memmove(c->in, c->in + off, c->in_len - off);
		c->in_len -= off;
	}
	if (c->nfds > 0 && c->in_len == 0)
		return ("extra descriptor");
	return (NULL);
}

static void
in_room(struct channel *c)
{
	struct frame	 f;
	size_t		 want = READ_SIZE;
	uint8_t		*p;

	if (c->in_len >= sizeof(f)) {
		memcpy(&f, c->in, sizeof(f));
		if (f.len > want)
			want = f.len;	/* checked by frame_look() before */
	}
	if (c->in_size >= want && c->in_size <= 4 * READ_SIZE)
		return;
	if (c->in_size >= want && c->in_len > READ_SIZE)
		return;
	if ((p = recallocarray(c->in, c->in_size, want, 1)) == NULL)
		fatal("channel");
	c->in = p;
	c->in_size = want;
}

/* One recvmsg: bytes, 0 at the end, -1 with errno (EBADMSG: descriptors). */
static ssize_t
receive_some(struct channel *c)
{
	union {
		struct cmsghdr	 hdr;
		char		 buf[CMSG_SPACE(sizeof(int) * 4)];
	}		 cmsg;
	struct cmsghdr	*h;
	struct msghdr	 mh;
	struct iovec	 iov;
	ssize_t		 n;
	size_t		 count, i;
	int		 fd;

	in_room(c);
	memset(&mh, 0, sizeof(mh));
	iov.iov_base = c->in + c->in_len;
	iov.iov_len = c->in_size - c->in_len;
	mh.msg_iov = &iov;
	mh.msg_iovlen = 1;
	mh.msg_control = &cmsg;
	mh.msg_controllen = sizeof(cmsg.buf);
	if ((n = recvmsg(c->fd, &mh, MSG_CMSG_CLOEXEC)) <= 0)
		return (n);
	for (h = CMSG_FIRSTHDR(&mh); h != NULL; h = CMSG_NXTHDR(&mh, h)) {
		if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
			continue;
		count = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (i = 0; i < count; i++) {
			memcpy(&fd, CMSG_DATA(h) + i * sizeof(int),
			    sizeof(fd));
			if (c->nfds < CHANNEL_FDS)
				c->fds[c->nfds++] = fd;
			else {
				close(fd);
				mh.msg_flags |= MSG_CTRUNC;
			}
		}
	}
	c->in_len += (size_t)n;
	if ((mh.msg_flags & MSG_CTRUNC) != 0) {
		errno = EBADMSG;
		return (-1);
	}
	return (n);
}

/* The last words of a channel whose other end is gone. */
static void
channel_drain(struct channel *c)
{
	int		 fd = c->fd;
	unsigned int	 done;

	while (c->fd == fd && fd != -1 && receive_some(c) > 0)
		if (channel_frames(c, 0, &done) != NULL)
			return;
}

/* One recvmsg's worth is handled; 1: and there may be more. */
static int
channel_read(struct channel *c)
{
	const char	*why = NULL;
	unsigned int	 done;
	ssize_t		 n;
	int		 fd = c->fd;

	if ((n = receive_some(c)) == -1) {
		if (errno == EAGAIN || errno == EINTR)
			return (0);
		if (errno == EBADMSG)
			why = "descriptors cut off";
	} else if (n > 0 && (why = channel_frames(c, 0, &done)) == NULL)
		return (c->fd == fd);
	/* Who is dead may have said more on the other channel. */
	if (why == NULL)
		channel_drain(c->bulk ? &c->peer->ctl : &c->peer->bulk);
	channel_end(c, why);
	return (0);
}

static void
channel_readable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	channel_read(arg);
}

void
peer_read(struct peer *p)
{
	while (p->ctl.fd != -1 && channel_read(&p->ctl))
		;
	while (p->bulk.fd != -1 && channel_read(&p->bulk))
		;
}

void
peer_drain(struct peer *p)
{
	channel_drain(&p->ctl);
	channel_drain(&p->bulk);
}

int
peer_wait(struct peer *p)
{
	struct channel	*c = &p->ctl;
	struct pollfd	 pfd;
	const char	*why;
	unsigned int	 done;
	ssize_t		 n;

	for (;;) {
		if (c->in_len > 0) {
			if ((why = channel_frames(c, 1, &done)) != NULL)
				fatalx("%s: %s", p->name, why);
			if (done == 1)
				return (0);
		}
		pfd.fd = c->fd;
		pfd.events = POLLIN;
		if (poll(&pfd, 1, -1) == -1 && errno != EINTR)
			return (-1);
		n = receive_some(c);
		if (n == 0 || (n == -1 && errno != EAGAIN && errno != EINTR))
			return (-1);
	}
}
