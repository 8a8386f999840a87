/*
 * policy.c - how risky a call is and whether a person must be asked (promise
 * 13): an ordered table, the first row that fits decides.  Only reading inside
 * the workspace is approved without a person - by the path that the call names:
 * links are the sandbox's matter - and unknown tools and every MCP tool ask.
 * An action is `Tool: what', and ` in PATH' behind it when the call names one.  Pure: no state, nothing can fail.
 */
#include <string.h>

#include "permission.h"

struct rule {
	const char	*tool;
	const char	*action;
	const char	*risk;
	const char	*decision;	/* "" asks a person */
};

static const struct rule	 rules[] = {
	{ "mcp__*",		"*",			"high",	    "" },
	/* Reading, but not what lies outside or holds secrets. */
	{ "Read",		"*/proc/*",		"high",	    "" },
	{ "Read",		"*/etc/*",		"medium",   "" },
	{ "Read",		"*..*",			"medium",   "" },
	{ "Read",		"*~*",			"medium",   "" },
	{ "Read",		"*/.ssh*",		"high",	    "" },
	{ "Read",		"*/.aws*",		"high",	    "" },
	{ "Read",		"*.env*",		"medium",   "" },
	{ "Read",		"*.pem*",		"high",	    "" },
	{ "Read",		"*credential*",		"medium",   "" },
	{ "Read",		"*: /workspace/*",	"low", "approved" },
	{ "Read",		"*: /*",		"medium",   "" },
	{ "Read",		"*",			"low", "approved" },
	{ "Glob",		"*..*",			"medium",   "" },
	{ "Glob",		"* in /workspace*",	"low", "approved" },
	{ "Glob",		"* in /*",		"medium",   "" },
	{ "Glob",		"*: /workspace/*",	"low", "approved" },
	{ "Glob",		"*: /*",		"medium",   "" },
	{ "Glob",		"*",			"low", "approved" },
	{ "Grep",		"* in /workspace*",	"low", "approved" },
	{ "Grep",		"* in /*",		"medium",   "" },
	{ "Grep",		"* in *..*",		"medium",   "" },
	{ "Grep",		"*",			"low", "approved" },
	{ "LS",			"* in /workspace*",	"low", "approved" },
	{ "LS",			"* in /*",		"medium",   "" },
	{ "LS",			"*..*",			"medium",   "" },
	{ "LS",			"*",			"low", "approved" },
	{ "TodoRead",		"*",			"low", "approved" },
	{ "TodoWrite",		"*",			"low", "approved" },
	/* Writing in the workspace. */
	{ "Edit",		"*",			"medium",   "" },
	{ "MultiEdit",		"*",			"medium",   "" },
	{ "Write",		"*",			"medium",   "" },
	{ "NotebookEdit",	"*",			"medium",   "" },
	/* The network. */
	{ "WebFetch",		"*",			"high",	    "" },
	{ "WebSearch",		"*",			"high",	    "" },
	/* Commands: deleting and privilege, network and installing, others. */
	{ "Bash",		"*rm -*",		"critical", "" },
	{ "Bash",		"*rmdir *",		"critical", "" },
	{ "Bash",		"*sudo *",		"critical", "" },
	{ "Bash",		"*su -*",		"critical", "" },
	{ "Bash",		"*chmod *",		"critical", "" },
	{ "Bash",		"*chown *",		"critical", "" },
	{ "Bash",		"*mkfs*",		"critical", "" },
	{ "Bash",		"*dd if=*",		"critical", "" },
	{ "Bash",		"*git push*",		"critical", "" },
	{ "Bash",		"*git reset --hard*",	"critical", "" },
	{ "Bash",		"*git clean*",		"critical", "" },
	{ "Bash",		"*curl *",		"high",	    "" },
	{ "Bash",		"*wget *",		"high",	    "" },
	{ "Bash",		"*ssh *",		"high",	    "" },
	{ "Bash",		"*scp *",		"high",	    "" },
	{ "Bash",		"*install *",		"high",	    "" },
	{ "Bash",		"*",			"medium",   "" },
	{ "*",			"*",			"medium",   "" },
};

/* `*' is any run of bytes, anything else itself.  Linear in practice. */
int
policy_glob(const char *pat, const char *s)
{
	const char	*star = NULL, *mark = NULL;

	while (*s != '\0') {
		if (*pat == '*') {
			star = pat++;
			mark = s;
		} else if (*pat == *s) {
			pat++;
			s++;
		} else if (star != NULL) {
			pat = star + 1;
			s = ++mark;
		} else
			return (0);
	}
	while (*pat == '*')
		pat++;
	return (*pat == '\0');
}

struct verdict
policy_decide(const char *kind, const char *tool, const char *action)
{
	struct verdict	 v = { "low", "" };
	size_t		 i;

	/* A question or a plan is put to a person by its nature. */
	if (strcmp(kind, "question") == 0)
		return (v);
	v.risk = "medium";
	if (strcmp(kind, "plan") == 0)
		return (v);
	for (i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		if (policy_glob(rules[i].tool, tool) &&
		    policy_glob(rules[i].action, action)) {
			v.risk = rules[i].risk;
			v.decision = rules[i].decision;
			return (v);
		}
	return (v);
}
