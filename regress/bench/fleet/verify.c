/*
 * verify.c - what was posted and run against what the server says: every task
 * that was acknowledged is there once, ran once and is completed with the result
 * of its run, and its lines are stored, each once, in order, byte for byte.
 * Prints what is not so, and returns how many tasks are wrong.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "client.h"
#include "log.h"
#include "util.h"

#define WRONG_SAID	10
#define READERS		8
#define PAGE		"500"
#define PAGE_LINES	500

/* Reads session after session, then log after log. */
struct reader {
	struct rest	*rest;
	size_t		 i;		/* session, or task */
	uint64_t	 line;
	char		 path[256];
};

static size_t	 next, checked, mistakes;
static uint64_t	 lines;
static uint8_t	*found;

static void	 list_next(struct reader *);
static void	 log_next(struct reader *);

static void
mistake(size_t i, const char *what)
{
	book("wrong task %zu (%s): %.300s", i, task_get(i)->id, what);
	if (mistakes++ < WRONG_SAID)
		fprintf(stderr, "task %zu (%s): %.300s\n", i, task_get(i)->id,
		    what);
}

/* ---- tasks, by their sessions' lists ----------------------------------------- */

static void
item_check(json_t *j)
{
	const char	*prompt, *result, *status;
	struct script	 s;
	struct task	*t;
	char		 mark[MARK_SIZE], want[MARK_SIZE + 16];
	size_t		 i;

	prompt = json_string_value(json_object_get(j, "prompt"));
	status = json_string_value(json_object_get(j, "status"));
	result = json_string_value(json_object_get(j, "result"));
	if (prompt == NULL || script_read(&s, mark, prompt) == -1 ||
	    (i = task_of(mark)) == NO_TASK)
		return;
	t = task_get(i);
	if (found[i]++ != 0)
		mistake(i, "is there twice");
	if (strcmp(json_string_value(json_object_get(j, "id")), t->id) != 0)
		mistake(i, "has another id");
	if (fleet->nrunners == 0)
		return;
	snprintf(want, sizeof(want), "done %s ", mark);
	if (strcmp(status, s.fails ? "failed" : "completed") != 0)
		mistake(i, status);
	else if (result == NULL || strncmp(result, want, strlen(want)) != 0)
		mistake(i, "has another result");
}

static void
list_got(struct rest *r, const struct answer *a, void *arg)
{
	struct reader	*v = arg;
	const char	*cursor;
	json_t		*j, *item;
	size_t		 i;

	if (a->status != 200)
		fatalx("GET %s: %d: %.300s", v->path, a->status, a->body);
	j = json_loadb(a->body, a->len, 0, NULL);
	json_array_foreach(json_object_get(j, "items"), i, item)
		item_check(item);
	cursor = json_string_value(json_object_get(j, "next_cursor"));
	if (cursor != NULL) {
		snprintf(v->path, sizeof(v->path), "/api/v1/tasks?session_id="
		    "%s&limit=" PAGE "&cursor=%s", session_id(v->i), cursor);
		json_decref(j);
		rest_send(r, "GET", v->path, NULL, NULL, list_got, v);
		return;
	}
	json_decref(j);
	checked++;
	list_next(v);
}

static void
list_next(struct reader *v)
{
	if (next == fleet->nsessions)
		return;
	v->i = next++;
	snprintf(v->path, sizeof(v->path),
	    "/api/v1/tasks?session_id=%s&limit=" PAGE, session_id(v->i));
	rest_send(v->rest, "GET", v->path, NULL, NULL, list_got, v);
}

/* ---- lines ---------------------------------------------------------------------- */

static const char	 content[] = "\"content\"";

/* 0: all lines of this page are the next ones. */
static int
page_check(struct reader *v, const char *p, const char *end)
{
	const char	*s, *e;
	char		 mark[MARK_SIZE];
	uint64_t	 ns;

	task_mark(mark, v->i);
	while ((p = memmem(p, (size_t)(end - p), content,
	    sizeof(content) - 1)) != NULL) {
		p += sizeof(content) - 1;
		if ((s = memchr(p, '"', (size_t)(end - p))) == NULL ||
		    (e = memchr(s + 1, '"', (size_t)(end - s - 1))) == NULL ||
		    (size_t)(e - s - 1) != task_get(v->i)->bytes ||
		    !script_is_line(s + 1, (size_t)(e - s - 1), mark,
		    v->line + 1, &ns))
			return (-1);
		v->line++;
		lines++;
		p = e + 1;
	}
	return (0);
}

/* Nothing is known of what is behind this page: it is full, or says so. */
static int
page_is_full(const struct answer *a, uint64_t n)
{
	char	 cursor[64];

	return (n >= PAGE_LINES || peek(a->body, a->len, "next_cursor", cursor,
	    sizeof(cursor)) == 0);
}

static void	 log_got(struct rest *, const struct answer *, void *);

/* An attempt that was cut short may have left lines before those of the last. */
static void
log_read(struct reader *v)
{
	struct task	*t = task_get(v->i);

	snprintf(v->path, sizeof(v->path), "/api/v1/tasks/%s/logs?limit=" PAGE
	    "&after=%u.%llu", t->id, t->runs, (unsigned long long)v->line);
	rest_send(v->rest, "GET", v->path, NULL, NULL, log_got, v);
}

static void
log_got(struct rest *r, const struct answer *a, void *arg)
{
	struct reader	*v = arg;
	struct task	*t = task_get(v->i);
	uint64_t	 before = v->line;

	(void)r;
	if (a->status != 200 ||
	    page_check(v, a->body, a->body + a->len) == -1 ||
	    v->line > t->lines)
		mistake(v->i, "its stored lines are not those that it wrote");
	else if (v->line > before && (v->line < t->lines ||
	    page_is_full(a, v->line - before))) {
		log_read(v);
		return;
	} else if (v->line < t->lines)
		mistake(v->i, "lines are missing");
	checked++;
	log_next(v);
}

static void
log_next(struct reader *v)
{
	while (next < tasks_count() && (task_get(next)->lines == 0 ||
	    task_get(next)->runs == 0)) {
		next++;
		checked++;
	}
	if (next == tasks_count())
		return;
	v->i = next++;
	v->line = 0;
	log_read(v);
}

static void
verify_all(void (*begin)(struct reader *), size_t n, const char *what)
{
	struct reader	 v[READERS];
	size_t		 i;

	next = checked = 0;
	for (i = 0; i < READERS; i++) {
		v[i].rest = rest_open();
		begin(&v[i]);
	}
	wait_for(&checked, n, what);
	for (i = 0; i < READERS; i++)
		rest_close(v[i].rest);
}

size_t
verify(void)
{
	size_t	 i, n = tasks_count();

	found = xcalloc(n, 1);
	verify_all(list_next, fleet->nsessions, "lists of tasks");
	for (i = 0; i < n; i++)
		if (found[i] == 0)
			mistake(i, "is not there");
		else if (fleet->nrunners > 0 && task_get(i)->runs != 1 &&
		    !fleet->enduring)
			mistake(i, task_get(i)->runs == 0 ? "never ran" :
			    "ran twice");
	if (fleet->nrunners > 0)
		verify_all(log_next, n, "lines");
	printf("verified %zu\nwrong %zu\nlines %llu\n", n, mistakes,
	    (unsigned long long)lines);
	free(found);
	return (mistakes);
}
