/*
 * points.h - the page that a test writes its orders on: one for each process of
 * the server.  Shared by all of them; its file is named by MN_POINTS.
 */
#ifndef POINTS_H
#define POINTS_H

#include <stdint.h>

#include "message.h"

enum points_state { POINTS_NONE, POINTS_ARMED, POINTS_HIT };

enum points_where {
	POINTS_SEND_BEFORE,	/* nothing of this turn is sent any more */
	POINTS_SEND_AFTER,	/* it is sent, and all before it on its channel */
	POINTS_COMMIT_BEFORE,	/* the statement does not reach the database */
	POINTS_COMMIT_UNKNOWN,	/* its batch does, and is not waited for */
	POINTS_COMMIT_AFTER	/* it is known to be committed, nobody is told */
};

struct points_order {			/* 16 bytes, as points.mjs writes it */
	uint32_t	 state;
	uint16_t	 type;
	uint16_t	 where;
	uint32_t	 skip;		/* times that it is let pass */
	uint32_t	 spare;
};
_Static_assert(sizeof(struct points_order) == 16, "points.mjs writes it");

#define POINTS_PROCS	16
struct points_page {
	struct points_order	 order[POINTS_PROCS];
	uint32_t		 sent[POINTS_PROCS][MSG_MAX];
};
_Static_assert(PROC_MAX <= POINTS_PROCS, "points.mjs has the number too");

/* Is this the place?  What was ordered is done once. */
int	 points_is(enum msg_type, enum points_where);
/* As SIGKILL would: nothing is cleaned up or sent. */
void	 points_die(void) __attribute__((noreturn));

#endif
