/*
 * store.c - what taskd asks of storaged on its own account.  These questions
 * wait for ever and are sent again after storaged's restart; each is guarded
 * by run and attempt, so the second answer is the first's (promise 3).  A row
 * that precedes the answer is kept and acted on when the answer says that it
 * is committed.
 */
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "log.h"
#include "worker.h"

struct op *
op_new(const struct task *t)
{
	struct op	*o;

	if ((o = calloc(1, sizeof(*o))) == NULL)
		fatal("op");
	o->life = env->life;
	if (t != NULL) {
		strlcpy(o->task, t->id, sizeof(o->task));
		strlcpy(o->run, t->run.id, sizeof(o->run));
	}
	return (o);
}

void
op_free(struct op *o)
{
	kept_free(&o->row);
	free(o->deed);
	free(o);
}

/* The task it was asked for, if that run is still its newest. */
struct task *
op_task(const struct op *o)
{
	struct task	*t = task_find(o->task);

	return (t != NULL && strcmp(t->run.id, o->run) == 0 ? t : NULL);
}

/* What cannot be asked now cannot be forgotten either: begin anew. */
void
store_ask(enum msg_type type, const void *m, ask_done done, void *arg)
{
	if (ask(PROC_STORAGED, type, m, 0, done, arg) == NULL)
		fatal("%s cannot be asked", msg_descs[type].name);
}

void
on_stored(struct peer *p, uint64_t ref, const struct msg_stored *m)
{
	ask_stored(p, ref, m);
}

void
on_refused(struct peer *p, uint64_t ref, const struct msg_refused *m)
{
	ask_refused(p, ref, m);
}

void
on_run_row(struct peer *p, uint64_t ref, const struct msg_run_row *m)
{
	struct ask	*a = ask_find(p, ref);

	if (a != NULL && a->arg != NULL)
		keep(&((struct op *)a->arg)->row, MSG_RUN_ROW, m);
}

static void
assign_done(struct ask *a, const struct answer *ans)
{
	struct op		*o = a->arg;
	struct msg_run_row	 row;
	struct fact		 none = { 0, NULL };
	struct task		*t = op_task(o);

	if (ans->code[0] != '\0')
		log_warnx("run %s: assign: %s: %s", o->run, ans->code,
		    ans->text);
	if (t != NULL) {
		if (ans->code[0] == '\0' && kept_get(&o->row, &row) == 0)
			run_event(t, EV_ASSIGNED, &row);
		else
			run_event(t, EV_NOT_NOW, &none);
	}
	op_free(o);
}

/* On its session's runner; or, when it has one, there again. */
void
store_assign(struct task *t)
{
	int			 has = t->run.runner[0] != '\0';
	struct msg_run_assign	 m;

	m.tenant = t->tenant;
	m.run = t->run.id;
	m.task = t->id;
	m.session = t->session->id;
	m.runner = has ? t->run.runner : t->session->runner;
	m.epoch = has ? t->run.epoch : t->session->epoch;
	store_ask(MSG_RUN_ASSIGN, &m, assign_done, op_new(t));
}

static void
begin_done(struct ask *a, const struct answer *ans)
{
	struct op	*o = a->arg;
	struct task	*t = op_task(o);

	if (ans->code[0] != '\0')
		log_warnx("run %s: begin: %s: %s", o->run, ans->code,
		    ans->text);
	if (t != NULL)
		run_event(t, EV_BEGUN, NULL);
	run_noted(o->ref, o->life);
	op_free(o);
}

void
store_begin(struct task *t, const struct msg_run_started *s, uint64_t ref)
{
	struct op		*o = op_new(t);
	struct msg_run_begin	 m;

	o->ref = ref;
	m.tenant = t->tenant;
	m.run = t->run.id;
	m.task = t->id;
	m.attempt = t->run.attempt;
	m.time_ms = s->time_ms;
	store_ask(MSG_RUN_BEGIN, &m, begin_done, o);
}

void
store_noted(struct ask *a, const struct answer *ans)
{
	struct op	*o = a->arg;

	(void)ans;
	run_noted(o->ref, o->life);
	op_free(o);
}

