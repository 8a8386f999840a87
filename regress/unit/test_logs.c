/* links: runnerd/api.c runnerd/choose.c runnerd/enrol.c runnerd/follow.c runnerd/watch.c runnerd/fsm.c runnerd/journal.c runnerd/kept.c runnerd/line.c runnerd/logs.c runnerd/peers.c runnerd/run.c runnerd/runner.c runnerd/seal.c runnerd/session.c runnerd/settings.c runnerd/stream.c runnerd/token.c runnerd/upward.c runnerd/wire.c runnerd_msg imsg/runner.proto regress/unit/far.c -lprotobuf-c */
/*
 * Logs streams whose batches name runs that nobody has: each costs a question,
 * which everybody who reads waits behind, so a runner has few of them under
 * way, and what is found to be nobody's leaves nothing behind.  And who follows a
 * log hears of its end from whoever is there to tell.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>

#include "far.h"
#include "runnerd.h"
#include "runnerd_msg.h"

#define RUNS	20000
#define WINDOW	262144		/* bytes of a stream that are not credited */
#define FINDS	8		/* of a runner, one for each of its streams */
#define MEMORY	(WINDOW * 4)	/* a small batch costs its header too */

union far_message {
	_Alignas(8) uint8_t		 any[MSG_STRUCT_MAX];
	struct msg_run_find		 find;
	struct msg_logs_credit		 credit;
	struct msg_logs_message		 message;
	struct msg_log_append		 append;
};

enum who { BAD = 1, GOOD };

static uint64_t	 finds[RUNS + 16];	/* refs, asked and not answered */
static char	 sought[RUNS + 16][ID_SIZE];
static unsigned int nfinds, most, appends;
static size_t	 window;		/* of the bad stream */

static void
runner(uint64_t ref, unsigned int n)
{
	uint8_t			 hash[32] = { (uint8_t)n };
	char			 id[ID_SIZE];
	struct msg_runner_row	 row = { .runner = id, .tenant = "t",
		.pool = "p", .name = "n", .agents = "claude", .status = "idle",
		.session = "", .certificate = hash, .certificate_len = 32,
		.cert_hash = hash, .cert_hash_len = 32 };

	snprintf(id, sizeof(id), "rnr_%026u", n);
	on_runner_row(peer_of(PROC_STORAGED), ref, &row);
}

static void
stored(uint64_t ref, const char *code)
{
	struct msg_stored	 m = { .rows = 1, .code = code, .text = "" };

	on_stored(peer_of(PROC_STORAGED), ref, &m);
}

static void
opened(enum who s, unsigned int n)
{
	uint8_t			 hash[32] = { (uint8_t)n };
	struct msg_logs_open	 m = { .cert_hash = hash, .cert_hash_len = 32,
		.address = "x" };

	on_logs_open(peer_of(PROC_RUNNER), s, &m);
}

/* One line or none; or (-1) all from the first on are lost. */
static size_t
batch(enum who s, const char *run, uint64_t first, int lines)
{
	Marionette__V1__LogBatch	 b;
	Marionette__V1__LogLine		 l, *ls = &l;
	struct msg_logs_message		 m;
	char				 id[ID_SIZE], out[] = "stdout",
					 info[] = "info", text[] = "text";
	uint8_t				 buf[256];

	marionette__v1__log_batch__init(&b);
	marionette__v1__log_line__init(&l);
	strlcpy(id, run, sizeof(id));
	b.run_id = id;
	b.first = first;
	b.n_lines = lines > 0;
	b.lost = lines < 0;
	b.lines = &ls;
	l.stream = out;
	l.level = info;
	l.kind = text;
	l.content = text;
	m.body = buf;
	m.body_len = marionette__v1__log_batch__pack(&b, buf);
	on_logs_message(peer_of(PROC_RUNNER), s, &m);
	return (m.body_len);
}

