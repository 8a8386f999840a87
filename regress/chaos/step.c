/*
 * step.c - real time that steps, for the processes that load this (LD_PRELOAD)
 * and no others: what the machine's clocks say, and so many nanoseconds more as
 * stand in the file that STEP names.  It is mapped before main() begins, so
 * workers see it from within their jails.  Monotonic time is left alone.
 */
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include <err.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define SECOND	1000000000LL

static const _Atomic int64_t	 none;
static const _Atomic int64_t	*step = &none;

__attribute__((constructor)) static void
step_map(void)
{
	const char	*path = getenv("STEP");
	void		*p;
	int		 fd;

	if (path == NULL)
		return;
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) == -1 || (p = mmap(NULL,
	    sizeof(*step), PROT_READ, MAP_SHARED, fd, 0)) == MAP_FAILED)
		err(1, "STEP: %s", path);
	close(fd);
	step = p;
}

int
clock_gettime(clockid_t id, struct timespec *ts)
{
	int64_t	 ns;

	if (syscall(SYS_clock_gettime, id, ts) == -1)
		return (-1);
	if (id != CLOCK_REALTIME && id != CLOCK_REALTIME_COARSE)
		return (0);
	ns = (int64_t)ts->tv_sec * SECOND + ts->tv_nsec + *step;
	ts->tv_sec = ns / SECOND;
	ts->tv_nsec = ns % SECOND;
	return (0);
}

int
gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
	struct timespec	 ts;

	(void)zone;
	if (clock_gettime(CLOCK_REALTIME, &ts) == -1)
		return (-1);
	tv->tv_sec = ts.tv_sec;
	tv->tv_usec = ts.tv_nsec / 1000;
	return (0);
}

time_t
time(time_t *where)
{
	struct timespec	 ts;

	if (clock_gettime(CLOCK_REALTIME, &ts) == -1)
		return (-1);
	if (where != NULL)
		*where = ts.tv_sec;
	return (ts.tv_sec);
}
