/*
 * Documents as YAML 1.2, in block style.  A string is plain only if no YAML
 * reader, an old one included, could take it for anything else; otherwise it
 * is a double-quoted scalar with JSON's escapes, which YAML shares.
 */

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "doc.h"

#define PLAIN_MAX	4096

static void value_print(FILE *, json_t *, size_t, int);

static int
is_word(const char *s)
{
	static const char *const	 words[] = { "null", "true", "false",
	    "yes", "no", "on", "off", "y", "n", "~", NULL };
	size_t				 i;

	for (i = 0; words[i] != NULL; i++)
		if (strcasecmp(s, words[i]) == 0)
			return (1);
	return (0);
}

/* Starts with a letter and holds nothing that means anything: surely plain. */
static int
is_plain(const char *s, size_t len)
{
	static const char	 ok[] = "abcdefghijklmnopqrstuvwxyz"
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./@+ ";

	if (len == 0 || len > PLAIN_MAX || strspn(s, ok) != len)
		return (0);
	if (!((s[0] >= 'a' && s[0] <= 'z') || (s[0] >= 'A' && s[0] <= 'Z')))
		return (0);
	return (s[len - 1] != ' ' && !is_word(s));
}

static void
string_print(FILE *f, const char *s, size_t len)
{
	struct str	 out = { 0 };
	const char	*end = s + len, *from;
	uint32_t	 c;

	if (is_plain(s, len)) {
		fputs(s, f);
		return;
	}
	str_puts(&out, "\"");
	while (s < end) {
		from = s;
		c = text_next(&s, end);
		if (c == '"' || c == '\\')
			str_printf(&out, "\\%c", (int)c);
		else if (c == '\n')
			str_puts(&out, "\\n");
		else if (c == '\t')
			str_puts(&out, "\\t");
		else if (c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0xfeff ||
		    (c >= 0x200b && c < 0x2070))
			str_printf(&out, "\\u%04x", c);
		else
			str_add(&out, from, (size_t)(s - from));
	}
	str_puts(&out, "\"");
	fwrite(out.data, 1, out.len, f);
	str_free(&out);
}

static void
scalar_print(FILE *f, json_t *v)
{
	char	*s;

	if (json_is_string(v)) {
		string_print(f, json_string_value(v), json_string_length(v));
		return;
	}
	if ((s = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT)) != NULL)
		fputs(s, f);
	free(s);
}

static void
indent(FILE *f, size_t n)
{
	while (n-- > 0)
		fputs("  ", f);
}

static int
is_empty(json_t *v)
{
	return ((json_is_object(v) && json_object_size(v) == 0) ||
	    (json_is_array(v) && json_array_size(v) == 0) ||
	    (!json_is_object(v) && !json_is_array(v)));
}

/* first: the cursor stands already where the first line belongs. */
static void
object_print(FILE *f, json_t *v, size_t depth, int first)
{
	const char	*key;
	json_t		*one;

	json_object_foreach(v, key, one) {
		if (!first)
			indent(f, depth);
		first = 0;
		string_print(f, key, strlen(key));
		fputc(':', f);
		fputc(is_empty(one) ? ' ' : '\n', f);
		value_print(f, one, depth + (json_is_array(one) ? 0 : 1), 0);
	}
}

static void
array_print(FILE *f, json_t *v, size_t depth, int first)
{
	json_t	*one;
	size_t	 i;

	json_array_foreach(v, i, one) {
		if (!first)
			indent(f, depth);
		first = 0;
		fputs("- ", f);
		value_print(f, one, depth + 1, 1);
	}
}

static void
value_print(FILE *f, json_t *v, size_t depth, int first)
{
	if (json_is_object(v) && json_object_size(v) > 0)
		object_print(f, v, depth, first);
	else if (json_is_array(v) && json_array_size(v) > 0)
		array_print(f, v, depth, first);
	else {
		scalar_print(f, v);
		fputc('\n', f);
	}
}

void
yaml_print(FILE *f, json_t *v)
{
	value_print(f, v, 0, 0);
}
