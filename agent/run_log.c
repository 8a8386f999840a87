/*
 * run_log.c - lines of a run into its spool: masked, well-formed, in parts of
 * at most 28 KiB, so that a line with its text always fits a 64 KiB message.
 */
#include <stdlib.h>
#include <string.h>

#include "run.h"
#include "util.h"

#define PART_MAX	(28 * 1024)
#define PROGRESS_MS	1000
#define STEP_MAX	256

/* The next piece of s, NUL-terminated; advances. */
static char *
log_piece(const char **s, size_t *left)
{
	size_t	 n;
	char	*p;

	n = utf8_cut(*s, *left, PART_MAX);
	p = xstrndup(*s, n);
	*s += n;
	*left -= n;
	return (p);
}

void
run_log(struct run *r, const struct logged *how, const char *content,
    size_t len)
{
	Marionette__V1__LogLine	 line;
	union { const char *c; char *v; } stream, level, kind;
	const char		*text = how->text != NULL ? how->text : "";
	size_t			 tlen = strlen(text);

	stream.c = how->stream;
	level.c = how->level;
	kind.c = how->kind;
	marionette__v1__log_line__init(&line);
	line.stream = stream.v;
	line.level = level.v;
	line.kind = kind.v;
	line.time_ms = now_wall();
	do {
		line.content = log_piece(&content, &len);
		line.text = log_piece(&text, &tlen);
		line.partial = len > 0;
		spool_append(r->spool, &line);
		free(line.content);
		free(line.text);
	} while (len > 0);
}

void
run_system(struct run *r, const char *level, const char *text)
{
	struct logged	 how = { "system", level, "text", NULL };

	run_log(r, &how, text, strlen(text));
}

void
run_line(struct run *r, struct stream *st, const char *p, size_t n)
{
	struct logged	 how = { "stderr", "info", "text", NULL };
	char		*line;
	size_t		 len;

	line = utf8_scrub(p, n, &len);
	line = keys_mask(r->key, line, &len);
	if (st == &r->out)
		r->program->kind->line(r, line, len);
	else
		run_log(r, &how, line, len);
	free(line);
}

void
run_progress(struct run *r, unsigned int percent, const char *step)
{
	Marionette__V1__RunnerMessage	 m;
	Marionette__V1__RunProgress	 b;
	uint64_t			 now = now_mono();

	/* A hasty program must not fill the journal; 100 % goes at once, once. */
	if (now - r->progress_at < PROGRESS_MS &&
	    (percent < 100 || r->progress_done))
		return;
	r->progress_at = now;
	r->progress_done = percent >= 100;
	marionette__v1__runner_message__init(&m);
	marionette__v1__run_progress__init(&b);
	m.body_case = MARIONETTE__V1__RUNNER_MESSAGE__BODY_RUN_PROGRESS;
	m.run_progress = &b;
	b.run_id = run_id(r);
	b.percent = percent > 100 ? 100 : percent;
	b.step = utf8_line(step, STEP_MAX);
	outbox_put(&m);
	free(b.step);
}
