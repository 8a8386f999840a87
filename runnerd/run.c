/*
 * run.c - runs on their way to an agent and what taskd believes of them.  A
 * run is known only through taskd (RUN_START, RUN_EXPECTED); what a Hello names
 * is compared with that.  ExecuteTask is kept until the agent has the run and
 * is sent again after each reconnect; the agent starts a run id once.
 */
#include <stdlib.h>
#include <string.h>

#include "journal.h"
#include "log.h"
#include "run.h"
#include "session.h"

struct named {				/* of a runner's last Hello */
	char		 run[ID_SIZE];
	char		 state[16];
	uint32_t	 attempt;
};

struct run {				/* until taskd has noted its end */
	RB_ENTRY(run)	 entry;
	char		 id[ID_SIZE], task[ID_SIZE], session[ID_SIZE];
	char		 runner[ID_SIZE];
	char		 tenant[TENANT_SIZE];
	uint32_t	 attempt, timeout, grace;
	uint64_t	 epoch;
	char		*prompt;	/* until the agent has it */
	char		 kill[33];	/* reason, or empty */
	unsigned int	 interrupted:1, sealing:1;
	unsigned int	 expected:1;	/* by taskd since its peer_up */
	unsigned int	 sent:1;	/* on this stream */
	unsigned int	 held:1;	/* the agent said that it has it */
	unsigned int	 ever_sent:1, started:1;
	unsigned int	 doubt:1;	/* it may have been sent in an earlier life */
};
RB_HEAD(runs, run);

static struct runs	 runs = RB_INITIALIZER(&runs);
static int		 known;		/* RUNS_DONE came */

static void	 run_try(struct run *);

static int
run_cmp(struct run *a, struct run *b)
{
	return (strcmp(a->id, b->id));
}

RB_PROTOTYPE(runs, run, entry, run_cmp);
RB_GENERATE(runs, run, entry, run_cmp)

static struct run *
run_find(const char *id)
{
	static struct run	 key;

	if (strlcpy(key.id, id, sizeof(key.id)) >= sizeof(key.id))
		return (NULL);
	return (RB_FIND(runs, &runs, &key));
}

/* doubt: when it is not known here, it may have been sent all the same. */
static struct run *
run_get(const char *id, int doubt)
{
	struct run	*run;

	if ((run = run_find(id)) != NULL)
		return (run);
	if ((run = calloc(1, sizeof(*run))) == NULL)
		fatal("run");
	strlcpy(run->id, id, sizeof(run->id));
	run->doubt = doubt != 0;
	RB_INSERT(runs, &runs, run);
	return (run);
}

static void
run_free(struct run *run)
{
	RB_REMOVE(runs, &runs, run);
	journal_over(run->id);
	free(run->prompt);
	free(run);
}

int
runs_are_known(void)
{
	return (known);
}

int
run_is_of(const char *id, const struct runner *r)
{
	struct run	*run = run_find(id);

	return (run != NULL && strcmp(run->runner, r->id) == 0);
}

static void
unwind(struct run *run, const char *reason)
{
	struct msg_run_unwound	 m;

	log_info("run %s: unwound: %s", run->id, reason);
	m.run = run->id;
	m.attempt = run->attempt;
	m.reason = reason;
	send_run_unwound(peer_of(PROC_TASKD), 0, &m);
	run_free(run);
}

static void
lose(struct run *run, const char *reason)
{
	struct msg_run_lost	 m;

	log_info("run %s: lost: %s", run->id, reason);
	m.run = run->id;
	m.attempt = run->attempt;
	m.reason = reason;
	send_run_lost(peer_of(PROC_TASKD), 0, &m);
	run_free(run);
}

static void
kill_command(struct runner *r, const char *id, const char *why, uint32_t grace)
{
	Marionette__V1__ServerCommand	 c;
	Marionette__V1__KillRun		 k;
	char				 run[ID_SIZE], reason[33];

	marionette__v1__server_command__init(&c);
	marionette__v1__kill_run__init(&k);
	strlcpy(run, id, sizeof(run));
	strlcpy(reason, why, sizeof(reason));
	k.run_id = run;
	k.reason = reason;
	k.grace_seconds = grace;
	c.body_case = MARIONETTE__V1__SERVER_COMMAND__BODY_KILL_RUN;
	c.kill_run = &k;
	stream_command(r, &c);
}

