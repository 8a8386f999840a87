/* links: agent/claude_gate.c agent/claude_text.c agent/utf8.c agent/util.c -ljansson */
/*
 * What Claude Code shows as done is a breach of the gate unless that call was
 * approved, however many calls were approved since.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "claude.h"

#define MANY	5000

/* Is it a breach that the call is shown as done, or as failed? */
static int
shown(struct gate *g, const char *id, int error)
{
	json_t	*frame;
	int	 breach;

	frame = json_pack("{s:s, s:{s:[{s:s, s:s, s:b}]}}", "type", "user",
	    "message", "content", "type", "tool_result", "tool_use_id", id,
	    "is_error", error);
	breach = gate_breach(g, frame) != NULL;
	json_decref(frame);
	return (breach);
}

static void
test_answers(void **state)
{
	struct gate	 g;

	(void)state;
	gate_init(&g);
	gate_asked(&g, "r1", "yes");
	gate_asked(&g, "r2", "no");
	gate_asked(&g, "r3", "open");
	assert_true(shown(&g, "yes", 0));
	gate_answered(&g, "r1", 1);
	gate_answered(&g, "r2", 0);
	gate_answered(&g, "r9", 1);
	assert_false(shown(&g, "yes", 0));
	assert_false(shown(&g, "yes", 0));
	assert_true(shown(&g, "no", 0));
	assert_false(shown(&g, "no", 1));
	assert_true(shown(&g, "open", 0));
	assert_true(shown(&g, "never asked", 0));
	gate_free(&g);
}

/* Those of the helper that the first one started. */
static void
test_many(void **state)
{
	struct gate	 g;
	char		 id[16];
	int		 i;

	(void)state;
	gate_init(&g);
	for (i = 0; i < MANY; i++) {
		snprintf(id, sizeof(id), "call %d", i);
		gate_asked(&g, id, id);
		gate_answered(&g, id, 1);
	}
	assert_false(shown(&g, "call 0", 0));
	assert_false(shown(&g, id, 0));
	gate_free(&g);
}

int
main(void)
{
	const struct CMUnitTest	tests[] = {
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_many),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
