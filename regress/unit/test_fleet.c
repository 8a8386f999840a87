/* links: regress/bench/fleet/verify.c regress/bench/fleet/follow_event.c regress/bench/fleet/task.c regress/bench/fleet/script.c regress/bench/fleet/peek.c agent/util.c -ljansson */
/*
 * What make bench and the chaos room believe: the fleet, told of a server that
 * has a line too many or an event too few, says so.
 */

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client.h"

#define TASK		"task_1"
#define PAGE		500

struct fleet		*fleet;
static struct fleet	 one;
static uint64_t		 clock_ns;
static size_t		 nwrong;
/* The server: lines that it has of the task, and what an event is told to. */
static uint64_t		 stored;
static const struct sse_ops *stream;
static void		*stream_arg;

uint64_t
now_ns(void)
{
	return (clock_ns);
}

void
wait_ms(unsigned int ms)
{
	clock_ns += ms * 1000000ULL;
}

void
wait_until(const size_t *n, const size_t *want, const char *what)
{
	(void)what;
	assert_true(*n >= *want);
}

void
wait_for(const size_t *n, size_t want, const char *what)
{
	wait_until(n, &want, what);
}

void
wrong(const char *fmt, ...)
{
	(void)fmt;
	nwrong++;
}

int
book_is_open(void)
{
	return (0);
}

void
book(const char *fmt, ...)
{
	(void)fmt;
}

void
approve(const char *permission, const char *action)
{
	(void)permission;
	(void)action;
}

const char *
session_id(size_t i)
{
	(void)i;
	return ("sess_1");
}

/* ---- lines that are read again ---------------------------------------------- */

struct rest *
rest_open(void)
{
	static char	 r;
	void		*p = &r;

	return (p);
}

void
rest_close(struct rest *r)
{
	(void)r;
}

static size_t
page(char *body, size_t size, const char *path)
{
	char		 mark[MARK_SIZE], line[256];
	uint64_t	 at, n;
	size_t		 used;

	assert_non_null(path = strstr(path, "after=1."));
	at = strtoull(path + strlen("after=1."), NULL, 10);
	task_mark(mark, 0);
	used = (size_t)snprintf(body, size, "{\"items\":[");
	for (n = at; n < stored && n < at + PAGE; n++) {
		script_line(line, task_get(0)->bytes, mark, n + 1, 1);
		used += (size_t)snprintf(body + used, size - used,
		    "%s{\"content\":\"%.*s\"}", n == at ? "" : ",",
		    (int)task_get(0)->bytes, line);
	}
	return (used + (size_t)snprintf(body + used, size - used, n < stored ?
	    "],\"has_more\":true,\"next_cursor\":\"1.%llu\"}" :
	    "],\"has_more\":false,\"next_cursor\":null}",
	    (unsigned long long)n));
}

void
rest_send(struct rest *r, const char *method, const char *path,
    const char *idem, const char *body, rest_done done, void *arg)
{
	static char	 text[PAGE * 256];
	struct answer	 a = { .status = 200, .body = text };
	char		 mark[MARK_SIZE], prompt[256];

	(void)method;
	(void)idem;
	(void)body;
	if (strstr(path, "/logs?") != NULL)
		a.len = page(text, sizeof(text), path);
	else {
		task_mark(mark, 0);
		task_prompt(prompt, sizeof(prompt), 0);
		a.len = (size_t)snprintf(text, sizeof(text), "{\"items\":"
		    "[{\"id\":\"" TASK "\",\"prompt\":\"%s\",\"status\":"
		    "\"completed\",\"result\":\"done %s run_1\"}],"
		    "\"next_cursor\":null}", prompt, mark);
	}
	done(r, &a, arg);
}

/* How many tasks are wrong when a run wrote so many lines, and these are there. */
static size_t
verified(uint32_t lines, uint64_t there)
{
	static size_t	 before;
	size_t		 n;

	task_get(0)->lines = lines;
	stored = there;
	n = verify() - before;
	before += n;
	return (n);
}

static void
test_lines(void **state)
{
	static const uint32_t	 lines[] = { 1, 499, 500, 501, 1000 };
	size_t			 i;

	(void)state;
	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		assert_int_equal(verified(lines[i], lines[i]), 0);
		assert_int_equal(verified(lines[i], lines[i] - 1), 1);
		assert_int_equal(verified(lines[i], lines[i] + 1), 1);
	}
}

/* ---- events that are followed ------------------------------------------------- */

struct sse *
sse_open(const char *path, const struct sse_ops *ops, void *arg)
{
	(void)path;
	stream = ops;
	stream_arg = arg;
	ops->begun(NULL, arg);
	return (NULL);
}

void
sse_close(struct sse *s)
{
	(void)s;
}

static const char *const	 life[] = {
	"task.created", "run.started", "task.running", "permission.requested",
	"task.waiting", "permission.approved", "permission.delivered",
	"run.ended", "task.completed", NULL
};

static void
tell(const char *type, size_t position)
{
	char	 id[16], data[256];

	snprintf(id, sizeof(id), "p%zu", position);
	snprintf(data, sizeof(data), "{\"type\":\"%s\",\"resource\":{\"kind\":"
	    "\"x\",\"id\":\"%s\"},\"task_id\":\"" TASK "\",\"data\":{"
	    "\"action\":\"a b\"}}", type, strncmp(type, "task.", 5) == 0 ?
	    TASK : "other_1");
	assert_int_equal(stream->event(NULL, id, type, data, strlen(data),
	    stream_arg), 0);
}

/* What a single follower finds wrong: without one event, or with one twice. */
static size_t
followed(const char *without, const char *twice, int again)
{
	size_t	 i, n = 0;

	nwrong = 0;
	one.over = 0;
	task_get(0)->over = 0;
	events_follow(1);
	for (i = 0; life[i] != NULL; i++) {
		if (without == NULL || strcmp(life[i], without) != 0)
			tell(life[i], n++);
		if (twice != NULL && strcmp(life[i], twice) == 0)
			tell(life[i], again ? n - 1 : n++);
	}
	events_check();
	events_close();
	return (nwrong);
}

static void
test_events(void **state)
{
	size_t	 i;

	(void)state;
	assert_int_equal(followed(NULL, NULL, 0), 0);
	for (i = 0; life[i] != NULL; i++) {
		/* The same event again; and it happened again. */
		assert_true(followed(NULL, life[i], 1) > 0);
		if (strcmp(life[i], "task.running") == 0 ||
		    strcmp(life[i], "task.waiting") == 0)
			continue;
		assert_true(followed(NULL, life[i], 0) > 0);
		if (strcmp(life[i], "task.created") != 0 &&
		    strcmp(life[i], "task.completed") != 0)
			assert_true(followed(life[i], NULL, 0) > 0);
	}
}

int
main(void)
{
	const struct CMUnitTest	 tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_events),
	};

	fleet = &one;
	one.nrunners = one.nsessions = 1;
	one.script = "lines=20 bytes=100";
	one.ask_every = 1;
	strlcpy(one.mark, "f", sizeof(one.mark));
	task_new(0);
	task_executed(0, TASK, 1);
	task_get(0)->status = 201;
	one.ended = 0;
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
