/*
 * world_channel.c - frames to frontd and from it, and peers that come and go.
 */
#include <sys/socket.h>

#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "world.h"

#define FRAME		16

struct chan		 ctl[PROC_MAX], bulk[PROC_MAX];
static uint32_t		 generation[PROC_MAX];

void
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
	if (c->in == NULL && (c->in = malloc(CHAN_SIZE)) == NULL)
		err(1, NULL);
	frame(&ctl[PROC_PARENT], 0, MSG_PROC_PEER, &m, sv[1]);
}

void
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

void
peer_end(enum proc proc)
{
	chan_close(&ctl[proc]);
	chan_close(&bulk[proc]);
}

static void
parent_says(enum msg_type type)
{
	enum proc	 p;

	counts[type]++;
	if (type != MSG_PROC_READY)
		return;
	for (p = 0; p < PROC_MAX; p++)
		peer_begin(p);
	printf("ready %d\n", (int)frontd_pid);
}

void
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

	if ((n = read(c->fd, c->in + c->len, CHAN_SIZE - c->len)) <= 0) {
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
