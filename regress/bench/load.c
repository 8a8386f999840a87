/*
 * load.c - what is measured: how long from a POST's first byte until its
 * ExecuteTask is read, how long a GET takes, and how many tasks a second go
 * from end to end.  Each prints lines `name value'; run.sh makes the table.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "bench.h"
#include "log.h"
#include "util.h"

#define IDLE_MS		3	/* between two samples: the server rests */
#define SESSIONS_MAX	256
#define POSTS_AHEAD	20	/* a session's queue, at most */

static char	 sessions[SESSIONS_MAX][BENCH_ID];
static size_t	 nsessions;
static size_t	 answered;	/* of the phase that runs */

static int
number_cmp(const void *a, const void *b)
{
	const uint64_t	*x = a, *y = b;

	return ((*x > *y) - (*x < *y));
}

static void
print_percentiles(const char *name, uint64_t *ns, size_t n)
{
	qsort(ns, n, sizeof(*ns), number_cmp);
	printf("%s_p50 %.3f\n%s_p99 %.3f\n", name, (double)ns[n / 2] / 1e6,
	    name, (double)ns[n * 99 / 100] / 1e6);
	fflush(stdout);
}

static void
session_made(struct rest *r, int status, const char *body, size_t len,
    void *arg)
{
	const char	*id;
	json_t		*j;

	(void)r;
	(void)arg;
	if (status != 201)
		fatalx("POST /sessions: %d: %s", status, body);
	j = json_loadb(body, len, 0, NULL);
	if ((id = json_string_value(json_object_get(j, "id"))) == NULL)
		fatalx("POST /sessions: no id: %s", body);
	strlcpy(sessions[nsessions++], id, BENCH_ID);
	json_decref(j);
}

/*
 * One for each runner, all of them attached.  A request that may carry a key
 * has a connection of its own, which ends with it (architecture 5).
 */
void
sessions_create(void)
{
	struct rest	*r;

	if (bench->nrunners > SESSIONS_MAX)
		fatalx("at most %d runners", SESSIONS_MAX);
	while (nsessions < bench->nrunners) {
		r = rest_open();
		if (nsessions == 0)
			printf("tls %s\n", rest_tls(r));
		rest_send(r, "POST", "/api/v1/sessions",
		    "{\"agent\":\"custom:fleet\"}", session_made, NULL);
		wait_for(&nsessions, nsessions + 1, "a session");
		rest_close(r);
	}
	wait_for(&bench->attached, bench->nrunners, "sessions to be attached");
}

static void
task_made(struct rest *r, int status, const char *body, size_t len, void *arg)
{
	struct task	*t = arg;

	(void)r;
	(void)len;
	t->status = status;
	if (status != 201)
		fatalx("POST /tasks: %d: %s", status, body);
	answered++;
}

static struct task *
task_post(struct rest *r, rest_done done)
{
	struct task	*t;
	char		 body[256];

	if (bench->ntasks == bench->maxtasks)
		fatalx("more tasks than books");
	t = &bench->tasks[bench->ntasks];
	snprintf(body, sizeof(body),
	    "{\"session_id\":\"%s\",\"prompt\":\"bench %zu\"}",
	    sessions[bench->ntasks % nsessions], bench->ntasks);
	bench->ntasks++;
	t->posted = rest_send(r, "POST", "/api/v1/tasks", body, done, t);
	return (t);
}

void
measure_dispatch(void)
{
	struct rest	*r = rest_open();
	struct task	*t;
	uint64_t	*ns;
	size_t		 i, warm = bench->samples / 10;

	ns = xcalloc(bench->samples, sizeof(*ns));
	for (i = 0; i < bench->samples + warm; i++) {
		answered = 0;
		t = task_post(r, task_made);
		wait_for(&answered, 1, "a 201");
		wait_for(&bench->ended, bench->ntasks, "a task to end");
		if (i >= warm)
			ns[i - warm] = t->executed - t->posted;
		pause_ms(IDLE_MS);
	}
	rest_close(r);
	print_percentiles("dispatch", ns, bench->samples);
	free(ns);
}

static void
session_got(struct rest *r, int status, const char *body, size_t len,
    void *arg)
{
	uint64_t	*at = arg;

	(void)r;
	(void)len;
	*at = now_ns();
	if (status != 200)
		fatalx("GET /sessions/{id}: %d: %s", status, body);
	answered++;
}

void
measure_get(void)
{
	struct rest	*r = rest_open();
	uint64_t	*ns, begun, got;
	size_t		 i, warm = bench->samples / 10;
	char		 path[64 + BENCH_ID];

	ns = xcalloc(bench->samples, sizeof(*ns));
	for (i = 0; i < bench->samples + warm; i++) {
		snprintf(path, sizeof(path), "/api/v1/sessions/%s",
		    sessions[i % nsessions]);
		answered = 0;
		begun = rest_send(r, "GET", path, NULL, session_got, &got);
		wait_for(&answered, 1, "a 200");
		if (i >= warm)
			ns[i - warm] = got - begun;
		pause_ms(IDLE_MS);
	}
	rest_close(r);
	print_percentiles("get", ns, bench->samples);
	free(ns);
}

/* Each connection posts the next task as soon as it was answered. */
static void
load_next(struct rest *r, int status, const char *body, size_t len, void *arg)
{
	size_t	 ahead = bench->nrunners * POSTS_AHEAD;

	task_made(r, status, body, len, arg);
	if (bench->ntasks == bench->maxtasks)
		return;
	/* Those that are ahead of the fleet wait for it. */
	if (bench->ntasks - bench->ended < ahead)
		task_post(r, load_next);
}

void
measure_load(void)
{
	struct rest	**r;
	uint64_t	 begun, last = 0;
	size_t		 c, first = bench->ntasks, i, n, want;
	double		 s;

	r = xcalloc(bench->connections, sizeof(struct rest *));
	for (c = 0; c < bench->connections; c++)
		r[c] = rest_open();
	answered = 0;
	n = bench->maxtasks - first;
	begun = now_ns();
	for (c = 0; c < bench->connections; c++)
		task_post(r[c], load_next);
	for (;;) {
		want = bench->ended + 1;
		if (bench->ended == bench->maxtasks)
			break;
		wait_for(&bench->ended, want, "tasks to end");
		for (c = 0; c < bench->connections; c++)
			if (bench->ntasks < bench->maxtasks && rest_is_idle(r[c]))
				task_post(r[c], load_next);
	}
	for (i = first; i < bench->maxtasks; i++)
		if (bench->tasks[i].ended > last)
			last = bench->tasks[i].ended;
	s = (double)(last - begun) / 1e9;
	wait_for(&answered, n, "201s");
	printf("tasks_per_second %.1f\n", (double)n / s);
	for (c = 0; c < bench->connections; c++)
		rest_close(r[c]);
	free(r);
}
