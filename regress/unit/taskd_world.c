/*
 * taskd_world.c - storaged, sessiond, runnerd and the web to taskd, in one:
 * says what they say and reads what they are told.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "taskd_world.h"

static struct taskd	 self = { .suspend_after = 3600, .max_queued = 3,
	.lost_attempts = 3 };
struct taskd		*env = &self;
const uint8_t		 ticket_key[TICKET_KEY_SIZE] = { 1 };

void
up(enum proc proc)
{
	far_up(proc, taskd_peer_up);
}

void
stored(uint64_t ref, const char *code)
{
	struct msg_stored	 m = { .rows = 1, .code = code, .text = "" };

	on_stored(peer_of(PROC_STORAGED), ref, &m);
}

void
begin(void)
{
	far_init(PROC_TASKD);
	web_key(ticket_key);
	up(PROC_API);
	up(PROC_SESSIOND);
	up(PROC_RUNNERD);
	up(PROC_STORAGED);
}

void
sessions_are_told(void)
{
	struct msg_session_states_done	 m = { 0 };

	on_session_states_done(peer_of(PROC_SESSIOND), 0, &m);
}

void
loaded(void)
{
	expect(PROC_STORAGED, MSG_TASK_LOAD);
	stored(got_ref, "");
	expect(PROC_STORAGED, MSG_PERMISSION_LOAD);
	stored(got_ref, "");
	assert_true(env->loaded);
	sessions_are_told();
}

void
session_is(const char *status, int leaving, uint64_t epoch)
{
	struct msg_session_state	 m = { .tenant = "t", .session = SESS,
	    .agent = "claude", .status = status, .leaving = (uint8_t)leaving,
	    .runner = RNR, .epoch = epoch, .credential = 1, .reason = "" };

	on_session_state(peer_of(PROC_SESSIOND), 0, &m);
}

uint64_t		 client_ref = 100;
char			 task[ID_SIZE], run[ID_SIZE];

void
create_again(uint64_t scopes, const char *key)
{
	struct ticket		 who = { .tenant = "t", .key = "k",
	    .name = "someone", .scopes = scopes,
	    .expires = UINT64_MAX };
	uint8_t			 ticket[TICKET_MAX];
	struct msg_task_create	 m = { .ticket = ticket, .request_id = "r",
	    .idem_key = key, .task = task, .session = SESS, .prompt = "do it",
	    .timeout = 3600, .continue_from = "" };

	m.ticket_len = ticket_make(ticket, &who, ticket_key);
	on_task_create(peer_of(PROC_API), ++client_ref, &m);
}

void
create(uint64_t scopes)
{
	id_make(task, "task");
	create_again(scopes, "");
}

void
task_stored(uint64_t ref, const char *runner)
{
	struct msg_task_row	 row = { .tenant = "t", .session = SESS,
	    .status = "pending", .timeout = 3600, .attempt = 1,
	    .run_status = runner[0] != '\0' ? "assigned" : "pending",
	    .code = "", .text = "", .epoch = 4, .created_ms = client_ref,
	    .wanted_ms = client_ref };

	row.task = task;
	row.run = run;
	row.runner = runner;
	on_task_row(peer_of(PROC_STORAGED), ref, &row);
	assert_null(task_find(task));
	stored(ref, "");
	assert_non_null(task_find(task));
	expect(PROC_API, MSG_DOCUMENT);
	assert_int_equal(got_ref, client_ref);
	assert_int_equal(got.document.status, 201);
}

uint64_t
task_asked(const char *runner)
{
	create(SCOPE_W(SCOPE_TASKS));
	expect(PROC_STORAGED, MSG_TASK_PUT);
	assert_string_equal(got.task_put.task, task);
	assert_int_equal(got.task_put.full, 0);
	strlcpy(run, got.task_put.run, sizeof(run));
	assert_string_equal(got.task_put.runner, runner);
	if (runner[0] != '\0')
		assert_int_equal(got.task_put.epoch, 4);
	return (got_ref);
}

void
task_made(void)
{
	task_stored(task_asked(""), "");
}

void
run_row(uint64_t ref, const char *of, uint64_t epoch)
{
	struct msg_run_row	 row = { .task = task, .session = SESS,
	    .runner = RNR, .attempt = task_find(task)->run.attempt,
	    .prompt = "do it", .epoch = epoch };

	row.run = of;
	on_run_row(peer_of(PROC_STORAGED), ref, &row);
}

void
run_is_sent(uint64_t epoch)
{
	expect(PROC_RUNNERD, MSG_RUN_START);
	assert_string_equal(got.run_start.run, run);
	assert_string_equal(got.run_start.prompt, "do it");
	assert_int_equal(got.run_start.epoch, epoch);
}

void
assigned(void)
{
	uint64_t	 epoch, ref;

	expect(PROC_STORAGED, MSG_RUN_ASSIGN);
	ref = got_ref;
	epoch = got.run_assign.epoch;
	strlcpy(run, got.run_assign.run, sizeof(run));
	run_row(ref, run, epoch);
	refuses(PROC_RUNNERD, MSG_RUN_START);
	stored(ref, "");
	run_is_sent(epoch);
}

void
started(void)
{
	struct msg_run_started	 m = { run, RNR,
	    task_find(task)->run.attempt, 1 };

	on_run_started(peer_of(PROC_RUNNERD), 7001, &m);
	refuses(PROC_RUNNERD, MSG_RUN_NOTED);
	expect(PROC_STORAGED, MSG_RUN_BEGIN);
	assert_string_equal(got.run_begin.task, task);
	stored(got_ref, "");
	expect(PROC_RUNNERD, MSG_RUN_NOTED);
	assert_int_equal(got_ref, 7001);
}

void
completed(uint64_t ref, const char *status)
{
	struct msg_run_completed	 m = { .run = run, .runner = RNR,
	    .attempt = task_find(task)->run.attempt, .status = status,
	    .error_code = "", .error = "", .result = "done",
	    .conversation = "" };

	on_run_completed(peer_of(PROC_RUNNERD), ref, &m);
}

void
run_to_work(void)
{
	session_is("active", 0, 4);
	task_stored(task_asked(RNR), RNR);
	run_is_sent(4);
	started();
}

void
finish(void)
{
	completed(1, "completed");
	expect(PROC_STORAGED, MSG_RUN_END);
	stored(got_ref, "");
	assert_int_equal(task_count(), 0);
	refuses(PROC_STORAGED, MSG_NONE);
	refuses(PROC_RUNNERD, MSG_NONE);
	refuses(PROC_SESSIOND, MSG_NONE);
}
