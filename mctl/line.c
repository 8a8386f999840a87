/*
 * Lines of a log, for people or raw.  For people: what a person reads of
 * each, text that came in pieces joined, and not said again when the whole
 * message follows.  Colours only on a terminal.
 */

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "follow.h"

struct look {
	const char	*kind;
	const char	*prefix;
	const char	*colour;
};

#define PLAIN	5
static const struct look looks[] = {
	{ "tool_use", "> ", "\033[36m" },
	{ "tool_result", "  ", "\033[2m" },
	{ "permission", "? ", "\033[33m" },
	{ "stderr", "", "\033[31m" },
	{ "system", "* ", "\033[2m" },
	{ NULL, "", NULL }		/* plain */
};

/* How to show it: by its kind, or else by where it was printed. */
static const struct look *
look_of(json_t *line)
{
	const struct look	*l;
	const char		*kind, *stream;

	kind = doc_str(line, "kind");
	stream = doc_str(line, "stream");
	for (l = looks; l->kind != NULL; l++)
		if (strcmp(l->kind, kind) == 0 || strcmp(l->kind, stream) == 0)
			break;
	return (l);
}

/* The kind of message the agent's own JSON is; empty if it is none. */
static void
type_of(json_t *line, char *buf, size_t size)
{
	const char	*content = doc_str(line, "content");
	json_t		*doc;

	buf[0] = '\0';
	if (*content != '{' || (doc = json_loads(content, 0, NULL)) == NULL)
		return;
	snprintf(buf, size, "%s", doc_str(doc, "type|method"));
	json_decref(doc);
}

static int
is_delta(json_t *line, const char *type)
{
	return (json_is_true(doc_find(line, "data.delta")) ||
	    strcmp(type, "stream_event") == 0 || strstr(type, "delta") != NULL);
}

void
render_break(struct render *r)
{
	if (r->midline)
		putchar('\n');
	r->midline = 0;
	fflush(stdout);
}

void
render_free(struct render *r)
{
	str_free(&r->delta);
	str_free(&r->said);
}

static void
keep_text(struct str *s, const char *text, size_t len)
{
	if (s->len + len > MAX_TEXT)
		s->len = 0;
	str_add(s, text, len);
}

static void
render_raw(struct render *r, json_t *line)
{
	json_t		*v = doc_find(line, "content");
	const char	*s = json_is_string(v) ? json_string_value(v) : "";
	size_t		 len = json_string_length(v);

	if (isatty(STDOUT_FILENO))
		text_put(stdout, s, len, TEXT_LINES);
	else
		fwrite(s, 1, len, stdout);
	r->midline = json_is_true(doc_find(line, "partial"));
	if (!r->midline)
		putchar('\n');
	fflush(stdout);
}

static void
render_text(struct mctl *m, struct render *r, const struct look *look,
    const char *text, size_t len)
{
	const char	*colour = m->colour ? look->colour : NULL;

	if (!r->midline)
		fputs(look->prefix, stdout);
	if (colour != NULL)
		fputs(colour, stdout);
	text_put(stdout, text, len, TEXT_LINES);
	if (colour != NULL)
		fputs("\033[0m", stdout);
	r->midline = text[len - 1] != '\n';
}

/*
 * Was it said already?  A whole message repeats the text that came in pieces,
 * itself in parts if it is long; an agent's result repeats its last message.
 */
static int
was_said(struct render *r, json_t *line, const char *type, const char *text,
    size_t len)
{
	if (strcmp(doc_str(line, "kind"), "message") != 0)
		return (0);
	if (strcmp(type, "result") == 0 && r->said.len == len &&
	    len > 0 && memcmp(r->said.data, text, len) == 0)
		return (1);
	if (len > r->delta.len - r->repeated ||
	    r->delta.len == 0 ||
	    memcmp(r->delta.data + r->repeated, text, len) != 0)
		return (0);
	r->repeated += len;
	return (json_is_true(doc_find(line, "partial")) ||
	    r->repeated == r->delta.len);
}

/* What a person reads of it, or NULL. */
static json_t *
text_of(json_t *line)
{
	json_t	*v = doc_find(line, "data.text");

	if (json_is_string(v) && json_string_length(v) > 0)
		return (v);
	if (strcmp(doc_str(line, "kind"), "text") != 0 ||
	    strcmp(doc_str(line, "level"), "debug") == 0)
		return (NULL);
	v = doc_find(line, "content");
	return (json_is_string(v) ? v : NULL);
}

static void
whole(struct mctl *m, struct render *r, json_t *line, const char *type,
    json_t *v)
{
	const char	*text = json_string_value(v);
	size_t		 len = json_string_length(v);
	int		 said;

	said = was_said(r, line, type, text, len);
	if (!r->partial) {
		render_break(r);
		r->said.len = 0;
	}
	if (len > 0 && !said)
		render_text(m, r, look_of(line), text, len);
	else if (!said && !r->partial)
		r->midline = 1;		/* an empty line */
	keep_text(&r->said, text, len);
	if (!json_is_true(doc_find(line, "partial"))) {
		r->delta.len = 0;
		r->repeated = 0;
	}
}

void
render_line(struct mctl *m, struct render *r, json_t *line)
{
	char	 type[64];
	json_t	*v;

	if (r->raw) {
		render_raw(r, line);
		return;
	}
	v = text_of(line);
	type_of(line, type, sizeof(type));
	if (v != NULL && is_delta(line, type)) {
		r->repeated = 0;
		keep_text(&r->delta, json_string_value(v),
		    json_string_length(v));
		if (json_string_length(v) > 0)
			render_text(m, r, &looks[PLAIN], json_string_value(v),
			    json_string_length(v));
		fflush(stdout);
		return;
	}
	if (v != NULL)
		whole(m, r, line, type, v);
	if (json_is_true(doc_find(line, "partial")))
		r->partial = 1;
	else if (v != NULL || r->partial) {
		r->partial = 0;
		render_break(r);
	}
	fflush(stdout);
}
