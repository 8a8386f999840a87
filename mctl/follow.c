/*
 * Follow a task's log to its end.  No line is printed twice, whatever the
 * server sends again: lines of a run are numbered.  On a terminal the state
 * of the task is told on stderr when it changes.
 */

#include <stdlib.h>
#include <string.h>

#include "follow.h"

#define POLL_MS		2000
#define PEEK_SECONDS	10L

int
task_ended(json_t *task)
{
	const char	*s = doc_str(task, "status");

	return (strcmp(s, "completed") == 0 || strcmp(s, "failed") == 0 ||
	    strcmp(s, "canceled") == 0);
}

int
task_code(json_t *task)
{
	return (strcmp(doc_str(task, "status"), "completed") == 0 ? EX_DONE :
	    EX_TASK);
}

/* The last word about a task, on stderr. */
void
task_tell(struct mctl *m, json_t *task)
{
	json_t		*error = doc_find(task, "error");
	const char	*why;

	if (task_code(task) == EX_DONE && !m->progress)
		return;
	fputs("mctl: task ", stderr);
	text_puts(stderr, doc_str(task, "id"));
	fputc(' ', stderr);
	text_puts(stderr, doc_str(task, "status"));
	if (error != NULL) {
		why = json_is_string(error) ? json_string_value(error) :
		    doc_str(error, "message|text|code");
		fputs(": ", stderr);
		text_puts(stderr, why);
	}
	fputc('\n', stderr);
}

/* It goes on, and we do not. */
void
task_left(const char *id)
{
	fprintf(stderr, "mctl: task %s is left at work; `mctl tasks logs -f "
	    "%s' shows it\n", id, id);
}

/* The task as it is now, or NULL and not a word. */
json_t *
task_peek(struct mctl *m, const char *id)
{
	struct request	 q = { "GET", NULL, NULL, NULL, PEEK_SECONDS, 0, 0 };
	struct reply	 r;
	json_t		*doc = NULL;
	char		*path;

	path = xasprintf("/api/v1/tasks/%s", id);
	q.path = path;
	if (http_do(m, &q, &r) == 0 && r.status == 200)
		doc = json_incref(r.doc);
	reply_clear(&r);
	free(path);
	return (doc);
}

/* Say on stderr how the task stands, if that has changed. */
void
follow_state(struct follow *f, json_t *task)
{
	const char	*waiting = doc_str(task, "waiting_for");
	const char	*step = doc_str(task, "progress.step");
	char		 now[sizeof(f->shown)];

	if (!f->m->progress || task_ended(task))
		return;
	snprintf(now, sizeof(now), "%s%s%s%s%s", doc_str(task, "status"),
	    *waiting != '\0' ? ", waiting for " : "", waiting,
	    *step != '\0' ? ": " : "", step);
	if (strcmp(now, f->shown) == 0)
		return;
	memcpy(f->shown, now, sizeof(now));
	if (!f->silent)
		render_break(&f->render);
	fputs("mctl: task ", stderr);
	text_puts(stderr, now);
	fputc('\n', stderr);
	if (f->tick == NULL && strcmp(waiting, "permission") == 0)
		fprintf(stderr, "mctl: `mctl permissions list --task %s "
		    "--status pending' shows what it asks\n", f->task);
}

/* 1 if it was new; prints it. */
int
follow_line(struct follow *f, json_t *line)
{
	const char	*run = doc_str(line, "run_id");
	int64_t		 n = doc_int(line, "sequence");

	if (*run != '\0' && json_is_integer(doc_find(line, "sequence"))) {
		if (strcmp(run, f->run) == 0 && n <= f->sequence)
			return (0);
		snprintf(f->run, sizeof(f->run), "%s", run);
		f->sequence = n;
	}
	if (strcmp(doc_str(line, "kind"), "permission") == 0)
		f->asked = 1;
	if (f->silent)
		return (1);
	if (f->m->output == OUT_JSON || f->m->output == OUT_YAML)
		out_line(f->m, line);
	else
		render_line(f->m, &f->render, line);
	return (1);
}

static int
on_event(void *arg, const char *type, const char *data, size_t len)
{
	struct follow	*f = arg;
	json_t		*doc, *task;
	int		 end = strcmp(type, "end") == 0;

	doc = json_loadb(data, len, JSON_ALLOW_NUL, NULL);
	if (end) {
		task = doc_find(doc, "task");
		if (json_is_object(task))
			f->end = json_incref(task);
		else if (doc != NULL && *doc_str(doc, "status") != '\0')
			f->end = json_incref(doc);
	} else if (json_is_object(doc))
		follow_line(f, doc);
	json_decref(doc);
	/* Who does more than print goes on without being read. */
	if (!end && f->tick == NULL && out_check(f->m) != 0)
		f->stopped = 1;
	return (end || f->stopped);
}

static int
on_tick(void *arg)
{
	struct follow	*f = arg;
	json_t		*task;

	if (f->tick != NULL && f->tick(f) != 0) {
		f->stopped = 1;
		return (1);
	}
	if (!f->m->progress || when_ticks() - f->polled < POLL_MS)
		return (0);
	if ((task = task_peek(f->m, f->task)) != NULL)
		follow_state(f, task);
	json_decref(task);
	f->polled = when_ticks();
	return (0);
}

/*
 * To the end: 0 and f->end; 1 if the tick said stop, or nobody reads what is
 * printed (m->rc); -1 and m->rc.  The position to start after is in
 * f->stream.last, or it is empty.
 */
int
follow_run(struct follow *f)
{
	char	*path;
	int	 rc;

	path = xasprintf("/api/v1/tasks/%s/logs/stream", f->task);
	f->stream.path = path;
	f->stream.on_event = on_event;
	f->stream.on_tick = on_tick;
	f->stream.arg = f;
	rc = stream_run(f->m, &f->stream);
	free(path);
	if (!f->silent)
		render_break(&f->render);
	if (rc == -1)
		return (-1);
	if (f->stopped)
		return (1);
	if (f->end == NULL) {
		path = xasprintf("/api/v1/tasks/%s", f->task);
		f->end = api_get(f->m, path);
		free(path);
	}
	return (f->end == NULL ? -1 : 0);
}

void
follow_free(struct follow *f)
{
	json_decref(f->end);
	render_free(&f->render);
	str_free(&f->stream.last);
	str_free(&f->stream.body);
}
