/*
 * hub_world.h - the followers of sessiond's hub, whose frontd this is, and a storaged
 * whose database is simulated: an event has the number of its place, three of them
 * are one transaction, tenants and types go round.
 */
#ifndef HUB_WORLD_H
#define HUB_WORLD_H

#include "hub.h"
#include "sessiond.h"

#define FOLLOWERS	6
#define XID		100	/* of the first three events */

struct viewer {
	uint64_t	 ref;
	char		 tenant[2];
	const char	*types;
	int64_t		 credit;
	unsigned int	 next;		/* event that it may get next */
	int		 greeted, refused;
	char		 last[POSITION_SIZE];
};
extern struct viewer	 viewers[FOLLOWERS];
extern struct peer	 web;
extern int		 full;		/* nobody reads */
extern uint64_t		 refs, now;	/* ms */
extern unsigned int	 committed;	/* events */
extern int		 feed;		/* as storaged was told */
extern int		 horizon_due;	/* it has not told one since */
extern unsigned int	 npages;	/* under way */
extern int		 pages_of_nobody; /* answered */

int	 wanted(const struct viewer *, unsigned int event);
/* So many of what is committed are told, if they are to be. */
void	 push(unsigned int);
/* storaged comes back: all that is committed is in storage alone. */
void	 restart(void);
/* What a page under way asked for, or "gone". */
void	 answer(unsigned int page, const char *code);
/* As frontd, from this position; "": from now on. */
void	 follow(struct viewer *, const char *after);
void	 unfollow(const struct viewer *);
void	 credit(struct viewer *, uint32_t);

#endif
