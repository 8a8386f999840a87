/*
 * run_kill.c - the clock of a run, which counts execution and not waiting for
 * people, and its ends: by time, by command, by too long without a server.  A
 * kill asks the program first, then sends SIGTERM, then kills all of it, and at
 * last what holds it.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "log.h"
#include "run.h"
#include "util.h"

#define GRACE_DEFAULT	5	/* seconds */
#define GRACE_MAX	60
#define LOST_MARGIN	60
#define RESULT_WAIT	10
#define HOLDER_WAIT	15

static uint64_t	 looked;	/* offline_check(): when it did last */

uint64_t
run_clock(const struct run *r)
{
	return (r->clock_ms + (r->clock_since == 0 ? 0 :
	    now_mono() - r->clock_since));
}

static void
clock_out(int fd, short what, void *arg)
{
	struct run	*r = arg;

	(void)fd;
	(void)what;
	run_system(r, "warn", "The time for this task is up.");
	run_kill(r, "timeout", GRACE_DEFAULT);
}

void
run_clock_start(struct run *r)
{
	struct timeval	 tv = { 0, 0 };
	uint64_t	 limit = (uint64_t)r->timeout_s * 1000, left;

	if (r->clock_since == 0)
		r->clock_since = now_mono();
	if (r->timeout_s == 0 || r->status != NULL)
		return;
	if (r->ev_clock == NULL)
		r->ev_clock = evtimer_new(env->base, clock_out, r);
	left = limit > r->clock_ms ? limit - r->clock_ms : 0;
	tv.tv_sec = (time_t)(left / 1000);
	tv.tv_usec = (suseconds_t)(left % 1000 * 1000);
	evtimer_add(r->ev_clock, &tv);
}

void
run_clock_stop(struct run *r)
{
	r->clock_ms = run_clock(r);
	r->clock_since = 0;
	if (r->ev_clock != NULL)
		evtimer_del(r->ev_clock);
}

/*
 * Steps: asked; SIGTERM at the half; all of it killed at the end; and its holder,
 * when that does not say so: it stands still, or waits for what cannot be killed.
 */
static void
kill_step(int fd, short what, void *arg)
{
	struct timeval	 tv = { HOLDER_WAIT, 0 };
	struct run	*r = arg;

	(void)fd;
	(void)what;
	if (r->exited)
		return;
	switch (r->kill_step++) {
	case 0:
		run_ctl(r, 'T');
		tv.tv_sec = (time_t)((r->grace_s + 1) / 2);
		break;
	case 1:
		run_ctl(r, 'K');
		break;
	default:
		log_warnx("run %s: its holder does not answer: killed",
		    run_id(r));
		kill(r->rec->pid, SIGKILL);
		return;
	}
	evtimer_add(r->ev_kill, &tv);
}

void
run_kill(struct run *r, const char *status, uint32_t grace)
{
	struct timeval	 tv = { 0, 0 };

	if (r->status != NULL || r->exited)
		return;		/* The first reason stands. */
	r->status = xstrdup(status);
	if (r->ev_clock != NULL)
		evtimer_del(r->ev_clock);
	r->grace_s = grace == 0 ? GRACE_DEFAULT :
	    grace > GRACE_MAX ? GRACE_MAX : grace;
	if (r->ev_kill == NULL)
		r->ev_kill = evtimer_new(env->base, kill_step, r);
	if (r->fd_spec != -1) {		/* Not even let start. */
		r->kill_step = 1;
		kill_step(-1, 0, r);
		return;
	}
	log_info("run %s: %s, stopping it", run_id(r), status);
	r->kill_step = 0;
	if (r->program->kind->interrupt != NULL) {
		r->program->kind->interrupt(r);
		tv.tv_sec = (time_t)((r->grace_s + 1) / 2);
	}
	evtimer_add(r->ev_kill, &tv);
}

void
run_expect_end(struct run *r)
{
	struct timeval	 tv = { RESULT_WAIT, 0 };

	if (r->ev_kill == NULL)
		r->ev_kill = evtimer_new(env->base, kill_step, r);
	r->grace_s = GRACE_DEFAULT;
	if (r->status == NULL)
		evtimer_add(r->ev_kill, &tv);
}

/*
 * Without a server for so long that it may give the run to another; or we, or
 * the machine, stood still for so long.  Then what came meanwhile is read first:
 * the server's word, which is old, and the program's, which may be its result.
 */
static void
offline_check(int fd, short what, void *arg)
{
	uint64_t	 now = now_mono(), since = link_offline_since(), limit;
	uint64_t	 still = now - looked;
	struct run	*r = env->run;

	(void)fd;
	(void)what;
	(void)arg;
	looked = now;
	if (r == NULL)
		return;
	/* Where the margin would be most of it, half: servers restart. */
	limit = env->lost_after_s > 2 * LOST_MARGIN ?
	    env->lost_after_s - LOST_MARGIN : env->lost_after_s / 2 + 1;
	limit *= 1000;
	if (still >= limit) {
		r->stood_still = 1;
		return;
	}
	if (!r->stood_still && (since == 0 || now - since < limit))
		return;
	if (r->status == NULL)
		run_system(r, "error", "Without a server for too long: stopped "
		    "here, since another attempt may begin elsewhere.");
	run_kill(r, "lost", GRACE_DEFAULT);
}

void
run_watch_offline(void)
{
	static const struct timeval	 second = { 1, 0 };
	struct event			*ev;

	ev = event_new(env->base, -1, EV_PERSIST, offline_check, NULL);
	event_add(ev, &second);
	looked = now_mono();
}
