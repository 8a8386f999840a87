/*
 * Reading the server's documents without trusting them: a missing or
 * mistyped field is an empty one.
 */

#include <stdlib.h>
#include <string.h>

#include "doc.h"

static json_t *
find_one(json_t *doc, const char *path, size_t len)
{
	char	 name[64];
	size_t	 n;

	while (len > 0 && doc != NULL) {
		for (n = 0; n < len && path[n] != '.'; n++)
			;
		if (n >= sizeof(name))
			return (NULL);
		memcpy(name, path, n);
		name[n] = '\0';
		doc = json_object_get(doc, name);
		if (n < len)
			n++;
		path += n;
		len -= n;
	}
	return (doc);
}

/* The first of a|b.c that is there and not null. */
json_t *
doc_find(json_t *doc, const char *path)
{
	json_t		*v;
	size_t		 n;

	for (;;) {
		n = strcspn(path, "|");
		v = find_one(doc, path, n);
		if (v != NULL && !json_is_null(v))
			return (v);
		if (path[n] == '\0')
			return (NULL);
		path += n + 1;
	}
}

const char *
doc_str(json_t *doc, const char *path)
{
	const char	*s;

	s = json_string_value(doc_find(doc, path));
	return (s == NULL ? "" : s);
}

int64_t
doc_int(json_t *doc, const char *path)
{
	return (json_integer_value(doc_find(doc, path)));
}

/* The rows of a list, lent. */
json_t *
doc_items(json_t *doc)
{
	if (json_is_array(doc))
		return (doc);
	doc = doc_find(doc, "items|processes|agents");
	return (json_is_array(doc) ? doc : NULL);
}

static void
cell_labels(struct str *s, json_t *v)
{
	const char	*key, *value;
	json_t		*one;

	json_object_foreach(v, key, one) {
		if (s->len != 0)
			str_puts(s, ",");
		text_safe(s, key, strlen(key), 0);
		str_puts(s, "=");
		if ((value = json_string_value(one)) != NULL)
			text_safe(s, value, json_string_length(one), 0);
	}
}

static void
cell_json(struct str *s, json_t *v)
{
	json_t	*one;
	char	*text;
	size_t	 i;

	if (json_is_string(v)) {
		text_safe(s, json_string_value(v), json_string_length(v), 0);
		return;
	}
	if (json_is_array(v)) {
		json_array_foreach(v, i, one) {
			if (i > 0)
				str_puts(s, ",");
			cell_json(s, one);
		}
		return;
	}
	text = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);
	if (text != NULL)
		text_safe(s, text, strlen(text), 0);
	free(text);
}

static void
cell_bytes(struct str *s, json_int_t n)
{
	if (n < 10240)
		str_printf(s, "%lldB", (long long)n);
	else if (n < 10 * 1024 * 1024)
		str_printf(s, "%lldK", (long long)n / 1024);
	else
		str_printf(s, "%lldM", (long long)n / 1024 / 1024);
}

/* What a table shows of a row. */
void
doc_cell(struct str *s, json_t *row, const struct col *col)
{
	char	 age[32];
	json_t	*v;
	int64_t	 ms;

	str_add(s, "", 0);
	v = doc_find(row, col->path);
	if (v == NULL)
		;
	else if (col->kind == COL_AGE && json_is_string(v) &&
	    when_parse(json_string_value(v), &ms) == 0) {
		when_age((when_now() - ms) / 1000, age, sizeof(age));
		str_puts(s, age);
	} else if (col->kind == COL_SECONDS && json_is_number(v)) {
		when_age((int64_t)json_number_value(v), age, sizeof(age));
		str_puts(s, age);
	} else if (col->kind == COL_BYTES && json_is_integer(v))
		cell_bytes(s, json_integer_value(v));
	else if (col->kind == COL_LABELS)
		cell_labels(s, v);
	else
		cell_json(s, v);
	if (s->len == 0)
		str_puts(s, "-");
	text_clip(s, col->clip);
}
