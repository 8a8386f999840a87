/* links: runnerd/api.c runnerd/choose.c runnerd/enrol.c runnerd/follow.c runnerd/watch.c runnerd/fsm.c runnerd/journal.c runnerd/kept.c runnerd/line.c runnerd/logs.c runnerd/peers.c runnerd/run.c runnerd/runner.c runnerd/seal.c runnerd/session.c runnerd/settings.c runnerd/stream.c runnerd/token.c runnerd/upward.c runnerd/wire.c imsg/runner.proto regress/unit/far.c regress/unit/own_time.c -lprotobuf-c */
/*
 * What there was no room to ask is asked later: a runner that came back while
 * the database stood still is not offline there for ever, and one that cannot
 * be claimed does not keep a session from the others; that a session cannot be is
 * held against no runner.  And a runner that is away takes no room, nor does what
 * it said when there was none to answer; one that is here stays so on a reload.  A
 * run is sent when there is room for its prompt.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "far.h"
#include "own_time.h"
#include "run.h"
#include "session.h"
#include "runnerd_msg.h"

#define S	"sess_00000000000000000000000000"
#define R1	"rnr_00000000000000000000000001"
#define R2	"rnr_00000000000000000000000002"
#define R3	"rnr_00000000000000000000000003"
#define RUN	"run_00000000000000000000000000"
#define LINE	60000		/* fits a frame that far.c reads */

union far_message {
	_Alignas(8) uint8_t		 any[MSG_STRUCT_MAX];
	struct msg_runner_state		 state;
	struct msg_hello_verify		 verify;
	struct msg_session_attach	 attach;
	struct msg_session_unplaced	 unplaced;
	struct msg_stream_message	 message;
};

static void
stored(uint64_t ref, uint32_t rows)
{
	struct msg_stored	 m = { .rows = rows, .code = "", .text = "" };

	on_stored(peer_of(PROC_STORAGED), ref, &m);
}

static void
row(uint64_t load, const char *id, uint8_t n, int shared, const char *status)
{
	uint8_t			 hash[32] = { n };
	struct msg_runner_row	 m = { .runner = id, .tenant = "t",
		.pool = "p", .name = "n", .agents = "claude",
		.status = status, .shared = (uint8_t)shared, .session = "",
		.certificate = hash, .certificate_len = 32, .cert_hash = hash,
		.cert_hash_len = 32 };

	on_runner_row(peer_of(PROC_STORAGED), load, &m);
}

static void
say(uint64_t ref, Marionette__V1__RunnerMessage *m)
{
	struct msg_stream_message	 out;
	uint8_t				 buf[1024];

	out.body = buf;
	out.body_len = marionette__v1__runner_message__pack(m, buf);
	on_stream_message(peer_of(PROC_RUNNER), ref, &out);
}

static void
verified(uint64_t ref, const char *id)
{
	struct msg_hello_verified	 m = { id, 1 };

	on_hello_verified(peer_of(PROC_PROVIDERD), ref, &m);
}

/* Up to the question whether it is who it says; its ref. */
static uint64_t
hello(const char *id, uint8_t n)
{
	Marionette__V1__RunnerMessage	 m;
	Marionette__V1__Hello		 h;
	Marionette__V1__RunState	 run, *runs = &run;
	uint8_t				 hash[32] = { n }, key[32] = { 0 };
	struct msg_stream_open		 o = { .method = "Connect",
		.cert_hash = hash, .cert_hash_len = 32, .address = "x" };
	char				 name[ID_SIZE], version[] = "1",
					 claude[] = "claude", *agents = claude,
					 run_id[] = RUN, session[] = S,
					 running[] = "running";

	marionette__v1__runner_message__init(&m);
	marionette__v1__hello__init(&h);
	strlcpy(name, id, sizeof(name));
	h.runner_id = name;
	h.version = version;
	h.agents = &agents;
	h.n_agents = 1;
	marionette__v1__run_state__init(&run);
	run.run_id = run_id;
	run.session_id = session;
	run.state = running;
	h.runs = &runs;
	h.n_runs = 1;
	h.sealing_key.data = h.signature.data = key;
	h.sealing_key.len = h.signature.len = sizeof(key);
	m.body_case = MARIONETTE__V1__RUNNER_MESSAGE__BODY_HELLO;
	m.hello = &h;
	on_stream_open(peer_of(PROC_RUNNER), n, &o);
	say(n, &m);
	expect(PROC_PROVIDERD, MSG_HELLO_VERIFY);
	return (got_ref);
}

