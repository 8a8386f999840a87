/*
 * watch.h - a task whose log somebody follows: who does, and the last lines
 * that were committed, so that who is a little behind needs no storage.
 */
#ifndef WATCH_H
#define WATCH_H

#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/tree.h>

#include "id.h"

struct follower;

/* Lines as they were committed together: one attempt's, without a gap. */
struct piece {
	TAILQ_ENTRY(piece) entry;
	uint32_t	 attempt, count;
	uint64_t	 first;		/* number of the first line */
	size_t		 len;
	uint8_t		 lines[];
};

struct watch {				/* until the janitor finds it alone */
	RB_ENTRY(watch)	 entry;
	char		 task[ID_SIZE];
	TAILQ_HEAD(, follower) followers;
	uint32_t	 attempt;	/* position of the last line it was told */
	uint64_t	 line;
	/* The tail of the log: each piece goes on where the last one ended. */
	TAILQ_HEAD(pieces, piece) tail;
	size_t		 bytes;
};

/* Bytes of the longest tail, and of all tails; variables for the test. */
extern size_t	 watch_tail_max, watch_tails_max;

/* Is it watched?  NULL: no. */
struct watch *watch_find(const char *task);
/* The same; it is from now on. */
struct watch *watch_get(const char *task);
/* These lines are committed; the oldest are forgotten when it is too much. */
void	 watch_keep(struct watch *, uint32_t attempt, uint64_t first,
	    uint32_t count, const uint8_t *, size_t);
/* The piece from which on the tail has every line after a position, or NULL. */
const struct piece *watch_after(const struct watch *, uint32_t attempt,
	    uint64_t line);
/* Does the tail end behind this position? */
int	 watch_is_ahead(const struct watch *, uint32_t attempt, uint64_t line);
void	 watches_janitor(void);

#endif
