/*
 * claude_text.c - what Claude Code prints, classified and in words.  Nothing
 * here decides anything.
 */
#include <stdlib.h>
#include <string.h>

#include "claude.h"
#include "run.h"
#include "util.h"

#define ACTION_MAX	1024
#define TEXT_MAX	(256 * 1024)

const char *
claude_str(json_t *j, const char *name)
{
	const char	*s = json_string_value(json_object_get(j, name));

	return (s != NULL ? s : "");
}

uint64_t
claude_count(json_t *j, const char *name)
{
	json_int_t	 n = json_integer_value(json_object_get(j, name));

	return (n > 0 ? (uint64_t)n : 0);
}

/*
 * Tools that may read unasked: the policy looks at what they are told by, so
 * nothing else in the input may stand in its place.
 */
static const struct reading {
	const char	*tool;
	const char	*what;
	int		 placed;	/* it looks in a `path' */
} readings[] = {
	{ "Read", "file_path", 0 },
	{ "LS", "path", 0 },
	{ "Glob", "pattern", 1 },
	{ "Grep", "pattern", 1 }
};

static const struct reading *
reading_find(const char *tool)
{
	size_t	 i;

	for (i = 0; i < sizeof(readings) / sizeof(readings[0]); i++)
		if (strcmp(readings[i].tool, tool) == 0)
			return (&readings[i]);
	return (NULL);
}

char *
claude_action(const char *tool, json_t *input)
{
	static const char *const	 telling[] = {
		"command", "file_path", "notebook_path", "url", "pattern",
		"query", "plan", "description", "skill", NULL
	};
	const struct reading		*reads = reading_find(tool);
	char				*s, *line, *json = NULL;
	const char			*what = "", *where = "", *glob = "";
	size_t				 i;

	if (reads != NULL)
		what = claude_str(input, reads->what);
	else {
		for (i = 0; telling[i] != NULL && what[0] == '\0'; i++)
			what = claude_str(input, telling[i]);
		if (what[0] == '\0')
			what = json = json_dumps(input, JSON_COMPACT);
	}
	/* Where comes first: what it looks for can be worded as a place. */
	if (reads == NULL || reads->placed)
		where = claude_str(input, "path");
	if (reads != NULL && reads->placed && where[0] == '\0')
		where = ".";
	if (strcmp(tool, "Grep") == 0)
		glob = claude_str(input, "glob");	/* files below it */
	s = xasprintf("%s%s%s%s%s: %s", tool, where[0] != '\0' ? " in " : "",
	    where, glob[0] != '\0' ? "/" : "", glob, what != NULL ? what : "");
	line = utf8_line(s, ACTION_MAX);
	free(s);
	free(json);
	return (line);
}

char *
claude_error(json_t *j)
{
	const char	*text = claude_str(j, "result");
	json_t		*list = json_object_get(j, "errors");

	if (text[0] == '\0')
		text = json_string_value(json_array_get(list, 0));
	if (text == NULL || text[0] == '\0')
		text = claude_str(j, "subtype");
	return (utf8_line(text[0] != '\0' ? text :
	    "Claude Code reported an error.", ACTION_MAX));
}

static void
text_add(char **to, const char *more)
{
	char	*s;

	if (more[0] == '\0')
		return;
	s = xasprintf("%s%s%.*s", *to != NULL ? *to : "", *to != NULL ? "\n" :
	    "", (int)utf8_cut(more, strlen(more), TEXT_MAX), more);
	free(*to);
	*to = s;
}

/* A tool's result: a string, or a list of blocks. */
static void
text_result(char **to, json_t *content)
{
	json_t	*part;
	size_t	 i;

	if (json_is_string(content))
		text_add(to, json_string_value(content));
	json_array_foreach(content, i, part)
		text_add(to, claude_str(part, "text"));
}

/* An assistant's or user's message. */
static char *
text_message(json_t *frame, struct logged *how)
{
	json_t		*content, *b;
	const char	*type;
	char		*text = NULL, *s;
	size_t		 i;

	content = json_object_get(json_object_get(frame, "message"), "content");
	how->kind = "message";
	if (json_is_string(content))
		return (xstrdup(json_string_value(content)));
	json_array_foreach(content, i, b) {
		type = claude_str(b, "type");
		if (strcmp(type, "text") == 0)
			text_add(&text, claude_str(b, "text"));
		else if (strcmp(type, "tool_use") == 0) {
			how->kind = "tool_use";
			s = claude_action(claude_str(b, "name"),
			    json_object_get(b, "input"));
			text_add(&text, s);
			free(s);
		} else if (strcmp(type, "tool_result") == 0) {
			how->kind = "tool_result";
			if (json_is_true(json_object_get(b, "is_error")))
				how->level = "warn";
			text_result(&text, json_object_get(b, "content"));
		}
	}
	return (text);
}

/* The pieces of what a whole message repeats later: for who watches live. */
static char *
text_delta(json_t *frame, struct logged *how)
{
	json_t		*delta;
	const char	*s;

	how->level = "debug";
	delta = json_object_get(json_object_get(frame, "event"), "delta");
	s = claude_str(delta, "text");
	return (s[0] != '\0' ? xstrdup(s) : NULL);
}

static char *
text_system(json_t *frame, struct logged *how)
{
	const char	*what = claude_str(frame, "subtype");

	how->kind = "text";
	if (strcmp(what, "init") == 0)
		return (xasprintf("Claude Code %s, model %s",
		    claude_str(frame, "claude_code_version"),
		    claude_str(frame, "model")));
	if (strcmp(what, "api_retry") == 0) {
		how->level = "warn";
		return (xasprintf("The model answered %llu (%s); trying again",
		    (unsigned long long)claude_count(frame, "error_status"),
		    claude_str(frame, "error")));
	}
	how->level = "debug";
	return (NULL);
}

static char *
text_result_line(json_t *frame, struct logged *how)
{
	how->kind = "usage";
	if (!json_is_false(json_object_get(frame, "is_error"))) {
		how->level = "error";
		return (claude_error(frame));
	}
	return (NULL);		/* Its text was the last message. */
}

char *
claude_classify(json_t *frame, struct logged *how)
{
	const char	*type = claude_str(frame, "type");

	if (strcmp(type, "assistant") == 0 || strcmp(type, "user") == 0)
		return (text_message(frame, how));
	if (strcmp(type, "stream_event") == 0)
		return (text_delta(frame, how));
	if (strcmp(type, "system") == 0)
		return (text_system(frame, how));
	if (strcmp(type, "result") == 0)
		return (text_result_line(frame, how));
	if (strncmp(type, "control_", 8) == 0) {
		how->kind = "permission";
		how->level = "debug";
	}
	return (NULL);
}
