/* links: agent/claude_text.c agent/utf8.c agent/util.c -ljansson */
/*
 * Texts of Claude Code's frames: what is too long ends between characters, and
 * an action names the place that is read before what the model can word.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "claude.h"
#include "run.h"
#include "util.h"

#define LONG	131072		/* characters of two bytes */

/* `a' and many `é': where it is cut, by bytes, is within a character. */
static json_t *
long_text(void)
{
	static char	 s[1 + LONG * 2];
	size_t		 i;

	s[0] = 'a';
	for (i = 0; i < LONG; i++)
		memcpy(s + 1 + i * 2, "\xc3\xa9", 2);
	return (json_stringn(s, sizeof(s)));
}

/* Takes the frame. */
static void
well_formed(json_t *frame)
{
	struct logged	 how = { "stdout", "info", "text", NULL };
	char		*text, *scrubbed;
	size_t		 n;

	assert_non_null(frame);
	text = claude_classify(frame, &how);
	assert_non_null(text);
	assert_int_equal(strlen(text), LONG * 2 - 1);
	scrubbed = utf8_scrub(text, strlen(text), &n);
	assert_true(strcmp(text, scrubbed) == 0);
	free(scrubbed);
	free(text);
	json_decref(frame);
}

static void
test_assistant(void **state)
{
	(void)state;
	well_formed(json_pack("{s:s, s:{s:[{s:s, s:o}]}}", "type", "assistant",
	    "message", "content", "type", "text", "text", long_text()));
}

static void
test_result(void **state)
{
	(void)state;
	well_formed(json_pack("{s:s, s:{s:[{s:s, s:o}]}}", "type", "user",
	    "message", "content", "type", "tool_result", "content",
	    long_text()));
	well_formed(json_pack("{s:s, s:{s:[{s:s, s:[{s:s, s:o}]}]}}", "type",
	    "user", "message", "content", "type", "tool_result", "content",
	    "type", "text", "text", long_text()));
}

/* Takes the input. */
static void
acts(const char *tool, json_t *input, const char *action)
{
	char	*s;

	assert_non_null(input);
	s = claude_action(tool, input);
	assert_string_equal(s, action);
	free(s);
	json_decref(input);
}

static void
test_action(void **state)
{
	(void)state;
	acts("Bash", json_pack("{s:s, s:s}", "description", "x", "command",
	    "ls"), "Bash: ls");
	acts("Deploy", json_pack("{s:i}", "n", 1), "Deploy: {\"n\":1}");
	acts("mcp__x__y", json_pack("{s:s, s:s}", "query", "q", "path", "p"),
	    "mcp__x__y in p: q");
	acts("Grep", json_pack("{s:s, s:s}", "pattern",
	    "root|x in /workspace", "path", "/etc"),
	    "Grep in /etc: root|x in /workspace");
	acts("Grep", json_pack("{s:s, s:s}", "pattern", "KEY", "glob",
	    ".env*"), "Grep in ./.env*: KEY");
	acts("Grep", json_pack("{s:s}", "pattern", "x in /etc"),
	    "Grep in .: x in /etc");
	acts("Glob", json_pack("{s:s, s:s}", "pattern", "*.c", "path", ""),
	    "Glob in .: *.c");
	acts("Glob", json_pack("{s:s, s:s}", "pattern", "\n/etc/*", "path",
	    "a\tb"), "Glob in a b:  /etc/*");
	acts("LS", json_pack("{s:s}", "path", "/etc"), "LS: /etc");
}

/* What a tool that reads is told by is its own, and nothing else. */
static void
test_told(void **state)
{
	(void)state;
	acts("Read", json_pack("{s:s, s:s, s:s}", "command", "/workspace/a",
	    "file_path", "/etc/x", "path", "."), "Read: /etc/x");
	acts("Glob", json_pack("{s:s, s:s}", "command", "*", "pattern",
	    "/etc/*"), "Glob in .: /etc/*");
	acts("Glob", json_pack("{s:[s], s:s}", "pattern", "/etc/*", "query",
	    "*"), "Glob in .: ");
	acts("Read", json_object(), "Read: ");
}

int
main(void)
{
	const struct CMUnitTest	tests[] = {
		cmocka_unit_test(test_action),
		cmocka_unit_test(test_told),
		cmocka_unit_test(test_assistant),
		cmocka_unit_test(test_result),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