static void
execute_command(struct runner *r, struct run *run, const uint8_t *sealed,
    size_t len)
{
	Marionette__V1__ServerCommand	 c;
	Marionette__V1__ExecuteTask	 e;
	uint8_t				 key[16384];

	marionette__v1__server_command__init(&c);
	marionette__v1__execute_task__init(&e);
	if (len > sizeof(key))
		len = 0;
	if (len > 0)
		memcpy(key, sealed, len);
	e.run_id = run->id;
	e.task_id = run->task;
	e.session_id = run->session;
	e.attempt = run->attempt;
	e.epoch = run->epoch;
	e.prompt = run->prompt;
	e.timeout_seconds = run->timeout;
	e.interrupted = run->interrupted;
	e.sealed_key.data = key;
	e.sealed_key.len = len;
	c.body_case = MARIONETTE__V1__SERVER_COMMAND__BODY_EXECUTE_TASK;
	c.execute_task = &e;
	run->sent = run->ever_sent = 1;
	stream_command(r, &c);
}

/* Why this run does not belong where it is sent, or NULL. */
static const char *
misplaced(const struct run *run, const struct runner *r,
    const struct session *s)
{
	if (r == NULL)
		return ("runner");
	if (strcmp(r->session, run->session) != 0 || s == NULL ||
	    !s->attached || s->release != 0)
		return ("session");
	if (r->epoch != run->epoch)
		return ("epoch");
	return (NULL);
}

static void
sealed_for_run(const char *id, const char *code, const uint8_t *sealed,
    size_t len)
{
	struct run	*run;
	struct runner	*r;
	const char	*why;

	if ((run = run_find(id)) == NULL)
		return;
	run->sealing = 0;
	if (strcmp(code, "credential_required") == 0) {
		unwind(run, "credential");
		return;
	}
	/*
	 * Meanwhile other things may have happened, or many runners have come at
	 * once, for each of whom there is a megabyte; the janitor tries again.
	 */
	r = runner_find(run->runner);
	if (code[0] != '\0' || run->held || run->started ||
	    run->prompt == NULL || r == NULL || r->stream == NULL ||
	    worker_draining() || peer_is_full(peer_of(PROC_RUNNER)))
		return;
	if ((why = misplaced(run, r, session_find(run->session))) != NULL)
		unwind(run, why);
	else
		execute_command(r, run, sealed, len);
}

/* Its runner has never had it. */
static int
is_untouched(const struct run *run)
{
	return (!run->ever_sent && !run->held && !run->started && !run->doubt);
}

/*
 * Sends it when it can be sent now; otherwise it stays.  What may have been
 * sent before waits for its runner's Hello, which names it or does not.
 */
static void
run_try(struct run *run)
{
	struct session	*s = session_find(run->session);
	struct runner	*r = runner_find(run->runner);
	const char	*why;

	if (!known || run->prompt == NULL || run->held || run->started ||
	    run->sent || run->sealing || !runners_are_loaded() ||
	    worker_draining())
		return;
	if (run->doubt) {
		if (r == NULL)
			lose(run, "runner_lost");
		return;
	}
	if ((s == NULL || !s->attached) && !sessions_are_known())
		return;
	if ((why = misplaced(run, r, s)) != NULL) {
		unwind(run, why);
		return;
	}
	/* An agent takes a run only behind the AttachSession of its session. */
	if (r->stream == NULL || !s->told)
		return;
	if (run->kill[0] != '\0') {
		unwind(run, run->kill);
		return;
	}
	if (seal(s, r, run->id, sealed_for_run) == 0)
		run->sealing = 1;
}

void
runs_attached(const char *session)
{
	struct run	*run, *next;

	RB_FOREACH_SAFE(run, runs, &runs, next)
		if (strcmp(run->session, session) == 0)
			run_try(run);
}

void
on_run_start(struct peer *p, uint64_t ref, const struct msg_run_start *m)
{
	struct run	*run = m->fresh ? run_get(m->run, 0) :
			    run_find(m->run);

	(void)p;
	(void)ref;
	/* Expected before, and given up: taskd is about to hear of that. */
	if (run == NULL)
		return;
	run->expected = 1;
	strlcpy(run->tenant, m->tenant, sizeof(run->tenant));
	strlcpy(run->task, m->task, sizeof(run->task));
	strlcpy(run->session, m->session, sizeof(run->session));
	strlcpy(run->runner, m->runner, sizeof(run->runner));
	run->attempt = m->attempt;
	run->epoch = m->epoch;
	run->timeout = m->timeout;
	run->interrupted = m->interrupted != 0;
	if (m->fresh) {
		run->doubt = 0;
		journal_fresh(run->id, run->task, run->tenant, run->runner,
		    run->attempt);
	}
	if (run->prompt == NULL && !run->held && !run->started &&
	    (run->prompt = strdup(m->prompt)) == NULL)
		fatal("run");
	run_try(run);
}