/* Questions until there is no room for another; refs of the first and last. */
static void
fill(uint64_t *first, uint64_t *last)
{
	static uint8_t		 lines[LINE];
	struct msg_log_append	 m = { .tenant = "t",
		.run = RUN,
		.task = "task_00000000000000000000000000", .attempt = 1,
		.first = 1, .count = 1, .lines = lines, .lines_len = LINE };
	struct ask		*a;

	for (*first = 0; m.lines_len > 0;) {
		a = ask(PROC_STORAGED, MSG_LOG_APPEND, &m, 0, NULL, NULL);
		if (a == NULL) {
			assert_int_equal(errno, ENOBUFS);
			m.lines_len /= 2;
			continue;
		}
		if (*first == 0)
			*first = a->ref;
		*last = a->ref;
	}
}

static void
empty(uint64_t first, uint64_t last)
{
	for (; first <= last; first++)
		stored(first, 1);
}

static void
test_state(void **state)
{
	uint64_t	 ref, first, last;

	(void)state;
	ref = hello(R1, 1);
	fill(&first, &last);
	verified(ref, R1);
	assert_int_equal(runner_find(R1)->state, RUNNER_IDLE);
	refuses(PROC_STORAGED, MSG_RUNNER_STATE);
	empty(first, last);
	peers_janitor();
	expect(PROC_STORAGED, MSG_RUNNER_STATE);
	assert_string_equal(got.state.runner, R1);
	assert_int_equal(got.state.online, 1);
	stored(got_ref, 1);
	peers_janitor();
	refuses(PROC_STORAGED, MSG_RUNNER_STATE);
}

static void
test_verify(void **state)
{
	uint64_t	 first, last;

	(void)state;
	hush();
	fill(&first, &last);
	far_up(PROC_PROVIDERD, peers_up);
	refuses(PROC_PROVIDERD, MSG_HELLO_VERIFY);
	empty(first, last);
	peers_janitor();
	expect(PROC_PROVIDERD, MSG_HELLO_VERIFY);
	assert_string_equal(got.verify.runner, R1);
	/* No answer in time: once more. */
	time_passes(16000);
	runner_find(R1)->heard = mono_ms;
	peers_janitor();
	peers_janitor();
	expect(PROC_PROVIDERD, MSG_HELLO_VERIFY);
	verified(got_ref, R1);
	peers_janitor();
	refuses(PROC_PROVIDERD, MSG_HELLO_VERIFY);
	assert_non_null(runner_find(R1)->stream);
}

/* Who was told to be heard of every 15 seconds is not to be heard of sooner. */
static void
test_beat(void **state)
{
	struct runner	*r = runner_find(R1);

	(void)state;
	r->heard = mono_ms;
	settings_option("heartbeat-seconds", "1");
	time_passes(40000);
	peers_janitor();
	assert_non_null(r->stream);
	r->heard = mono_ms;
	settings_option("heartbeat-seconds", "15");
}

static uint64_t
place(void)
{
	struct msg_session_place	 m = { .tenant = "t", .session = S,
		.agent = "claude", .model = "", .runner = "",
		.agent_config = "", .key_ref = "" };

	on_session_place(peer_of(PROC_SESSIOND), 0, &m);
	expect(PROC_STORAGED, MSG_SESSION_ATTACH);
	return (got_ref);
}

/* It is not for the runner that the session is not claimed. */
static void
unclaimed(const char *who, const char *code)
{
	struct msg_refused	 m = { .code = code, .text = "x" };
	uint64_t		 ref = place();

	assert_string_equal(got.attach.runner, who);
	if (code[0] != '\0')
		on_refused(peer_of(PROC_STORAGED), ref, &m);
	else
		stored(ref, 0);
	expect(PROC_SESSIOND, MSG_SESSION_UNPLACED);
	assert_null(strstr(got.unplaced.reason, "taken by another session"));
	time_passes(30000);
}

static void
refused(const char *who)
{
	struct msg_attach_row	 m = { S, who, 0 };
	uint64_t		 ref = place();

	assert_string_equal(got.attach.runner, who);
	on_attach_row(peer_of(PROC_STORAGED), ref, &m);
	stored(ref, 1);
	expect(PROC_SESSIOND, MSG_SESSION_UNPLACED);
	assert_non_null(strstr(got.unplaced.reason, "taken by another session"));
	time_passes(30000);
}

/* The tenant's own first, but not one that was refused just now. */
static void
test_claim(void **state)
{
	(void)state;
	verified(hello(R2, 2), R2);
	verified(hello(R3, 3), R3);
	hush();
	unclaimed(R1, "");
	unclaimed(R1, "internal_error");
	refused(R1);
	refused(R2);
	refused(R3);
	time_passes(300000);
	refused(R1);
}

