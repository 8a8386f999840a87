/*
 * far.h - a test that is the other end of every channel of the process whose
 * files it links: what that says to its peers is read here, one at a time.
 */
#ifndef FAR_H
#define FAR_H

#include "peer.h"

/* The last message read: its fields are views, until the next one is. */
union far_message;
extern union far_message	 got;
extern uint64_t			 got_ref;

/* Once; channels that close fail the test. */
void	 far_init(enum proc self);
/* A channel to this peer, a new one when there was one; up is called then. */
void	 far_up(enum proc, void (*up)(struct peer *));
/* The next message to this peer, in `got'; MSG_NONE: there is none. */
enum msg_type far_next(enum proc);
/* Reads on to one of this type; its absence fails the test. */
void	 expect(enum proc, enum msg_type);
/* Reads everything; one of this type among it fails the test. */
void	 refuses(enum proc, enum msg_type);
/* Nobody has anything left to hear. */
void	 hush(void);

#endif
