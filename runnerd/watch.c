/*
 * watch.c - tasks whose log somebody follows.  Their last committed lines are
 * kept in memory, up to a bound for each and one for all: a follower that was
 * out of credit for a moment goes on from there, as often as it likes, while
 * storage is asked by those only who are further behind.
 */
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "watch.h"

RB_HEAD(watches, watch);

size_t			 watch_tail_max = 4 * 1024 * 1024;
size_t			 watch_tails_max = 64 * 1024 * 1024;

static struct watches	 watches = RB_INITIALIZER(&watches);
static size_t		 all_bytes;

static int
watch_cmp(struct watch *a, struct watch *b)
{
	return (strcmp(a->task, b->task));
}

RB_PROTOTYPE(watches, watch, entry, watch_cmp);
RB_GENERATE(watches, watch, entry, watch_cmp)

struct watch *
watch_find(const char *task)
{
	struct watch	 key;

	strlcpy(key.task, task, sizeof(key.task));
	return (RB_FIND(watches, &watches, &key));
}

struct watch *
watch_get(const char *task)
{
	struct watch	*w;

	if ((w = watch_find(task)) != NULL)
		return (w);
	if ((w = calloc(1, sizeof(*w))) == NULL)
		fatal("watch");
	strlcpy(w->task, task, sizeof(w->task));
	TAILQ_INIT(&w->followers);
	TAILQ_INIT(&w->tail);
	RB_INSERT(watches, &watches, w);
	return (w);
}

static void
forget_first(struct watch *w)
{
	struct piece	*p = TAILQ_FIRST(&w->tail);

	TAILQ_REMOVE(&w->tail, p, entry);
	w->bytes -= p->len;
	all_bytes -= p->len;
	free(p);
}

static void
forget_all(struct watch *w)
{
	while (!TAILQ_EMPTY(&w->tail))
		forget_first(w);
}

/* Is this where the next line after the piece would be? */
static int
goes_on(const struct piece *p, uint32_t attempt, uint64_t first)
{
	return (attempt == p->attempt ? first == p->first + p->count :
	    attempt > p->attempt && first == 1);
}

void
watch_keep(struct watch *w, uint32_t attempt, uint64_t first, uint32_t count,
    const uint8_t *lines, size_t len)
{
	struct piece	*p = TAILQ_LAST(&w->tail, pieces);

	if (attempt < w->attempt)
		return;
	w->attempt = attempt;
	w->line = first + count - 1;
	if (p != NULL && !goes_on(p, attempt, first))
		forget_all(w);
	while (!TAILQ_EMPTY(&w->tail) && (w->bytes + len > watch_tail_max ||
	    all_bytes + len > watch_tails_max))
		forget_first(w);
	if (len > watch_tail_max || all_bytes + len > watch_tails_max)
		return;
	if ((p = malloc(sizeof(*p) + len)) == NULL)
		fatal("watch");
	p->attempt = attempt;
	p->first = first;
	p->count = count;
	p->len = len;
	memcpy(p->lines, lines, len);
	TAILQ_INSERT_TAIL(&w->tail, p, entry);
	w->bytes += len;
	all_bytes += len;
}

const struct piece *
watch_after(const struct watch *w, uint32_t attempt, uint64_t line)
{
	const struct piece	*p;

	TAILQ_FOREACH_REVERSE(p, &w->tail, pieces, entry)
		if (p->attempt == attempt && p->first <= line + 1)
			return (line < p->first + p->count ? p : NULL);
	return (NULL);
}

int
watch_is_ahead(const struct watch *w, uint32_t attempt, uint64_t line)
{
	return (w->attempt > attempt ||
	    (w->attempt == attempt && w->line > line));
}

void
watches_janitor(void)
{
	struct watch	*w, *next;

	RB_FOREACH_SAFE(w, watches, &watches, next) {
		if (!TAILQ_EMPTY(&w->followers))
			continue;
		forget_all(w);
		RB_REMOVE(watches, &watches, w);
		free(w);
	}
}
