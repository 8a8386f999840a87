/*
 * own_time.h - in place of imsg/worker.c, for a test whose time is its own: it goes
 * on when the test says so, the real one and the monotonic one alike.
 */
#ifndef OWN_TIME_H
#define OWN_TIME_H

#include <stdint.h>

extern uint64_t	 mono_ms, wall_ms;

void	 time_passes(uint64_t ms);

#endif