void
on_run_expected(struct peer *p, uint64_t ref,
    const struct msg_run_expected *m)
{
	struct run	*run = run_get(m->run, 1);

	(void)p;
	(void)ref;
	run->expected = 1;
	strlcpy(run->tenant, m->tenant, sizeof(run->tenant));
	strlcpy(run->task, m->task, sizeof(run->task));
	strlcpy(run->session, m->session, sizeof(run->session));
	strlcpy(run->runner, m->runner, sizeof(run->runner));
	run->attempt = m->attempt;
	run->epoch = m->epoch;
	if (m->started)
		run->started = 1;
	journal_runner(run->id, run->runner);
}

/* What the runner named, told to taskd or, when it is nobody's, killed. */
static void
look_at_named(struct runner *r)
{
	struct msg_run_seen	 m;
	struct named		*n;
	struct run		*run;
	size_t			 i;

	for (i = 0; i < r->nnamed; i++) {
		n = &r->named[i];
		run = run_find(n->run);
		if (run == NULL || strcmp(run->runner, r->id) != 0) {
			/* Its RunCompleted, if any, is acknowledged as it is. */
			if (strcmp(n->state, "completed") != 0)
				kill_command(r, n->run, "canceled", 5);
			continue;
		}
		run->held = 1;
		free(run->prompt);
		run->prompt = NULL;
		m.run = run->id;
		m.runner = r->id;
		m.attempt = n->attempt;
		m.state = n->state;
		send_run_seen(peer_of(PROC_TASKD), 0, &m);
		if (run->kill[0] != '\0')
			kill_command(r, run->id, run->kill, run->grace);
	}
}

/*
 * What taskd believes to be on this runner and the runner does not have:
 * whoever was in doubt is not any more.
 */
static void
look_at_missing(struct runner *r)
{
	struct run	*run, *next;

	RB_FOREACH_SAFE(run, runs, &runs, next) {
		if (strcmp(run->runner, r->id) != 0 || run->held ||
		    run->sent || run->sealing)
			continue;
		run->doubt = 0;
		if (run->started) {
			if (!upward_has_completion(r, run->id))
				lose(run, "runner_forgot");
		} else if (run->kill[0] != '\0')
			unwind(run, run->kill);
		else
			run_try(run);
	}
}

static void
compare(struct runner *r)
{
	struct msg_runner_back	 m;

	look_at_named(r);
	look_at_missing(r);
	m.runner = r->id;
	send_runner_back(peer_of(PROC_TASKD), 0, &m);
}

void
runs_hello(struct runner *r, const Marionette__V1__Hello *h)
{
	struct run	*run;
	size_t		 i;

	free(r->named);
	if ((r->named = calloc(h->n_runs + 1, sizeof(*r->named))) == NULL)
		fatal("hello");
	r->nnamed = h->n_runs;
	for (i = 0; i < h->n_runs; i++) {
		strlcpy(r->named[i].run, h->runs[i]->run_id,
		    sizeof(r->named[i].run));
		strlcpy(r->named[i].state, h->runs[i]->state,
		    sizeof(r->named[i].state));
		r->named[i].attempt = h->runs[i]->attempt;
	}
	RB_FOREACH(run, runs, &runs)
		if (strcmp(run->runner, r->id) == 0)
			run->sent = run->held = 0;
	if (known)
		compare(r);
}

void
on_runs_done(struct peer *p, uint64_t ref, const struct msg_runs_done *m)
{
	struct runner	*r;
	struct run	*run, *next;

	(void)p;
	(void)ref;
	(void)m;
	known = 1;
	/* What taskd does not name has ended for it. */
	RB_FOREACH_SAFE(run, runs, &runs, next)
		if (!run->expected)
			run_free(run);
	for (r = runner_next(NULL); r != NULL; r = runner_next(r)) {
		if (r->stream != NULL)
			compare(r);
		else if (r->lost)
			runs_lost(r);
	}
	upward_resend();
	followers_again();
}

