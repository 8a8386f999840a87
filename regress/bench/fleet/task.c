/*
 * task.c - the tasks that this process posts, by number; grows and forgets
 * none, because all of them are looked at again in the end.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fleet.h"
#include "log.h"
#include "util.h"

static struct task	*tasks;
static size_t		 ntasks, tasks_size;

size_t
task_new(uint64_t due)
{
	struct script	 s;
	struct task	*t;
	char		 mark[MARK_SIZE], prompt[256];

	if (ntasks == tasks_size) {
		tasks_size = tasks_size == 0 ? 1024 : tasks_size * 2;
		tasks = xrealloc(tasks, tasks_size * sizeof(*tasks));
	}
	t = &tasks[ntasks];
	memset(t, 0, sizeof(*t));
	t->due = due;
	t->session = (uint32_t)(ntasks % fleet->nsessions);
	t->asks = fleet->ask_every != 0 && ntasks % fleet->ask_every == 0;
	task_prompt(prompt, sizeof(prompt), ntasks);
	if (script_read(&s, mark, prompt) == -1)
		fatalx("%s: no script", prompt);
	t->lines = s.lines;
	t->bytes = (uint32_t)script_bytes(&s, mark);
	return (ntasks++);
}

struct task *
task_get(size_t i)
{
	return (&tasks[i]);
}

size_t
tasks_count(void)
{
	return (ntasks);
}

void
task_mark(char mark[MARK_SIZE], size_t i)
{
	snprintf(mark, MARK_SIZE, "%s-%zu", fleet->mark, i);
}

void
task_prompt(char *buf, size_t size, size_t i)
{
	char	 mark[MARK_SIZE];

	task_mark(mark, i);
	snprintf(buf, size, "fleet %s %s%s", mark, fleet->script,
	    tasks[i].asks ? " ask=1" : "");
}

size_t
task_of(const char *mark)
{
	size_t	 i, n = strlen(fleet->mark);
	char	*end;

	if (strncmp(mark, fleet->mark, n) != 0 || mark[n] != '-')
		return (NO_TASK);
	i = strtoul(mark + n + 1, &end, 10);
	if (*end != '\0' || i >= ntasks) {
		wrong("%s: a task that nobody posted", mark);
		return (NO_TASK);
	}
	return (i);
}

/* The 201, an ExecuteTask or an event says which id it has. */
void
task_is(size_t i, const char *id)
{
	struct task	*t = &tasks[i];

	if (t->id[0] == '\0')
		strlcpy(t->id, id, sizeof(t->id));
	else if (strcmp(t->id, id) != 0)
		wrong("task %zu is %s and %s", i, t->id, id);
}

void
task_executed(size_t i, const char *id, uint64_t at)
{
	if (i == NO_TASK)
		return;
	task_is(i, id);
	if (tasks[i].runs++ == 0)
		tasks[i].executed = at;
}

void
task_ended(size_t i)
{
	if (i == NO_TASK || tasks[i].ended != 0)
		return;
	tasks[i].ended = now_ns();
	fleet->ended++;
}
