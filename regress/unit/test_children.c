/* links: parent/process.c parent/edge.c parent/configure.c parent_msg regress/unit/far.c */
/*
 * The parent's workers, two things at once: an accusation that comes when the
 * accused has a successor, a death between two who are given a channel, a
 * reload and a stop while a worker is being started.  The program of every
 * worker is this test: it takes down what it is told at first, and waits.
 */
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "far.h"
#include "parent.h"
#include "parent_msg.h"

union far_message {
	_Alignas(8) uint8_t	 any[MSG_STRUCT_MAX];
	struct msg_proc_peer	 peer;
};

static struct parent	 parent;
static struct conf	 conf;
struct parent		*env = &parent;
static pid_t		 killed;	/* the last one */

/* ---- the other files of the parent ---- */

int
kill(pid_t pid, int sig)
{
	killed = pid;
	return ((int)syscall(SYS_kill, pid, sig));
}

void
account_find(const struct conf *c, const char *name, struct account *a)
{
	(void)c;
	(void)name;
	a->uid = getuid();
	a->gid = getgid();
}

const char *
run_path(const char *name)
{
	return (name);
}

const char *
state_path(const char *name)
{
	return (name);
}

const char *
program_path(const char *name)
{
	(void)name;
	return ("/proc/self/exe");
}

uint8_t *
read_file(const char *path, size_t max, size_t *len)
{
	(void)path;
	*len = 32;
	return (calloc(1, max + 1));
}

void
listeners_send(struct peer *p)
{
	(void)p;
}

void
listeners_close(void)
{
}

void
postgres_tick(void)
{
}

int
postgres_reaped(pid_t pid, int status)
{
	(void)pid;
	(void)status;
	return (0);
}

void
postgres_stop(void)
{
}

int
postgres_is_running(void)
{
	return (1);
}

const char *
postgres_socket_dir(void)
{
	return ("");
}

/* ---- a worker ---- */

static char	 told_path[] = "/tmp/mn-children-XXXXXX";

static int
work(void)
{
	char	 buf[65536];
	ssize_t	 n;
	int	 fd;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) == -1 ||
	    (n = recv(3, buf, sizeof(buf), 0)) <= 0 ||
	    (fd = open(getenv("MN_TOLD"), O_WRONLY | O_APPEND)) == -1 ||
	    write(fd, buf, (size_t)n) != n)
		return (1);
	for (;;)
		pause();
}

/* Has a worker been told this?  Waits for it; 0 when it never comes. */
static int
was_told(const char *text)
{
	static char	 all[1 << 20];
	unsigned int	 i;
	ssize_t		 n;
	int		 fd;

	for (i = 0; i < 1000; i++) {
		assert_int_not_equal(fd = open(told_path, O_RDONLY), -1);
		n = read(fd, all, sizeof(all));
		close(fd);
		if (n > 0 && memmem(all, (size_t)n, text, strlen(text)) != NULL)
			return (1);
		children_reap();
		children_tick();
		peers_flush();
		usleep(10000);
	}
	return (0);
}

/* ---- the parent ---- */

static void
up(struct peer *p)
{
	(void)p;
}

/* Ready, with a channel to the parent of which this test has the other end. */
static struct child *
begin(enum proc proc)
{
	struct child	*ch = &env->child[proc];

	child_start(ch);
	assert_int_not_equal(ch->pid, 0);
	peers_flush();		/* it has what it waits for */
	far_up(proc, up);
	return (ch);
}

static void
ready(struct child *ch)
{
	struct msg_proc_ready	 m = { 0 };

	on_proc_ready(peer_of(ch->proc), 0, &m);
	assert_int_equal(ch->state, CHILD_READY);
}

/* Until the parent has seen it. */
static void
die(struct child *ch)
{
	siginfo_t	 info;
	pid_t		 pid = ch->pid;

	kill(pid, SIGKILL);
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT),
	    0);
	children_reap();
	assert_int_not_equal(ch->pid, pid);
}

static uint32_t
wired(enum proc proc, enum proc with)
{
	do
		expect(proc, MSG_PROC_PEER);
	while (got.peer.peer != with);
	return (got.peer.generation);
}

static unsigned int
open_fds(void)
{
	unsigned int	 n = 0;
	int		 fd;

	for (fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) != -1;
	return (n);
}

