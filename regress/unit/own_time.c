/*
 * own_time.c - see own_time.h.  Nobody stops, and no message comes but from the test.
 */
#include "own_time.h"
#include "peer.h"
#include "worker.h"

uint64_t	 mono_ms = 1000000, wall_ms = 1000000;

void
time_passes(uint64_t ms)
{
	mono_ms += ms;
	wall_ms += ms;
}

uint64_t
worker_mono_ms(void)
{
	return (mono_ms);
}

uint64_t
worker_now_ms(void)
{
	return (wall_ms);
}

int
worker_draining(void)
{
	return (0);
}

void
worker_drained(void)
{
}

int
proc_dispatch(struct peer *p, uint64_t ref, enum msg_type type, const void *m,
    int fd)
{
	(void)p;
	(void)ref;
	(void)type;
	(void)m;
	(void)fd;
	return (-1);
}
