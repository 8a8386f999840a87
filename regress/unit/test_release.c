/* links: runnerd/api.c runnerd/choose.c runnerd/enrol.c runnerd/follow.c runnerd/watch.c runnerd/fsm.c runnerd/journal.c runnerd/kept.c runnerd/line.c runnerd/logs.c runnerd/peers.c runnerd/run.c runnerd/runner.c runnerd/seal.c runnerd/session.c runnerd/settings.c runnerd/stream.c runnerd/token.c runnerd/upward.c runnerd/wire.c imsg/runner.proto regress/unit/far.c regress/unit/own_time.c -lprotobuf-c */
/*
 * A session is given back while a new runnerd still learns which runners and
 * runs there are: what it is told of them then is older than what it asks for.
 * And while its runner is away, or has not brought the end of a run yet.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "far.h"
#include "own_time.h"
#include "run.h"
#include "session.h"
#include "runnerd_msg.h"

#define S	"sess_00000000000000000000000000"
#define LOOSE	"sess_00000000000000000000000002"
#define FAST	"sess_00000000000000000000000003"
#define R	"rnr_00000000000000000000000000"
#define R2	"rnr_00000000000000000000000002"
#define R3	"rnr_00000000000000000000000003"
#define R4	"rnr_00000000000000000000000004"
#define TASK	"task_00000000000000000000000000"

/* What a test is about: a session, its runner, their run. */
struct scene {
	char		 session[ID_SIZE], runner[ID_SIZE], run[ID_SIZE];
	uint8_t		 hash[32];	/* of the runner's certificate */
};
static struct scene	 late = { FAST, R3, "run_00000000000000000000000003",
	{ 3 } };
static struct scene	 away = { "sess_00000000000000000000000004", R4,
	"run_00000000000000000000000004", { 4 } };
static struct scene	*it = &late;

union far_message {
	_Alignas(8) uint8_t		 any[MSG_STRUCT_MAX];
	struct msg_session_detach	 detach;
	struct msg_runner_lost		 lost;
	struct msg_session_released	 released;
	struct msg_run_completed	 completed;
	struct msg_stream_message	 stream;
};

static void
stored(uint64_t ref)
{
	struct msg_stored	 m = { .rows = 1, .code = "", .text = "" };

	on_stored(peer_of(PROC_STORAGED), ref, &m);
}

static void
row(uint64_t load, const char *id, uint8_t n, const char *session)
{
	uint8_t			 hash[32] = { n };
	struct msg_runner_row	 m = { .runner = id, .tenant = "t",
		.pool = "p", .name = "n", .agents = "claude", .status = "busy",
		.session = session, .epoch = 3, .certificate = hash,
		.certificate_len = 32, .cert_hash = hash, .cert_hash_len = 32 };

	on_runner_row(peer_of(PROC_STORAGED), load, &m);
}

static void
attachment(const char *session, const char *runner)
{
	struct msg_session_attachment	 m = { .tenant = "t",
		.session = session, .runner = runner, .epoch = 3,
		.agent = "claude", .model = "", .agent_config = "",
		.key_ref = "" };

	on_session_attachment(peer_of(PROC_SESSIOND), 0, &m);
}

static void
test_early(void **state)
{
	struct msg_session_release	 release = { .tenant = "t", .session = S,
		.runner = R, .epoch = 3, .to = "terminated", .reason = "" };
	struct msg_runs_done		 done = { 0 };
	uint64_t			 load;

	(void)state;
	far_up(PROC_SESSIOND, peers_up);
	far_up(PROC_STORAGED, peers_up);
	expect(PROC_STORAGED, MSG_RUNNER_LOAD);
	load = got_ref;
	attachment(LOOSE, R2);
	attachment(FAST, R3);
	on_session_release(peer_of(PROC_SESSIOND), 0, &release);
	refuses(PROC_STORAGED, MSG_SESSION_DETACH);
	refuses(PROC_SESSIOND, MSG_RUNNER_LOST);
	row(load, R, 0, S);
	row(load, R2, 2, "");
	row(load, R3, 3, FAST);
	row(load, R4, 4, "");
	stored(load);
	peers_janitor();
	refuses(PROC_STORAGED, MSG_SESSION_DETACH);
	far_up(PROC_TASKD, peers_up);
	on_runs_done(peer_of(PROC_TASKD), 0, &done);
	peers_janitor();
	expect(PROC_STORAGED, MSG_SESSION_DETACH);
	assert_string_equal(got.detach.session, S);
	assert_int_equal(got.detach.epoch, 3);
	assert_string_equal(runner_find(R)->session, S);
	stored(got_ref);
	assert_string_equal(runner_find(R)->session, "");
	assert_int_equal(runner_find(R)->state, RUNNER_IDLE);
}

