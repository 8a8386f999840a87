/* links: agent/conversation.c agent/utf8.c agent/util.c runner.proto -lprotobuf-c -ljansson */
/*
 * What an agent reads in Claude Code's transcript, which the coding agent can
 * write: whether its conversation can be resumed, and whether it heard a prompt.
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
#include <unistd.h>

#include <cmocka.h>

#include "conversation.h"
#include "place.h"
#include "run.h"
#include "util.h"

static char			 id[] = "sess_00000000000000000000000001";
static struct session		 session = { .id = id };
static struct conversation	 now;
static int			 unread;	/* the disk does not read */

ssize_t
read(int fd, void *p, size_t n)
{
	if (!unread)
		return (syscall(SYS_read, fd, p, n));
	errno = EIO;
	return (-1);
}

void
place_random(uint8_t *p, size_t n)
{
	arc4random_buf(p, n);
}

int
place_write(const char *dir, const char *name, const char *text)
{
	int	 fd = open(dir, O_RDONLY | O_DIRECTORY), rv;

	rv = file_write(fd, name, text, strlen(text), 0600);
	close(fd);
	return (rv);
}

static char *
transcript(void)
{
	return (xasprintf("%s/home/.claude/projects/-workspace/%s.jsonl",
	    session.dir, now.uuid));
}

static void
writes(const char *head, const char *text, const char *tail)
{
	char	*path = transcript();
	FILE	*f = fopen(path, "a");

	assert_non_null(f);
	assert_true(fprintf(f, "%s%s%s", head, text, tail) > 0);
	assert_int_equal(fclose(f), 0);
	free(path);
}

static void
hears(const char *text)
{
	writes("{\"message\":{\"role\":\"user\",\"content\":\"", text,
	    "\"},\"uuid\":\"1\",\"type\":\"user\"}\n");
}

static void
opens_for(const char *task, const char *prompt, int interrupted)
{
	struct run	 run = { .session = &session,
			    .interrupted = interrupted };

	run.task_id = xstrdup(task);
	run.prompt = xstrdup(prompt);
	assert_int_equal(conversation_open(&run, &now), 0);
	assert_int_equal(strlen(now.uuid), UUID_SIZE - 1);
	free(run.task_id);
	free(run.prompt);
}

static void
opens(const char *prompt, int interrupted)
{
	opens_for("task_1", prompt, interrupted);
}

static int
begin(void **state)
{
	static const char *const	 below[] = { "", "/home", "/home/.claude",
		"/home/.claude/projects", "/home/.claude/projects/-workspace" };
	char				 dir[] = "/tmp/mn-conversation-XXXXXX";
	char				*path;
	size_t				 i;

	(void)state;
	if (mkdtemp(dir) == NULL)
		return (-1);
	session.dir = xstrdup(dir);
	for (i = 1; i < sizeof(below) / sizeof(below[0]); i++) {
		path = xasprintf("%s%s", dir, below[i]);
		if (mkdir(path, 0700) == -1)
			return (-1);
		free(path);
	}
	return (0);
}

static int
end(void **state)
{
	char	*command = xasprintf("rm -rf %s", session.dir);
	int	 rv = system(command);

	(void)state;
	free(command);
	free(session.dir);
	return (rv);
}

static void
test_one_and_the_same(void **state)
{
	char	 first[UUID_SIZE];

	(void)state;
	opens("hello", 0);
	assert_false(now.resumed);
	memcpy(first, now.uuid, UUID_SIZE);
	opens("hello", 1);		/* it never came to write a transcript */
	assert_false(now.resumed || now.heard);
	assert_string_equal(now.uuid, first);
	hears("hello");
	opens("hello", 1);
	assert_true(now.resumed && now.heard);
	opens("other", 0);
	assert_true(now.resumed && !now.heard);
	assert_string_equal(now.uuid, first);
}

/* Each of them makes --resume fail for ever, and --session-id too. */
static void
test_nothing_said(void **state)
{
	static const char *const	 written[] = {
		"", "{\"type\":\"queue-operation\",\"content\":\"hello\"}\n",
		"?{\"type\":\"user\",\"message\":{\"content\":\"hello\"}}\n",
		"{\"type\":\"user\",\"message\":{\"content\":\"hello\"}?}\n",
		"{\"type\":\"user\",\"message\":{\"content\":\"hel"
	};
	char				 was[UUID_SIZE];
	size_t				 i;

	(void)state;
	opens("hello", 0);
	for (i = 0; i < sizeof(written) / sizeof(written[0]); i++) {
		memcpy(was, now.uuid, UUID_SIZE);
		writes("\n", written[i], "");
		opens("hello", 1);
		assert_false(now.resumed || now.heard);
		assert_string_not_equal(now.uuid, was);
	}
}

static void
test_said_before(void **state)
{
	(void)state;
	opens("again", 0);
	hears("again");
	opens("again", 0);
	opens("again", 1);		/* the second was never heard */
	assert_true(now.resumed && !now.heard);
	writes("{\"type\":\"queue-operation\",\"content\":\"", "again", "\"}\n");
	opens("again", 1);
	assert_false(now.heard);
	hears("again");
	opens("again", 1);
	assert_true(now.heard);
	opens("again", 1);		/* told to go on, and cut short again */
	assert_true(now.heard);
	writes("{\"type\"", ":", "\"us");	/* no newline was put behind it */
	opens("again", 0);
	hears("again");
	opens("again", 1);
	assert_false(now.heard);
}

