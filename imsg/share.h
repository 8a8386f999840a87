/*
 * share.h - how many of a bounded number each tenant has.  Who has as many as are
 * left gets no more: one alone has half of all, and however many tenants have all
 * that they may, there is room for another.
 */
#ifndef SHARE_H
#define SHARE_H

#include <sys/tree.h>

struct share;
RB_HEAD(tenant_shares, share);

struct shares {
	struct tenant_shares	 tenants;	/* that have any */
	unsigned int		 count;		/* taken, by all of them */
	unsigned int		 max;
};
#define SHARES_INITIALIZER(max)	{ RB_INITIALIZER(NULL), 0, (max) }

/* One more for the tenant: 0, or -1 and nothing is taken. */
int	 share_take(struct shares *, const char *tenant);
/* One that was taken for the tenant is free again. */
void	 share_give(struct shares *, const char *tenant);

#endif
