/*
 * One `mctl run': cmd_run.c, questions.c.
 */

#ifndef JOB_H
#define JOB_H

#include "follow.h"

#define ANSWERED_MAX	64

struct job {
	struct follow	 follow;
	struct mctl	*m;
	const struct args *args;
	char		*session;
	char		*task;
	char		*pending;	/* the path that lists questions */
	char		 answered[ANSWERED_MAX][64];
	int64_t		 polled;
	long long	 timeout;	/* of the task, or -1 */
	unsigned int	 nanswered;
	int		 made;		/* the session is ours */
	int		 yes;
	int		 person;	/* one is there to be asked */
	int		 canceled;
	int		 denied;	/* something was */
};

/* Put what stands open to the person; 1: the person wants to leave. */
int	 questions(struct job *, int (*)(void));

#endif
