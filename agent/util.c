/*
 * util.c - allocation that cannot fail, clocks, and whole files.  Running out
 * of memory ends the agent: its journal brings the next one up to date.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "util.h"

void *
xmalloc(size_t n)
{
	void	*p;

	if ((p = malloc(n == 0 ? 1 : n)) == NULL)
		fatal("memory: %zu bytes", n);
	return (p);
}

void *
xcalloc(size_t n, size_t size)
{
	void	*p;

	if ((p = calloc(n == 0 ? 1 : n, size)) == NULL)
		fatal("memory: %zu times %zu bytes", n, size);
	return (p);
}

void *
xrealloc(void *old, size_t n)
{
	void	*p;

	if ((p = realloc(old, n == 0 ? 1 : n)) == NULL)
		fatal("memory: %zu bytes", n);
	return (p);
}

char *
xstrndup(const char *s, size_t n)
{
	char	*p;

	p = xmalloc(n + 1);
	memcpy(p, s, n);
	p[n] = '\0';
	return (p);
}

char *
xstrdup(const char *s)
{
	return (xstrndup(s, strlen(s)));
}

char *
xasprintf(const char *fmt, ...)
{
	va_list	 ap;
	char	*p;

	va_start(ap, fmt);
	if (vasprintf(&p, fmt, ap) == -1)
		fatal("memory: formatted text");
	va_end(ap);
	return (p);
}

static uint64_t
now_ms(clockid_t clock)
{
	struct timespec	 ts;

	clock_gettime(clock, &ts);
	return ((uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000);
}

uint64_t
now_wall(void)
{
	return (now_ms(CLOCK_REALTIME));
}

uint64_t
now_mono(void)
{
	return (now_ms(CLOCK_BOOTTIME));
}

char *
file_read(const char *path, size_t max, size_t *len)
{
	struct stat	 st;
	char		*buf = NULL;
	size_t		 n = 0;
	ssize_t		 r;
	int		 fd;

	if ((fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY)) == -1)
		return (NULL);
	if (fstat(fd, &st) == -1)
		goto fail;
	if (S_ISREG(st.st_mode) && (uint64_t)st.st_size > max) {
		errno = EFBIG;
		goto fail;
	}
	buf = xmalloc(max + 1);
	while (n < max && (r = read(fd, buf + n, max - n)) != 0) {
		if (r == -1) {
			if (errno == EINTR)
				continue;
			goto fail;
		}
		n += (size_t)r;
	}
	close(fd);
	buf[n] = '\0';
	if (len != NULL)
		*len = n;
	return (buf);
fail:
	free(buf);
	close(fd);
	return (NULL);
}

int
write_all(int fd, const void *buf, size_t len)
{
	const char	*p = buf;
	ssize_t		 n;

	while (len > 0) {
		if ((n = write(fd, p, len)) == -1) {
			if (errno == EINTR)
				continue;
			return (-1);
		}
		p += n;
		len -= (size_t)n;
	}
	return (0);
}

int
file_write(int dirfd, const char *name, const void *buf, size_t len, int mode)
{
	char	 tmp[128];
	int	 fd = -1, save;

	if ((size_t)snprintf(tmp, sizeof(tmp), ".%s.new", name) >= sizeof(tmp)) {
		errno = ENAMETOOLONG;
		return (-1);
	}
	if (unlinkat(dirfd, tmp, 0) == -1 && errno != ENOENT)
		return (-1);
	fd = openat(dirfd, tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC |
	    O_NOFOLLOW, (mode_t)mode);
	if (fd == -1)
		return (-1);
	if (write_all(fd, buf, len) == -1 || fsync(fd) == -1 ||
	    renameat(dirfd, tmp, dirfd, name) == -1) {
		save = errno;
		close(fd);
		unlinkat(dirfd, tmp, 0);
		errno = save;
		return (-1);
	}
	close(fd);
	return (fsync(dirfd));
}

int
dir_sync(int dirfd, const char *name)
{
	int	 fd, rv, save;

	fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1)
		return (-1);
	rv = fsync(fd);
	save = errno;
	close(fd);
	errno = save;
	return (rv);
}
