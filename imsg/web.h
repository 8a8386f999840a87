/*
 * web.h - what the answers of all owners to the web have in common: identity
 * and rights come from the ticket and from nothing else (architecture 4).
 */
#ifndef WEB_H
#define WEB_H

#include <stddef.h>
#include <stdint.h>

#include "ask.h"
#include "peer.h"
#include "ticket.h"

/* The key of this owner's tickets, TICKET_KEY_SIZE bytes, lent for good. */
void	 web_key(const uint8_t *);
/*
 * Whose request it is, in who: 1 when the ticket is one of ours and has all of
 * these scopes (SCOPE_R, SCOPE_W), 0 when it was refused.
 */
int	 authorised(struct peer *, uint64_t ref, const uint8_t *ticket,
	    size_t len, uint64_t scopes, struct ticket *who);
/* REFUSED; code is one of surface.md's, text a sentence without its end. */
void	 refuse(struct peer *, uint64_t ref, const char *code,
	    const char *text);
/*
 * Before a read is answered: 1, and it is refused for now, when the web is far
 * behind.  What is left of its queue is for answers that cannot be had again.
 */
int	 web_is_behind(struct peer *, uint64_t ref);
/* REFUSED, in the words of who was asked. */
void	 refuse_answer(struct peer *, uint64_t ref, const struct answer *);

#endif
