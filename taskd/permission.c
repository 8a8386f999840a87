/*
 * permission.c - permission requests: those that wait for a person, and
 * answers that the agent has not acknowledged.  A request is stored before
 * anyone is asked; an answer is stored before it is delivered, and delivered
 * until PERMISSION_TAKEN (promise 12).  Whoever asked and is gone is the
 * business of storaged, which cancels or keeps.
 */
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "permission.h"
#include "queue.h"
#include "store.h"
#include "worker.h"

#define IDLE_AGAIN_MS	60000

struct permission {			/* pending, or answered undelivered */
	RB_ENTRY(permission)	 entry;		/* by id */
	TAILQ_ENTRY(permission)	 tentry;	/* of its task */
	struct task		*task;
	char			 id[ID_SIZE], run[ID_SIZE];
	char			*request, *reason;
	uint64_t		 idle_ms;	/* monotonic: SESSION_IDLE is due */
	uint32_t		 suspend_after;
	int			 answered, approved;
	int			 owed;		/* when runnerd has room */
	uint8_t			*input, *answers;
	size_t			 input_len, answers_len;
};

RB_HEAD(permissions, permission);

static struct permissions	 all = RB_INITIALIZER(&all);
static size_t			 count;

static int
permission_cmp(struct permission *a, struct permission *b)
{
	return (strcmp(a->id, b->id));
}

RB_PROTOTYPE(permissions, permission, entry, permission_cmp);
RB_GENERATE(permissions, permission, entry, permission_cmp)

size_t
permission_count(void)
{
	return (count);
}

static struct permission *
permission_find(const char *id)
{
	struct permission	 key;

	strlcpy(key.id, id, sizeof(key.id));
	return (RB_FIND(permissions, &all, &key));
}

/* The task whose present run asked, or NULL: nobody hears an answer. */
static struct task *
asker(const struct permission *q)
{
	struct task	*t = q->task;

	return (strcmp(q->run, t->run.id) == 0 &&
	    (t->run.state == RUN_ASSIGNED ||
	    t->run.state == RUN_RUNNING) ? t : NULL);
}

/* Number of open questions of its run, and with it the clock. */
static void
count_asking(const struct permission *q, int by)
{
	struct task	*t = q->task;

	if (strcmp(q->run, t->run.id) == 0) {
		run_clock(t);
		t->run.asking += (unsigned int)by;
	}
	waiting_tell_task(t);
}

static void
permission_free(struct permission *q)
{
	RB_REMOVE(permissions, &all, q);
	TAILQ_REMOVE(&q->task->permissions, q, tentry);
	count--;
	if (!q->answered)
		count_asking(q, -1);
	free(q->request);
	free(q->reason);
	freezero(q->input, q->input_len);
	freezero(q->answers, q->answers_len);
	free(q);
}

static void
copy(uint8_t **to, size_t *to_len, const uint8_t *from, size_t len)
{
	freezero(*to, *to_len);
	*to = NULL;
	*to_len = 0;
	if (len == 0)
		return;
	if ((*to = malloc(len)) == NULL)
		fatal("permission");
	memcpy(*to, from, len);
	*to_len = len;
}

/*
 * An answer may be a megabyte, and a load or a runner that is back brings many
 * at once: what runnerd's queue has no room for goes with a later tick.
 */
static void
deliver(struct permission *q)
{
	struct msg_permission_answer	 m;
	const struct task		*t = asker(q);

	q->owed = 0;
	if (!q->answered || t == NULL || !peer_is_up(peer_of(PROC_RUNNERD)))
		return;
	if ((q->owed = peer_is_full(peer_of(PROC_RUNNERD))))
		return;
	m.permission = q->id;
	m.run = q->run;
	m.runner = t->run.runner;
	m.request = q->request;
	m.approved = (uint8_t)q->approved;
	m.reason = q->reason;
	m.input = q->input;
	m.input_len = q->input_len;
	m.answers = q->answers;
	m.answers_len = q->answers_len;
	send_permission_answer(peer_of(PROC_RUNNERD), 0, &m);
}

