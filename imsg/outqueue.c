/*
 * outqueue.c - what waits to be sent on a channel.  A frame with a descriptor
 * begins a sendmsg of its own (promise 22); the queue is bounded, and shrinks
 * when it is empty.
 */
#include <sys/socket.h>
#include <sys/uio.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "channel.h"
#include "log.h"

/* Descriptors that wait to be sent. */
void
channel_drop_fds(struct channel *c)
{
	struct fdmark	*mark;

	while ((mark = TAILQ_FIRST(&c->marks)) != NULL) {
		TAILQ_REMOVE(&c->marks, mark, entry);
		close(mark->fd);
		free(mark);
	}
}

/*
 * Room for n more bytes at out_tail.  Beyond the hard limit somebody would miss
 * an answer and never know: the channel ends (peers_flush()).
 */
static uint8_t *
out_room(struct channel *c, size_t n)
{
	uint8_t	*p;
	size_t	 used = c->out_tail - c->out_head, size;

	if (c->dead || used + n > PEER_QUEUE_HARD) {
		c->dead = 1;
		errno = ENOBUFS;
		return (NULL);
	}
	/* Moved only when that frees much: not once a frame. */
	if (c->out_tail + n > c->out_size && c->out_head >= c->out_size / 2 &&
	    c->out_head > 0) {
		memmove(c->out, c->out + c->out_head, used);
		if (c->secret)
			explicit_bzero(c->out + used, c->out_tail - used);
		c->out_head = 0;
		c->out_tail = used;
	}
	if (c->out_tail + n > c->out_size) {
		for (size = c->out_size == 0 ? 16384 : c->out_size;
		    size < c->out_tail + n; size *= 2)
			;
		if ((p = recallocarray(c->out, c->out_size, size, 1)) == NULL)
			fatal("channel");
		c->out = p;
		c->out_size = size;
	}
	return (c->out + c->out_tail);
}

int
channel_queue(struct channel *c, const struct frame *f,
    const struct msg_desc *d, const void *m, const uint8_t *packed, int fd)
{
	struct fdmark	*mark;
	uint8_t		*p;

	if ((p = out_room(c, f->len)) == NULL)
		return (-1);
	memcpy(p, f, sizeof(*f));
	if (packed != NULL)
		memcpy(p + sizeof(*f), packed, f->len - sizeof(*f));
	else
		msg_pack(d, m, p + sizeof(*f));
	if (fd != -1) {
		if ((mark = calloc(1, sizeof(*mark))) == NULL)
			fatal("channel");
		mark->pos = c->out_pos + (c->out_tail - c->out_head);
		mark->len = f->len;
		mark->fd = fd;
		TAILQ_INSERT_TAIL(&c->marks, mark, entry);
	}
	c->out_tail += f->len;
	if ((d->flags & MSG_F_SECRET) != 0)
		c->secret = 1;
	return (0);
}

/* One sendmsg: up to the next frame with a descriptor, or just that frame. */
static ssize_t
send_some(struct channel *c)
{
	union {
		struct cmsghdr	 hdr;
		char		 buf[CMSG_SPACE(sizeof(int))];
	}		 cmsg;
	struct fdmark	*mark = TAILQ_FIRST(&c->marks);
	struct msghdr	 mh;
	struct iovec	 iov;
	ssize_t		 n;

	memset(&mh, 0, sizeof(mh));
	iov.iov_base = c->out + c->out_head;
	iov.iov_len = c->out_tail - c->out_head;
	mh.msg_iov = &iov;
	mh.msg_iovlen = 1;
	if (mark != NULL && mark->pos > c->out_pos)
		iov.iov_len = (size_t)(mark->pos - c->out_pos);
	else if (mark != NULL && mark->pos == c->out_pos) {
		iov.iov_len = mark->len;
		memset(&cmsg, 0, sizeof(cmsg));
		mh.msg_control = &cmsg;
		mh.msg_controllen = sizeof(cmsg.buf);
		cmsg.hdr.cmsg_len = CMSG_LEN(sizeof(int));
		cmsg.hdr.cmsg_level = SOL_SOCKET;
		cmsg.hdr.cmsg_type = SCM_RIGHTS;
		memcpy(CMSG_DATA(&cmsg.hdr), &mark->fd, sizeof(int));
	}
	n = sendmsg(c->fd, &mh, MSG_NOSIGNAL);
	if (n > 0 && mh.msg_control != NULL) {
		/* The descriptor went with the first byte. */
		TAILQ_REMOVE(&c->marks, mark, entry);
		close(mark->fd);
		free(mark);
	}
	return (n);
}

/* Everything was sent, or nobody is there to read it. */
static void
out_empty(struct channel *c)
{
	if (c->secret)
		explicit_bzero(c->out + c->out_head,
		    c->out_tail - c->out_head);
	c->out_pos += c->out_tail - c->out_head;
	c->out_head = c->out_tail = 0;
	c->secret = 0;
	if (c->out_size > READ_SIZE) {
		freezero(c->out, c->out_size);
		c->out = NULL;
		c->out_size = 0;
	}
}

/* The moment is over; of a successor of this channel, it does no harm. */
static void
moment_over(evutil_socket_t fd, short what, void *arg)
{
	struct channel	*c = arg;

	(void)fd;
	(void)what;
	c->later = 0;
	channel_flush(c);
}

/*
 * Not now: when the socket has room, or in a moment (other resources), one for
 * all the turns until then.
 */
static void
send_later(struct channel *c, int why)
{
	struct timeval	 soon = { 0, 20000 };

	if (c->ev_write == NULL)
		return;
	if (why == EAGAIN)
		event_add(c->ev_write, NULL);
	else if (!c->later)
		c->later = event_base_once(event_get_base(c->ev_write), -1,
		    EV_TIMEOUT, moment_over, c, &soon) == 0;
}

void
channel_flush(struct channel *c)
{
	ssize_t	 n;

	while (c->fd != -1 && c->out_head < c->out_tail) {
		if ((n = send_some(c)) == -1) {
			if (errno == EINTR)
				continue;
			if (errno == EAGAIN || errno == ENOBUFS ||
			    errno == ENOMEM || errno == ETOOMANYREFS) {
				send_later(c, errno);
				return;
			}
			/* The reader is gone; reading will say so. */
			channel_drop_fds(c);
			break;
		}
		if (c->secret)
			explicit_bzero(c->out + c->out_head, (size_t)n);
		c->out_head += (size_t)n;
		c->out_pos += (uint64_t)n;
	}
	if (c->fd != -1)
		out_empty(c);
}

void
channel_writable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	channel_flush(arg);
}
