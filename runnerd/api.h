/*
 * api.h - what every answer to the web has in common.
 */
#ifndef API_H
#define API_H

#include <stdint.h>

#include "peer.h"
#include "ticket.h"

/* 0, or -1 after a REFUSED was sent. */
int	 api_ticket(struct peer *, uint64_t ref, struct ticket *,
	    const uint8_t *, size_t, uint64_t scope);
void	 api_refuse(struct peer *, uint64_t ref, const char *code,
	    const char *text);
/* What storaged said, as DOCUMENT of this status or as REFUSED. */
struct ask;
struct answer;
void	 api_answer(struct ask *, const struct answer *, uint16_t status);
/* Puts a statement to storaged for the client; refuses when it cannot. */
void	 api_query(struct peer *, uint64_t ref, int type, const void *m,
	    unsigned int seconds, void (*done)(struct ask *,
	    const struct answer *));
/* Who did what; nobody waits for it. */
void	 api_audit(const struct ticket *, const char *action,
	    const char *resource, const char *request_id);
#endif
