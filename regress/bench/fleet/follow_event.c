/*
 * follow_event.c - followers of all events.  Whoever is the first to see one
 * says what comes next; each of the others must see the same in the same place,
 * so that one missed or repeated by any of them is seen at once.  What all of them
 * miss or have twice, one alone perhaps, is seen at the end, unless enduring, where
 * the books tell: a task has one run then, and what happens once is told once.
 * The first follower is the one that acts on what it sees.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "log.h"
#include "util.h"

struct follower {
	struct sse	*sse;
	size_t		 index;
	size_t		 next;		/* in seen[] */
};

static struct follower	*followers;
static size_t		 nfollowers, ready;
static uint64_t		*seen;		/* hashes of positions, in order */
static size_t		 nseen, seen_size;
static uint64_t		*told;		/* hashes of types and tasks */
static size_t		 ntold, told_size;

/* FNV-1a */
static uint64_t
hash(const char *s)
{
	uint64_t	 h = 0xcbf29ce484222325ULL;

	for (; *s != '\0'; s++)
		h = (h ^ (unsigned char)*s) * 0x100000001b3ULL;
	return (h);
}

static void
keep(uint64_t **list, size_t *n, size_t *size, uint64_t h)
{
	if (*n == *size) {
		*size = *size == 0 ? 4096 : *size * 2;
		*list = xrealloc(*list, *size * sizeof(**list));
	}
	(*list)[(*n)++] = h;
}

static uint64_t
hash_told(const char *type, const char *task)
{
	char	 s[64 + FLEET_ID];

	snprintf(s, sizeof(s), "%s %s", type, task);
	return (hash(s));
}

static void
follower_check(struct follower *f, const char *id, const char *type)
{
	uint64_t	 h = hash(id);

	if (f->next < nseen) {
		if (seen[f->next] != h)
			wrong("follower %zu: event %zu is %s (%s), others saw "
			    "another", f->index, f->next, id, type);
	} else
		keep(&seen, &nseen, &seen_size, h);
	f->next++;
}

/* The first to see it says which of our tasks has ended. */
static void
follower_over(const char *type, const char *resource)
{
	size_t	 i;

	if ((strcmp(type, "task.completed") == 0 ||
	    strcmp(type, "task.failed") == 0 ||
	    strcmp(type, "task.canceled") == 0) &&
	    (i = task_by_id(resource)) != NO_TASK)
		task_over(i);
}

static void
follower_act(const char *type, const char *data, size_t len)
{
	struct task	*t;
	char		 id[FLEET_ID], action[128], mark[MARK_SIZE];
	size_t		 i;

	if (strcmp(type, "permission.requested") != 0)
		return;
	if (peek_in(data, len, "resource", "id", id, sizeof(id)) == -1 ||
	    peek(data, len, "action", action, sizeof(action)) == -1) {
		wrong("event %s: no permission in %.300s", type, data);
		return;
	}
	if (sscanf(action, "%*s %31s", mark) == 1 &&
	    (i = task_of(mark)) != NO_TASK && (t = task_get(i))->seen == 0)
		t->seen = now_ns();
	approve(id, action);
}

static int
follower_event(struct sse *s, const char *id, const char *type,
    const char *data, size_t len, void *arg)
{
	struct follower	*f = arg;
	char		 resource[FLEET_ID], task[FLEET_ID];

	(void)s;
	if (id == NULL) {
		wrong("follower %zu: an event without a position", f->index);
		return (0);
	}
	/* What the sessions' beginning still told, one may see and another not. */
	if (f->next == 0 && strcmp(type, "task.created") != 0)
		return (0);
	if (f->index == 0)
		follower_act(type, data, len);
	if (peek_in(data, len, "resource", "id", resource,
	    sizeof(resource)) == -1)
		wrong("event %s: no resource in %.300s", type, data);
	peek(data, len, "task_id", task, sizeof(task));
	if (f->next == nseen) {
		follower_over(type, resource);
		if (!fleet->enduring)
			keep(&told, &ntold, &told_size, hash_told(type,
			    strncmp(type, "task.", 5) == 0 ? resource : task));
	}
	if (book_is_open())
		book("event %zu %s %s %s %s", f->index, id, type, resource,
		    task[0] == '\0' ? "-" : task);
	follower_check(f, id, type);
	return (0);
}

