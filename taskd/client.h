/*
 * client.h - requests of the web and their answers.
 */
#ifndef CLIENT_H
#define CLIENT_H

#include "store.h"
#include "ticket.h"

/* What a client did, to be told to the audit when it is known to be done. */
struct deed {
	char		 id[ID_SIZE];	/* of its record */
	int		 stored;	/* with what it did, when it did */
	struct ticket	 who;
	char		 action[32];
	char		 resource[ID_SIZE];
	char		 request_id[65];
	char		 detail[1025];
};

void	 audit(const struct deed *, int);
int	 authorised(struct peer *, uint64_t, const uint8_t *, size_t,
	    uint64_t, struct ticket *);
struct deed *deed_new(const struct ticket *, const char *, const char *,
	    const char *, const char *);
void	 refuse(struct peer *, uint64_t, const char *, const char *);
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
