/* links: runnerd/api.c runnerd/choose.c runnerd/enrol.c runnerd/follow.c runnerd/watch.c runnerd/fsm.c runnerd/journal.c runnerd/kept.c runnerd/line.c runnerd/logs.c runnerd/peers.c runnerd/run.c runnerd/runner.c runnerd/seal.c runnerd/session.c runnerd/settings.c runnerd/stream.c runnerd/token.c runnerd/upward.c runnerd/wire.c runnerd_msg imsg/runner.proto regress/unit/far.c -lprotobuf-c */
/*
 * A stop: the parent hears that runnerd is drained when frontd(runner), which
 * it drains next, has been sent everything.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "far.h"
#include "runnerd.h"
#include "runnerd_msg.h"

static void
up(struct peer *p)
{
	(void)p;
}

static void
ready(void)
{
	far_up(PROC_PARENT, up);
	far_up(PROC_RUNNER, up);
}

static void
test_drained(void **state)
{
	(void)state;
	ready();
	peers_drain();
	expect(PROC_PARENT, MSG_PROC_DRAINED);
}

static void
test_behind_what_was_said(void **state)
{
	struct msg_stream_credit	 m = { .bytes = 1 };

	(void)state;
	ready();
	/* More than the socket takes at once. */
	while (peer_queued(peer_of(PROC_RUNNER)) == 0) {
		send_stream_credit(peer_of(PROC_RUNNER), 1, &m);
		peers_flush();
	}
	peers_drain();
	refuses(PROC_PARENT, MSG_PROC_DRAINED);
	peers_janitor();
	refuses(PROC_PARENT, MSG_PROC_DRAINED);
	while (far_next(PROC_RUNNER) != MSG_NONE)
		;
	peers_janitor();
	expect(PROC_PARENT, MSG_PROC_DRAINED);
	peers_janitor();
	refuses(PROC_PARENT, MSG_PROC_DRAINED);
}

int
main(void)
{
	const struct CMUnitTest	 tests[] = {
		cmocka_unit_test(test_drained),
		cmocka_unit_test(test_behind_what_was_said),
	};

	far_init(PROC_RUNNERD);
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
