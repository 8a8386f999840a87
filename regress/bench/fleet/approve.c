/*
 * approve.c - answers questions: a few connections, one question at a time on
 * each.  In the enduring mood every fourth is denied; what is decided follows
 * from its id, so that it can be told again from the books.
 */
#include <sys/queue.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "log.h"
#include "util.h"

#define APPROVERS	8
#define DENY_EVERY	4

struct question {
	STAILQ_ENTRY(question)	 entry;
	char			 id[FLEET_ID];
	char			 action[128];
	struct rest		*rest;
	int			 approved;
};

static STAILQ_HEAD(, question)	 waiting = STAILQ_HEAD_INITIALIZER(waiting);
static struct rest		*idle[APPROVERS];
static size_t			 nidle, nopen;

static void	 approve_next(void);

static void
answered(const struct answer *a, void *arg)
{
	struct question	*q = arg;

	book("decided %s %d", q->id, a->status);
	/* 409: its run ended first, and nobody hears the answer. */
	if (a->status != 200 && (a->status != 409 || !fleet->enduring))
		wrong("permission %s: status %d: %.200s", q->id, a->status,
		    a->body);
	idle[nidle++] = q->rest;
	free(q);
	approve_next();
}

static void
decide(struct question *q)
{
	struct task	*t;
	char		 path[64 + FLEET_ID], body[64 + FLEET_ID];
	char		 mark[MARK_SIZE];
	size_t		 i, n = strlen(q->id);

	q->approved = !fleet->enduring || (unsigned char)q->id[n - 1] %
	    DENY_EVERY != 0;
	snprintf(path, sizeof(path), "/api/v1/permissions/%s/%s", q->id,
	    q->approved ? "approve" : "deny");
	snprintf(body, sizeof(body), "{\"reason\":\"because-%s\"}", q->id);
	book("decide %s %s because-%s", q->id, q->approved ? "approve" : "deny",
	    q->id);
	if (sscanf(q->action, "%*s %31s", mark) == 1 &&
	    (i = task_of(mark)) != NO_TASK &&
	    (t = task_get(i))->decided == 0)
		t->decided = now_ns();
	will_post(q->rest, path, q->id, body, answered, q);
}

static void
approve_next(void)
{
	struct question	*q;

	while (nidle > 0 && (q = STAILQ_FIRST(&waiting)) != NULL) {
		STAILQ_REMOVE_HEAD(&waiting, entry);
		q->rest = idle[--nidle];
		decide(q);
	}
}

static void
approvers_open(void)
{
	while (nopen < APPROVERS) {
		nopen++;
		idle[nidle++] = rest_open();
	}
}

void
approve(const char *permission, const char *action)
{
	struct question	*q;

	q = xcalloc(1, sizeof(*q));
	strlcpy(q->id, permission, sizeof(q->id));
	strlcpy(q->action, action, sizeof(q->action));
	STAILQ_INSERT_TAIL(&waiting, q, entry);
	approvers_open();
	approve_next();
}
