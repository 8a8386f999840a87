/* links: taskd/policy.c */
/*
 * The policy's table: reading in the workspace is approved, everything else
 * asks, and so does what only looks like it.
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
	check("tool", "Read", "Read: src/main.c", "low", "approved");
	check("tool", "Glob", "Glob in .: **/*.c", "low", "approved");
	check("tool", "Grep", "Grep in .: TODO", "low", "approved");
	check("tool", "Read", "Read: /workspace/a.c", "low", "approved");
	check("tool", "Read", "Read: /var/lib/x", "medium", "");
	check("tool", "Read", "Read: a.c", "low", "approved");
	check("tool", "Glob", "Glob in /workspace/src: *.{c,h}", "low",
	    "approved");
	check("tool", "Glob", "Glob in .: /workspace/*.c", "low", "approved");
	check("tool", "Grep", "Grep in /workspace: a..b in /etc", "low",
	    "approved");
	check("tool", "Grep", "Grep in src/a b: ~|: /", "low", "approved");
	check("tool", "Grep", "Grep in .env: .", "medium", "");
	check("tool", "Grep", "Grep in ./*.pem: KEY", "high", "");
	check("tool", "Grep", "Grep in .ssh: x", "high", "");
	check("tool", "Grep", "Grep in credentials.json: x", "medium", "");
	check("tool", "LS", "LS: /workspace", "low", "approved");
	check("tool", "TodoWrite", "TodoWrite: {}", "low", "approved");
	check("tool", "Read", "Read: /proc/self/environ", "high", "");
	check("tool", "Read", "Read: ../../secret", "medium", "");
	check("tool", "Read", "Read: /home/u/.ssh/id_rsa", "high", "");
	check("tool", "Edit", "Edit x", "medium", "");
	check("tool", "Write", "Write x", "medium", "");
	check("tool", "WebFetch", "https://example.org/", "high", "");
	check("tool", "Bash", "rm -rf /", "critical", "");
	check("tool", "Bash", "sudo id", "critical", "");
	check("tool", "Bash", "curl example.org", "high", "");
	check("tool", "Bash", "make", "medium", "");
	check("tool", "Task", "look around", "medium", "");
}

/* What a model can write into a path or a pattern approves nothing. */
static void
outside(void **state)
{
	static const char *const	 tries[][2] = {
		{ "Grep", "Grep in /etc: root|x in /workspace" },
		{ "Grep", "Grep in /etc: x: /workspace" },
		{ "Grep", "Grep in /workspace/../etc: root" },
		{ "Grep", "Grep in ../x: key" },
		{ "Grep", "Grep in ..: key" },
		{ "Grep", "Grep in /workspaces: key" },
		{ "Grep", "Grep in ~/x: key" },
		/* The program takes white space off the ends of a path. */
		{ "Grep", "Grep in  /etc: key" },
		{ "Grep", "Grep in \xc2\xa0/etc: key" },
		{ "Grep", "Grep in /workspace/..\xc2\xa0: key" },
		{ "Read", "Read:  /home/x" },
		{ "Read", "Read: /workspace/../home/x" },
		{ "Read", "Read: /var/lib/x" },
		{ "Read", "Read: {\"file_path\":\"/home/x\"}" },
		{ "LS", "LS: /home" },
		{ "LS", "LS: /workspace/../home" },
		{ "Glob", "Glob in /home: {*,x in /workspace}" },
		{ "Glob", "Glob in /home: *: /workspace/x" },
		{ "Glob", "Glob in /workspace/../etc: *" },
		{ "Glob", "Glob in /workspace: /etc/*" },
		{ "Glob", "Glob in .: ../*" },
		{ "Glob", "Glob in .: ~/*" },
		{ "Glob", "Glob in .: " },
		{ "Glob", "Glob in .: {/etc,x}/*" },
		{ "Glob", "Glob in .: src/{.,x}{.,x}/*" },
		{ "Glob", "Glob in .: src/[.]./*" },
		{ "Glob", "Glob in .: src/.\\./*" },
		/* No place is named, or not as it should be. */
		{ "Grep", "Grep: root|x in /workspace in /etc" },
		{ "Grep", "Grep: root" },
		{ "Grep", "Grep in /workspace/x" },
		{ "Glob", "Glob: * in /workspace" },
		{ "Glob", "Grep in /workspace: *" },
		{ "Read", "the file a.c" },
		{ "Read", "" }
	};
	size_t				 i;

	(void)state;
	for (i = 0; i < sizeof(tries) / sizeof(tries[0]); i++)
		check("tool", tries[i][0], tries[i][1], "medium", "");
}

/* Of an action as long as one can be, the end may be missing. */
static void
cut(void **state)
{
	char	 act[1025] = "Read: /workspace/";

	(void)state;
	memset(act + strlen(act), 'x', sizeof(act) - 1 - strlen(act));
	check("tool", "Read", act, "medium", "");
	act[1021] = '\0';
	check("tool", "Read", act, "medium", "");
	act[1020] = '\0';
	check("tool", "Read", act, "low", "approved");
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
		cmocka_unit_test(outside),
		cmocka_unit_test(cut),
		cmocka_unit_test(unknown),
		cmocka_unit_test(kinds),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
