/*
 * group.h - a batch of statements as calls to the database.
 */
#ifndef GROUP_H
#define GROUP_H

#include "storaged.h"

/* Statements of a batch that are one call; one alone unless MSG_F_MANY. */
struct group {
	enum msg_type		 type;
	const char		*tenant;
	unsigned int		 n;
	struct stmt		**stmt;		/* n of them, in order */
	PGresult		*res;		/* until the commit is known */
};

/*
 * Makes the calls of a batch of at most BATCH_COUNT statements, and says how
 * many they are.  They live until groups_clear(), or the next batch.
 */
unsigned int	 groups_make(const struct stmts *);
/* The i-th of them, or NULL. */
struct group	*group_at(unsigned int i);
/* Gives each statement of a call that was for many its row of the result. */
void		 group_rows(struct group *);
void		 groups_clear(void);

#endif
