/*
 * load.c - the beginning of taskd's life and its peers' lives (architecture
 * 1.7): tasks and permissions are loaded once storaged is up, what came early
 * is handled then, and each peer that comes up is told all that it may not
 * know.
 */
#include <stdio.h>

#include "client.h"
#include "log.h"
#include "permission.h"
#include "worker.h"

static int	 asked, begun;	/* to load; to tell runnerd */

/*
 * runnerd is told of the runs when sessiond has told of the sessions: a run that
 * ends, or takes a question back, may do so because its session leaves.
 */
void
runs_begin(void)
{
	if (begun || !env->loaded || !env->told)
		return;
	begun = 1;
	if (peer_is_up(peer_of(PROC_RUNNERD)))
		run_expect_all();
}

/* Runs that were assigned before have lost their prompt: ask for it. */
static void
loaded(void)
{
	enum kill	 cancel = KILL_CANCEL;
	struct task	*t;

	log_info("%zu tasks, %zu permission requests", task_count(),
	    permission_count());
	env->loaded = 1;
	for (t = task_first(); t != NULL; t = task_next(t)) {
		if (t->run.state == RUN_ASSIGNED)
			store_assign(t);
		else if (t->run.state == RUN_RUNNING)
			permission_leave(t, 0);
		if (t->canceled)
			run_event(t, EV_KILL, &cancel);
	}
	session_loaded();
	runs_begin();
	early_replay();
}

static void
permissions_done(struct ask *a, const struct answer *ans)
{
	(void)a;
	if (ans->code[0] != '\0')
		fatalx("permissions cannot be loaded: %s", ans->text);
	loaded();
}

static void
tasks_done(struct ask *a, const struct answer *ans)
{
	struct msg_permission_load	 m = { 0 };

	(void)a;
	if (ans->code[0] != '\0')
		fatalx("tasks cannot be loaded: %s", ans->text);
	store_ask(MSG_PERMISSION_LOAD, &m, permissions_done, NULL);
}

void
taskd_peer_up(struct peer *p)
{
	struct msg_task_load	 m = { 0 };

	if (p->proc == PROC_RUNNERD)
		env->life = p->ctl.generation;
	if (p->proc == PROC_STORAGED) {
		ask_peer_up(p);
		if (!asked)
			store_ask(MSG_TASK_LOAD, &m, tasks_done, NULL);
		asked = 1;
	} else if (p->proc == PROC_SESSIOND)
		session_wishes();
	else if (p->proc == PROC_RUNNERD && begun)
		run_expect_all();
}

void
taskd_peer_down(struct peer *p)
{
	early_forget(p);
	waiter_forget(p);
}

/*
 * Facts of runs cannot be refused; so they are not read while a slow database has
 * much to store already.  What is ours to say has the rest of the room.
 */
void
taskd_turn(void)
{
	unsigned int	 n;
	size_t		 bytes;

	ask_count(&n, &bytes);
	peer_pause(peer_of(PROC_RUNNERD), bytes > ASK_BYTES_MAX / 4 * 3);
}

void
taskd_janitor(void)
{
	ask_janitor();
	if (env->loaded) {
		run_janitor();
		permission_janitor();
	}
	session_janitor();
	waiter_janitor();
}

size_t
taskd_metrics(char *buf, size_t size)
{
	unsigned int	 n;
	size_t		 bytes;
	int		 len;

	ask_count(&n, &bytes);
	len = snprintf(buf, size,
	    "marionette_tasks_open %zu\n"
	    "marionette_permissions_open %zu\n"
	    "marionette_taskd_questions %u\n"
	    "marionette_taskd_question_bytes %zu\n",
	    task_count(), permission_count(), n, bytes);
	return (len < 0 || (size_t)len >= size ? 0 : (size_t)len);
}
