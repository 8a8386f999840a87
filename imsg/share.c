/*
 * share.c - see share.h.  A tenant is known while it has something.
 */
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "share.h"

struct share {
	RB_ENTRY(share)	 entry;
	char		 tenant[33];
	unsigned int	 own;		/* more than none */
};

static int
share_cmp(struct share *a, struct share *b)
{
	return (strcmp(a->tenant, b->tenant));
}

RB_PROTOTYPE(tenant_shares, share, entry, share_cmp);
RB_GENERATE(tenant_shares, share, entry, share_cmp)

static struct share *
share_find(struct shares *all, const char *tenant)
{
	struct share	 key;

	strlcpy(key.tenant, tenant, sizeof(key.tenant));
	return (RB_FIND(tenant_shares, &all->tenants, &key));
}

int
share_take(struct shares *all, const char *tenant)
{
	struct share	*s = share_find(all, tenant);

	if (all->count + (s != NULL ? s->own : 0) >= all->max)
		return (-1);
	if (s == NULL) {
		if ((s = calloc(1, sizeof(*s))) == NULL)
			fatal("share");
		strlcpy(s->tenant, tenant, sizeof(s->tenant));
		RB_INSERT(tenant_shares, &all->tenants, s);
	}
	s->own++;
	all->count++;
	return (0);
}

void
share_give(struct shares *all, const char *tenant)
{
	struct share	*s = share_find(all, tenant);

	if (s == NULL)
		fatalx("a share of %s that was not taken", tenant);
	all->count--;
	if (--s->own > 0)
		return;
	RB_REMOVE(tenant_shares, &all->tenants, s);
	free(s);
}
