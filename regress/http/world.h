/*
 * world.h - everybody but frontd: what the parts of the program share.
 */
#ifndef WORLD_H
#define WORLD_H

#include <sys/types.h>

#include "message.h"

/* Our end of a channel to frontd. */
struct chan {
	int		 fd;
	enum proc	 proc;
	uint8_t		*in;
	size_t		 len;
};

extern struct chan	 ctl[PROC_MAX], bulk[PROC_MAX];
extern enum proc	 front;
extern pid_t		 frontd_pid;
extern unsigned int	 counts[MSG_MAX];	/* received */
extern int		 revoked;
extern enum msg_type	 busy_with;		/* refused for now, once */
extern uint64_t		 opened;		/* ref of the newest stream */

/* world_channel.c */
#define CHAN_SIZE	(9U << 20)
/* fd: passed along and closed, or -1. */
void	 frame(struct chan *, uint64_t ref, enum msg_type, const void *, int fd);
void	 chan_read(struct chan *);
void	 peer_begin(enum proc);
void	 peer_end(enum proc);

/* world_owner.c: what the owner answers. */
void	 handle(struct chan *, uint64_t ref, enum msg_type, const void *);

/* world_scan.c: occurrences in frontd's writable memory. */
int	 scan(const char *);

#endif
