/* links: agent/journal.c agent/util.c */
/*
 * A journal that is rewritten while the disk fails: what is put afterwards is
 * in the file that the next agent will read.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
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

void
turn_want(void)
{
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
	journal_put('S', "kept ", 5);
}

/* More than is rewritten for. */
static void
fill(void)
{
	static uint8_t	 big[BIG];
	int		 i;

	for (i = 0; i < 9; i++) {
		journal_put('X', big, sizeof(big));
		assert_int_equal(journal_sync(), 0);
	}
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

	unlinkat(agent.state_fd, "journal", 0);
	journal_open(replay);
	fill();
	before = size();
	failures = fail;
	journal_compact(puts_all);
	assert_true(size() < before);
	journal_put('R', "after", 5);
	for (tries = 0; tries <= fail && journal_sync() == -1; tries++)
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

/* Nothing was renamed: the old one goes on. */
static void
test_no_file(void **state)
{
	(void)state;
	unlinkat(agent.state_fd, "journal", 0);
	journal_open(replay);
	fill();
	assert_int_equal(mkdirat(agent.state_fd, ".journal.new", 0700), 0);
	journal_compact(puts_all);
	journal_put('R', "after", 5);
	assert_int_equal(journal_sync(), 0);
	read_back[0] = '\0';
	journal_open(replay);
	assert_string_equal(read_back, "kept after");
	unlinkat(agent.state_fd, ".journal.new", AT_REMOVEDIR);
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
	close(agent.state_fd);
	return (rmdir(dir));
}

int
main(void)
{
	const struct CMUnitTest	tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad_directory),
		cmocka_unit_test(test_no_file),
	};

	if (sodium_init() == -1)
		return (1);
	return (cmocka_run_group_tests(tests, set_up, tear_down));
}