/* Of suspend_after, what is left since it was asked; the clock may be anywhere. */
static uint64_t
until_idle(const struct msg_permission_row *m)
{
	uint64_t	 now = worker_now_ms(), whole = m->suspend_after * 1000ULL;

	if (now <= m->created_ms)
		return (whole);
	return (now - m->created_ms >= whole ? 0 :
	    whole - (now - m->created_ms));
}

static struct permission *
permission_new(const struct msg_permission_row *m, struct task *t)
{
	struct permission	*q;

	if ((q = calloc(1, sizeof(*q))) == NULL ||
	    (q->request = strdup(m->request)) == NULL)
		fatal("permission");
	strlcpy(q->id, m->permission, sizeof(q->id));
	strlcpy(q->run, m->run, sizeof(q->run));
	q->task = t;
	q->suspend_after = m->suspend_after;
	q->idle_ms = worker_mono_ms() + until_idle(m);
	RB_INSERT(permissions, &all, q);
	TAILQ_INSERT_TAIL(&t->permissions, q, tentry);
	count++;
	q->answered = strcmp(m->status, "pending") != 0;
	if (!q->answered)
		count_asking(q, 1);
	return (q);
}

static void
answered(struct permission *q, const struct msg_permission_row *m)
{
	struct task	*t = q->task;

	if (!q->answered) {
		q->answered = 1;
		count_asking(q, -1);
	}
	task_wants(t, m->wanted_ms);
	q->approved = strcmp(m->status, "approved") == 0;
	free(q->reason);
	if ((q->reason = strdup(m->reason)) == NULL)
		fatal("permission");
	copy(&q->input, &q->input_len, m->input, m->input_len);
	copy(&q->answers, &q->answers_len, m->answers, m->answers_len);
	if (asker(q) != NULL) {
		deliver(q);
		return;
	}
	/* Its run was suspended: the answer is kept; the session goes on. */
	permission_free(q);
	session_tell(t->session);
}

static void
cancel(const char *tenant, const char *run, const char *request)
{
	struct op			*o = op_new(NULL);
	struct msg_permission_cancel	 m;

	m.tenant = tenant;
	m.run = run;
	m.request = request;
	store_ask(MSG_PERMISSION_CANCEL, &m, store_noted, o);
}

/* A committed row: asked, answered, canceled, delivered. */
void
permission_row(const struct msg_permission_row *m)
{
	struct permission	*q = permission_find(m->permission);
	struct task		*t;

	if (strcmp(m->status, "canceled") == 0 || (m->delivered &&
	    strcmp(m->status, "pending") != 0)) {
		if (q != NULL)
			permission_free(q);
		return;
	}
	if ((t = task_find(m->task)) == NULL) {
		/* An older program let its task end without it. */
		if (!env->loaded && strcmp(m->status, "pending") == 0)
			cancel(m->tenant, m->run, m->request);
		return;
	}
	if (q == NULL)
		q = permission_new(m, t);
	if (strcmp(m->status, "pending") != 0)
		answered(q, m);
}

/* Its runner is back: answers that it may not have. */
void
permission_resend(const struct task *t)
{
	struct permission	*q;

	TAILQ_FOREACH(q, &t->permissions, tentry)
		if (q->answered && strcmp(q->run, t->run.id) == 0)
			deliver(q);
}

/* Number of answers that its run may not have. */
size_t
permission_untaken(const struct task *t)
{
	struct permission	*q;
	size_t			 n = 0;

	TAILQ_FOREACH(q, &t->permissions, tentry)
		n += q->answered != 0;
	return (n);
}

/* Does a person owe this pending task an answer? */
int
permission_waits(const struct task *t)
{
	struct permission	*q;

	TAILQ_FOREACH(q, &t->permissions, tentry)
		if (!q->answered)
			return (1);
	return (0);
}

/*
 * Its run began, or the task ended: what earlier runs asked is void.  ended:
 * so is what this one asked, and the end of the task said all that to storaged.
 */
void
permission_leave(const struct task *t, int ended)
{
	struct permission	*q, *next;
	int			 present;

	TAILQ_FOREACH_SAFE(q, &t->permissions, tentry, next) {
		present = strcmp(q->run, t->run.id) == 0;
		if (present && !ended)
			continue;
		if (!ended && !q->answered)
			cancel(t->tenant, q->run, q->request);
		permission_free(q);
	}
}

