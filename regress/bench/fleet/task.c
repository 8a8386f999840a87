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
/* Tasks by their ids, each one more than its number; open addressing. */
static size_t		*ids, nids, ids_size;

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

/* Where this id is, or would be put. */
static size_t *
id_slot(const char *id)
{
	const char	*s;
	uint64_t	 h = 0xcbf29ce484222325ULL;	/* FNV-1a */
	size_t		 i;

	for (s = id; *s != '\0'; s++)
		h = (h ^ (unsigned char)*s) * 0x100000001b3ULL;
	for (i = h & (ids_size - 1); ids[i] != 0 &&
	    strcmp(tasks[ids[i] - 1].id, id) != 0;)
		i = (i + 1) & (ids_size - 1);
	return (&ids[i]);
}

static void
id_keep(size_t task)
{
	size_t	*old = ids, i, n = ids_size;

	if (nids++ * 2 >= ids_size) {
		ids_size = n == 0 ? 1024 : n * 2;
		ids = xcalloc(ids_size, sizeof(*ids));
		for (i = 0; i < n; i++)
			if (old[i] != 0)
				*id_slot(tasks[old[i] - 1].id) = old[i];
		free(old);
	}
	*id_slot(tasks[task].id) = task + 1;
}

size_t
task_by_id(const char *id)
{
	return (ids_size == 0 || *id_slot(id) == 0 ? NO_TASK :
	    *id_slot(id) - 1);
}

/* The 201 or an ExecuteTask says which id it has. */
void
task_is(size_t i, const char *id)
{
	struct task	*t = &tasks[i];

	if (t->id[0] == '\0') {
		strlcpy(t->id, id, sizeof(t->id));
		id_keep(i);
	} else if (strcmp(t->id, id) != 0)
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

void
task_over(size_t i)
{
	if (tasks[i].over)
		wrong("task %zu (%s): a second event says that it ended", i,
		    tasks[i].id);
	tasks[i].over = 1;
	fleet->over++;
}
