/*
 * far.c - see far.h.
 */
#include <sys/socket.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>
#include <unistd.h>

#include "far.h"

union far_message {
	_Alignas(8) uint8_t	 any[MSG_STRUCT_MAX];
};

union far_message	 got;
uint64_t		 got_ref;
static enum proc	 me;
static int		 far[PROC_MAX][2];	/* control, bulk */
static uint32_t		 generation;
static uint8_t		 frame[1 << 16];

static void
closed(struct peer *p, const char *why)
{
	fail_msg("%s: %s", p->name, why != NULL ? why : "closed");
}

static const struct peer_ops	 ops = { closed };

void
far_init(enum proc self)
{
	me = self;
	peer_init(NULL, self, &ops);
}

void
far_up(enum proc proc, void (*up)(struct peer *))
{
	struct peer	*p = peer_of(proc);
	int		 sv[2], i, n = proc_edges[me][proc] == 2 ? 2 : 1;

	if (p->up) {
		peer_close(p);
		close(far[proc][0]);
		close(far[proc][1]);
	}
	generation++;
	far[proc][1] = -1;
	for (i = 0; i < n; i++) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
		peer_open(p, i, sv[0], generation);
		far[proc][i] = sv[1];
	}
	p->up = 1;
	up(p);
}

enum msg_type
far_next(enum proc proc)
{
	uint32_t	 len;
	uint16_t	 type;
	int		 fd = far[proc][0];

	peers_flush();
	if (recv(fd, frame, FRAME_HEADER, MSG_DONTWAIT) <= 0) {
		fd = far[proc][1];
		if (recv(fd, frame, FRAME_HEADER, MSG_DONTWAIT) <= 0)
			return (MSG_NONE);
	}
	memcpy(&len, frame, 4);
	memcpy(&type, frame + 4, 2);
	memcpy(&got_ref, frame + 8, 8);
	len -= FRAME_HEADER;
	assert_true(len <= sizeof(frame));
	if (len > 0)
		assert_int_equal(recv(fd, frame, len, MSG_WAITALL), len);
	assert_int_equal(msg_unpack(&msg_descs[type], frame, len, got.any), 0);
	return ((enum msg_type)type);
}

void
expect(enum proc proc, enum msg_type type)
{
	enum msg_type	 is;

	while ((is = far_next(proc)) != type)
		if (is == MSG_NONE)
			fail_msg("%s was not told %s", proc_names[proc],
			    msg_descs[type].name);
}

void
refuses(enum proc proc, enum msg_type type)
{
	enum msg_type	 is;

	while ((is = far_next(proc)) != MSG_NONE)
		if (is == type)
			fail_msg("%s was told %s", proc_names[proc],
			    msg_descs[type].name);
}

void
hush(void)
{
	int	 i;

	for (i = 0; i < PROC_MAX; i++)
		while (peer_of((enum proc)i)->up &&
		    far_next((enum proc)i) != MSG_NONE)
			;
}
