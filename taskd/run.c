/*
 * run.c - runs, as runnerd hears of them and tells of them.  A fact is
 * acknowledged (RUN_NOTED) when it is committed or stale; what runnerd was told
 * and may have forgotten is told again.  A runner that never answers is the
 * janitor's: an overdue run is killed, a canceled one given up.
 */
#include <string.h>

#include "log.h"
#include "permission.h"
#include "queue.h"
#include "store.h"
#include "worker.h"

static const char *const	 kill_reasons[] = {
	"", "timeout", "suspended", "canceled"
};

/*
 * ref and life as the fact came: another life of runnerd chooses the same refs
 * for other facts.
 */
void
run_noted(uint64_t ref, uint32_t life)
{
	struct msg_run_noted	 m = { 0 };

	if (ref != 0 && life == env->life &&
	    peer_is_up(peer_of(PROC_RUNNERD)))
		send_run_noted(peer_of(PROC_RUNNERD), ref, &m);
}

/*
 * A prompt may be a megabyte, and a runnerd that came up is told of every run at
 * once: what its queue has no room for goes with a later tick.
 */
void
run_start(struct task *t, int fresh)
{
	struct msg_run_start	 m;
	struct peer		*p = peer_of(PROC_RUNNERD);

	if (t->run.prompt == NULL || !peer_is_up(p))
		return;
	t->run.fresh |= fresh != 0;
	if ((t->run.owed = peer_is_full(p) != 0))
		return;
	m.tenant = t->tenant;
	m.run = t->run.id;
	m.task = t->id;
	m.session = t->session->id;
	m.runner = t->run.runner;
	m.attempt = t->run.attempt;
	m.epoch = t->run.epoch;
	m.timeout = t->timeout;
	m.interrupted = t->run.interrupted;
	m.fresh = t->run.fresh;
	m.prompt = t->run.prompt;
	t->run.fresh = 0;
	send_run_start(p, 0, &m);
}

static void
send_kill(const char *run, const char *runner, const char *reason)
{
	struct msg_run_kill	 m;

	if (!peer_is_up(peer_of(PROC_RUNNERD)))
		return;
	m.run = run;
	m.runner = runner;
	m.reason = reason;
	m.grace = KILL_GRACE;
	send_run_kill(peer_of(PROC_RUNNERD), 0, &m);
}

void
run_kill(struct task *t, enum kill k)
{
	if (k > t->run.kill) {
		t->run.kill = k;
		t->run.kill_ms = worker_mono_ms();
	}
	send_kill(t->run.id, t->run.runner, kill_reasons[t->run.kill]);
}

/* Counts what was executed until now; waiting for a person is not. */
void
run_clock(struct task *t)
{
	uint64_t	 now = worker_mono_ms();

	if (t->run.state == RUN_RUNNING && t->run.asking == 0)
		t->run.executed_ms += now - t->run.clock_ms;
	t->run.clock_ms = now;
}

/* After runnerd came up: every run that it may have to know of. */
void
run_expect_all(void)
{
	struct msg_runs_done	 done = { 0 };
	struct msg_run_expected	 m;
	struct task		*t;

	for (t = task_first(); t != NULL; t = task_next(t)) {
		if (t->run.state != RUN_ASSIGNED &&
		    t->run.state != RUN_RUNNING && t->run.state != RUN_ENDING)
			continue;
		if (t->run.runner[0] == '\0')
			continue;
		m.tenant = t->tenant;
		m.run = t->run.id;
		m.task = t->id;
		m.session = t->session->id;
		m.runner = t->run.runner;
		m.attempt = t->run.attempt;
		m.epoch = t->run.epoch;
		m.started = t->run.started;
		send_run_expected(peer_of(PROC_RUNNERD), 0, &m);
	}
	send_runs_done(peer_of(PROC_RUNNERD), 0, &done);
	for (t = task_first(); t != NULL; t = task_next(t)) {
		if (t->run.state == RUN_ASSIGNED && !t->run.started)
			run_start(t, 0);
		if (t->run.kill != KILL_NONE)
			run_kill(t, t->run.kill);
		permission_resend(t);
	}
}

static void
run_overdue(struct task *t)
{
	struct fact	 none = { 0, NULL };
	uint64_t	 limit = t->timeout * 1000ULL + TIMEOUT_SLACK;
	enum kill	 k = KILL_TIMEOUT;

	run_clock(t);
	if (t->run.kill == KILL_CANCEL &&
	    worker_mono_ms() - t->run.kill_ms > KILL_PATIENCE) {
		log_info("run %s: its runner does not answer, canceled",
		    t->run.id);
		run_event(t, EV_LOST, &none);
	} else if (t->run.kill == KILL_NONE && t->timeout != 0 &&
	    t->run.executed_ms > limit)
		run_event(t, EV_KILL, &k);
}