/* Who has broken the protocol is ended, and nobody for what he did before. */
static void
test_accused(void **state)
{
	struct msg_proc_accused	 m = { .peer = PROC_SESSIOND, .why = "x" };
	struct child		*accused, *accuser;

	(void)state;
	ready(accuser = begin(PROC_TASKD));
	ready(accused = begin(PROC_SESSIOND));
	m.generation = wired(PROC_TASKD, PROC_SESSIOND);
	die(accused);
	killed = 0;
	on_proc_accused(peer_of(PROC_TASKD), 0, &m);
	assert_int_equal(killed, 0);
	/* Nor may it keep one from ever being ready. */
	on_proc_accused(peer_of(PROC_TASKD), 0, &(struct msg_proc_accused){
	    .peer = PROC_SESSIOND, .why = "x" });
	assert_int_equal(killed, 0);
	far_up(PROC_SESSIOND, up);
	ready(accused);
	on_proc_accused(peer_of(PROC_TASKD), 0, &m);
	assert_int_equal(killed, 0);
	m.generation = wired(PROC_TASKD, PROC_SESSIOND);
	on_proc_accused(peer_of(PROC_TASKD), 0, &m);
	assert_int_equal(killed, accused->pid);
	die(accused);
	die(accuser);
}

/* A frontd reads what strangers send: its word ends no owner. */
static void
test_accuser(void **state)
{
	struct msg_proc_accused	 m = { .peer = PROC_TASKD, .why = "x" };
	struct child		*front, *owner;

	(void)state;
	ready(owner = begin(PROC_TASKD));
	ready(front = begin(PROC_API));
	m.generation = wired(PROC_API, PROC_TASKD);
	killed = 0;
	on_proc_accused(peer_of(PROC_API), 0, &m);
	assert_int_equal(killed, front->pid);
	m.peer = PROC_API;
	killed = 0;
	on_proc_accused(peer_of(PROC_TASKD), 0, &m);
	assert_int_equal(killed, front->pid);
	die(front);
	die(owner);
}

/* Two are given a channel, and one is gone: the other hears it. */
static void
test_wire(void **state)
{
	struct child	*gone;
	unsigned int	 before;

	(void)state;
	ready(gone = begin(PROC_TASKD));
	begin(PROC_SESSIOND);
	peer_close(peer_of(PROC_TASKD));	/* its death comes later */
	before = open_fds();
	ready(&env->child[PROC_SESSIOND]);
	hush();
	assert_int_equal(open_fds(), before);
	die(gone);
}

/* A worker that is busy with its start is told the new configuration too. */
static void
test_reload(void **state)
{
	struct child	*ch = &env->child[PROC_TASKD];
	char		 limit[16];
	unsigned int	 i;

	(void)state;
	for (i = 0; i < 6; i++) {
		conf.queued_tasks = 77000 + i;
		snprintf(limit, sizeof(limit), "%lld", conf.queued_tasks);
		if (i == 0)
			child_start(ch);
		else
			child_reload(ch);
		assert_true(was_told(limit));
		assert_int_equal(env->stopping, 0);
	}
}

/* Who becomes ready while the server stops takes nothing new either. */
static void
test_stop(void **state)
{
	struct child	*late;

	(void)state;
	ready(begin(PROC_ADMIN));
	late = begin(PROC_API);
	env->stopping = 1;
	children_stop();
	expect(PROC_ADMIN, MSG_PROC_DRAIN);
	children_tick();
	ready(late);
	children_tick();
	expect(PROC_API, MSG_PROC_DRAIN);
	assert_int_equal(env->stopping, 1);
}

static int
setup(void **state)
{
	int	 fd;

	(void)state;
	memset(&parent, 0, sizeof(parent));
	memset(&conf, 0, sizeof(conf));
	TAILQ_INIT(&conf.listens);
	TAILQ_INIT(&conf.hosts);
	TAILQ_INIT(&conf.origins);
	TAILQ_INIT(&conf.admins);
	env->conf = &conf;
	children_init();
	if ((fd = open(told_path, O_WRONLY | O_TRUNC)) == -1)
		return (-1);
	close(fd);
	return (0);
}

static int
teardown(void **state)
{
	int	 i;

	(void)state;
	for (i = 0; i < PROC_MAX; i++)
		if (env->child[i].pid > 0) {
			kill(env->child[i].pid, SIGKILL);
			waitpid(env->child[i].pid, NULL, 0);
		}
	return (0);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest	 tests[] = {
		cmocka_unit_test_setup_teardown(test_accused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_accuser, setup, teardown),
		cmocka_unit_test_setup_teardown(test_wire, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reload, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stop, setup, teardown),
	};
	int			 fd, rc;

	if (argc == 3 && strcmp(argv[1], "-P") == 0)
		return (work());
	if ((fd = mkstemp(told_path)) == -1 ||
	    setenv("MN_TOLD", told_path, 1) == -1)
		return (1);
	close(fd);
	far_init(PROC_PARENT);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(told_path);
	return (rc);
}
