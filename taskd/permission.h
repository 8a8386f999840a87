/*
 * permission.h - permission requests, and the policy that judges them.
 */
#ifndef PERMISSION_H
#define PERMISSION_H

#include "taskd.h"

struct verdict {
	const char	*risk;
	const char	*decision;	/* empty: a person decides */
};

size_t	 permission_count(void);
void	 permission_janitor(void);
void	 permission_leave(const struct task *, int);
void	 permission_orphan(const struct task *);
void	 permission_resend(const struct task *);
void	 permission_row(const struct msg_permission_row *);
size_t	 permission_untaken(const struct task *);
int	 permission_waits(const struct task *);
struct verdict policy_decide(const char *, const char *, const char *);
int	 policy_glob(const char *, const char *);

#endif