/*
 * Who had given it back died before it said so: sessiond takes it for attached,
 * the runner's row does not, whichever of them comes first.
 */
static void
test_untold(void **state)
{
	(void)state;
	expect(PROC_SESSIOND, MSG_RUNNER_LOST);
	assert_string_equal(got.lost.session, LOOSE);
	assert_string_equal(got.lost.runner, R2);
	assert_int_equal(got.lost.epoch, 3);
	assert_null(session_find(LOOSE));
	assert_non_null(session_find(FAST));
	expect(PROC_SESSIOND, MSG_SESSION_RELEASED);
	refuses(PROC_SESSIOND, MSG_RUNNER_LOST);
	attachment(LOOSE, R2);
	expect(PROC_SESSIOND, MSG_RUNNER_LOST);
}

/*
 * Who had given it back died before it said so, and then it was to be given back
 * in another way: how it was is told, not how it was wished anew.
 */
static void
test_otherwise(void **state)
{
	struct msg_session_release	 release = { .tenant = "t",
		.session = LOOSE, .runner = R2, .epoch = 3, .to = "terminated",
		.reason = "" };
	struct msg_stored		 m = { .code = "",
		.text = "suspended" };

	(void)state;
	on_session_release(peer_of(PROC_SESSIOND), 0, &release);
	expect(PROC_STORAGED, MSG_SESSION_DETACH);
	on_stored(peer_of(PROC_STORAGED), got_ref, &m);
	expect(PROC_SESSIOND, MSG_SESSION_RELEASED);
	assert_string_equal(got.released.to, "suspended");
	assert_int_equal(got.released.epoch, 3);
}

static void
run_expected(void)
{
	struct msg_run_expected	 m = { .tenant = "t", .run = it->run,
		.task = TASK, .session = it->session, .runner = it->runner,
		.attempt = 1, .epoch = 3, .started = 1 };
	struct msg_runs_done	 done = { 0 };

	on_run_expected(peer_of(PROC_TASKD), 0, &m);
	on_runs_done(peer_of(PROC_TASKD), 0, &done);
}

static void
say(Marionette__V1__RunnerMessage *m, uint64_t number)
{
	m->number = number;
	assert_null(upward_take(runner_find(it->runner), m, 10));
}

/* Its log is looked up: whether its last line is there is not known yet. */
static uint64_t
completed(uint64_t number)
{
	Marionette__V1__RunnerMessage	 m;
	Marionette__V1__RunCompleted	 c;

	marionette__v1__runner_message__init(&m);
	marionette__v1__run_completed__init(&c);
	c.run_id = it->run;
	c.attempt = 1;
	c.log_last = 5;
	m.body_case = MARIONETTE__V1__RUNNER_MESSAGE__BODY_RUN_COMPLETED;
	m.run_completed = &c;
	say(&m, number);
	expect(PROC_STORAGED, MSG_RUN_FIND);
	return (got_ref);
}

static void
log_is(uint64_t ref, uint64_t last)
{
	struct msg_run_found	 m = { .run = it->run, .tenant = "t",
		.task = TASK, .runner = it->runner, .attempt = 1,
		.log_last = last };

	on_run_found(peer_of(PROC_STORAGED), ref, &m);
	stored(ref);
}

static void
suspended(uint64_t number)
{
	Marionette__V1__RunnerMessage	 m;
	Marionette__V1__SessionSuspended s;

	marionette__v1__runner_message__init(&m);
	marionette__v1__session_suspended__init(&s);
	s.session_id = it->session;
	s.epoch = 3;
	m.body_case = MARIONETTE__V1__RUNNER_MESSAGE__BODY_SESSION_SUSPENDED;
	m.session_suspended = &s;
	say(&m, number);
}

static void
released(void)
{
	struct msg_session_release	 release = { .tenant = "t",
		.session = it->session, .runner = it->runner, .epoch = 3,
		.to = "suspended", .reason = "" };

	on_session_release(peer_of(PROC_SESSIOND), 0, &release);
}

static void
stays(void)
{
	time_passes(31000);
	peers_janitor();
	refuses(PROC_STORAGED, MSG_SESSION_DETACH);
}

static void
at_work(void)
{
	runner_has(runner_find(it->runner), it->session);
	attachment(it->session, it->runner);
	run_expected();
}

/* Suspended by a person while the log of its run, which is over, is late. */
static uint64_t
leaves(uint64_t number)
{
	uint64_t	 found;

	at_work();
	found = completed(number);
	released();
	suspended(number + 1);
	stays();
	return (found);
}

static void
has_left(void)
{
	peers_janitor();
	expect(PROC_STORAGED, MSG_SESSION_DETACH);
	assert_string_equal(got.detach.session, it->session);
	assert_string_equal(got.detach.to, "suspended");
	stored(got_ref);
	assert_null(session_find(it->session));
}

