/*
 * follow_log.c - followers of tasks' logs: each line is the next one and is what
 * the run wrote, from the first to the last, and how long each was on its way.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "log.h"
#include "util.h"

/* Until the task's end. */
struct reader {
	struct hist	*hist;		/* or NULL */
	size_t		 task;
	size_t		 index;
	uint32_t	 attempt;
	uint64_t	 line;
	uint64_t	 booked;	/* the line up to which the books say */
};

static size_t	 nreaders, ready, ended;
static uint64_t	 lines, first, last;	/* how many; when they came */

size_t *
logs_ready(void)
{
	return (&ready);
}

size_t *
logs_ended(void)
{
	return (&ended);
}

/* Whoever follows a log sees its end. */
void
logs_check(void)
{
	wait_until(&ended, &nreaders, "followers of logs to see the end");
}

uint64_t
logs_lines(void)
{
	return (lines);
}

double
logs_rate(void)
{
	return (last == first ? 0 : (double)lines * 1e9 /
	    (double)(last - first));
}

static void
reader_book(struct reader *r)
{
	if (r->line > r->booked)
		book("log %zu %s %u %" PRIu64 " %" PRIu64, r->index,
		    task_get(r->task)->id, r->attempt, r->booked + 1, r->line);
	r->booked = r->line;
}

static void
reader_line(struct reader *r, const char *id, const char *data, size_t len)
{
	static const char	 name[] = "\"content\"";
	uint64_t		 at = now_ns(), line, ns;
	uint32_t		 attempt;
	const char		*p, *end;
	char			 mark[MARK_SIZE];

	if (id == NULL || sscanf(id, "%" SCNu32 ".%" SCNu64, &attempt, &line) !=
	    2) {
		wrong("log of task %zu: no position", r->task);
		return;
	}
	if (attempt > r->attempt && line == 1) {
		reader_book(r);
		r->attempt = attempt;
		r->line = r->booked = 0;
	}
	if (attempt != r->attempt || line != r->line + 1)
		wrong("log of %s: line %s behind %u.%" PRIu64,
		    task_get(r->task)->id, id, r->attempt, r->line);
	r->line = line;
	if (lines++ == 0)
		first = at;
	last = at;
	task_mark(mark, r->task);
	p = memmem(data, len, name, sizeof(name) - 1);
	if (p != NULL)
		p = memchr(p + sizeof(name) - 1, '"', len - (size_t)(p - data) -
		    sizeof(name));
	if (p == NULL || (end = memchr(p + 1, '"', len - (size_t)(p + 1 -
	    data))) == NULL || (size_t)(end - p - 1) !=
	    task_get(r->task)->bytes || !script_is_line(p + 1,
	    (size_t)(end - p - 1), mark, line, &ns))
		wrong("log of %s: line %s is not what was written: %.200s",
		    task_get(r->task)->id, id, data);
	else if (r->hist != NULL)
		hist_add(r->hist, at - ns);
}

static int
reader_end(struct reader *r, const char *data, size_t len)
{
	struct task	*t = task_get(r->task);
	char		 status[16];

	reader_book(r);
	peek(data, len, "status", status, sizeof(status));
	book("logend %zu %s %s", r->index, t->id, status);
	if (strcmp(status, "completed") == 0 && r->line != t->lines)
		wrong("log of %s: %" PRIu64 " of %u lines at its end", t->id,
		    r->line, t->lines);
	return (-1);
}

static int
reader_event(struct sse *s, const char *id, const char *type, const char *data,
    size_t len, void *arg)
{
	struct reader	*r = arg;

	(void)s;
	if (strcmp(type, "end") == 0)
		return (reader_end(r, data, len));
	reader_line(r, id, data, len);
	return (0);
}

static void
reader_begun(struct sse *s, void *arg)
{
	(void)s;
	(void)arg;
	ready++;
}

static void
reader_turn(struct sse *s, void *arg)
{
	(void)s;
	reader_book(arg);
}

static void
reader_ended(struct sse *s, int status, void *arg)
{
	struct reader	*r = arg;

	(void)s;
	/* 204: it was ended already when the stream was taken up again. */
	if (status != 200 && status != 204)
		wrong("log of %s: its stream ended with status %d",
		    task_get(r->task)->id, status);
	else if (status == 204 && r->line != task_get(r->task)->lines)
		wrong("log of %s: %" PRIu64 " of %u lines, and nothing comes "
		    "any more", task_get(r->task)->id, r->line,
		    task_get(r->task)->lines);
	ended++;
	free(r);
}

static const struct sse_ops	reader_ops = {
	reader_event, reader_begun, reader_turn, reader_ended
};

void
log_follow(size_t task, struct hist *hist)
{
	struct reader	*r;
	char		 path[64 + FLEET_ID];

	r = xcalloc(1, sizeof(*r));
	r->task = task;
	r->hist = hist;
	r->index = nreaders++;
	r->attempt = 1;
	snprintf(path, sizeof(path), "/api/v1/tasks/%s/logs/stream",
	    task_get(task)->id);
	sse_open(path, &reader_ops, r);
}
