/*
 * together.c - tasks and their runs as taskd and runnerd ask for them, many in
 * one batch: each statement has its own answer, those about one thing keep
 * their order, and one that cannot be stored harms no other.
 */
#include <stdio.h>
#include <string.h>

#include "child.h"

#define MANY	100
#define RNR	"rnr_00000000000000000000000000"

/* A task of its own session each; made with the run assigned or pending. */
static struct {
	char	 session[ID_SIZE], task[ID_SIZE], run[ID_SIZE];
}		 of[MANY];

static void
task_put(struct child *ch, uint64_t ref, int i, const char *session)
{
	struct msg_task_put	 m = { 0 };
	char			 id[ID_SIZE];

	id_make(id, "alog");
	m.tenant = "t1";
	m.task = of[i].task;
	m.run = of[i].run;
	m.session = session;
	m.prompt = "x\"{},\\ y\tz";	/* what an array's text form would quote */
	m.timeout = 60;
	m.actor = "me";
	m.runner = RNR;
	m.epoch = 1;
	m.action_log = id;
	say(&ch->control[PROC_TASKD], MSG_TASK_PUT, ref, &m);
}

static void
run_begin(struct child *ch, uint64_t ref, int i)
{
	struct msg_run_begin	 m = { "t1", of[i].run, of[i].task, 1, 1 };

	say(&ch->control[PROC_TASKD], MSG_RUN_BEGIN, ref, &m);
}

/* then: the run that follows it in its session, or one of these. */
enum { NONE = -1, FAILED = -2 };

static void
run_end(struct child *ch, uint64_t ref, int i, int then)
{
	struct msg_run_end	 m = { 0 };

	m.tenant = "t1";
	m.run = of[i].run;
	m.task = of[i].task;
	m.attempt = 1;
	m.session = of[i].session;
	m.status = m.task_status = then == FAILED ? "failed" : "completed";
	m.result = "done";
	if (then >= 0) {
		m.then_run = of[then].run;
		m.then_task = of[then].task;
		m.then_runner = RNR;
		m.then_epoch = 1;
	}
	say(&ch->control[PROC_TASKD], MSG_RUN_END, ref, &m);
}

static void
log_append(struct child *ch, uint64_t ref, int i, uint64_t first,
    const char *lines)
{
	struct msg_log_append	 m = { 0 };

	m.tenant = "t1";
	m.run = of[i].run;
	m.task = of[i].task;
	m.attempt = 1;
	m.first = first;
	m.count = 1;
	m.lines = (const uint8_t *)lines;
	m.lines_len = strlen(lines);
	say(&ch->bulk[PROC_RUNNERD], MSG_LOG_APPEND, ref, &m);
}

/* The row before the answer of a TASK_PUT. */
static int
task_is(struct child *ch, uint64_t want, const char *run_status)
{
	struct msg_task_row	 row;
	enum msg_type		 t;
	uint64_t		 ref;

	do {
		t = hear(&ch->control[PROC_TASKD], 5000, &ref);
	} while (t != MSG_NONE && (t != MSG_TASK_ROW || ref != want));
	if (t == MSG_NONE)
		return (0);
	memcpy(&row, &body, sizeof(row));
	return (strcmp(row.run_status, run_status) == 0 &&
	    strcmp(row.task, of[want % MANY].task) == 0 &&
	    strcmp(row.run, of[want % MANY].run) == 0);
}

/* Answers from first on, of that many rows each. */
static int
stored(struct chan *c, uint64_t first, int n, uint32_t want)
{
	const char	*code;
	uint32_t	 rows;
	int		 i, good = 0;

	for (i = 0; i < n; i++) {
		code = answer(c, first + (uint64_t)i, 5000, &rows);
		good += code != NULL && code[0] == '\0' && rows == want;
	}
	return (good);
}

static void
sessions_make(struct child *ch)
{
	int	 i;

	for (i = 0; i < MANY; i++) {
		id_make(of[i].session, "sess");
		id_make(of[i].task, "task");
		id_make(of[i].run, "run");
		session_put(ch, 1000 + (uint64_t)i, of[i].session);
	}
	ok(stored(&ch->control[PROC_SESSIOND], 1000, MANY, 1) == MANY,
	    "a hundred sessions");
	ok(sql("SET mn.tenant = '*'; UPDATE mn_data.session SET status = "
	    "'active', runner_id = '" RNR "', epoch = 1") == 0,
	    "are active");
}

static void
test_made(struct child *ch)
{
	int	 i, good = 0;

	for (i = 0; i < MANY; i++)
		task_put(ch, 2000 + (uint64_t)i, i, i == 7 ? "sess_x" :
		    of[i].session);
	for (i = 0; i < MANY; i++) {
		if (i == 7) {
			good += strcmp(answer(&ch->control[PROC_TASKD], 2007,
			    5000, NULL), "not_found") == 0;
			continue;
		}
		good += task_is(ch, 2000 + (uint64_t)i, "assigned");
	}
	ok(good == MANY, "tasks are made together, one has no session");
	task_put(ch, 2100, 0, of[0].session);
	ok(task_is(ch, 2100, "assigned"), "the same again is what it is");
	(void)answer(&ch->control[PROC_TASKD], 2100, 5000, NULL);
}

