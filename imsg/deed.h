/*
 * deed.h - what somebody did, to be told to the audit when it is known whether it
 * was done.
 */
#ifndef DEED_H
#define DEED_H

#include "id.h"
#include "ticket.h"

struct deed {
	char		 id[ID_SIZE];	/* of its record */
	struct ticket	 who;
	char		 action[32];
	char		 resource[ID_SIZE];
	char		 request_id[65];
	char		 detail[1025];
	int		 stored;	/* with what was done, when it was */
};

/* Not yet told; of calloc, the caller's to free().  detail may be "". */
struct deed *deed_new(const struct ticket *, const char *action,
	    const char *resource, const char *request_id, const char *detail);
/*
 * Tells the audit what storaged answered, "" for done; nobody waits for it.  Not
 * what it could not decide or had no room for, nor what was answered before.
 */
void	 deed_tell(const struct deed *, const char *code);

#endif