/* A run ended: its answers find nobody, its questions stay for people. */
void
permission_orphan(const struct task *t)
{
	struct permission	*q, *next;

	TAILQ_FOREACH_SAFE(q, &t->permissions, tentry, next)
		if (strcmp(q->run, t->run.id) == 0 && (q->answered ||
		    t->run.kill != KILL_SUSPEND))
			permission_free(q);
}

static void
deliver_owed(void)
{
	struct permission	*q;

	RB_FOREACH(q, permissions, &all)
		if (q->owed)
			deliver(q);
}

/* Unanswered for so long: the session may give its runner back. */
void
permission_janitor(void)
{
	struct msg_session_idle	 m = { .reason = "permission" };
	struct permission	*q;
	struct task		*t;

	deliver_owed();
	if (!peer_is_up(peer_of(PROC_SESSIOND)))
		return;
	RB_FOREACH(q, permissions, &all) {
		if (q->answered || q->suspend_after == 0 ||
		    worker_mono_ms() < q->idle_ms ||
		    (t = asker(q)) == NULL || t->session->leaving != 0)
			continue;
		q->idle_ms = worker_mono_ms() + IDLE_AGAIN_MS;
		m.session = t->session->id;
		send_session_idle(peer_of(PROC_SESSIOND), 0, &m);
	}
}

/* Its run may have ended since: an answer that is kept must not serve again. */
void
on_permission_taken(struct peer *p, uint64_t ref,
    const struct msg_permission_taken *m)
{
	struct permission		*q;
	struct op			*o;
	struct msg_permission_sent	 sent;

	if (early_keep(p, ref, MSG_PERMISSION_TAKEN, m))
		return;
	o = op_new(NULL);
	o->ref = ref;
	sent.permission = m->permission;
	sent.runner = m->runner;
	store_ask(MSG_PERMISSION_SENT, &sent, store_noted, o);
	if ((q = permission_find(m->permission)) != NULL && q->answered &&
	    strcmp(q->task->run.runner, m->runner) == 0)
		permission_free(q);
}

static void	 withdraw(const struct task *, struct op *);

/*
 * It may have been stored only after it was withdrawn: PERMISSION_PUT was first.
 * And may be still to be stored, when that was refused for now and this was not:
 * then it is withdrawn once more, behind it.
 */
static void
withdrawn_done(struct ask *a, const struct answer *ans)
{
	struct op		*o = a->arg;
	const struct task	*t = op_task(o);
	struct permission	*q, *next;

	if (t != NULL && ans->code[0] == '\0' && ans->rows == 0 &&
	    t->run.putting > 0) {
		withdraw(t, o);
		return;
	}
	if (t != NULL)
		TAILQ_FOREACH_SAFE(q, &t->permissions, tentry, next)
			if (strcmp(q->run, o->run) == 0 &&
			    strcmp(q->request, o->request) == 0)
				permission_free(q);
	store_noted(a, ans);
}

static void
withdraw(const struct task *t, struct op *o)
{
	struct msg_permission_cancel	 m;

	m.tenant = t->tenant;
	m.run = o->run;
	m.request = o->request;
	store_ask(MSG_PERMISSION_CANCEL, &m, withdrawn_done, o);
}

void
on_permission_withdrawn(struct peer *p, uint64_t ref,
    const struct msg_permission_withdrawn *m)
{
	struct task	*t;
	struct op	*o;

	if (early_keep(p, ref, MSG_PERMISSION_WITHDRAWN, m))
		return;
	/*
	 * Suspended while it asked: the question stands, and may wake it.
	 * Canceled: no answer is kept, as the end of the run says.
	 */
	t = task_of_run(m->run);
	if (t == NULL || t->run.kill == KILL_SUSPEND ||
	    t->run.kill == KILL_CANCEL) {
		run_noted(ref, env->life);
		return;
	}
	o = op_new(t);
	o->ref = ref;
	strlcpy(o->request, m->request, sizeof(o->request));
	withdraw(t, o);
}
