/* links: runnerd/api.c runnerd/enrol.c runnerd/follow.c runnerd/watch.c runnerd/fsm.c runnerd/journal.c runnerd/kept.c runnerd/line.c runnerd/logs.c runnerd/peers.c runnerd/run.c runnerd/runner.c runnerd/seal.c runnerd/session.c runnerd/settings.c runnerd/stream.c runnerd/token.c runnerd/upward.c runnerd/wire.c runnerd_msg imsg/runner.proto regress/unit/far.c -lprotobuf-c */
/*
 * A session is given back while a new runnerd still learns which runners there
 * are: what it is told of them then is older than what it asks for.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "far.h"
#include "runnerd.h"
#include "runnerd_msg.h"

#define S	"sess_00000000000000000000000000"
#define R	"rnr_00000000000000000000000000"

union far_message {
	_Alignas(8) uint8_t		 any[MSG_STRUCT_MAX];
	struct msg_session_detach	 detach;
};

static void
stored(uint64_t ref)
{
	struct msg_stored	 m = { .rows = 1, .code = "", .text = "" };

	on_stored(peer_of(PROC_STORAGED), ref, &m);
}

static void
test_early(void **state)
{
	static const uint8_t		 hash[32];
	struct msg_session_release	 release = { .tenant = "t", .session = S,
		.runner = R, .epoch = 3, .to = "terminated", .reason = "" };
	struct msg_runner_row		 row = { .runner = R, .tenant = "t",
		.pool = "p", .name = "n", .agents = "claude", .status = "busy",
		.session = S, .epoch = 3, .certificate = hash,
		.certificate_len = 32, .cert_hash = hash, .cert_hash_len = 32 };
	uint64_t			 load;

	(void)state;
	far_up(PROC_SESSIOND, peers_up);
	far_up(PROC_STORAGED, peers_up);
	expect(PROC_STORAGED, MSG_RUNNER_LOAD);
	load = got_ref;
	on_session_release(peer_of(PROC_SESSIOND), 0, &release);
	refuses(PROC_STORAGED, MSG_SESSION_DETACH);
	on_runner_row(peer_of(PROC_STORAGED), load, &row);
	stored(load);
	expect(PROC_STORAGED, MSG_SESSION_DETACH);
	assert_string_equal(got.detach.session, S);
	assert_int_equal(got.detach.epoch, 3);
	assert_string_equal(runner_find(R)->session, S);
	stored(got_ref);
	assert_string_equal(runner_find(R)->session, "");
	assert_int_equal(runner_find(R)->state, RUNNER_IDLE);
	expect(PROC_SESSIOND, MSG_SESSION_RELEASED);
}

int
main(void)
{
	const struct CMUnitTest	 tests[] = {
		cmocka_unit_test(test_early),
	};

	far_init(PROC_RUNNERD);
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
