/*
 * util.h - allocation that cannot fail, clocks, and text made safe to send.
 */
#ifndef AGENT_UTIL_H
#define AGENT_UTIL_H

#include <stddef.h>
#include <stdint.h>

void	*xmalloc(size_t);
void	*xcalloc(size_t, size_t);
void	*xrealloc(void *, size_t);
char	*xstrdup(const char *);
char	*xstrndup(const char *, size_t);
char	*xasprintf(const char *, ...) __attribute__((format(printf, 1, 2)));

/* Unix milliseconds, and milliseconds that only grow (suspend counted). */
uint64_t now_wall(void);
uint64_t now_mono(void);

/*
 * A copy in which everything that is not well-formed UTF-8, and NUL, became
 * U+FFFD.  NUL-terminated; len is the copy's.  The caller frees it.
 */
char	*utf8_scrub(const char *, size_t, size_t *len);
/* In place: each byte that is not of a well-formed character becomes `?'. */
void	 utf8_mend(char *);
/* The largest n <= max at which s may be cut without splitting a character. */
size_t	 utf8_cut(const char *, size_t len, size_t max);
/* Scrubbed, line ends and controls as spaces, at most max bytes. */
char	*utf8_line(const char *, size_t max);
/* A copy of s, at most max bytes, cut between characters. */
char	*utf8_limit(const char *, size_t max);

/* A file of at most max bytes, NUL-terminated; NULL with errno. */
char	*file_read(const char *path, size_t max, size_t *len);
/* Whole, durable, or not at all: write, fsync, rename, fsync dir. */
int	 file_write(int dirfd, const char *name, const void *, size_t, int mode);
int	 write_all(int fd, const void *, size_t);
/* The names in a directory are on the disk: 0, or -1 with errno. */
int	 dir_sync(int dirfd, const char *name);

#endif
