/* links: agent/spool.c agent/spool_send.c agent/utf8.c agent/util.c runner.proto -lprotobuf-c -ljansson */
/*
 * What the spool gives to the wire: lines as they were put in, and never one
 * that the server would refuse with all that stands behind it.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent.h"
#include "record.h"
#include "run.h"
#include "spool.h"

static struct agent	 agent;
struct agent		*env = &agent;

static char		 dir[] = "/tmp/mn-spool-XXXXXX";
static char		 sent[256];	/* content/text of lines, with | */
static uint64_t		 first;		/* number of the last batch's first */
static off_t		 unread;	/* from here the disk reads no more */

ssize_t
pread(int fd, void *p, size_t n, off_t at)
{
	if (unread != 0 && at >= unread) {
		errno = EIO;
		return (-1);
	}
	return (syscall(SYS_pread64, fd, p, n, at));
}

static time_t		 passed;	/* seconds that did, for the clocks */

int
clock_gettime(clockid_t clock, struct timespec *ts)
{
	int	 rv = (int)syscall(SYS_clock_gettime, clock, ts);

	ts->tv_sec += passed;
	return (rv);
}

static int		 unlisted;	/* it does not name its files */

struct dirent *
readdir(DIR *d)
{
	static struct dirent	 de = { .d_name = "run_2" };
	static int		 given;

	(void)d;
	if (unlisted)
		errno = EIO;
	return (unlisted || given++ ? NULL : &de);
}

/* In place of libc's: how often the directory's was called, and whether it goes. */
static int		 named, unnamed;

int
fsync(int fd)
{
	struct stat	 a, b;

	assert_int_equal(fstat(fd, &a), 0);
	assert_int_equal(fstatat(agent.state_fd, "spool", &b, 0), 0);
	if (a.st_ino != b.st_ino)
		return (0);
	named++;
	errno = EIO;
	return (unnamed ? -1 : 0);
}

int
link_is_up(void)
{
	return (1);
}

size_t
link_logs_queued(void)
{
	return (0);
}

int
link_send_logs(const uint8_t *p, size_t n)
{
	Marionette__V1__LogBatch	*b;
	size_t				 i;

	b = marionette__v1__log_batch__unpack(NULL, n, p);
	assert_non_null(b);
	first = b->first;
	for (i = 0; i < b->n_lines; i++) {
		strlcat(sent, b->lines[i]->content, sizeof(sent));
		strlcat(sent, "/", sizeof(sent));
		strlcat(sent, b->lines[i]->text, sizeof(sent));
		strlcat(sent, "|", sizeof(sent));
	}
	marionette__v1__log_batch__free_unpacked(b, NULL);
	return (0);
}

void
journal_put(int type, const void *p, size_t n)
{
	(void)type;
	(void)p;
	(void)n;
}

struct record *
record_find(const char *id)
{
	static struct record	 known;

	(void)id;
	return (&known);
}

void
run_resume(struct run *r)
{
	(void)r;
}

void
run_system(struct run *r, const char *level, const char *text)
{
	(void)r;
	(void)level;
	(void)text;
}

void
turn_want(void)
{
}

static void
put(struct spool *s, const char *content, const char *text)
{
	Marionette__V1__LogLine	 line;
	union { const char *c; char *v; } c = { content }, t = { text };

	marionette__v1__log_line__init(&line);
	line.content = c.v;
	line.text = t.v;
	spool_append(s, &line);
}

/* A former agent may have spooled it: refused, it would come again for ever. */
static void
test_refused(void **state)
{
	struct spool	*s;

	(void)state;
	s = spool_new("run_1");
	assert_non_null(s);
	put(s, "caf\xc3\xa9", "");
	put(s, "cut \xc3", "\xe2\x82");
	put(s, "after", "\xff it");
	assert_int_equal(spool_write_all(), 0);
	spool_send_all();
	assert_string_equal(sent, "caf\xc3\xa9/|cut ?/??|after/? it|");
	spool_ack("run_1", 3);
	spool_finish("run_1", 3);
	assert_false(spool_holds("run_1"));
}

/*
 * After a power cut its lines are on the disk, or said to be lost.  Were its name
 * gone with it, the server would wait for them for ever.
 */
static void
test_named(void **state)
{
	(void)state;
	named = 0;
	assert_non_null(spool_new("run_3"));
	assert_int_equal(named, 1);
	spool_finish("run_3", 0);
	assert_false(spool_holds("run_3"));
	unnamed = 1;
	assert_null(spool_new("run_4"));
	unnamed = 0;
	assert_false(spool_holds("run_4"));
}

