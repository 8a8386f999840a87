/*
 * mctl tasks logs: a task's log, whole, its end, or as it grows.
 */

#include <stdlib.h>
#include <string.h>

#include "follow.h"

static const struct opt logs_opts[] = {
	{ "follow", NULL, "go on until the task has ended", 'f' },
	{ "tail", "N", "only the last N lines, at most 500", 'n' },
	{ "after", "POSITION", "only what comes after this position", 0 },
	{ "raw", NULL, "exactly what the agent printed", 0 },
	{ "stream", "NAME", "stdout, stderr or system; repeatable", 0 },
	{ "level", "LEVEL", "debug, info, warn, error; repeatable", 0 },
	{ NULL, NULL, NULL, 0 }
};

static void
filters_add(const struct args *a, struct str *s)
{
	static const char *const	 names[] = { "stream", "level" };
	const char			*v;
	size_t				 i;
	int				 at;

	for (i = 0; i < 2; i++)
		for (at = 0; (v = args_next(a, names[i], &at)) != NULL;)
			str_query(s, names[i], v);
}

static void
last_set(struct follow *f, const char *position)
{
	if (*position == '\0')
		return;
	f->stream.last.len = 0;
	str_puts(&f->stream.last, position);
}

/* One page after f->stream.last; -1 and m->rc. */
static int
page_print(struct mctl *m, struct follow *f, const struct args *a,
    long long tail, int *more)
{
	struct str	 s = { 0 };
	const char	*next;
	json_t		*doc, *line;
	char		 n[24];
	size_t		 i;

	str_printf(&s, "/api/v1/tasks/%s/logs?limit=%d", f->task, PAGE);
	filters_add(a, &s);
	if (tail != 0) {
		snprintf(n, sizeof(n), "%lld", tail);
		str_query(&s, "tail", n);
	} else if (f->stream.last.len > 0)
		str_query(&s, "after", f->stream.last.data);
	doc = api_get(m, s.data);
	str_free(&s);
	if (doc == NULL)
		return (-1);
	json_array_foreach(doc_items(doc), i, line) {
		follow_line(f, line);
		last_set(f, doc_str(line, "position"));
	}
	/* With a filter there may be nothing on a page, and more behind it. */
	next = doc_str(doc, "next_cursor");
	*more = json_is_true(doc_find(doc, "has_more")) && *next != '\0';
	if (*more)
		last_set(f, next);
	json_decref(doc);
	return (0);
}

static int
do_logs(struct mctl *m, const struct args *a)
{
	struct follow	 f = { 0 };
	const char	*after;
	long long	 tail = 0;
	char		*id;
	int		 rc = EX_DONE, more = 0, got, live;

	live = args_has(a, "follow");
	if (args_num(m, a, "tail", 1, PAGE, &tail) != 0)
		return (EX_USE);
	after = args_str(a, "after");
	if (after != NULL && tail != 0)
		return (usage_error(m, "--tail or --after, not both"));
	if (after != NULL && strpbrk(after, "\r\n") != NULL)
		return (usage_error(m, "--after: expected a position"));
	if ((id = api_path(m, "", a->operand[0], "")) == NULL)
		return (EX_USE);
	if (live && (args_has(a, "stream") || args_has(a, "level"))) {
		free(id);
		return (usage_error(m, "-f shows every line; --stream and "
		    "--level do not go with it"));
	}
	f.m = m;
	f.task = id;
	f.render.raw = args_has(a, "raw");
	if (after != NULL)
		str_puts(&f.stream.last, after);
	if (!live || tail != 0) {
		do {
			got = page_print(m, &f, a, tail, &more);
			tail = 0;
		} while (got == 0 && more && out_check(m) == 0);
		if (got == -1)
			rc = m->rc;
		else if (!live)
			render_break(&f.render);
	}
	if (rc == EX_DONE && live) {
		rc = follow_run(&f) == 0 ? task_code(f.end) : m->rc;
		if (f.end != NULL)
			task_tell(m, f.end);
	}
	follow_free(&f);
	free(id);
	return (rc);
}

const struct cmd_entry cmd_logs[] = {
	{ "tasks", "logs", "TASK", logs_opts, 1, 1, 0,
	    "Print a task's log", do_logs },
	{ NULL, NULL, NULL, NULL, 0, 0, 0, NULL, NULL }
};