/* taskd is down: it will name its runs again. */
void
runs_peer_down(void)
{
	struct run	*run;

	known = 0;
	RB_FOREACH(run, runs, &runs)
		run->expected = 0;
}

void
run_taken(const char *id, int started)
{
	struct run	*run;

	if ((run = run_find(id)) == NULL)
		return;
	run->held = 1;
	if (started)
		run->started = 1;
	free(run->prompt);
	run->prompt = NULL;
}

/*
 * It stays owed until taskd has noted it, or has given the run up.  What has
 * happened to a run while its runner is away nobody knows.
 */
int
runs_owe_end(const struct runner *r, const struct session *s, int away)
{
	struct run	*run;

	if (!known)
		return (1);
	if (!away && TAILQ_EMPTY(&r->facts))
		return (0);
	RB_FOREACH(run, runs, &runs)
		if (run->epoch == s->epoch &&
		    strcmp(run->session, s->id) == 0 &&
		    strcmp(run->kill, "canceled") != 0 &&
		    ((away && !is_untouched(run)) ||
		    upward_has_completion(r, run->id)))
			return (1);
	return (0);
}

uint32_t
run_attempt(const char *id)
{
	struct run	*run = run_find(id);

	return (run != NULL ? run->attempt : 0);
}

void
run_over(const char *id)
{
	struct run	*run;

	if ((run = run_find(id)) != NULL)
		run_free(run);
}

void
runs_lost(struct runner *r)
{
	struct run	*run, *next;

	/* Without taskd it is told when taskd names them again. */
	if (!known)
		return;
	RB_FOREACH_SAFE(run, runs, &runs, next) {
		if (strcmp(run->runner, r->id) != 0)
			continue;
		if (is_untouched(run))
			unwind(run, "runner_lost");
		/* What is known to be done is not done again. */
		else if (!upward_end(r, run->id))
			lose(run, "runner_lost");
	}
}

void
on_run_kill(struct peer *p, uint64_t ref, const struct msg_run_kill *m)
{
	struct run	*run = run_find(m->run);
	struct runner	*r = runner_find(m->runner);

	(void)p;
	(void)ref;
	if (run != NULL && is_untouched(run)) {
		unwind(run, m->reason);
		return;
	}
	if (run != NULL) {
		strlcpy(run->kill, m->reason, sizeof(run->kill));
		run->grace = m->grace;
	}
	if (r != NULL)
		kill_command(r, m->run, m->reason, m->grace);
}

static char *
text_of(const uint8_t *p, size_t n)
{
	char	*s;

	if ((s = calloc(1, n + 1)) == NULL)
		fatal("answer");
	if (n > 0)
		memcpy(s, p, n);
	return (s);
}

/* Not kept here: taskd says it again until the agent has taken it. */
void
on_permission_answer(struct peer *p, uint64_t ref,
    const struct msg_permission_answer *m)
{
	Marionette__V1__ServerCommand	 c;
	Marionette__V1__PermissionAnswer a;
	struct runner			*r = runner_find(m->runner);
	char				*text[6];
	size_t				 i;

	marionette__v1__server_command__init(&c);
	marionette__v1__permission_answer__init(&a);
	(void)p;
	(void)ref;
	if (r == NULL || r->stream == NULL)
		return;
	a.permission_id = text[0] = text_of((const uint8_t *)m->permission,
	    strlen(m->permission));
	a.run_id = text[1] = text_of((const uint8_t *)m->run, strlen(m->run));
	a.request_id = text[2] = text_of((const uint8_t *)m->request,
	    strlen(m->request));
	a.reason = text[3] = text_of((const uint8_t *)m->reason,
	    strlen(m->reason));
	a.input_json = text[4] = text_of(m->input, m->input_len);
	a.answers_json = text[5] = text_of(m->answers, m->answers_len);
	a.approved = m->approved != 0;
	c.body_case = MARIONETTE__V1__SERVER_COMMAND__BODY_PERMISSION_ANSWER;
	c.permission_answer = &a;
	stream_command(r, &c);
	for (i = 0; i < sizeof(text) / sizeof(text[0]); i++)
		free(text[i]);
}

void
runs_janitor(void)
{
	struct run	*run, *next;

	RB_FOREACH_SAFE(run, runs, &runs, next)
		if (run->prompt != NULL && !run->sent && !run->sealing)
			run_try(run);
}