/* Its end is told, taskd notes it, and then only the session leaves. */
static void
is_told_and_left(void)
{
	struct msg_run_noted	 noted = { 0 };
	uint64_t		 ref;

	expect(PROC_TASKD, MSG_RUN_COMPLETED);
	assert_string_equal(got.completed.run, it->run);
	ref = got_ref;
	peers_janitor();
	refuses(PROC_STORAGED, MSG_SESSION_DETACH);
	on_run_noted(peer_of(PROC_TASKD), ref, &noted);
	has_left();
}

static void
ends(uint64_t found)
{
	log_is(found, 5);
	is_told_and_left();
}

static void
test_late_log(void **state)
{
	(void)state;
	ends(leaves(1));
}

/*
 * Nobody waits for the log of a run that is canceled, or whose runner is lost: how
 * it ended was said before, and what is done is not done again.
 */
static void
test_no_log(void **state)
{
	struct msg_run_kill	 canceled = { .run = it->run, .runner = it->runner,
		.reason = "canceled", .grace = 5 };

	(void)state;
	log_is(leaves(3), 3);
	peers_janitor();
	refuses(PROC_STORAGED, MSG_SESSION_DETACH);
	on_run_kill(peer_of(PROC_TASKD), 0, &canceled);
	has_left();
	run_over(it->run);
	log_is(leaves(5), 3);
	hush();
	runs_lost(runner_find(it->runner));
	is_told_and_left();
}

static void
pack(uint64_t ref, const Marionette__V1__RunnerMessage *c)
{
	struct msg_stream_message	 m;
	uint8_t				 buf[1024];

	m.body = buf;
	m.body_len = marionette__v1__runner_message__pack(c, buf);
	assert_true(m.body_len <= sizeof(buf));
	on_stream_message(peer_of(PROC_RUNNER), ref, &m);
}

/* Its runner connects and names its run: it has it, so far. */
static void
comes(uint64_t ref, const char *run_state)
{
	struct msg_stream_open		 open = { .method = "Connect",
		.cert_hash = it->hash, .cert_hash_len = sizeof(it->hash),
		.address = "" };
	struct msg_hello_verified	 yes = { .valid = 1 };
	Marionette__V1__RunnerMessage	 m;
	Marionette__V1__Hello		 h;
	Marionette__V1__RunState	 run, *runs = &run;
	char				 word[16];

	on_stream_open(peer_of(PROC_RUNNER), ref, &open);
	marionette__v1__runner_message__init(&m);
	marionette__v1__hello__init(&h);
	marionette__v1__run_state__init(&run);
	m.body_case = MARIONETTE__V1__RUNNER_MESSAGE__BODY_HELLO;
	m.hello = &h;
	h.runner_id = it->runner;
	h.session_id = it->session;
	h.session_epoch = 3;
	h.sealing_key.data = h.signature.data = it->hash;
	h.sealing_key.len = h.signature.len = sizeof(it->hash);
	strlcpy(word, run_state, sizeof(word));
	run.run_id = it->run;
	run.session_id = it->session;
	run.state = word;
	run.attempt = 1;
	h.runs = &runs;
	h.n_runs = 1;
	pack(ref, &m);
	expect(PROC_PROVIDERD, MSG_HELLO_VERIFY);
	on_hello_verified(peer_of(PROC_PROVIDERD), got_ref, &yes);
	assert_non_null(runner_find(it->runner)->stream);
}

static void
beats(void)
{
	Marionette__V1__RunnerMessage	 m;
	Marionette__V1__Heartbeat	 b;

	marionette__v1__runner_message__init(&m);
	marionette__v1__heartbeat__init(&b);
	m.body_case = MARIONETTE__V1__RUNNER_MESSAGE__BODY_HEARTBEAT;
	m.heartbeat = &b;
	say(&m, 0);
}

/*
 * Its line is cut when it is suspended; then it is silent, which is found out a
 * while after a detach is given up; then it brings what has ended meanwhile.
 */
static void
test_cut(void **state)
{
	uint64_t	 found;

	(void)state;
	it = &away;
	far_up(PROC_RUNNER, peers_up);
	far_up(PROC_PROVIDERD, peers_up);
	at_work();
	released();
	stays();
	comes(1, "running");
	stays();
	assert_non_null(runner_find(R4)->stream);
	stays();
	assert_null(runner_find(R4)->stream);
	comes(2, "completed");
	found = completed(1);
	suspended(2);
	stays();
	ends(found);
}

/* It is here, and neither ends its run nor lets the session go. */
static void
test_deaf(void **state)
{
	(void)state;
	at_work();
	released();
	time_passes(29000);
	beats();
	peers_janitor();
	refuses(PROC_STORAGED, MSG_SESSION_DETACH);
	time_passes(1000);
	has_left();
	run_over(it->run);
}