static void
test_as_json_has_it(void **state)
{
	static const char	 prompt[] = " \n/a \"b\"\\ \xc3\xa9\t\x1b[31m \n";

	(void)state;
	opens(prompt, 0);
	hears(" /a \\\"b\\\"\\\\ \xc3\xa9\\t\\u001b[31m");
	opens(prompt, 1);
	assert_true(now.heard);
	opens(prompt, 0);
	writes("{\"type\":\"user\",\"message\":{\"content\":[1,{\"type\":\"text\","
	    "\"text\":\"", "/a \\\"b\\\"\\\\ \\u00e9\\u0009\\u001B[31m",
	    "\"}]}}\n");
	opens(prompt, 1);
	assert_true(now.heard);
}

/* What the program adds when it resumes, before it hears more. */
static void
test_not_the_same(void **state)
{
	static const char *const	 prompts[] = { "go", "user", "1", "", " ",
		"go on", "type" };
	size_t				 i;

	(void)state;
	opens("first", 0);
	hears("first");
	for (i = 0; i < sizeof(prompts) / sizeof(prompts[0]); i++) {
		opens(prompts[i], 0);
		writes("{\"type\":\"user\",\"message\":{\"content\":["
		    "{\"type\":\"tool_result\",\"content\":\"", "go on",
		    "\"}]},\"uuid\":\"1\"}\n");
		hears("no, go on");
		opens(prompts[i], 1);
		assert_true(now.resumed && !now.heard);
	}
}

/*
 * This runner had the session before, or could not note where the prompt begins:
 * what was said then is not what another task was told elsewhere.
 */
static void
test_of_another_task(void **state)
{
	(void)state;
	opens_for("task_1", "again", 0);
	hears("again");
	opens_for("task_3", "again", 1);
	assert_true(now.resumed && !now.heard);
	hears("again");
	opens_for("task_3", "again", 1);
	assert_true(now.heard);
}

static void
leaves(const char *prompt_at)
{
	char	*path = xasprintf("%s/prompt_at", session.dir);

	if (prompt_at == NULL)
		assert_int_equal(unlink(path), 0);
	else
		assert_int_equal(place_write(session.dir, "prompt_at",
		    prompt_at), 0);
	free(path);
}

/* They noted nothing, or not for which task. */
static void
test_of_an_older_agent(void **state)
{
	(void)state;
	opens("first", 0);
	hears("first");
	leaves(NULL);
	opens("first", 1);
	assert_true(now.heard);
	leaves("0");
	opens("first", 1);
	assert_true(now.heard);
	leaves("999999");
	opens("first", 1);
	assert_false(now.heard);
}

static void
test_long_lines(void **state)
{
	size_t	 n;
	char	*text;

	(void)state;
	opens("first", 0);
	hears("first");
	for (n = 65536 - 60; n < 65536 + 8; n++) {
		text = xmalloc(n + 1);
		memset(text, 'x', n);
		text[n] = '\0';
		opens("needle", 0);
		writes("{\"type\":\"attachment\",\"content\":\"", text, "\"}\n");
		hears("needle");
		opens("needle", 1);
		assert_true(now.heard);
		free(text);
	}
	text = xmalloc(1048577);
	memset(text, 'y', 1048576);
	text[1048576] = '\0';
	opens(text, 0);
	hears(text);
	opens(text, 1);
	assert_true(now.heard);
	free(text);
}

/*
 * The coding agent may have put anything in its place.  What is there all the same
 * is one that the program does not begin again.
 */
static void
test_no_file(void **state)
{
	char	 was[UUID_SIZE], *path, *to;

	(void)state;
	opens("hello", 0);
	path = transcript();
	assert_int_equal(mkfifo(path, 0600), 0);
	memcpy(was, now.uuid, UUID_SIZE);
	opens("hello", 1);
	assert_false(now.resumed);
	assert_string_not_equal(now.uuid, was);
	assert_int_equal(unlink(path), 0);
	free(path);
	path = transcript();
	to = xasprintf("%s/home/real", session.dir);
	hears("hello");
	assert_int_equal(rename(path, to), 0);
	assert_int_equal(symlink(to, path), 0);
	memcpy(was, now.uuid, UUID_SIZE);
	opens("hello", 1);
	assert_false(now.resumed);
	assert_string_not_equal(now.uuid, was);
	free(path);
	free(to);
}

/* A conversation whose name cannot be read is not one that is not there. */
static void
test_unread(void **state)
{
	struct run	 run = { .session = &session, .task_id = id,
			    .prompt = id };
	char		 was[UUID_SIZE];

	(void)state;
	opens("hello", 0);
	hears("hello");
	memcpy(was, now.uuid, UUID_SIZE);
	unread = 1;
	assert_int_equal(conversation_open(&run, &now), -1);
	unread = 0;
	opens("again", 0);
	assert_true(now.resumed);
	assert_string_equal(now.uuid, was);
}

int
main(void)
{
	const struct CMUnitTest	 tests[] = {
		cmocka_unit_test_setup_teardown(test_one_and_the_same, begin,
		    end),
		cmocka_unit_test_setup_teardown(test_nothing_said, begin, end),
		cmocka_unit_test_setup_teardown(test_said_before, begin, end),
		cmocka_unit_test_setup_teardown(test_as_json_has_it, begin, end),
		cmocka_unit_test_setup_teardown(test_not_the_same, begin, end),
		cmocka_unit_test_setup_teardown(test_of_another_task, begin,
		    end),
		cmocka_unit_test_setup_teardown(test_of_an_older_agent, begin,
		    end),
		cmocka_unit_test_setup_teardown(test_long_lines, begin, end),
		cmocka_unit_test_setup_teardown(test_no_file, begin, end),
		cmocka_unit_test_setup_teardown(test_unread, begin, end)
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
