/*
 * channel.h - the two halves of a channel, for peer.c and outqueue.c alone.
 */
#ifndef CHANNEL_H
#define CHANNEL_H

#include <stdint.h>

#include "peer.h"

#define FRAME_FD	0x1
#define READ_SIZE	(256U << 10)	/* a turn's share of one channel */

struct frame {
	uint32_t	 len;		/* with the header */
	uint16_t	 type;
	uint16_t	 flags;
	uint64_t	 ref;
};
_Static_assert(sizeof(struct frame) == FRAME_HEADER, "frame layout");

/* outqueue.c */
int	 channel_queue(struct channel *, const struct frame *,
	    const struct msg_desc *, const void *m, const uint8_t *packed,
	    int fd);
void	 channel_flush(struct channel *);
void	 channel_writable(evutil_socket_t, short, void *);
void	 channel_drop_fds(struct channel *);

#endif