static void
follower_begun(struct sse *s, void *arg)
{
	(void)s;
	(void)arg;
	ready++;
}

static void
follower_ended(struct sse *s, int status, void *arg)
{
	struct follower	*f = arg;

	(void)s;
	fatalx("follower %zu: its stream ended with status %d", f->index,
	    status);
}

static const struct sse_ops	follower_ops = {
	follower_event, follower_begun, NULL, follower_ended
};

void
events_follow(size_t n)
{
	struct follower	*f;

	followers = xcalloc(n, sizeof(*followers));
	nfollowers = n;
	for (f = followers; f < followers + n; f++) {
		f->index = (size_t)(f - followers);
		f->sse = sse_open("/api/v1/events", &follower_ops, f);
	}
	wait_for(&ready, n, "followers of events to be answered");
}

/* ---- what happens once is told once ------------------------------------------- */

static int
in_order(const void *a, const void *b)
{
	const uint64_t	*x = a, *y = b;

	return (*x < *y ? -1 : *x > *y);
}

static size_t
told_times(const char *type, const char *task)
{
	uint64_t	 h = hash_told(type, task);
	size_t		 from = 0, to = ntold, i;

	while (from < to) {
		i = from + (to - from) / 2;
		if (told[i] < h)
			from = i + 1;
		else
			to = i;
	}
	for (i = from; i < ntold && told[i] == h; i++)
		;
	return (i - from);
}

/* Of this task; say: what is wrong.  0: each as often as it happened. */
static int
task_told(size_t task, int say)
{
	static const struct {
		const char	*type;
		int		 per_ask;
	} once[] = {
		{ "task.created", 0 }, { "run.started", 0 },
		{ "permission.requested", 1 }, { "permission.approved", 1 },
		{ "permission.delivered", 1 }, { "run.ended", 0 }, { NULL, 0 }
	};
	struct script	 s;
	char		 mark[MARK_SIZE], prompt[256];
	size_t		 i, n, want;
	int		 rc = 0;

	task_prompt(prompt, sizeof(prompt), task);
	script_read(&s, mark, prompt);
	for (i = 0; once[i].type != NULL; i++) {
		want = once[i].per_ask ? s.ask : 1;
		n = told_times(once[i].type, task_get(task)->id);
		if (n == want)
			continue;
		rc = -1;
		if (say)
			wrong("task %zu (%s): %s came %zu times, not %zu", task,
			    task_get(task)->id, once[i].type, n, want);
	}
	return (rc);
}

static void
told_check(uint64_t until)
{
	size_t	 i;

	for (i = 0; i < tasks_count();) {
		qsort(told, ntold, sizeof(*told), in_order);
		while (i < tasks_count() && task_told(i, now_ns() >= until) ==
		    0)
			i++;
		if (now_ns() >= until)
			break;
		if (i < tasks_count())
			wait_ms(20);
	}
	qsort(seen, nseen, sizeof(*seen), in_order);
	for (i = 1; i < nseen; i++)
		if (seen[i] == seen[i - 1])
			wrong("an event came twice");
}

void
events_check(void)
{
	struct follower	*f;
	uint64_t	 begun;
	size_t		 i;

	wait_until(&fleet->over, &fleet->ended, "ends of tasks to be followed");
	begun = now_ns();
	for (i = 0; i < nfollowers; i++)
		for (f = &followers[i]; f->next < nseen; wait_ms(20))
			if (now_ns() - begun > 30000000000ULL) {
				wrong("follower %zu saw %zu events, others %zu",
				    i, f->next, nseen);
				break;
			}
	if (nfollowers > 0 && !fleet->enduring)
		told_check(begun + 30000000000ULL);
	if (nfollowers > 0)
		printf("events %zu\n", nseen);
}

void
events_close(void)
{
	size_t	 i;

	for (i = 0; i < nfollowers; i++)
		sse_close(followers[i].sse);
	free(followers);
	followers = NULL;
	nfollowers = ready = nseen = ntold = 0;
}
