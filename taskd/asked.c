/*
 * asked.c - a run asks for permission: the policy says how risky it is and
 * whether a person decides, the request is stored, and only then is anybody
 * asked or the policy's answer delivered.
 */
#include <string.h>

#include "log.h"
#include "permission.h"
#include "store.h"

/*
 * Questions of one run that nobody has answered: more are denied, so that a
 * run which only asks fills neither memory nor anybody's list.
 */
#define ASKING_MAX	128
#define UNTAKEN_MAX	256	/* its answers, until it says it has them */

/* Nobody is asked about what is not stored: the safe answer. */
static void
deny(const struct op *o, const char *reason)
{
	struct msg_permission_answer	 m;
	const struct task		*t = op_task(o);

	if (t == NULL || !peer_is_up(peer_of(PROC_RUNNERD)))
		return;
	memset(&m, 0, sizeof(m));
	m.permission = o->permission;
	m.run = o->run;
	m.runner = t->run.runner;
	m.request = o->request;
	m.reason = reason;
	send_permission_answer(peer_of(PROC_RUNNERD), 0, &m);
}

static void
put_done(struct ask *a, const struct answer *ans)
{
	struct op			*o = a->arg;
	struct msg_permission_row	 row;
	struct task			*t = op_task(o);

	if (t != NULL)
		t->run.putting--;
	if (kept_get(&o->row, &row) == 0 && row.permission[0] != '\0')
		permission_row(&row);
	else if (ans->code[0] != '\0') {
		log_warnx("permission of run %s: %s: %s", o->run, ans->code,
		    ans->text);
		deny(o, "the request could not be stored, so nobody could be "
		    "asked");
	}
	run_noted(o->ref, o->life);
	op_free(o);
}

void
on_permission_row(struct peer *p, uint64_t ref,
    const struct msg_permission_row *m)
{
	struct ask	*a = ask_find(p, ref);

	if (a == NULL)
		return;
	if (a->type == MSG_PERMISSION_LOAD)
		permission_row(m);
	else
		keep(&((struct op *)a->arg)->row, MSG_PERMISSION_ROW, m);
}

void
on_permission_asked(struct peer *p, uint64_t ref,
    const struct msg_permission_asked *m)
{
	struct msg_permission_put	 put;
	struct verdict			 v;
	struct task			*t;
	struct op			*o;

	if (early_keep(p, ref, MSG_PERMISSION_ASKED, m))
		return;
	t = task_of_run(m->run);
	if (t == NULL || t->run.attempt != m->attempt ||
	    (t->run.state != RUN_ASSIGNED && t->run.state != RUN_RUNNING)) {
		run_noted(ref, env->life);
		return;
	}
	v = policy_decide(m->kind, m->tool, m->action);
	if (v.decision[0] == '\0' && t->run.asking >= ASKING_MAX)
		v.decision = "denied";
	o = op_new(t);
	o->ref = ref;
	id_make(o->permission, "perm");
	strlcpy(o->request, m->request, sizeof(o->request));
	if (permission_untaken(t) >= UNTAKEN_MAX) {
		deny(o, "the run has not acknowledged its earlier answers");
		run_noted(ref, env->life);
		op_free(o);
		return;
	}
	put.tenant = t->tenant;
	put.permission = o->permission;
	put.run = m->run;
	put.attempt = m->attempt;
	put.request = m->request;
	put.kind = m->kind;
	put.tool = m->tool;
	put.action = m->action;
	put.input = m->input;
	put.risk = v.risk;
	put.decision = v.decision;
	put.suspend_after = env->suspend_after;
	t->run.putting++;
	store_ask(MSG_PERMISSION_PUT, &put, put_done, o);
}
