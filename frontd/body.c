/*
 * body.c - typed members of a body.  Each says in one sentence what was
 * expected when it is something else; the first mistake is kept and the getters
 * go on with defaults until body_close() tells it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "body.h"

static const char *
type_name(const json_t *v)
{
	switch (json_typeof(v)) {
	case JSON_OBJECT:
		return ("an object");
	case JSON_ARRAY:
		return ("an array");
	case JSON_STRING:
		return ("a string");
	case JSON_INTEGER:
		return ("an integer");
	case JSON_REAL:
		return ("a number with a fraction");
	case JSON_TRUE:
	case JSON_FALSE:
		return ("a boolean");
	case JSON_NULL:
		return ("null");
	}
	return ("something else");
}

static json_t *
body_want(struct body *b, const char *name, int flags, const char *expected)
{
	json_t	*v;

	if ((v = body_get(b, name)) == NULL && (flags & B_REQUIRED) != 0)
		body_fail(b, name, "%s: missing; expected %s", name, expected);
	return (v);
}

/* A string of 1 to max bytes (0 too unless it is required), or NULL. */
const char *
body_str(struct body *b, const char *name, size_t max, int flags)
{
	json_t	*v;
	size_t	 n;
	char	 expected[64];

	snprintf(expected, sizeof(expected), "a string of at most %zu bytes",
	    max);
	if ((v = body_want(b, name, flags, expected)) == NULL)
		return (NULL);
	if (!json_is_string(v)) {
		body_fail(b, name, "%s: expected %s, got %s", name, expected,
		    type_name(v));
		return (NULL);
	}
	n = json_string_length(v);
	if (n > max) {
		body_fail(b, name, "%s: expected %s, got %zu bytes", name,
		    expected, n);
		return (NULL);
	}
	if (n == 0 && (flags & B_REQUIRED) != 0) {
		body_fail(b, name, "%s: expected %s, got none", name,
		    expected);
		return (NULL);
	}
	return (json_string_value(v));
}

const char *
body_id(struct body *b, const char *name, const char *prefix, int flags)
{
	const char	*s;

	s = body_str(b, name, 64, flags);
	if (s == NULL)
		return (NULL);
	if (!id_is(s, prefix)) {
		body_fail(b, name, "%s: expected an id: %s_ and 26 lower-case"
		    " characters", name, prefix);
		return (NULL);
	}
	return (s);
}

const char *
body_enum(struct body *b, const char *name, const char *words, int flags)
{
	const char	*s;

	if ((s = body_str(b, name, 64, flags)) == NULL)
		return (NULL);
	if (!word_is(words, s)) {
		body_fail(b, name, "%s: expected one of %s", name, words);
		return (NULL);
	}
	return (s);
}

int64_t
body_int(struct body *b, const char *name, int64_t min, int64_t max,
    int64_t otherwise)
{
	json_t	*v;

	if ((v = body_get(b, name)) == NULL)
		return (otherwise);
	if (!json_is_integer(v)) {
		body_fail(b, name, "%s: expected an integer from %" PRId64
		    " to %" PRId64 ", got %s", name, min, max, type_name(v));
		return (otherwise);
	}
	if (json_integer_value(v) < min || json_integer_value(v) > max) {
		body_fail(b, name, "%s: expected an integer from %" PRId64
		    " to %" PRId64 ", got %" JSON_INTEGER_FORMAT, name, min,
		    max, json_integer_value(v));
		return (otherwise);
	}
	return (json_integer_value(v));
}

int
body_bool(struct body *b, const char *name)
{
	json_t	*v;

	if ((v = body_get(b, name)) == NULL)
		return (0);
	if (!json_is_boolean(v)) {
		body_fail(b, name, "%s: expected true or false, got %s", name,
		    type_name(v));
		return (0);
	}
	return (json_is_true(v));
}

/*
 * An object of short strings (labels, annotations), at most max bytes; null
 * takes a member away where B_PATCH is set.
 */
json_t *
body_map(struct body *b, const char *name, size_t max, int flags)
{
	const char	*key;
	json_t		*v, *member;

	if ((v = body_json(b, name, max, 0)) == NULL)
		return (NULL);
	if (!json_is_object(v)) {
		body_fail(b, name, "%s: expected an object of strings, got %s",
		    name, type_name(v));
		return (NULL);
	}
	json_object_foreach(v, key, member)
		if (*key == '\0' || strlen(key) > 128 ||
		    (!json_is_string(member) &&
		    ((flags & B_PATCH) == 0 || !json_is_null(member)))) {
			body_fail(b, name, "%s: expected an object of strings"
			    " with names of 1 to 128 bytes; \"%.*s\" is %s",
			    name, text_cut(key, NAME_SHOWN), key,
			    type_name(member));
			return (NULL);
		}
	return (v);
}

/* Any value whose text has at most max bytes. */
json_t *
body_json(struct body *b, const char *name, size_t max, int flags)
{
	json_t	*v;
	char	*text;
	size_t	 n;

	if ((v = body_want(b, name, flags, "a value")) == NULL)
		return (NULL);
	text = json_text(v, &n);
	json_text_free(text);
	if (n > max) {
		body_fail(b, name, "%s: expected at most %zu bytes of JSON,"
		    " got %zu", name, max, n);
		return (NULL);
	}
	return (v);
}

/* RFC 3339 with Z or an offset, to Unix seconds; it must lie ahead. */
uint64_t
body_time(struct body *b, const char *name)
{
	const char	*s;
	time_t		 t;

	if ((s = body_str(b, name, 40, 0)) == NULL)
		return (0);
	if ((t = when_read(s)) == -1) {
		body_fail(b, name, "%s: expected a time as in"
		    " 2026-01-02T03:04:05Z", name);
		return (0);
	}
	if (t <= time(NULL)) {
		body_fail(b, name, "%s: expected a time that is still to come",
		    name);
		return (0);
	}
	return ((uint64_t)t);
}
