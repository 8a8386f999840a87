/*
 * hub.h - sessiond's hub: the ring of recent events, and who follows them.
 */
#ifndef HUB_H
#define HUB_H

#include <sys/queue.h>

#include <stdint.h>

#include "peer.h"

/* position.c: where an event stands */
struct position {
	uint64_t	 xid, seq;
};
#define POSITION_SIZE	64
int	 position_parse(struct position *, const char *);
void	 position_text(const struct position *, char [POSITION_SIZE]);
int	 position_cmp(const struct position *, const struct position *);
void	 position_hide(const struct position *, const char *,
	    char [POSITION_SIZE]);
int	 position_show(struct position *, const char *, const char *);

/* hub.c: an event in the ring; dies when the ring runs over */
struct event_item {
	TAILQ_ENTRY(event_item)	 entry;
	struct position		 at;
	char			 tenant[33];
	char			*type;
	char			*labels;
	uint8_t			*body;
	size_t			 body_len;
};
struct event_item *hub_after(const struct position *);
const struct position *hub_low(void);
const struct position *hub_high(void);
int	 hub_is_open(void);
/* Somebody follows: events are wanted from storaged. */
void	 hub_want(void);
/* Once a second: after a while without a follower they are not. */
void	 hub_tick(void);
/* storaged is new and pushes nothing before it is told to. */
void	 hub_storaged_up(void);

/* follower.c */
void	 followers_due(void);		/* there may be something for them */
void	 followers_turn(void);
void	 followers_peer_down(const struct peer *);
unsigned int followers_count(void);

#endif
