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
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "parent_msg.h"
#include "worker_msg.h"
#include "worker.h"

#define LAST_WORDS	64		/* of 8 KB */

static enum msg_type			 heard;	/* from the worker, last */
static unsigned int			 last_words;
static pid_t				 pid;	/* of the worker */
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
	case MSG_PROC_PING:
		on_proc_ping(p, ref, m);
		return (0);
	case MSG_DOCUMENT:
		last_words++;
		return (0);
	}
	return (-1);
}

int
proc_dispatch(struct peer *p, uint64_t ref, enum msg_type type, const void *m,
    int fd)
{
	if (p->proc == PROC_PARENT || p->proc == PROC_RUNNERD)
		return (in_worker(p, ref, type, m, fd));
	heard = type;
	if (type == MSG_PROC_ACCUSED)
		accused = *(const struct msg_proc_accused *)m;
	return (0);
}

/* The worker says by its status how much of runnerd's it has heard. */
static void
down(struct peer *p)
{
	if (p->proc == PROC_RUNNERD)
		_exit((int)last_words);
}

/* started: it is told what it is before it is told that this was all. */
static struct peer *
begin(enum proc proc, int started)
{
	static const struct jail	 jail = { "worker", NULL, 0 };
	static const struct worker	 work = { .title = "worker",
					    .jail = &jail, .peer_down = down };
	struct msg_proc_start		 start = { .name = proc_names[proc],
		.table = msg_table_hash, .table_len = sizeof(msg_table_hash),
		.root = "/", .jail = JAIL_NONE };
	struct msg_proc_configured	 done = { 0 };
	static char			 title[] = "worker", option[] = "-P";
	char				 name[16], *argv[] = { title, option,
					    name, NULL };
	int				 sv[2];

	strlcpy(name, proc_names[proc], sizeof(name));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	assert_int_not_equal(pid = fork(), -1);
	if (pid == 0) {
		close(sv[0]);
		if (dup2(sv[1], 3) == -1)
			_exit(1);
		closefrom(4);
		_exit(worker_main(3, argv, &work));
	}
	close(sv[1]);
	peer_init(NULL, PROC_PARENT, NULL);
	peer_open(peer_of(proc), 0, sv[0], 1);
	if (started)
		send_proc_start(peer_of(proc), 0, &start);
	send_proc_configured(peer_of(proc), 0, &done);
	return (peer_of(proc));
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
wire(struct peer *worker, enum proc proc, int bulk, uint32_t generation)
{
	struct msg_proc_peer	 m = { .peer = (uint8_t)proc,
				    .bulk = (uint8_t)bulk,
				    .generation = generation };
	int			 sv[2], size = 1 << 20;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	assert_int_equal(setsockopt(sv[0], SOL_SOCKET, SO_SNDBUF, &size,
	    sizeof(size)), 0);
	send_proc_peer(worker, 0, &m, sv[1]);
	return (sv[0]);
}

/* The parent is told on which channel it was: there may be another by now. */
static void
test_accused(void **state)
{
	static const uint8_t	 wrong[FRAME_HEADER];
	struct peer		*worker = begin(PROC_TASKD, 1);
	uint32_t		 generation;
	int			 fd;

	(void)state;
	hears(worker, MSG_PROC_READY);
	for (generation = 7; generation < 9; generation++) {
		fd = wire(worker, PROC_SESSIOND, 0, generation);
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
	struct peer	*worker = begin(PROC_TASKD, 0);
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

/* One that dies is heard to the end, whichever channel ends first. */
static void
test_last_words(void **state)
{
	static uint8_t		 words[FRAME_HEADER + 8192], *p = words;
	static uint8_t		 body[8000];
	struct msg_document	 m = { .body = body, .body_len = sizeof(body) };
	struct msg_proc_ping	 ping = { 0 };
	struct peer		*worker = begin(PROC_API, 1);
	uint32_t		 len;
	uint16_t		 type = MSG_DOCUMENT;
	int			 ctl, bulk, status, i;

	(void)state;
	hears(worker, MSG_PROC_READY);
	len = (uint32_t)(FRAME_HEADER + msg_size(&msg_descs[type], &m));
	assert_true(len <= sizeof(words));
	memcpy(p, &len, 4);
	memcpy(p + 4, &type, 2);
	msg_pack(&msg_descs[type], &m, p + FRAME_HEADER);
	ctl = wire(worker, PROC_RUNNERD, 0, 3);
	bulk = wire(worker, PROC_RUNNERD, 1, 3);
	send_proc_ping(worker, 0, &ping);
	hears(worker, MSG_PROC_PONG);
	/* It is busy, and finds all of it at once. */
	assert_int_equal(kill(pid, SIGSTOP), 0);
	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	for (i = 0; i < LAST_WORDS; i++)
		assert_int_equal(send(ctl, words, len, MSG_DONTWAIT), len);
	close(bulk);
	close(ctl);
	assert_int_equal(kill(pid, SIGCONT), 0);
	alarm(20);
	assert_int_not_equal(wait(&status), -1);
	alarm(0);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), LAST_WORDS);
	peer_close(worker);
}

int
main(void)
{
	const struct CMUnitTest	 tests[] = {
		cmocka_unit_test(test_accused),
		cmocka_unit_test(test_unstarted),
		cmocka_unit_test(test_last_words),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