/* A kill meanwhile found nothing there. */
static void
start_owed(struct task *t)
{
	run_start(t, 0);
	if (!t->run.owed && t->run.kill != KILL_NONE)
		run_kill(t, t->run.kill);
}

void
run_janitor(void)
{
	struct task	*t, *next;

	for (t = task_first(); t != NULL; t = next) {
		next = task_next(t);
		waiting_settle(t);
		if (t->run.state == RUN_ASSIGNED && t->run.unprompted) {
			t->run.unprompted = 0;
			store_assign(t);
		}
		if (t->run.state == RUN_ASSIGNED && t->run.owed)
			start_owed(t);
		if (t->run.state == RUN_RUNNING ||
		    t->run.state == RUN_ASSIGNED)
			run_overdue(t);
	}
}

/* The task whose newest run this is, in that attempt; NULL: stale. */
static struct task *
current(const char *run, uint32_t attempt)
{
	struct task	*t = task_of_run(run);

	return (t != NULL && t->run.attempt == attempt ? t : NULL);
}

static void
fact(struct task *t, enum run_event ev, uint64_t ref, const void *m)
{
	struct fact	 f = { ref, m };

	if (t == NULL || !run_event(t, ev, &f))
		run_noted(ref, env->life);
}

void
on_run_accepted(struct peer *p, uint64_t ref, const struct msg_run_accepted *m)
{
	if (early_keep(p, ref, MSG_RUN_ACCEPTED, m))
		return;
	/* The agent has it on disk; nothing of ours changes until it starts. */
	run_noted(ref, env->life);
}

void
on_run_started(struct peer *p, uint64_t ref, const struct msg_run_started *m)
{
	if (early_keep(p, ref, MSG_RUN_STARTED, m))
		return;
	fact(current(m->run, m->attempt), EV_STARTED, ref, m);
}

void
on_run_completed(struct peer *p, uint64_t ref,
    const struct msg_run_completed *m)
{
	if (early_keep(p, ref, MSG_RUN_COMPLETED, m))
		return;
	fact(current(m->run, m->attempt), EV_COMPLETED, ref, m);
}

void
on_run_unwound(struct peer *p, uint64_t ref, const struct msg_run_unwound *m)
{
	if (early_keep(p, ref, MSG_RUN_UNWOUND, m))
		return;
	log_info("run %s unwound: %s", m->run, m->reason);
	fact(current(m->run, m->attempt), EV_UNWOUND, ref, m);
}

void
on_run_lost(struct peer *p, uint64_t ref, const struct msg_run_lost *m)
{
	if (early_keep(p, ref, MSG_RUN_LOST, m))
		return;
	log_info("run %s lost: %s", m->run, m->reason);
	fact(current(m->run, m->attempt), EV_LOST, ref, m);
}

void
on_run_progress(struct peer *p, uint64_t ref, const struct msg_run_progress *m)
{
	struct task	*t;

	if (early_keep(p, ref, MSG_RUN_PROGRESS, m))
		return;
	t = task_of_run(m->run);
	if (t == NULL || t->run.state == RUN_ENDING)
		run_noted(ref, env->life);
	else
		store_step(t, m, ref);
}

/* A runner is back and runs this. */
void
on_run_seen(struct peer *p, uint64_t ref, const struct msg_run_seen *m)
{
	struct task	*t;

	if (early_keep(p, ref, MSG_RUN_SEEN, m))
		return;
	if ((t = current(m->run, m->attempt)) == NULL) {
		if (strcmp(m->state, "completed") != 0)
			send_kill(m->run, m->runner, "canceled");
		return;
	}
	t->run.seen = 1;
	if (t->run.kill != KILL_NONE)
		run_kill(t, t->run.kill);
	permission_resend(t);
}

/* It has named all it runs: what it did not name never reached it. */
void
on_runner_back(struct peer *p, uint64_t ref, const struct msg_runner_back *m)
{
	struct task	*t;

	if (early_keep(p, ref, MSG_RUNNER_BACK, m))
		return;
	for (t = task_first(); t != NULL; t = task_next(t)) {
		if (strcmp(t->run.runner, m->runner) != 0)
			continue;
		if (!t->run.seen && t->run.state == RUN_ASSIGNED &&
		    !t->run.started)
			run_start(t, 0);
		t->run.seen = 0;
		permission_resend(t);
	}
}