/* Begun, two lines and an end of each, asked without waiting in between. */
static void
test_ended(struct child *ch)
{
	int	 i, rc;

	for (i = 0; i < MANY; i++) {
		run_begin(ch, 3000 + (uint64_t)i, i);
		log_append(ch, 4000 + (uint64_t)i, i, 1, i == 9 ?
		    "{\"poison\":1}\n" : "{}\n");
	}
	ok(stored(&ch->control[PROC_TASKD], 3000, MANY, 1) == MANY - 1,
	    "runs begin together, and one is not there");
	rc = stored(&ch->control[PROC_RUNNERD], 4000, MANY, 1);
	ok(rc == MANY - 2, "lines are stored together, and one is poison");
	for (i = 0; i < MANY; i++)
		run_end(ch, 5000 + (uint64_t)i, i, NONE);
	ok(stored(&ch->control[PROC_TASKD], 5000, MANY, 0) == MANY,
	    "runs end together");
	log_append(ch, 4500, 0, 1, "{}\n");
	ok(stored(&ch->control[PROC_RUNNERD], 4500, 1, 0) == 1,
	    "a line that is there is not stored again");
}

/*
 * In one batch: a task for a session that is taken, the end of what takes it
 * with the new run behind it, and a task behind that end.
 */
static void
test_order(struct child *ch)
{
	int	 i;

	for (i = 0; i < 3; i++) {
		id_make(of[i].task, "task");
		id_make(of[i].run, "run");
		strlcpy(of[i].session, of[50].session, ID_SIZE);
	}
	task_put(ch, 6000, 0, of[0].session);
	ok(task_is(ch, 6000, "assigned"), "a session takes a run");
	(void)answer(&ch->control[PROC_TASKD], 6000, 5000, NULL);
	task_put(ch, 6101, 1, of[0].session);
	run_begin(ch, 6200, 0);
	run_end(ch, 6300, 0, 1);
	run_begin(ch, 6201, 1);
	run_end(ch, 6301, 1, NONE);
	task_put(ch, 6102, 2, of[0].session);
	ok(task_is(ch, 6101, "pending"), "another task has to wait");
	ok(stored(&ch->control[PROC_TASKD], 6300, 1, 1) == 1,
	    "the end of the first gives it the session");
	ok(stored(&ch->control[PROC_TASKD], 6301, 1, 0) == 1, "it ends too");
	ok(task_is(ch, 6102, "assigned"), "and the third has it at once");
	(void)answer(&ch->control[PROC_TASKD], 6102, 5000, NULL);
}

static void
run_anew(struct child *ch, uint64_t ref, int i, const char *run)
{
	struct msg_task_again	 m = { 0 };

	m.tenant = "t1";
	m.task = of[i].task;
	m.run = run;
	m.actor = "me";
	m.idem_key = "";
	say(&ch->control[PROC_TASKD], MSG_TASK_AGAIN, ref, &m);
}

static void
task_wait(struct child *ch, uint64_t ref, int i)
{
	struct msg_task_wait	 m = { "t1", of[i].task, "credential" };

	say(&ch->control[PROC_TASKD], MSG_TASK_WAIT, ref, &m);
}

/*
 * What names only a task keeps its place among what names its run, also where
 * others of the same kind went before: a task is not tried again before it
 * ended, and one that works waits for nothing.
 */
static void
test_task(struct child *ch)
{
	struct chan	*c = &ch->control[PROC_TASKD];
	char		 run[ID_SIZE];
	const char	*code;
	int		 i, good = 0;

	id_make(run, "run");
	for (i = 10; i < 14; i++) {
		id_make(of[i].task, "task");
		id_make(of[i].run, "run");
		task_put(ch, 7000 + (uint64_t)i, i, of[i].session);
	}
	for (i = 10; i < 14; i++)
		good += task_is(ch, 7000 + (uint64_t)i, "assigned");
	ok(good == 4, "four sessions take a run each");
	(void)answer(c, 7013, 5000, NULL);
	child_stop(ch);
	run_end(ch, 7100, 10, NONE);
	run_begin(ch, 7101, 11);
	run_anew(ch, 7102, 12, run);
	task_wait(ch, 7103, 13);
	run_end(ch, 7104, 12, FAILED);
	run_begin(ch, 7105, 13);
	child_go_on(ch);
	code = answer(c, 7102, 5000, NULL);
	ok(code != NULL && strcmp(code, "invalid_state") == 0,
	    "a task that has not ended is not tried again");
	ok(stored(c, 7103, 1, 1) == 1 && stored(c, 7104, 1, 0) == 1 &&
	    stored(c, 7105, 1, 1) == 1, "it ends, and another begins");
	ok(holds(0, "count(*) = 1 FROM mn_data.task WHERE status = 'failed' "
	    "AND run_id = '%s'", of[12].run), "the one stays as it ended");
	ok(holds(0, "count(*) = 1 FROM mn_data.task WHERE status = "
	    "'running' AND waiting_for IS NULL AND run_id = '%s'", of[13].run),
	    "the other waits for nothing");
}

void
test_together(struct child *ch)
{
	sessions_make(ch);
	test_made(ch);
	ok(sql("ALTER TABLE mn_data.log ADD CONSTRAINT trap CHECK (lines NOT "
	    "LIKE '%poison%')") == 0, "a trap is set");
	test_ended(ch);
	ok(sql("ALTER TABLE mn_data.log DROP CONSTRAINT trap") == 0,
	    "and taken away");
	test_order(ch);
	test_task(ch);
}
