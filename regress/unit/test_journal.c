/* links: agent/journal.c agent/util.c */
/*
 * A journal that is rewritten while the disk fails or is full: what is put
 * afterwards is in the file that the next agent will read.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <sodium.h>

#include "agent.h"
#include "util.h"

#define BIG	(1024 * 1024)

static struct agent	 agent;
struct agent		*env = &agent;

static char		 dir[] = "/tmp/mn-journal-XXXXXX";
static char		 read_back[64];	/* the small records */
static int		 failures;	/* of the directory, to come */
static int		 large;		/* MiB that the owners keep */
static off_t		 full;		/* others have all the rest of the disk */

/* In place of libc's; the files' own go well. */
int
fsync(int fd)
{
	if (fd == agent.state_fd && failures > 0) {
		failures--;
		errno = EIO;
		return (-1);
	}
	return (0);
}

static off_t
blocks_of(const char *name)
{
	struct stat	 st;

	if (fstatat(agent.state_fd, name, &st, 0) == -1)
		return (0);
	return (st.st_blocks * 512);
}

static off_t
used(void)
{
	return (blocks_of("journal") + blocks_of("journal.next"));
}

static int
has_room(int fd, off_t end)
{
	struct stat	 st;

	assert_int_equal(fstat(fd, &st), 0);
	if (!full || st.st_blocks * 512 >= end ||
	    used() + end - st.st_blocks * 512 <= full)
		return (1);
	errno = ENOSPC;
	return (0);
}

ssize_t
write(int fd, const void *p, size_t n)
{
	if (fd > 2 && !has_room(fd, lseek(fd, 0, SEEK_CUR) + (off_t)n))
		return (-1);
	return (syscall(SYS_write, fd, p, n));
}

int
fallocate(int fd, int mode, off_t at, off_t n)
{
	if (!has_room(fd, at + n))
		return (-1);
	return ((int)syscall(SYS_fallocate, fd, mode, at, n));
}

void
turn_want(void)
{
}

/* A disk that reads no more, after so many bytes. */
static off_t		 unread;

static ssize_t
file_get(void *arg, char *buf, size_t n)
{
	int	 fd = *(int *)arg;

	if (unread != 0 && lseek(fd, 0, SEEK_CUR) >= unread) {
		errno = EIO;
		return (-1);
	}
	return (read(fd, buf, n));
}

static int
file_close(void *arg)
{
	return (close(*(int *)arg));
}

FILE *
fdopen(int fd, const char *mode)
{
	static const cookie_io_functions_t	 io = { .read = file_get,
						    .close = file_close };
	static int				 at;

	at = fd;
	return (fopencookie(&at, mode, io));
}

static void
replay(int type, const uint8_t *data, size_t len)
{
	(void)type;
	if (len < sizeof(read_back))
		strlcat(read_back, (const char *)data, sizeof(read_back));
}

static void
puts_all(void)
{
	static uint8_t	 big[BIG];
	int		 i;

	for (i = 0; i < large; i++)
		journal_put('X', big, sizeof(big));
	journal_put('S', "kept ", 5);
}

static void
start(void)
{
	unlinkat(agent.state_fd, "journal", 0);
	unlinkat(agent.state_fd, "journal.next", 0);
	journal_open(replay);
}

static void
fill_with(int n)
{
	static uint8_t	 big[BIG];

	while (n-- > 0) {
		journal_put('X', big, sizeof(big));
		assert_int_equal(journal_sync(puts_all), 0);
	}
}

/* More than is rewritten for. */
static void
fill(void)
{
	fill_with(9);
}

static off_t
size(void)
{
	struct stat	 st;

	assert_int_equal(fstatat(agent.state_fd, "journal", &st, 0), 0);
	return (st.st_size);
}

static void
rewrite(int fail, const char *want)
{
	off_t	 before;
	int	 tries;

	start();
	fill();
	before = size();
	failures = fail;
	journal_compact(puts_all, 0);
	assert_true(size() < before);
	/* What the history had is free. */
	assert_true(used() < 6 * BIG);
	journal_put('R', "after", 5);
	for (tries = 0; tries <= fail && journal_sync(puts_all) == -1; tries++)
		continue;
	assert_int_equal(failures, 0);
	read_back[0] = '\0';
	journal_open(replay);
	assert_string_equal(read_back, want);
}