void
store_step(struct task *t, const struct msg_run_progress *p, uint64_t ref)
{
	struct op		*o = op_new(t);
	struct msg_run_step	 m;

	o->ref = ref;
	m.tenant = t->tenant;
	m.run = t->run.id;
	m.percent = p->percent;
	m.step = p->step;
	store_ask(MSG_RUN_STEP, &m, store_noted, o);
}

static void	 end_ask(struct task *, struct op *,
		    const struct msg_run_completed *);

static void
end_done(struct ask *a, const struct answer *ans)
{
	struct op			*o = a->arg;
	struct task			*t = op_task(o);
	struct ending			 e = { o->fate, o->next_run };
	struct msg_run_row		 row;
	const struct msg_run_completed	 bare = {
		.error = "what the agent reported could not be stored" };

	if (t != NULL && ans->code[0] != '\0') {
		log_warnx("run %s: end: %s: %s", o->run, ans->code, ans->text);
		if (!o->bare) {
			o->bare = 1;
			end_ask(t, o, &bare);
			return;
		}
	}
	if (t != NULL)
		run_event(t, EV_ENDED, &e);
	ahead_over(o, kept_get(&o->row, &row) == 0 ? &row : NULL);
	op_free(o);
}

static void
end_ask(struct task *t, struct op *o, const struct msg_run_completed *r)
{
	struct msg_run_end	 m;

	m.tenant = t->tenant;
	m.run = t->run.id;
	m.task = t->id;
	m.attempt = t->run.attempt;
	m.session = t->session->id;
	m.status = o->fate.status;
	m.exit_code = r->exit_code;
	m.error_code = r->error_code != NULL && r->error_code[0] != '\0' &&
	    strcmp(o->fate.status, "failed") == 0 ? r->error_code :
	    o->fate.error_code;
	/* Of a canceled run the person's reason is kept. */
	m.error = strcmp(o->fate.status, "canceled") == 0 ? "" :
	    r->error != NULL && r->error[0] != '\0' ? r->error : o->fate.text;
	m.result = r->result;
	m.tokens_input = r->tokens_input;
	m.tokens_output = r->tokens_output;
	m.cost_microusd = r->cost_microusd;
	m.duration_ms = r->duration_ms != 0 ? r->duration_ms :
	    t->run.executed_ms;
	m.conversation = r->conversation;
	m.task_status = o->fate.task_status;
	m.next_run = o->next_run;
	m.counted = (uint8_t)o->fate.counted;
	m.then_run = o->then_run;
	m.then_task = o->then_task;
	m.then_runner = o->then_run[0] != '\0' ? t->session->runner : "";
	m.then_epoch = t->session->epoch;
	store_ask(MSG_RUN_END, &m, end_done, o);
}

/* reported: how it ended; r: what the agent says of it, or NULL. */
void
store_end(struct task *t, const struct msg_run_completed *r,
    const char *reported)
{
	static const struct msg_run_completed	 nothing;
	struct op				*o = op_new(t);

	o->fate = fate_of(t, reported);
	if (strcmp(o->fate.task_status, "pending") == 0)
		id_make(o->next_run, "run");
	else
		ahead_end(o, t);
	t->run.last = strcmp(o->fate.task_status, "pending") != 0;
	end_ask(t, o, r != NULL ? r : &nothing);
}

static void
unassign_done(struct ask *a, const struct answer *ans)
{
	struct op	*o = a->arg;
	struct task	*t = op_task(o);

	if (ans->code[0] != '\0')
		log_warnx("run %s: unassign: %s: %s", o->run, ans->code,
		    ans->text);
	if (t != NULL) {
		t->run.runner[0] = '\0';
		run_event(t, EV_UNASSIGNED, NULL);
	}
	op_free(o);
}

void
store_unassign(struct task *t)
{
	struct msg_run_unassign	 m;

	m.tenant = t->tenant;
	m.run = t->run.id;
	m.attempt = t->run.attempt;
	store_ask(MSG_RUN_UNASSIGN, &m, unassign_done, op_new(t));
}

void
store_wait(struct task *t, const char *word)
{
	struct msg_task_wait	 m;

	m.tenant = t->tenant;
	m.task = t->id;
	m.waiting_for = word;
	store_ask(MSG_TASK_WAIT, &m, NULL, NULL);
}
