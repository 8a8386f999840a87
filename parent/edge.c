/*
 * edge.c - the topology as a capability list: a pair of processes gets a
 * socketpair when the message table gives them something to say, and no other
 * way.  Wired anew each time one of the two becomes ready.
 */
#include <sys/socket.h>

#include <unistd.h>

#include "log.h"
#include "parent.h"
#include "parent_msg.h"

/* Who is gone, but not reaped yet, gets none: the other reads its end. */
static void
hand(struct child *to, const struct msg_proc_peer *m, int fd)
{
	if (send_proc_peer(peer_of(to->proc), 0, m, fd) == -1)
		close(fd);
}

static void
hand_out(struct child *a, struct child *b, int bulk, uint32_t generation)
{
	struct msg_proc_peer	 m;
	int			 sv[2], size = 1 << 20;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
	    sv) == -1)
		fatal("socketpair");
	/* A turn's batch should leave in one sendmsg; best effort. */
	setsockopt(sv[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	setsockopt(sv[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	m.bulk = (uint8_t)bulk;
	m.generation = generation;
	m.peer = (uint8_t)b->proc;
	hand(a, &m, sv[0]);
	m.peer = (uint8_t)a->proc;
	hand(b, &m, sv[1]);
}

void
edges_wire(struct child *ch)
{
	static uint32_t	 generation;
	struct child	*other;
	int		 i, edge;

	for (i = 0; i < PROC_MAX; i++) {
		other = &env->child[i];
		edge = proc_edges[ch->proc][i];
		if (edge == 0 || i == PROC_PARENT ||
		    other->state != CHILD_READY)
			continue;
		ch->edge[i] = other->edge[ch->proc] = ++generation;
		hand_out(ch, other, 0, generation);
		if (edge == 2)
			hand_out(ch, other, 1, generation);
	}
}
