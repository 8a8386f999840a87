/*
 * claude_delta.c - the pieces of a message, as Claude Code streams them: a key
 * may be cut by a frame's end, so the end of a piece that could begin the key is
 * held back until the next piece of the same block tells.  What is held when the
 * block ends goes in a frame of its own; when the run ends first it is dropped,
 * and the whole message would have repeated it.
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
delta_log(struct run *r, json_t *frame, const char *member, const char *p,
    size_t n)
{
	struct logged	 how = { "stdout", "info", "text", NULL };
	char		*line, *text;

	json_object_set_new(delta_of(frame), member,
	    json_stringn_nocheck(p, n));
	if ((line = json_dumps(frame, JSON_COMPACT)) == NULL)
		return;		/* cut within a character: no key is that */
	how.text = text = claude_classify(frame, &how);
	run_log(r, &how, line, strlen(line));
	free(text);
	free(line);
}

void
claude_delta_free(struct held *h)
{
	if (h->text != NULL)
		freezero(h->text, h->len);
	json_decref(h->frame);
	memset(h, 0, sizeof(*h));
}

static void
delta_end(struct run *r, struct held *h)
{
	if (h->text != NULL)
		delta_log(r, h->frame, h->member, h->text, h->len);
	claude_delta_free(h);
}

int
claude_delta(struct run *r, struct held *h, json_t *frame)
{
	const struct secret	*key = &r->session->secret;
	const char		*member;
	json_t			*piece;
	char			*all;
	size_t			 keep, len, had;

	if (strcmp(claude_str(frame, "type"), "stream_event") != 0)
		return (0);
	member = delta_member(frame);
	if (h->text != NULL && (member != h->member ||
	    !same_block(frame, h->frame)))
		delta_end(r, h);
	if (member == NULL)
		return (0);
	piece = json_object_get(delta_of(frame), member);
	had = h->text != NULL ? h->len : 0;
	len = had + json_string_length(piece);
	all = xmalloc(len + 1);
	if (had > 0)
		memcpy(all, h->text, had);
	memcpy(all + had, json_string_value(piece), len - had);
	all[len] = '\0';
	claude_delta_free(h);
	all = keys_mask(key, all, &len);
	keep = keys_begun(key, all, len);
	if (keep > 0) {
		h->text = xstrndup(all + len - keep, keep);
		h->len = keep;
		h->frame = json_deep_copy(frame);
		h->member = member;
	}
	if ((had > 0 || keep > 0) && len > keep)
		delta_log(r, frame, member, all, len - keep);
	freezero(all, len);
	return (had > 0 || keep > 0);
}
