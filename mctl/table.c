/*
 * Aligned tables.  Columns are as wide as what stands in them; the last one
 * is not padded.
 */

#include <stdlib.h>

#include "doc.h"

#define MAX_COLS	24
#define GAP		2

static void
pad(FILE *f, size_t n)
{
	while (n-- > 0)
		fputc(' ', f);
}

static void
print_row(FILE *f, char *const *cells, const size_t *width, size_t ncols)
{
	size_t	 i;

	for (i = 0; i < ncols; i++) {
		fputs(cells[i], f);
		if (i + 1 < ncols)
			pad(f, width[i] - text_width(cells[i]) + GAP);
	}
	fputc('\n', f);
}

static void
measure(char *const *cells, size_t *width, size_t ncols)
{
	size_t	 i, w;

	for (i = 0; i < ncols; i++)
		if ((w = text_width(cells[i])) > width[i])
			width[i] = w;
}

static char *
cell(json_t *row, const struct col *col)
{
	struct str	 s = { 0 };

	doc_cell(&s, row, col);
	return (s.data);
}

void
table_print(FILE *f, json_t *rows, const struct col *cols, int wide)
{
	const struct col *use[MAX_COLS];
	char		**cells;
	json_t		 *row;
	size_t		  width[MAX_COLS] = { 0 }, ncols = 0, nrows, i, j;

	for (; cols->title != NULL && ncols < MAX_COLS; cols++)
		if (wide || !cols->wide)
			use[ncols++] = cols;
	nrows = json_array_size(rows) + 1;
	cells = xcalloc(nrows * ncols, sizeof(*cells));
	for (j = 0; j < ncols; j++)
		cells[j] = xstrdup(use[j]->title);
	json_array_foreach(rows, i, row)
		for (j = 0; j < ncols; j++)
			cells[(i + 1) * ncols + j] = cell(row, use[j]);
	for (i = 0; i < nrows; i++)
		measure(cells + i * ncols, width, ncols);
	for (i = 0; i < nrows; i++)
		print_row(f, cells + i * ncols, width, ncols);
	for (i = 0; i < nrows * ncols; i++)
		free(cells[i]);
	free(cells);
}
