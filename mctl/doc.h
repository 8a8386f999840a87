/*
 * Strings, JSON documents and how they are shown: what mctl's files use to
 * print.  Nothing that a server or an agent said reaches a terminal but
 * through text.c.
 */

#ifndef DOC_H
#define DOC_H

#include <stdarg.h>

#include "mctl.h"

enum col_kind { COL_TEXT, COL_AGE, COL_LABELS, COL_BYTES, COL_SECONDS };

struct col {
	const char	*title;
	const char	*path;		/* a.b, with alternatives: a|b */
	enum col_kind	 kind;
	int		 wide;		/* only with -o wide */
	size_t		 clip;		/* screen columns at most, 0 all */
};

/* A growing string; data is NUL-terminated from the first use on. */
struct str {
	char	*data;
	size_t	 len;
	size_t	 size;
};

/* str.c */
void	*xcalloc(size_t, size_t);
char	*xstrdup(const char *);
char	*xasprintf(const char *, ...)
	    __attribute__((__format__(printf, 1, 2)));
void	 str_add(struct str *, const void *, size_t);
void	 str_puts(struct str *, const char *);
void	 str_printf(struct str *, const char *, ...)
	    __attribute__((__format__(printf, 2, 3)));
void	 str_escape(struct str *, const char *);
void	 str_query(struct str *, const char *, const char *);
void	 str_free(struct str *);

/* text.c: TEXT_LINES keeps newlines and tabs. */
#define TEXT_LINES	0x1
uint32_t text_next(const char **, const char *);
void	 text_safe(struct str *, const char *, size_t, int);
void	 text_put(FILE *, const char *, size_t, int);
void	 text_puts(FILE *, const char *);
size_t	 text_width(const char *);
void	 text_clip(struct str *, size_t);

/* when.c */
int64_t	 when_now(void);
int64_t	 when_ticks(void);
int	 when_parse(const char *, int64_t *);
void	 when_age(int64_t, char *, size_t);
void	 when_format(int64_t, char *, size_t);
int	 when_span(const char *, int64_t *);

/* doc.c */
json_t	*doc_find(json_t *, const char *);
const char *doc_str(json_t *, const char *);
int64_t	 doc_int(json_t *, const char *);
json_t	*doc_items(json_t *);
void	 doc_cell(struct str *, json_t *, const struct col *);

/* endpoint.c */
int	 url_is_loopback(const char *);

/* out.c, yaml.c, table.c */
void	 out_list(struct mctl *, json_t *, const struct col *);
void	 out_one(struct mctl *, json_t *);
void	 out_record(struct mctl *, json_t *, const struct col *);
void	 out_line(struct mctl *, json_t *);
void	 out_json(FILE *, json_t *, size_t);
int	 out_check(struct mctl *);
void	 yaml_print(FILE *, json_t *);
void	 table_print(FILE *, json_t *, const struct col *, int);

/* list.c: filters are names, a NUL after each, one more at the end. */
#define LIST_OPTS						\
	{ "limit", "N", "rows at most (50)", 0 },		\
	{ "all", NULL, "every row there is", 0 },		\
	{ "cursor", "C", "go on from next_cursor", 0 }
int	 list_all(struct mctl *, const struct args *, const char *,
	    struct str *, const struct col *);

#endif
