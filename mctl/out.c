/*
 * What a command has to say, in the format that was asked for: lists, single
 * objects, and streams of objects, one a line.
 */

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "doc.h"

/* JSON itself escapes below U+0020 only; a terminal minds more than that. */
void
out_json(FILE *f, json_t *v, size_t flags)
{
	char	*s;

	if ((s = json_dumps(v, flags | JSON_ENCODE_ANY)) == NULL)
		return;
	if (isatty(fileno(f)))
		text_put(f, s, strlen(s), TEXT_LINES);
	else
		fputs(s, f);
	fputc('\n', f);
	free(s);
}

static int
is_secret(const char *key)
{
	return (strcmp(key, "token") == 0 || strcmp(key, "key") == 0 ||
	    strcmp(key, "api_key") == 0 || strcmp(key, "secret") == 0);
}

/* -q: the one word that a script wants: a new secret, otherwise the id. */
static void
quiet_one(json_t *row)
{
	const char	*key, *word = NULL;
	json_t		*v;

	json_object_foreach(row, key, v)
		if (is_secret(key) && json_is_string(v))
			word = json_string_value(v);
	if (word == NULL)
		word = doc_str(row, "id|name");
	text_puts(stdout, word);
	putchar('\n');
}

void
out_list(struct mctl *m, json_t *doc, const struct col *cols)
{
	json_t	*rows = doc_items(doc), *row;
	size_t	 i;

	if (m->output == OUT_JSON)
		out_json(stdout, doc, JSON_INDENT(2));
	else if (m->output == OUT_YAML)
		yaml_print(stdout, doc);
	else if (m->quiet) {
		json_array_foreach(rows, i, row)
			quiet_one(row);
	} else
		table_print(stdout, rows, cols, m->output == OUT_WIDE);
}

static void
field_print(const char *key, json_t *v, size_t width)
{
	struct str	 s = { 0 };
	struct col	 col = { NULL, key, COL_TEXT, 0, 0 };
	json_t		*row;
	size_t		 n;

	if (json_is_object(v) && (strcmp(key, "labels") == 0 ||
	    strcmp(key, "annotations") == 0))
		col.kind = COL_LABELS;
	row = json_object();
	json_object_set(row, key, v);
	text_safe(&s, key, strlen(key), 0);
	for (n = text_width(s.data); n < width; n++)
		str_puts(&s, " ");
	printf("%s  ", s.data);
	str_free(&s);
	if (json_is_string(v))
		text_put(stdout, json_string_value(v), json_string_length(v),
		    TEXT_LINES);
	else {
		doc_cell(&s, row, &col);
		fputs(s.data, stdout);
		str_free(&s);
	}
	putchar('\n');
	json_decref(row);
}

/* One object, a field a line; what is null is left out. */
void
out_one(struct mctl *m, json_t *doc)
{
	const char	*key;
	json_t		*v;
	size_t		 width = 0;

	if (m->output == OUT_JSON) {
		out_json(stdout, doc, JSON_INDENT(2));
		return;
	}
	if (m->output == OUT_YAML) {
		yaml_print(stdout, doc);
		return;
	}
	if (m->quiet) {
		quiet_one(doc);
		return;
	}
	json_object_foreach(doc, key, v)
		if (!json_is_null(v) && strlen(key) > width)
			width = strlen(key);
	json_object_foreach(doc, key, v)
		if (!json_is_null(v))
			field_print(key, v, width);
}

/* One object as a table of one row: what a verb has changed. */
void
out_record(struct mctl *m, json_t *doc, const struct col *cols)
{
	json_t	*rows;

	if (m->quiet || m->output == OUT_JSON || m->output == OUT_YAML) {
		out_one(m, doc);
		return;
	}
	rows = json_array();
	json_array_append(rows, doc);
	table_print(stdout, rows, cols, m->output == OUT_WIDE);
	json_decref(rows);
}

/* One of a stream: a line of JSON, or a YAML document. */
void
out_line(struct mctl *m, json_t *doc)
{
	if (m->output == OUT_YAML) {
		puts("---");
		yaml_print(stdout, doc);
	} else
		out_json(stdout, doc, JSON_COMPACT);
	fflush(stdout);
}

/* As of `mctl ... | head': that is no news to who has ended the reader. */
static int
nobody_reads(void)
{
	struct pollfd	 p = { STDOUT_FILENO, POLLOUT, 0 };

	return (poll(&p, 1, 0) == 1 && (p.revents & POLLERR) != 0);
}

/* 0, or -1 when something printed is lost: m->rc is set, and it is told once. */
int
out_check(struct mctl *m)
{
	static int	 told;

	if (fflush(stdout) == 0 && !ferror(stdout))
		return (0);
	if (!told && !nobody_reads())
		fputs("mctl: what it prints could not be written\n", stderr);
	told = 1;
	m->rc = EX_ERROR;
	return (-1);
}