static void
test_good(void **state)
{
	(void)state;
	rewrite(0, "kept after");
}

static void
test_bad_directory(void **state)
{
	(void)state;
	rewrite(1, "kept after");
	rewrite(3, "kept after");
}

/* A new one, whose name a power cut would take with all that is in it. */
static void
test_new(void **state)
{
	(void)state;
	start();
	failures = 1;
	journal_put('R', "first", 5);
	assert_int_equal(journal_sync(puts_all), -1);
	assert_int_equal(failures, 0);
	assert_int_equal(journal_sync(puts_all), 0);
	read_back[0] = '\0';
	journal_open(replay);
	assert_string_equal(read_back, "first");
}

/* Nothing was renamed: the old one goes on. */
static void
test_no_file(void **state)
{
	(void)state;
	start();
	fill();
	unlinkat(agent.state_fd, "journal.next", 0);
	assert_int_equal(mkdirat(agent.state_fd, "journal.next", 0700), 0);
	journal_compact(puts_all, 0);
	journal_put('R', "after", 5);
	assert_int_equal(journal_sync(puts_all), 0);
	read_back[0] = '\0';
	journal_open(replay);
	assert_string_equal(read_back, "kept after");
	unlinkat(agent.state_fd, "journal.next", AT_REMOVEDIR);
}

/* Its own room is enough for ever: of eight letters one is waited for. */
static void
test_full(void **state)
{
	static uint8_t	 letter[900 * 1024];
	int		 i;

	(void)state;
	start();
	full = used();
	for (i = 0; i < 8; i++) {
		journal_put('M', letter, sizeof(letter));
		assert_int_equal(journal_sync(puts_all), 0);
	}
	journal_put('R', "after", 5);
	assert_int_equal(journal_sync(puts_all), 0);
	full = 0;
	read_back[0] = '\0';
	journal_open(replay);
	assert_non_null(strstr(read_back, "kept "));
	assert_string_equal(read_back + strlen(read_back) - 5, "after");
}

/* More than all that is held: it waits, and is there when there is room. */
static void
test_too_full(void **state)
{
	static uint8_t	 letter[3 * BIG];

	(void)state;
	start();
	full = used();
	journal_put('M', letter, sizeof(letter));
	large = 5;
	assert_int_equal(journal_sync(puts_all), -1);
	assert_int_equal(journal_sync(puts_all), -1);
	journal_put('R', "after", 5);
	full = 0;
	large = 0;
	assert_int_equal(journal_sync(puts_all), 0);
	read_back[0] = '\0';
	journal_open(replay);
	assert_non_null(strstr(read_back, "kept "));
	assert_string_equal(read_back + strlen(read_back) - 5, "after");
}

/* It is not taken for one that ends there, and cut. */
static void
test_unread(void **state)
{
	off_t	 before;
	pid_t	 pid;
	int	 status;

	(void)state;
	start();
	fill_with(3);
	before = size();
	unread = 2 * BIG;
	if ((pid = fork()) == 0) {
		journal_open(replay);
		_exit(0);
	}
	unread = 0;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(size(), before);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
}

/* Agents that live shortly: each leaves less than is rewritten for. */
static void
test_short_lives(void **state)
{
	int	 i;

	(void)state;
	start();
	for (i = 0; i < 4; i++) {
		fill_with(5);
		journal_open(replay);
		journal_compact(puts_all, 0);
		assert_int_equal(journal_sync(puts_all), 0);
		assert_true(size() < 9 * BIG);
	}
}

static int
set_up(void **state)
{
	(void)state;
	agent.state_dir = dir;
	if (mkdtemp(dir) == NULL)
		return (-1);
	agent.state_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return (agent.state_fd == -1 ? -1 : 0);
}

static int
tear_down(void **state)
{
	(void)state;
	unlinkat(agent.state_fd, "journal", 0);
	unlinkat(agent.state_fd, "journal.next", 0);
	close(agent.state_fd);
	return (rmdir(dir));
}

int
main(void)
{
	const struct CMUnitTest	tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_new),
		cmocka_unit_test(test_bad_directory),
		cmocka_unit_test(test_no_file),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_too_full),
		cmocka_unit_test(test_short_lives),
		cmocka_unit_test(test_unread),
	};

	if (sodium_init() == -1)
		return (1);
	return (cmocka_run_group_tests(tests, set_up, tear_down));
}
