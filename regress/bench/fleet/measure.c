/*
 * measure.c - what is measured: each prints lines `name value', of which the
 * rows beside this folder make their table.
 */
#include <sys/resource.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "client.h"
#include "log.h"
#include "runner.h"
#include "util.h"

#define TRICKLE_MS	3	/* between two tasks: the server rests */

static uint64_t	 phase_wall, phase_cpu;

static uint64_t
cpu_ns(void)
{
	struct rusage	 u;

	getrusage(RUSAGE_SELF, &u);
	return ((uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) *
	    1000000000 + (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) *
	    1000);
}

static void
phase_begin(void)
{
	hook("begin");
	phase_wall = now_ns();
	phase_cpu = cpu_ns();
}

/* The generator's share of one processor while it was measured. */
static void
phase_end(void)
{
	double	 share;

	share = 100.0 * (double)(cpu_ns() - phase_cpu) /
	    (double)(now_ns() - phase_wall);
	hook("end");
	printf("generator %.1f\n", share);
}

static void
print_tasks(size_t first)
{
	struct hist	*dispatch = hist_new(), *posting = hist_new();
	struct hist	*whole = hist_new();
	struct task	*t;
	uint64_t	 last = 0;
	size_t		 i, n = tasks_count();

	for (i = first; i < n; i++) {
		t = task_get(i);
		hist_add(posting, t->answered - t->due);
		if (t->answered > last)
			last = t->answered;
		if (fleet->nrunners == 0)
			continue;
		hist_add(dispatch, t->executed - t->due);
		hist_add(whole, t->ended - t->due);
		if (t->ended > last)
			last = t->ended;
	}
	printf("tasks_per_second %.1f\n", (double)(n - first) * 1e9 /
	    (double)(last - load_begun()));
	hist_print(posting, "post");
	if (fleet->nrunners > 0) {
		hist_print(dispatch, "dispatch");
		hist_print(whole, "whole");
	}
	hist_free(dispatch);
	hist_free(posting);
	hist_free(whole);
}

static void
do_tasks(void)
{
	phase_begin();
	load_post(fleet->ntasks);
	load_end();
	phase_end();
	print_tasks(0);
}

/* One task at a time, with rest between, on a server that is idle. */
static void
do_trickle(void)
{
	struct hist	*dispatch = hist_new(), *whole = hist_new();
	struct task	*t;
	size_t		 i, warm = fleet->ntasks / 10;

	fleet->connections = 1;
	for (i = 0; i < fleet->ntasks + warm; i++) {
		if (i == warm)
			phase_begin();
		load_post(1);
		load_end();
		t = task_get(i);
		if (i >= warm) {
			hist_add(dispatch, t->executed - t->posted);
			hist_add(whole, t->ended - t->posted);
		}
		wait_ms(TRICKLE_MS);
	}
	phase_end();
	hist_print(dispatch, "dispatch");
	hist_print(whole, "whole");
}

/* Lines from agents to the database, a run in each session at once. */
static void
do_lines(void)
{
	struct task	*t;
	uint64_t	 begun = UINT64_MAX, last = 0, n = 0;
	size_t		 i;

	phase_begin();
	load_post(fleet->nsessions);
	load_end();
	phase_end();
	for (i = 0; i < tasks_count(); i++) {
		t = task_get(i);
		n += t->lines;
		if (t->executed < begun)
			begun = t->executed;
		if (t->ended > last)
			last = t->ended;
	}
	printf("lines_per_second %.0f\n", (double)n * 1e9 /
	    (double)(last - begun));
}

/* A line's way to so many followers of one task. */
static void
do_follow(void)
{
	struct hist	*way = hist_new();
	uint64_t	 want;
	size_t		 i;

	fleet->connections = 1;
	load_post(1);
	for (i = 0; i < fleet->followers; i++)
		log_follow(0, way);
	wait_for(logs_ready(), fleet->followers, "followers to be answered");
	phase_begin();
	load_end();
	wait_for(logs_ended(), fleet->followers, "followers to see the end");
	phase_end();
	printf("delivered_per_second %.0f\n", logs_rate());
	hist_print(way, "way");
	want = fleet->followers * (uint64_t)task_get(0)->lines;
	if (logs_lines() != want)
		wrong("%llu lines were followed of %llu",
		    (unsigned long long)logs_lines(),
		    (unsigned long long)want);
	hist_free(way);
}

/* Each task (or each -q th) asks once; the first follower of events answers. */
static void
do_ask(void)
{
	struct hist	*asked = hist_new(), *known = hist_new();
	struct task	*t;
	size_t		 i;

	if (fleet->ask_every == 0)
		fleet->ask_every = 1;
	events_follow(fleet->followers == 0 ? 1 : fleet->followers);
	phase_begin();
	load_post(fleet->ntasks);
	load_end();
	phase_end();
	for (i = 0; i < tasks_count(); i++) {
		t = task_get(i);
		if (t->asked == 0)
			continue;
		hist_add(asked, t->seen - t->asked);
		hist_add(known, t->known - t->decided);
	}
	hist_print(asked, "asked");
	hist_print(known, "known");
	events_check();
	events_close();
}

/* Reads of one session. */
static void
do_get(void)
{
	char	 path[64 + FLEET_ID];

	snprintf(path, sizeof(path), "/api/v1/sessions/%s", session_id(0));
	phase_begin();
	get_at_rate(path, fleet->ntasks);
	phase_end();
}

/* Runners that do nothing, until SIGTERM; says when all of them are here. */
static void
do_hold(void)
{
	uint64_t	 since = now_ns();
	int		 all = 0;

	while (!fleet->stopping) {
		if (!all && fleet->connected == fleet->nrunners)
			printf("all %.3f\n", (double)(now_ns() - since) / 1e9);
		if (all && fleet->connected < fleet->nrunners)
			since = now_ns();
		all = fleet->connected == fleet->nrunners;
		fflush(stdout);
		event_base_loop(fleet->base, EVLOOP_ONCE);
	}
}

static void
do_outage(void)
{
	if (fleet->probe == NULL || fleet->victim == 0)
		fatalx("outage: -p and -K are needed");
	outage(fleet->probe, fleet->victim);
	fleet->unread = 1;	/* Most of its tasks have no mark. */
}

static const struct {
	const char	*name;
	void		(*run)(void);
} commands[] = {
	{ "tasks", do_tasks }, { "trickle", do_trickle },
	{ "lines", do_lines }, { "follow", do_follow }, { "ask", do_ask },
	{ "get", do_get }, { "hold", do_hold }, { "outage", do_outage },
	{ NULL, NULL }
};

int
command_run(const char *name)
{
	size_t	 i;

	for (i = 0; commands[i].name != NULL; i++)
		if (strcmp(commands[i].name, name) == 0) {
			commands[i].run();
			return (0);
		}
	return (-1);
}
