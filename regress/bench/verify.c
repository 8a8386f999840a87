/*
 * verify.c - the books against the server: every task that was acknowledged ran
 * once and is completed, and its lines are stored, each once, in order, byte
 * for byte.  Prints what is not so, and returns how many tasks are wrong.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "bench.h"
#include "log.h"
#include "util.h"

#define WRONG_SAID	10
#define READERS		8

static size_t	 next, checked, wrong;

static void	 verify_next(struct rest *);

static void
verify_wrong(size_t i, const char *what)
{
	if (wrong++ < WRONG_SAID)
		fprintf(stderr, "task %zu (%s): %s\n", i, bench->tasks[i].id,
		    what);
}

static int
lines_are_right(const char *body, size_t len, size_t task)
{
	const char	*s;
	json_t		*items, *j;
	char		 want[4096];
	size_t		 i;
	int		 ok;

	j = json_loadb(body, len, 0, NULL);
	items = json_object_get(j, "items");
	ok = json_array_size(items) == bench->lines;
	for (i = 0; ok && i < bench->lines; i++) {
		runner_line(want, sizeof(want), task, (unsigned int)i + 1);
		s = json_string_value(json_object_get(json_array_get(items, i),
		    "content"));
		ok = s != NULL && strcmp(s, want) == 0;
	}
	json_decref(j);
	return (ok);
}

static void
verify_lines(struct rest *r, int status, const char *body, size_t len,
    void *arg)
{
	size_t	 i = (size_t)((struct task *)arg - bench->tasks);

	if (status != 200 || !lines_are_right(body, len, i))
		verify_wrong(i, "its stored lines are not those that it wrote");
	checked++;
	verify_next(r);
}

static void
verify_task(struct rest *r, int status, const char *body, size_t len,
    void *arg)
{
	struct task	*t = arg;
	const char	*s;
	json_t		*j;
	char		 path[64 + BENCH_ID];

	j = json_loadb(body, len, 0, NULL);
	s = json_string_value(json_object_get(j, "status"));
	if (status != 200 || s == NULL || strcmp(s, "completed") != 0)
		verify_wrong((size_t)(t - bench->tasks), s == NULL ? body : s);
	json_decref(j);
	snprintf(path, sizeof(path), "/api/v1/tasks/%s/logs?limit=500", t->id);
	rest_send(r, "GET", path, NULL, verify_lines, t);
}

static void
verify_next(struct rest *r)
{
	struct task	*t;
	char		 path[64 + BENCH_ID];

	while (next < bench->ntasks) {
		t = &bench->tasks[next++];
		if (t->runs != 1)
			verify_wrong((size_t)(t - bench->tasks),
			    t->runs == 0 ? "never ran" : "ran twice");
		if (t->runs == 0) {
			checked++;
			continue;
		}
		snprintf(path, sizeof(path), "/api/v1/tasks/%s", t->id);
		rest_send(r, "GET", path, NULL, verify_task, t);
		return;
	}
}

size_t
verify(void)
{
	struct rest	*r[READERS];
	size_t		 i;

	next = checked = wrong = 0;
	for (i = 0; i < READERS; i++) {
		r[i] = rest_open();
		verify_next(r[i]);
	}
	wait_for(&checked, bench->ntasks, "tasks to be read again");
	for (i = 0; i < READERS; i++)
		rest_close(r[i]);
	printf("verified %zu\nwrong %zu\nlines %zu\n", checked, wrong,
	    checked * bench->lines);
	return (wrong);
}