static void
test_away(void **state)
{
	struct msg_stream_close	 m = { .text = "" };
	struct runner		*r = runner_find(R2);

	(void)state;
	kept_add(r, S);
	assert_int_equal(r->nkept, 1);
	on_stream_close(peer_of(PROC_RUNNER), 2, &m);
	assert_null(r->stream);
	assert_null(r->kept);
	assert_int_equal(r->nkept, 0);
	verified(hello(R2, 2), R2);
	kept_add(r, S);
	assert_string_equal(r->kept[0], S);
}

/* All that frontd(runner) has not read yet: how many ExecuteTasks? */
static unsigned int
executed(void)
{
	Marionette__V1__ServerCommand	*c;
	enum msg_type			 is;
	unsigned int			 n = 0;

	while ((is = far_next(PROC_RUNNER)) != MSG_NONE) {
		if (is != MSG_STREAM_MESSAGE || got.message.body_len == LINE)
			continue;
		c = marionette__v1__server_command__unpack(NULL,
		    got.message.body_len, got.message.body);
		assert_non_null(c);
		n += c->body_case ==
		    MARIONETTE__V1__SERVER_COMMAND__BODY_EXECUTE_TASK;
		marionette__v1__server_command__free_unpacked(c, NULL);
	}
	return (n);
}

/* Committed, and a sessiond that came up reads it before we are answered. */
static void
test_claimed(void **state)
{
	struct msg_session_attachment	 m = { .tenant = "t", .session = S,
	    .runner = R2, .epoch = 5, .agent = "claude", .model = "",
	    .agent_config = "", .key_ref = "" };
	struct msg_attach_row		 row = { S, R2, 5 };
	uint64_t			 ref;

	(void)state;
	time_passes(300000);
	ref = place();
	assert_string_equal(got.attach.runner, R2);
	far_up(PROC_SESSIOND, peers_up);
	on_session_attachment(peer_of(PROC_SESSIOND), 0, &m);
	refuses(PROC_SESSIOND, MSG_RUNNER_LOST);
	on_attach_row(peer_of(PROC_STORAGED), ref, &row);
	stored(ref, 1);
	expect(PROC_SESSIOND, MSG_SESSION_PLACED);
	assert_int_equal(session_find(S)->epoch, 5);
}

static void
test_execute(void **state)
{
	static uint8_t			 body[LINE];
	struct msg_stream_message	 m = { body, sizeof(body) };
	struct msg_runs_done		 done = { 0 };
	struct msg_run_start		 start = { .tenant = "t",
	    .run = "run_00000000000000000000000000",
	    .task = "task_00000000000000000000000000", .session = S,
	    .runner = R2, .attempt = 1, .epoch = 5, .fresh = 1,
	    .prompt = "do it" };

	(void)state;
	on_runs_done(peer_of(PROC_TASKD), 0, &done);
	hush();
	while (!peer_is_full(peer_of(PROC_RUNNER)))
		send_stream_message(peer_of(PROC_RUNNER), 1, &m);
	on_run_start(peer_of(PROC_TASKD), 0, &start);
	assert_int_equal(executed(), 0);
	runs_janitor();
	assert_int_equal(executed(), 1);
	runs_janitor();
	assert_int_equal(executed(), 0);
}

/*
 * frontd does not read, and no Welcome can be said: the stream ends with that, and
 * its Hello is read to the end all the same.
 */
static void
test_welcome(void **state)
{
	static uint8_t			 body[1 << 20];
	struct msg_stream_message	 m = { body, sizeof(body) };
	uint64_t			 ref;

	(void)state;
	stream_end_ref(3, GRPC_OK, "");
	ref = hello(R3, 3);
	while (send_stream_message(peer_of(PROC_RUNNER), 0, &m) == 0)
		continue;
	verified(ref, R3);
	assert_null(runner_find(R3)->stream);
}

static int
begin(void **state)
{
	uint64_t	 load;

	(void)state;
	far_up(PROC_RUNNER, peers_up);
	far_up(PROC_PROVIDERD, peers_up);
	far_up(PROC_SESSIOND, peers_up);
	far_up(PROC_STORAGED, peers_up);
	expect(PROC_STORAGED, MSG_RUNNER_LOAD);
	load = got_ref;
	row(load, R1, 1, 0, "offline");
	row(load, R2, 2, 0, "idle");
	row(load, R3, 3, 1, "idle");
	stored(load, 1);
	return (0);
}

int
main(void)
{
	const struct CMUnitTest	 tests[] = {
		cmocka_unit_test(test_state),
		cmocka_unit_test(test_verify),
		cmocka_unit_test(test_beat),
		cmocka_unit_test(test_claim),
		cmocka_unit_test(test_away),
		cmocka_unit_test(test_claimed),
		cmocka_unit_test(test_execute),
		cmocka_unit_test(test_welcome),
	};

	far_init(PROC_RUNNERD);
	return (cmocka_run_group_tests(tests, begin, NULL));
}