/* What storaged and frontd hear. */
static void
hear(void)
{
	enum msg_type	 type;

	while ((type = far_next(PROC_STORAGED)) != MSG_NONE)
		if (type == MSG_RUN_FIND) {
			assert_true(nfinds < sizeof(finds) / sizeof(*finds));
			strlcpy(sought[nfinds], got.find.run, ID_SIZE);
			finds[nfinds++] = got_ref;
		} else if (type == MSG_LOG_APPEND)
			appends++;
	while ((type = far_next(PROC_RUNNER)) != MSG_NONE) {
		assert_int_not_equal(type, MSG_LOGS_CLOSE);
		if (type == MSG_LOGS_CREDIT && got_ref == BAD)
			window += got.credit.bytes;
	}
	if (nfinds > most)
		most = nfinds;
}

static void
nobody_has(unsigned int i)
{
	uint64_t	 ref = finds[i];

	nfinds--;
	memmove(finds + i, finds + i + 1, (nfinds - i) * sizeof(*finds));
	memmove(sought[i], sought[i + 1], (nfinds - i) * sizeof(*sought));
	stored(ref, "");
}

/* As many as its window takes, and as many more as it is given back. */
static void
say_runs(void)
{
	char		 id[ID_SIZE];
	unsigned int	 i;

	window = WINDOW;
	for (i = 0; i < RUNS; i++) {
		snprintf(id, sizeof(id), "run_%026u", i);
		window -= batch(BAD, id, 1, 0);
		for (hear(); window < 64; hear())
			nobody_has(0);
	}
}

static void
found(const char *run, unsigned int n, uint64_t last)
{
	char			 id[ID_SIZE];
	struct msg_run_found	 m = { .tenant = "t", .run = run,
		.task = "task_00000000000000000000000001",
		.session = "sess_00000000000000000000000001", .runner = id,
		.attempt = 1, .status = "running", .log_last = last };
	unsigned int		 i;

	snprintf(id, sizeof(id), "rnr_%026u", n);
	for (i = 0; i < nfinds; i++)
		if (strcmp(sought[i], run) == 0)
			break;
	assert_true(i < nfinds);
	on_run_found(peer_of(PROC_STORAGED), finds[i], &m);
	nobody_has(i);
}

static void
test_nobodys(void **state)
{
	static const char	 good[] = "run_7zzzzzzzzzzzzzzzzzzzzzzzzz";
	size_t			 before;

	(void)state;
	opened(BAD, 1);
	opened(GOOD, 2);
	before = mallinfo2().uordblks;
	say_runs();
	assert_in_range(most, 1, FINDS);
	assert_in_range(mallinfo2().uordblks - before, 0, MEMORY);
	/* Another's is looked up and stored meanwhile, in order. */
	batch(GOOD, good, 1, 1);
	batch(GOOD, good, 2, 1);
	hear();
	found(good, 2, 0);
	hear();
	assert_int_equal(appends, 1);
	while (nfinds > 0) {
		nobody_has(0);
		hear();
	}
	assert_in_range(most, 1, FINDS + 1);
	assert_int_equal(window, WINDOW);
	assert_in_range(mallinfo2().uordblks - before, 0, 65536);
}

/* A stream that ends takes with it what waits; its questions still count. */
static void
test_again_and_again(void **state)
{
	char		 id[ID_SIZE];
	unsigned int	 i;

	(void)state;
	for (i = 0; i < 200; i++) {
		opened(100 + i, 1);
		snprintf(id, sizeof(id), "run_%026u", RUNS + i);
		batch(100 + i, id, 1, 0);
		while (far_next(PROC_RUNNER) != MSG_NONE)
			;
		hear();
	}
	assert_in_range(nfinds, 1, FINDS);
	/* When there is room the rest are looked up after all. */
	for (i = 0; i < 4; i++) {
		while (nfinds > 0)
			nobody_has(0);
		peers_janitor();
		hear();
	}
	assert_int_equal(nfinds, 0);
	assert_in_range(most, 1, FINDS + 1);
}

