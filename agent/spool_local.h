/*
 * spool_local.h - what spool.c and spool_send.c share.
 */
#ifndef AGENT_SPOOL_LOCAL_H
#define AGENT_SPOOL_LOCAL_H

#include <sys/queue.h>
#include <sys/types.h>

#include "record.h"
#include "spool.h"

#define SPOOL_RECORD_MAX	65536

/* Where a batch that was sent ended; until acknowledged. */
struct spool_mark {
	TAILQ_ENTRY(spool_mark)	 entry;
	uint64_t		 line;
	off_t			 off;
};

/* From the start of a run until the server has all its lines. */
struct spool {
	TAILQ_ENTRY(spool)		 entry;
	TAILQ_HEAD(, spool_mark)	 marks;
	struct evbuffer			*buf;	/* not yet written */
	char				*run_id;
	uint64_t			 last;	/* number of the last line */
	uint64_t			 written; /* of the last in the file */
	uint64_t			 acked;
	uint64_t			 sent;
	uint64_t			 want;	/* finished: RunCompleted said so */
	off_t				 end;	/* of what is written */
	off_t				 acked_off;
	off_t				 sent_off;
	off_t				 noted_off;	/* in the journal */
	off_t				 punched_off;	/* free up to here */
	uint64_t			 unread;	/* since, now_mono; 0 */
	uint64_t			 unread_next;	/* when it is tried */
	int				 fd;
	int				 finished;
	int				 failing;
	int				 told_lost;
};
TAILQ_HEAD(spools, spool);
extern struct spools	spools;

#endif
