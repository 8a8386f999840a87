/* links: taskd/policy.c */
/*
 * The policy's table: reading is approved, everything else asks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "permission.h"

static void
check(const char *kind, const char *tool, const char *act, const char *risk,
    const char *decision)
{
	struct verdict	 v = policy_decide(kind, tool, act);

	assert_string_equal(v.risk, risk);
	assert_string_equal(v.decision, decision);
}

static void
globs(void **state)
{
	(void)state;
	assert_true(policy_glob("*", ""));
	assert_true(policy_glob("mcp__*", "mcp__git__push"));
	assert_false(policy_glob("mcp__*", "mcp_"));
	assert_true(policy_glob("*a*b", "xxaxxb"));
	assert_false(policy_glob("*a*b", "xxaxxbc"));
	assert_true(policy_glob("", ""));
	assert_false(policy_glob("", "x"));
	/* Not exponential. */
	assert_false(policy_glob("*a*a*a*a*a*a*a*a*a*b",
	    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
}

static void
decisions(void **state)
{
	(void)state;
	check("tool", "Read", "Read src/main.c", "low", "approved");
	check("tool", "Glob", "**/*.c", "low", "approved");
	check("tool", "Grep", "TODO", "low", "approved");
	check("tool", "Read", "Read: /workspace/a.c", "low", "approved");
	check("tool", "Read", "Read: /var/lib/x", "medium", "");
	check("tool", "Read", "Read: a.c", "low", "approved");
	check("tool", "Glob", "Glob: *.c in /workspace/src", "low", "approved");
	check("tool", "Glob", "Glob: *.c in /home", "medium", "");
	check("tool", "Glob", "Glob: /home/*", "medium", "");
	check("tool", "Grep", "Grep: key in /home/agent", "medium", "");
	check("tool", "Grep", "Grep: key in ../x", "medium", "");
	check("tool", "Read", "Read /proc/self/environ", "high", "");
	check("tool", "Read", "Read ../../secret", "medium", "");
	check("tool", "Read", "Read /home/u/.ssh/id_rsa", "high", "");
	check("tool", "Edit", "Edit x", "medium", "");
	check("tool", "Write", "Write x", "medium", "");
	check("tool", "WebFetch", "https://example.org/", "high", "");
	check("tool", "Bash", "rm -rf /", "critical", "");
	check("tool", "Bash", "sudo id", "critical", "");
	check("tool", "Bash", "curl example.org", "high", "");
	check("tool", "Bash", "make", "medium", "");
	check("tool", "Task", "look around", "medium", "");
}

/* Unknown tools and MCP tools ask, whatever they are called. */
static void
unknown(void **state)
{
	static const char *const	 tools[] = { "", "read", "Reader", "Read ",
		"mcp__fs__Read", "mcp__x", "deploy", "BashOutput" };
	size_t				 i;

	(void)state;
	for (i = 0; i < sizeof(tools) / sizeof(tools[0]); i++)
		assert_string_equal(policy_decide("tool", tools[i],
		    "anything").decision, "");
	check("tool", "mcp__fs__Read", "x", "high", "");
}

/* A question is for a person even when its tool is harmless. */
static void
kinds(void **state)
{
	(void)state;
	check("question", "Read", "which one?", "low", "");
	check("plan", "Read", "the plan", "medium", "");
}

int
main(void)
{
	const struct CMUnitTest	 tests[] = {
		cmocka_unit_test(globs),
		cmocka_unit_test(decisions),
		cmocka_unit_test(unknown),
		cmocka_unit_test(kinds),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
