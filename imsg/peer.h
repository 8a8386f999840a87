/*
 * peer.h - channels: framed messages over socketpairs, both directions queued,
 * flushed once at the end of a turn.
 */
#ifndef PEER_H
#define PEER_H

#include <event2/event.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "message.h"

#define PEER_QUEUE_SOFT	 (8U << 20)	/* peer_is_full(): refuse new work */
#define PEER_QUEUE_HARD	 (64U << 20)	/* the channel is given up */
#define FRAME_HEADER	 16		/* u32 length, u16 type, u16 flags, u64 ref */

struct fdmark {				/* a frame that carries a descriptor */
	TAILQ_ENTRY(fdmark)	 entry;
	uint64_t		 pos;	/* of its first byte in the stream */
	size_t			 len;
	int			 fd;
};
TAILQ_HEAD(fdmarks, fdmark);

#define CHANNEL_FDS	 16

/* One end of one socketpair.  Lives inside its peer. */
struct channel {
	struct peer	*peer;
	int		 fd;		/* -1: closed */
	int		 bulk;
	uint32_t	 generation;	/* stays when it is closed */
	struct event	*ev_read;
	struct event	*ev_write;	/* pending only while the socket is full */
	uint8_t		*in;
	size_t		 in_size, in_len;
	uint8_t		*out;
	size_t		 out_size, out_head, out_tail;
	uint64_t	 out_pos;	/* stream position of out_head */
	struct fdmarks	 marks;
	int		 fds[CHANNEL_FDS];	/* received, not yet claimed */
	unsigned int	 nfds;
	unsigned int	 secret:1;	/* wipe what was sent */
	unsigned int	 dead:1;	/* to be closed after the handler */
	unsigned int	 later:1;	/* sent on in a moment */
};

struct peer {
	enum proc	 proc;
	const char	*name;
	struct channel	 ctl;
	struct channel	 bulk;
	unsigned int	 up:1;		/* peer_up was called */
	unsigned int	 paused:1;	/* what it sends is not read now */
	void		*arg;		/* the program's own */
};

struct peer_ops {
	/* Channel closed or killed; why is NULL for a plain end. */
	void	(*closed)(struct peer *, const char *why);
};

/* Once, before anything else.  self: who receives here. */
void	 peer_init(struct event_base *, enum proc self,
	    const struct peer_ops *);
/* The one peer object of that process, up or not.  Never NULL. */
struct peer *peer_of(enum proc);
/* Takes fd over as a control (0) or bulk (1) channel. */
void	 peer_open(struct peer *, int bulk, int fd, uint32_t generation);
/*
 * Reads no more (1) of what the peer sends, or again (0): its queue grows, and it
 * is told there that this one is full.  Also of its successor.
 */
void	 peer_pause(struct peer *, int);
/* Handles all that the peer has sent until now, out of its turn. */
void	 peer_read(struct peer *);
/* Handles what the peer still said before it died (promise 21). */
void	 peer_drain(struct peer *);
/* Closes both channels, drops what was not sent. */
void	 peer_close(struct peer *);
int	 peer_is_up(const struct peer *);
/* More than PEER_QUEUE_SOFT waits to be sent. */
int	 peer_is_full(const struct peer *);
size_t	 peer_queued(const struct peer *);
/*
 * Queues a message; fd (or -1) is closed after it was sent.  0, or -1: ENOTCONN
 * the peer is down, EMSGSIZE or EINVAL the message is not fit to be sent,
 * ENOBUFS the queue is at its hard limit, and the channel is given up: the next
 * peers_flush() calls closed().  Sending what the table does not allow is
 * fatal.
 */
int	 peer_send(struct peer *, uint64_t ref, enum msg_type, const void *m,
	    int fd);
/* The same for a body packed before (see ask.h). */
int	 peer_send_packed(struct peer *, uint64_t ref, enum msg_type,
	    const uint8_t *, size_t);
/* Sends what is queued everywhere; at the end of each turn. */
void	 peers_flush(void);
/* Blocks until a whole message is there and handles it; before the jail. */
int	 peer_wait(struct peer *);

/* Generated: calls on_*().  -1: no such message for this program. */
int	 proc_dispatch(struct peer *, uint64_t ref, enum msg_type,
	    const void *m, int fd);

#endif