/* The database fails with the line that says that lines are lost. */
static void
test_lost(void **state)
{
	static const char	 run[] = "run_7yyyyyyyyyyyyyyyyyyyyyyyyy";
	Marionette__V1__LogAck	*a;

	(void)state;
	opened(400, 2);
	batch(400, run, 1, -1);
	hear();
	found(run, 2, 0);
	expect(PROC_STORAGED, MSG_LOG_APPEND);
	stored(got_ref, "internal_error");
	expect(PROC_RUNNER, MSG_LOGS_CLOSE);
	opened(401, 2);
	batch(401, run, 1, -1);
	expect(PROC_STORAGED, MSG_LOG_APPEND);
	assert_int_equal(got.append.first, 1);
	stored(got_ref, "");
	expect(PROC_RUNNER, MSG_LOGS_MESSAGE);
	a = marionette__v1__log_ack__unpack(NULL, got.message.body_len,
	    got.message.body);
	assert_non_null(a);
	assert_int_equal(a->up_to, WIRE_NUMBER_MAX);
	marionette__v1__log_ack__free_unpacked(a, NULL);
}

/* They had been on their way in an earlier life of ours, and are there now. */
static void
test_not_lost(void **state)
{
	static const char	 run[] = "run_7xxxxxxxxxxxxxxxxxxxxxxxxx";
	struct msg_stored	 there = { .code = "", .text = "",
		.doc = (const uint8_t *)"5", .doc_len = 1 };

	(void)state;
	opened(500, 2);
	batch(500, run, 1, -1);
	hear();
	found(run, 2, 0);
	expect(PROC_STORAGED, MSG_LOG_APPEND);
	on_stored(peer_of(PROC_STORAGED), got_ref, &there);
	expect(PROC_RUNNER, MSG_LOGS_CLOSE);
	opened(501, 2);
	batch(501, run, 1, -1);
	hear();
	found(run, 2, 5);
	expect(PROC_STORAGED, MSG_LOG_APPEND);
	assert_int_equal(got.append.first, 6);
	stored(got_ref, "");
}

/* The answer to the follower's question, which is its: whether there is more. */
static void
reads(int ended)
{
	struct msg_log_row	 m = { .attempt = 1, .first = 0,
		.ended = (uint8_t)ended };
	uint64_t		 ref;

	expect(PROC_STORAGED, MSG_LOG_READ);
	ref = got_ref;
	on_log_row(peer_of(PROC_STORAGED), ref, &m);
	stored(ref, "");
}

/* taskd dies when the end of a task is stored, and its followers are not told. */
static void
test_untold_end(void **state)
{
	struct ticket		 who = { .tenant = "t", .expires = 1,
		.scopes = SCOPE_R(SCOPE_TASKS) };
	struct msg_log_follow	 follow = { .task =
		"task_00000000000000000000000001", .after = "", .credit = 1 };
	struct msg_runs_done	 done = { 0 };
	uint8_t			 key[TICKET_KEY_SIZE] = { 1 },
				 ticket[TICKET_MAX];

	(void)state;
	settings_secret("ticket", key, sizeof(key));
	far_up(PROC_API, peers_up);
	far_up(PROC_TASKD, peers_up);
	on_runs_done(peer_of(PROC_TASKD), 0, &done);
	follow.ticket = ticket;
	follow.ticket_len = ticket_make(ticket, &who, key);
	on_log_follow(peer_of(PROC_API), 7, &follow);
	reads(0);
	refuses(PROC_API, MSG_LOG_END);
	peers_down(peer_of(PROC_TASKD));
	far_up(PROC_TASKD, peers_up);
	on_runs_done(peer_of(PROC_TASKD), 0, &done);
	reads(1);
	expect(PROC_API, MSG_LOG_END);
}

static int
begin(void **state)
{
	uint64_t	 load;

	(void)state;
	far_up(PROC_RUNNER, peers_up);
	far_up(PROC_STORAGED, peers_up);
	expect(PROC_STORAGED, MSG_RUNNER_LOAD);
	load = got_ref;
	runner(load, 1);
	runner(load, 2);
	stored(load, "");
	return (0);
}

int
main(void)
{
	const struct CMUnitTest	 tests[] = {
		cmocka_unit_test(test_nobodys),
		cmocka_unit_test(test_again_and_again),
		cmocka_unit_test(test_lost),
		cmocka_unit_test(test_not_lost),
		cmocka_unit_test(test_untold_end),
	};

	far_init(PROC_RUNNERD);
	return (cmocka_run_group_tests(tests, begin, NULL));
}
