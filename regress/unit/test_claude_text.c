/* links: agent/claude_text.c agent/utf8.c agent/util.c -ljansson */
/*
 * Texts of Claude Code's frames: what is too long ends between characters.
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

int
main(void)
{
	const struct CMUnitTest	tests[] = {
		cmocka_unit_test(test_assistant),
		cmocka_unit_test(test_result),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
