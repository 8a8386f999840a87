/*
 * json.c - JSON in and out, by jansson.  All of its memory is wiped when it is
 * freed, because bodies may hold keys.  A body is refused when it is nested
 * deeper than 32, names a member twice, holds a NUL or is no strict UTF-8.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "body.h"
#include "log.h"

#define DEPTH_MAX	32
#define BLOCK_HEAD	16		/* keeps jansson's memory aligned */

static void *
wiping_malloc(size_t n)
{
	uint8_t	*p;

	if (n > SIZE_MAX - BLOCK_HEAD ||
	    (p = malloc(n + BLOCK_HEAD)) == NULL)
		return (NULL);
	memcpy(p, &n, sizeof(n));
	return (p + BLOCK_HEAD);
}

static void
wiping_free(void *v)
{
	uint8_t	*p = v;
	size_t	 n;

	if (p == NULL)
		return;
	p -= BLOCK_HEAD;
	memcpy(&n, p, sizeof(n));
	freezero(p, n + BLOCK_HEAD);
}

void
json_init(void)
{
	json_set_alloc_funcs(wiping_malloc, wiping_free);
}

/* Compact and in one line; json_text_free() it. */
char *
json_text(const json_t *json, size_t *len)
{
	char	*s;

	s = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY);
	if (s == NULL)
		fatalx("JSON: out of memory");
	if (len != NULL)
		*len = strlen(s);
	return (s);
}

void
json_text_free(char *s)
{
	wiping_free(s);
}

/* Deeper than DEPTH_MAX, before the parser's recursion meets it? */
static int
too_deep(const char *s, size_t len)
{
	size_t	 i;
	int	 depth = 0, quoted = 0;

	for (i = 0; i < len; i++) {
		if (quoted) {
			if (s[i] == '\\')
				i++;
			else if (s[i] == '"')
				quoted = 0;
			continue;
		}
		if (s[i] == '"')
			quoted = 1;
		else if (s[i] == '{' || s[i] == '[') {
			if (++depth > DEPTH_MAX)
				return (1);
		} else if (s[i] == '}' || s[i] == ']')
			depth--;
	}
	return (0);
}

/* The parser's words without the piece of the body that it quotes. */
static void
refuse_syntax(struct request *req, json_error_t *error)
{
	const char	*hint = "", *text = error->text;
	char		*near;

	if ((near = strstr(error->text, " near '")) != NULL)
		*near = '\0';
	if (json_error_code(error) == json_error_null_character)
		text = "the character \\u0000 is not allowed";
	if (strstr(req->body, "skip_tls") != NULL)
		hint = "; TLS is a matter of marionette.conf: the line there"
		    " is `skip tls'";
	refuse(req, "invalid_json", "the body is not a JSON object: line %d,"
	    " column %d: %s%s", error->line, error->column, text, hint);
}

/* An empty body is an empty object.  -1: answered. */
int
body_open(struct body *b, struct request *req)
{
	json_error_t	 error;

	memset(b, 0, sizeof(*b));
	b->req = req;
	if (req->body_len == 0) {
		b->root = json_object();
		return (0);
	}
	if (too_deep(req->body, req->body_len)) {
		refuse(req, "invalid_json", "the body is nested deeper than"
		    " %d levels", DEPTH_MAX);
		return (-1);
	}
	b->root = json_loadb(req->body, req->body_len, JSON_REJECT_DUPLICATES |
	    JSON_DECODE_ANY, &error);
	if (b->root == NULL)
		refuse_syntax(req, &error);
	explicit_bzero(&error, sizeof(error));
	if (b->root == NULL)
		return (-1);
	if (!json_is_object(b->root)) {
		json_decref(b->root);
		refuse(req, "validation_error",
		    "the body must be a JSON object");
		return (-1);
	}
	return (0);
}

void
body_free(struct body *b)
{
	json_decref(b->root);
	b->root = NULL;
}

void
body_fail(struct body *b, const char *field, const char *fmt, ...)
{
	va_list	 ap;

	if (b->failed)
		return;
	b->failed = 1;
	snprintf(b->field, sizeof(b->field), "%s", field);
	va_start(ap, fmt);
	vsnprintf(b->why, sizeof(b->why), fmt, ap);
	va_end(ap);
}

/* The member, marked as known; NULL when it is not there or null. */
json_t *
body_get(struct body *b, const char *name)
{
	json_t	*v;

	if (b->nseen == B_FIELDS)
		fatalx("body: more than %d fields", B_FIELDS);
	b->seen[b->nseen++] = name;
	v = json_object_get(b->root, name);
	return (json_is_null(v) ? NULL : v);
}

/* Fields that this version knows of and does not support yet. */
void
body_unsupported(struct body *b, const char *const *names)
{
	for (; *names != NULL; names++)
		if (json_object_get(b->root, *names) != NULL)
			body_fail(b, *names, "%s: this version of the server"
			    " does not support it yet; leave it out", *names);
}

static int
is_known(const struct body *b, const char *name)
{
	int	 i;

	for (i = 0; i < b->nseen; i++)
		if (strcmp(b->seen[i], name) == 0)
			return (1);
	return (0);
}

static void
fail_unknown(struct body *b, const char *name)
{
	char	 known[384] = "";
	int	 i;

	if (strcmp(name, "skip_tls") == 0) {
		body_fail(b, name, "skip_tls: TLS is no field of a request;"
		    " write the line `skip tls' in marionette.conf");
		return;
	}
	for (i = 0; i < b->nseen; i++) {
		strlcat(known, i > 0 ? ", " : "", sizeof(known));
		strlcat(known, b->seen[i], sizeof(known));
	}
	body_fail(b, name, "%.*s: unknown field; known are: %s",
	    text_cut(name, NAME_SHOWN), name, b->nseen > 0 ? known : "none");
}

/* Everything was looked at: unknown fields, and the first mistake. */
int
body_close(struct body *b)
{
	const char	*name;
	json_t		*v, *details;
	char		*text;

	if (!b->failed)
		json_object_foreach(b->root, name, v)
			if (!is_known(b, name)) {
				fail_unknown(b, name);
				break;
			}
	if (!b->failed)
		return (0);
	body_free(b);
	/* A name that is no UTF-8 any more, being cut, is left out. */
	details = json_object();
	json_object_set_new(details, "field", json_string(b->field));
	text = json_text(details, NULL);
	reply_error(b->req, 400, strstr(b->why, "expected an id") != NULL ?
	    "invalid_id" : "validation_error", b->why, text);
	json_text_free(text);
	json_decref(details);
	return (-1);
}
