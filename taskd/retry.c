/*
 * retry.c - what becomes of a task whose run has ended: done, another attempt,
 * or the end.  Failures and timeouts are counted against max_retries, lost
 * runs against lost-attempts, suspensions against nothing.  Pure.
 */
#include <string.h>

#include "store.h"

static struct fate
counted(const struct task *t, const char *status, const char *error_code,
    const char *text)
{
	struct fate	 f = { status, "failed", error_code, text, 0 };

	if (t->retry_count < t->max_retries) {
		f.task_status = "pending";
		f.counted = 1;
	}
	return (f);
}

/* reported: how the agent or runnerd says that it ended. */
struct fate
fate_of(const struct task *t, const char *reported)
{
	struct fate	 f = { "completed", "completed", "", "", 0 };
	const struct session *s = t->session;

	if (strcmp(reported, "completed") == 0)
		return (f);
	if (t->canceled || t->run.kill == KILL_CANCEL || s->leaving == 2 ||
	    s->status == SESSION_TERMINATED) {
		f.status = f.task_status = f.error_code = "canceled";
		return (f);
	}
	if (t->run.kill == KILL_SUSPEND || strcmp(reported, "suspended") == 0) {
		f.status = f.error_code = "suspended";
		f.text = "the session was suspended";
		f.task_status = "pending";
		return (f);
	}
	if (t->run.kill == KILL_TIMEOUT || strcmp(reported, "timeout") == 0)
		return (counted(t, "timeout", "timeout",
		    "the run took longer than timeout_seconds"));
	if (strcmp(reported, "lost") == 0) {
		f.status = "lost";
		f.error_code = "runner_lost";
		f.text = "the runner was lost with the run";
		f.task_status = t->lost + 1 >= env->lost_attempts ?
		    "failed" : "pending";
		return (f);
	}
	return (counted(t, "failed", "agent_failed", "the agent failed"));
}
