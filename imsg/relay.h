/*
 * relay.h - what the web asks of an owner and storaged answers: the document is
 * handed on as it is.
 */
#ifndef RELAY_H
#define RELAY_H

#include "ask.h"
#include "deed.h"

#define RELAY_SECONDS	10	/* a client waits so long for the database */

/* What storaged said to the client, as DOCUMENT of this status or as REFUSED. */
void	 relay_answer(const struct ask *, const struct answer *,
	    uint16_t status);
void	 relay_read(struct peer *, uint64_t ref, enum msg_type,
	    const void *m);
/*
 * A write, answered with this status when it is done.  The audit is told of the
 * deed when it is known whether it was done now: not of one that was before.
 */
void	 relay_write(struct peer *, uint64_t ref, uint16_t status,
	    enum msg_type, const void *m, struct deed *);

#endif