/* Of a run whose lines are gone the server hears where they would go on. */
static void
test_passed(void **state)
{
	struct spool	*s;

	(void)state;
	s = spool_new("run_6");
	assert_non_null(s);
	put(s, "one", "");
	assert_int_equal(spool_write_all(), 0);
	spool_finish("run_6", 1);
	first = 0;
	spool_passed("run_6", 1);
	assert_int_equal(first, 0);
	spool_send_all();
	spool_ack("run_6", 1);
	sent[0] = '\0';
	spool_passed("run_6", 1);
	assert_int_equal(first, 2);
	assert_string_equal(sent, "");
}

static void
no_more_files(void)
{
	struct rlimit	 l;
	int		 fd;

	fd = open("/dev/null", O_RDONLY);
	l.rlim_cur = l.rlim_max = (rlim_t)fd + 1;	/* the directory */
	close(fd);
	setrlimit(RLIMIT_NOFILE, &l);
}

/*
 * A start that cannot read it, open it or find it does not take it for one that
 * ends there: its lines would be cut off, or said never to have been.
 */
static void
test_unread(void **state)
{
	struct stat	 before, after;
	struct spool	*s;
	pid_t		 pid;
	int		 i, status;

	(void)state;
	s = spool_new("run_2");
	assert_non_null(s);
	put(s, "one", "");
	put(s, "two", "");
	assert_int_equal(spool_write_all(), 0);
	assert_int_equal(fstatat(agent.state_fd, "spool/run_2", &before, 0), 0);
	for (i = 0; i < 3; i++) {
		if ((pid = fork()) == 0) {
			unread = i == 0;
			unlisted = i == 1;
			if (i == 2)
				no_more_files();
			spool_open_all();
			_exit(0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(fstatat(agent.state_fd, "spool/run_2", &after,
		    0), 0);
		assert_int_equal(after.st_size, before.st_size);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	}
	unlinkat(agent.state_fd, "spool/run_2", 0);
}

#define GONE	"A line that the runner's disk does not give back./|"

/* A disk that does not answer for a moment has lost nothing. */
static void
test_unread_once(void **state)
{
	(void)state;
	sent[0] = '\0';
	put(spool_new("run_7"), "one", "");
	assert_int_equal(spool_write_all(), 0);
	unread = -1;
	assert_int_equal(spool_send_all(), -1);
	passed += 30;
	assert_int_equal(spool_send_all(), -1);
	unread = 0;
	passed += 2;
	assert_int_equal(spool_send_all(), 0);
	assert_string_equal(sent, "one/|");
	spool_ack("run_7", 1);
	spool_finish("run_7", 1);
	assert_false(spool_holds("run_7"));
}

/*
 * What cannot be read back for a minute is said to be missing, under its own
 * numbers.
 */
static void
test_unread_meanwhile(void **state)
{
	struct spool	*s;
	struct stat	 st;

	(void)state;
	sent[0] = '\0';
	s = spool_new("run_5");
	assert_non_null(s);
	put(s, "one", "");
	assert_int_equal(spool_write_all(), 0);
	spool_send_all();
	assert_int_equal(fstatat(agent.state_fd, "spool/run_5", &st, 0), 0);
	put(s, "two", "");
	put(s, "three", "");
	assert_int_equal(spool_write_all(), 0);
	put(s, "four", "");
	unread = st.st_size;
	assert_int_equal(spool_send_all(), -1);
	passed += 61;
	assert_int_equal(spool_send_all(), 0);
	unread = 0;
	assert_string_equal(sent, "one/|");
	assert_int_equal(spool_write_all(), 0);
	spool_send_all();
	assert_string_equal(sent, "one/|" GONE GONE "four/|");
	assert_int_equal(first, 2);
	assert_int_equal(spool_number(s), 4);
	spool_ack("run_5", 4);
	spool_finish("run_5", 4);
	assert_false(spool_holds("run_5"));
}

static int
set_up(void **state)
{
	(void)state;
	if (mkdtemp(dir) == NULL)
		return (-1);
	agent.state_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return (agent.state_fd == -1 ? -1 :
	    mkdirat(agent.state_fd, "spool", 0700));
}

static int
tear_down(void **state)
{
	(void)state;
	unlinkat(agent.state_fd, "spool", AT_REMOVEDIR);
	close(agent.state_fd);
	return (rmdir(dir));
}

int
main(void)
{
	const struct CMUnitTest	tests[] = {
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_named),
		cmocka_unit_test(test_passed),
		cmocka_unit_test(test_unread_once),
		cmocka_unit_test(test_unread_meanwhile),
		cmocka_unit_test(test_unread),
	};

	return (cmocka_run_group_tests(tests, set_up, tear_down));
}
