/*
 * claude_delta.c - the pieces of a message, as Claude Code streams them: a key
 * may be cut by a frame's end, so a frame whose piece ends with what could begin
 * the key is held back until the next piece of the same block tells.  Mostly it
 * did not, and all is logged as it was printed, byte for byte; if it did, one
 * frame with the pieces joined and masked stands for them.
 */
#include <stdlib.h>
#include <string.h>

#include "claude.h"
#include "run.h"
#include "util.h"

static json_t *
delta_of(json_t *frame)
{
	return (json_object_get(json_object_get(frame, "event"), "delta"));
}

/* The member that is a piece of something, or NULL. */
static const char *
delta_member(json_t *frame)
{
	static const char *const	 members[] = {
		"text", "thinking", "partial_json"
	};
	size_t				 i;

	for (i = 0; i < sizeof(members) / sizeof(members[0]); i++)
		if (json_is_string(json_object_get(delta_of(frame),
		    members[i])))
			return (members[i]);
	return (NULL);
}

static int
same(json_t *a, json_t *b, const char *name)
{
	json_t	*x = json_object_get(a, name), *y = json_object_get(b, name);

	return (x == y || json_equal(x, y));
}

/* Pieces of one block of one agent. */
static int
same_block(json_t *a, json_t *b)
{
	return (same(a, b, "parent_tool_use_id") &&
	    same(json_object_get(a, "event"), json_object_get(b, "event"),
	    "index"));
}

static void
delta_log(struct run *r, json_t *frame, const char *line, size_t len)
{
	struct logged	 how = { "stdout", "info", "text", NULL };
	char		*text;

	how.text = text = claude_classify(frame, &how);
	run_log(r, &how, line, len);
	free(text);
}

/* The frame with another piece; NULL when that is cut within a character. */
static char *
delta_with(json_t *frame, const char *member, const char *p, size_t n)
{
	json_object_set_new(delta_of(frame), member,
	    json_stringn_nocheck(p, n));
	return (json_dumps(frame, JSON_COMPACT));
}

void
claude_delta_free(struct held *h)
{
	size_t	 i;

	for (i = 0; i < h->n; i++) {
		freezero(h->line[i].text, h->line[i].len);
		json_decref(h->line[i].frame);
	}
	free(h->line);
	if (h->text != NULL)
		freezero(h->text, h->len);
	memset(h, 0, sizeof(*h));
}

void
claude_delta_flush(struct run *r, struct held *h)
{
	size_t	 i;

	for (i = 0; i < h->n; i++)
		delta_log(r, h->line[i].frame, h->line[i].text,
		    h->line[i].len);
	claude_delta_free(h);
}

static void
delta_hold(struct held *h, json_t *frame, const char *line, size_t len)
{
	h->line = xrealloc(h->line, (h->n + 1) * sizeof(*h->line));
	h->line[h->n].text = xstrndup(line, len);
	h->line[h->n].len = len;
	h->line[h->n].frame = json_incref(frame);
	h->n++;
}

/* The key was there: one frame stands for all, its end may begin another. */
static void
delta_masked(struct run *r, struct held *h, json_t *frame, const char *member,
    const char *all, size_t n)
{
	size_t	 keep = keys_begun(r->key, all, n);
	json_t	*rest;
	char	*line;

	claude_delta_free(h);
	line = delta_with(frame, member, all, n - keep);
	if (line != NULL)
		delta_log(r, frame, line, strlen(line));
	free(line);
	if (keep == 0)
		return;
	rest = json_deep_copy(frame);
	line = delta_with(rest, member, all + n - keep, keep);
	if (line != NULL) {
		delta_hold(h, rest, line, strlen(line));
		h->text = xstrndup(all + n - keep, keep);
		h->len = keep;
		h->member = member;
	}
	free(line);
	json_decref(rest);
}

/* What is held goes on with this piece: is that a key, or its beginning? */
static int
delta_join(struct run *r, struct held *h, json_t *frame, const char *member,
    const char *line, size_t line_len)
{
	json_t	*piece = json_object_get(delta_of(frame), member);
	char	*all;
	size_t	 had = h->len, n, joined, keep;

	n = joined = had + json_string_length(piece);
	all = xmalloc(n + 1);
	if (had > 0)
		memcpy(all, h->text, had);
	memcpy(all + had, json_string_value(piece), n - had);
	all[n] = '\0';
	all = keys_mask(r->key, all, &n);
	if (n != joined) {
		delta_masked(r, h, frame, member, all, n);
		freezero(all, n);
		return (1);
	}
	keep = keys_begun(r->key, all, n);
	if (keep <= n - had) {
		/* It begins in this piece, if at all. */
		claude_delta_flush(r, h);
		memmove(all, all + had, n - had + 1);
		n -= had;
	}
	if (keep == 0) {
		freezero(all, n);
		return (0);
	}
	delta_hold(h, frame, line, line_len);
	if (h->text != NULL)
		freezero(h->text, h->len);
	h->text = all;
	h->len = n;
	h->member = member;
	return (1);
}

int
claude_delta(struct run *r, struct held *h, json_t *frame, const char *line,
    size_t len)
{
	const char	*member = NULL;

	if (strcmp(claude_str(frame, "type"), "stream_event") == 0)
		member = delta_member(frame);
	if (h->n > 0 && (member != h->member ||
	    !same_block(frame, h->line[0].frame)))
		claude_delta_flush(r, h);
	if (member == NULL)
		return (0);
	return (delta_join(r, h, frame, member, line, len));
}
