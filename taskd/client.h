/*
 * client.h - requests of the web and their answers.
 */
#ifndef CLIENT_H
#define CLIENT_H

#include "deed.h"
#include "store.h"
#include "web.h"

int	 relay(struct peer *, uint64_t, enum msg_type, const void *);
int	 reply(const struct ask *, const struct answer *, const char *,
	    const char *, const uint8_t *, size_t);
int	 waiter_add(struct peer *, uint64_t, const struct ticket *,
	    const char *, uint32_t);
void	 waiter_forget(const struct peer *);
void	 waiter_janitor(void);
void	 waiter_wake(const char *);
int	 write_for(struct peer *, uint64_t, enum msg_type, const void *,
	    ask_done, struct op *);

#endif
