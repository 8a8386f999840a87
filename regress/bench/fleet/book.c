/*
 * book.c - the books: a line for each thing that the fleet was told or has
 * sent, written to the file before anything follows from it, so that neither
 * the server's death nor our own loses what was acknowledged.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fleet.h"
#include "log.h"
#include "util.h"

#define BOOK_LINE	1024

static int	 book_fd = -1;

void
book_open(const char *path)
{
	book_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (book_fd == -1)
		fatal("%s", path);
}

int
book_is_open(void)
{
	return (book_fd != -1);
}

void
book(const char *fmt, ...)
{
	va_list	 ap;
	char	 line[BOOK_LINE];
	int	 n, more;

	if (book_fd == -1)
		return;
	n = snprintf(line, sizeof(line), "%llu ", (unsigned long long)now_ns());
	va_start(ap, fmt);
	more = vsnprintf(line + n, sizeof(line) - (size_t)n - 1, fmt, ap);
	va_end(ap);
	n += more;
	if (more < 0 || (size_t)n >= sizeof(line) - 1)
		fatalx("a line of the books is too long");
	line[n++] = '\n';
	if (write_all(book_fd, line, (size_t)n) == -1)
		fatal("the books");
}
