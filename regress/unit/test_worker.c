/* links: */
/*
 * What a worker's parent hears of it.  The worker is a fork of this test, which
 * is its parent and its peers.
 */
#include <sys/socket.h>
#include <sys/wait.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "parent_msg.h"
#include "worker_msg.h"
#include "worker.h"

static enum msg_type			 heard;	/* from the worker, last */
static struct msg_proc_accused		 accused;

static int
in_worker(struct peer *p, uint64_t ref, enum msg_type type, const void *m,
    int fd)
{
	switch ((int)type) {
	case MSG_PROC_START:
		on_proc_start(p, ref, m);
		return (0);
	case MSG_PROC_CONFIGURED:
		on_proc_configured(p, ref, m);
		return (0);
	case MSG_PROC_PEER:
		on_proc_peer(p, ref, m, fd);
		return (0);
	}
	return (-1);
}

int
proc_dispatch(struct peer *p, uint64_t ref, enum msg_type type, const void *m,
    int fd)
{
	if (p->proc == PROC_PARENT)
		return (in_worker(p, ref, type, m, fd));
	heard = type;
	if (type == MSG_PROC_ACCUSED)
		accused = *(const struct msg_proc_accused *)m;
	return (0);
}

/* started: it is told what it is before it is told that this was all. */
static struct peer *
begin(int started)
{
	static const struct jail	 jail = { "taskd", NULL, 0 };
	static const struct worker	 taskd = { .title = "taskd",
					    .jail = &jail };
	struct msg_proc_start		 start = { .name = "taskd",
		.table = msg_table_hash, .table_len = sizeof(msg_table_hash),
		.root = "/", .jail = JAIL_NONE };
	struct msg_proc_configured	 done = { 0 };
	static char			 name[] = "taskd", option[] = "-P";
	char				*argv[] = { name, option, name, NULL };
	pid_t				 pid;
	int				 sv[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	assert_int_not_equal(pid = fork(), -1);
	if (pid == 0) {
		close(sv[0]);
		if (dup2(sv[1], 3) == -1)
			_exit(1);
		closefrom(4);
		_exit(worker_main(3, argv, &taskd));
	}
	close(sv[1]);
	peer_init(NULL, PROC_PARENT, NULL);
	peer_open(peer_of(PROC_TASKD), 0, sv[0], 1);
	if (started)
		send_proc_start(peer_of(PROC_TASKD), 0, &start);
	send_proc_configured(peer_of(PROC_TASKD), 0, &done);
	return (peer_of(PROC_TASKD));
}

/* The next word of the worker's; an alarm is its bound. */
static void
hears(struct peer *worker, enum msg_type type)
{
	peers_flush();
	alarm(20);
	assert_int_equal(peer_wait(worker), 0);
	alarm(0);
	assert_int_equal(heard, type);
}

/* A channel of the worker's to that peer, and its other end. */
static int
wire(struct peer *worker, enum proc proc, uint32_t generation)
{
	struct msg_proc_peer	 m = { .peer = (uint8_t)proc,
				    .generation = generation };
	int			 sv[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	send_proc_peer(worker, 0, &m, sv[1]);
	return (sv[0]);
}

/* The parent is told on which channel it was: there may be another by now. */
static void
test_accused(void **state)
{
	static const uint8_t	 wrong[FRAME_HEADER];
	struct peer		*worker = begin(1);
	uint32_t		 generation;
	int			 fd;

	(void)state;
	hears(worker, MSG_PROC_READY);
	for (generation = 7; generation < 9; generation++) {
		fd = wire(worker, PROC_SESSIOND, generation);
		assert_int_equal(send(fd, wrong, sizeof(wrong), 0),
		    sizeof(wrong));
		hears(worker, MSG_PROC_ACCUSED);
		assert_int_equal(accused.peer, PROC_SESSIOND);
		assert_int_equal(accused.generation, generation);
		close(fd);
	}
	peer_close(worker);
	alarm(20);
	assert_int_not_equal(wait(NULL), -1);
	alarm(0);
}

/* Nobody is ready who was not told which jail is his. */
static void
test_unstarted(void **state)
{
	struct peer	*worker = begin(0);
	int		 status;

	(void)state;
	peers_flush();
	alarm(20);
	assert_int_equal(peer_wait(worker), -1);
	assert_int_not_equal(wait(&status), -1);
	alarm(0);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	peer_close(worker);
}

int
main(void)
{
	const struct CMUnitTest	 tests[] = {
		cmocka_unit_test(test_accused),
		cmocka_unit_test(test_unstarted),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