/* Nobody waits for a runner that is away with a run that is canceled. */
static void
test_away_canceled(void **state)
{
	struct msg_run_kill	 canceled = { .run = it->run,
		.runner = it->runner, .reason = "canceled", .grace = 5 };

	(void)state;
	stream_end_ref(2, GRPC_OK, "");
	at_work();
	released();
	stays();
	on_run_kill(peer_of(PROC_TASKD), 0, &canceled);
	has_left();
	run_over(it->run);
}

static void
test_away_lost(void **state)
{
	unsigned int	 i, left;

	(void)state;
	at_work();
	released();
	left = settings.lost_after - runner_find(it->runner)->away;
	for (i = 1; i < left; i++)
		peers_janitor();
	refuses(PROC_STORAGED, MSG_SESSION_DETACH);
	peers_janitor();
	expect(PROC_TASKD, MSG_RUN_LOST);
	has_left();
}

/* Whether the runner is told this, among all that it is told. */
static int
is_told(Marionette__V1__ServerCommand__BodyCase what)
{
	Marionette__V1__ServerCommand	*c;
	enum msg_type			 type;
	int				 told = 0;

	while ((type = far_next(PROC_RUNNER)) != MSG_NONE) {
		if (type != MSG_STREAM_MESSAGE)
			continue;
		c = marionette__v1__server_command__unpack(NULL,
		    got.stream.body_len, got.stream.body);
		assert_non_null(c);
		told |= c->body_case == what;
		marionette__v1__server_command__free_unpacked(c, NULL);
	}
	return (told);
}

/* It is given back while its key is sealed: the agent does not get that, too. */
static void
test_late_key(void **state)
{
	struct msg_session_attachment	 keyed = { .tenant = "t",
		.session = it->session, .runner = it->runner, .epoch = 3,
		.agent = "claude", .model = "", .agent_config = "",
		.key_ref = "key_00000000000000000000000004" };
	struct msg_key_sealed		 sealed = { .sealed = it->hash,
		.sealed_len = sizeof(it->hash) };
	uint64_t			 ref;

	(void)state;
	runner_has(runner_find(it->runner), it->session);
	comes(3, "completed");
	on_session_attachment(peer_of(PROC_SESSIOND), 0, &keyed);
	expect(PROC_PROVIDERD, MSG_KEY_SEAL);
	ref = got_ref;
	hush();
	released();
	assert_true(is_told(
	    MARIONETTE__V1__SERVER_COMMAND__BODY_DETACH_SESSION));
	on_key_sealed(peer_of(PROC_PROVIDERD), ref, &sealed);
	assert_false(is_told(
	    MARIONETTE__V1__SERVER_COMMAND__BODY_ATTACH_SESSION));
	suspended(3);
	has_left();
}

/* As much as it may say while the end of its run waits for the log. */
static void
says_much(uint64_t number)
{
	static char			 text[900 * 1024 + 1];
	Marionette__V1__RunnerMessage	 m;
	Marionette__V1__PermissionRequest q;
	char				 id[] = "run_00000000000000000000000005";
	unsigned int			 i;

	memset(text, 'x', sizeof(text) - 1);
	marionette__v1__runner_message__init(&m);
	marionette__v1__permission_request__init(&q);
	m.body_case = MARIONETTE__V1__RUNNER_MESSAGE__BODY_PERMISSION_REQUEST;
	m.permission_request = &q;
	q.run_id = id;
	q.attempt = 1;
	q.input_json = text;
	for (i = 0; i < 5; i++)
		say(&m, number + i);
}

/* Its credit is held back, and so would be what shows that its line is dead. */
static void
test_dead_line(void **state)
{
	struct runner	*r = runner_find(it->runner);
	unsigned int	 i;

	(void)state;
	at_work();
	comes(4, "completed");
	completed(4);
	says_much(5);
	released();
	stays();
	stays();
	assert_non_null(r->stream);
	time_passes(1000ULL * settings.lost_after);
	peers_janitor();
	assert_null(r->stream);
	for (i = 0; i < settings.lost_after; i++)
		peers_janitor();
	is_told_and_left();
}

int
main(void)
{
	const struct CMUnitTest	 tests[] = {
		cmocka_unit_test(test_early),
		cmocka_unit_test(test_untold),
		cmocka_unit_test(test_otherwise),
		cmocka_unit_test(test_late_log),
		cmocka_unit_test(test_no_log),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_deaf),
		cmocka_unit_test(test_away_canceled),
		cmocka_unit_test(test_away_lost),
		cmocka_unit_test(test_late_key),
		cmocka_unit_test(test_dead_line),
	};

	far_init(PROC_RUNNERD);
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
