/*
 * waiter.c - requests that hold their answer until a task has ended or their
 * time is over.  Their number is bounded; one too many is answered at once.
 */
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "log.h"
#include "share.h"
#include "worker.h"

#define WAITERS_MAX	4096
#define WAIT_MAX	300	/* seconds */

struct waiter {
	TAILQ_ENTRY(waiter)	 entry;
	enum proc		 client;
	uint64_t		 ref;
	uint64_t		 until;
	char			 tenant[33];
	char			 task[ID_SIZE];
};

static TAILQ_HEAD(, waiter)	 all = TAILQ_HEAD_INITIALIZER(all);
static struct shares		 shares = SHARES_INITIALIZER(WAITERS_MAX);

/* 1: it waits; 0: answer it now. */
int
waiter_add(struct peer *p, uint64_t ref, const struct ticket *who,
    const char *task, uint32_t seconds)
{
	struct task	*t = task_find(task);
	struct waiter	*w;

	if (seconds == 0 || t == NULL || strcmp(t->tenant, who->tenant) != 0 ||
	    share_take(&shares, who->tenant) == -1)
		return (0);
	if ((w = calloc(1, sizeof(*w))) == NULL)
		fatal("waiter");
	w->client = p->proc;
	w->ref = ref;
	w->until = worker_mono_ms() +
	    (seconds < WAIT_MAX ? seconds : WAIT_MAX) * 1000ULL;
	strlcpy(w->tenant, who->tenant, sizeof(w->tenant));
	strlcpy(w->task, task, sizeof(w->task));
	TAILQ_INSERT_TAIL(&all, w, entry);
	return (1);
}

static void
waiter_free(struct waiter *w)
{
	TAILQ_REMOVE(&all, w, entry);
	share_give(&shares, w->tenant);
	free(w);
}

static void
waiter_answer(struct waiter *w)
{
	struct msg_task_read	 m = { .tenant = w->tenant, .task = w->task };

	relay(peer_of(w->client), w->ref, MSG_TASK_READ, &m);
	waiter_free(w);
}

void
waiter_wake(const char *task)
{
	struct waiter	*w, *next;

	TAILQ_FOREACH_SAFE(w, &all, entry, next)
		if (strcmp(w->task, task) == 0)
			waiter_answer(w);
}

void
waiter_forget(const struct peer *p)
{
	struct waiter	*w, *next;

	TAILQ_FOREACH_SAFE(w, &all, entry, next)
		if (w->client == p->proc)
			waiter_free(w);
}

void
waiter_janitor(void)
{
	struct waiter	*w, *next;

	TAILQ_FOREACH_SAFE(w, &all, entry, next)
		if (w->until <= worker_mono_ms())
			waiter_answer(w);
}
