/*
 * Lists: pages are followed by their cursors until --limit rows are there,
 * or with --all until there are no more.
 */

#include <string.h>

#include "doc.h"

#define MAX_PAGES	100000

/* One page appended to items; *next is the cursor, to free, or NULL. */
static int
page_get(struct mctl *m, const char *path, long long want, char **next,
    json_t *items)
{
	struct str	 s = { 0 };
	json_t		*doc;
	char		 n[24];

	str_puts(&s, path);
	snprintf(n, sizeof(n), "%lld", want > PAGE ? (long long)PAGE : want);
	str_query(&s, "limit", n);
	if (*next != NULL)
		str_query(&s, "cursor", *next);
	doc = api_get(m, s.data);
	str_free(&s);
	if (doc == NULL)
		return (-1);
	if (doc_items(doc) != NULL)
		json_array_extend(items, doc_items(doc));
	secret_free(*next);
	*next = NULL;
	if (json_is_true(doc_find(doc, "has_more")) &&
	    *doc_str(doc, "next_cursor") != '\0')
		*next = xstrdup(doc_str(doc, "next_cursor"));
	json_decref(doc);
	return (0);
}

static void
more_tell(struct mctl *m, const char *next)
{
	if (next == NULL || !m->progress || m->output == OUT_JSON ||
	    m->output == OUT_YAML)
		return;
	fputs("There are more: --all, or --cursor ", stderr);
	text_puts(stderr, next);
	fputc('\n', stderr);
}

/* The path with its filters is in s, which is freed. */
int
list_all(struct mctl *m, const struct args *a, const char *filter,
    struct str *s, const struct col *cols)
{
	const char	*value;
	json_t		*doc, *items;
	char		*next = NULL;
	long long	 limit = 50;
	size_t		 before;
	int		 i, pages, rc;

	if (args_num(m, a, "limit", 1, 1000000, &limit) != 0) {
		str_free(s);
		return (EX_USE);
	}
	if (args_has(a, "all"))
		limit = 1LL << 40;
	if ((value = args_str(a, "cursor")) != NULL)
		next = xstrdup(value);
	while (filter != NULL && *filter != '\0') {
		for (i = 0; (value = args_next(a, filter, &i)) != NULL;)
			str_query(s, filter, value);
		filter += strlen(filter) + 1;
	}
	items = json_array();
	for (pages = 0, rc = 0; pages < MAX_PAGES; pages++) {
		before = json_array_size(items);
		rc = page_get(m, s->data, limit - (long long)before, &next,
		    items);
		if (rc == -1 || next == NULL ||
		    json_array_size(items) == before ||
		    (long long)json_array_size(items) >= limit)
			break;
	}
	str_free(s);
	if (rc == 0) {
		doc = json_pack("{s:O, s:b, s:s?}", "items", items, "has_more",
		    next != NULL, "next_cursor", next);
		out_list(m, doc, cols);
		more_tell(m, next);
		json_decref(doc);
	}
	json_decref(items);
	secret_free(next);
	return (rc == 0 ? EX_DONE : m->rc);
}
