/*
 * policy.c - how risky a call is and whether a person must be asked (promise
 * 13): an ordered table, the first row that fits decides.  Only reading inside
 * the workspace is approved without a person - by the path that the call names:
 * links are the sandbox's matter - and unknown tools and every MCP tool ask.
 * An action is `Tool: what', or `Tool in PATH: what' when a path is named.  A
 * model words both, so only how they begin counts: whatever cannot be told for
 * sure asks.  Pure: no state, nothing can fail.
 */
#include <ctype.h>
#include <string.h>

#include "permission.h"

/* Longer, and its end may be missing: 1024 less the rest of a character. */
#define ACTION_WHOLE	1020

struct rule {
	const char	*tool;
	const char	*action;	/* NULL: it reads inside */
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
	{ "Read",		"*.ssh*",		"high",	    "" },
	{ "Read",		"*.aws*",		"high",	    "" },
	{ "Read",		"*.env*",		"medium",   "" },
	{ "Read",		"*.pem*",		"high",	    "" },
	{ "Read",		"*credential*",		"medium",   "" },
	{ "Read",		NULL,			"low", "approved" },
	{ "Glob",		"*..*",			"medium",   "" },
	{ "Glob",		NULL,			"low", "approved" },
	{ "Grep",		"*.ssh*",		"high",	    "" },
	{ "Grep",		"*.aws*",		"high",	    "" },
	{ "Grep",		"*.env*",		"medium",   "" },
	{ "Grep",		"*.pem*",		"high",	    "" },
	{ "Grep",		"*credential*",		"medium",   "" },
	{ "Grep",		NULL,			"low", "approved" },
	{ "LS",			NULL,			"low", "approved" },
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

/*
 * The path that s begins with; where it ends is not known.  White space before
 * a path, of any kind, is dropped by who opens it.
 */
static int
path_is_inside(const char *s, const char *first)
{
	static const char	 root[] = "/workspace";
	size_t			 n = sizeof(root) - 1;

	if (strstr(s, "/..") != NULL)
		return (0);
	if (strncmp(s, root, n) == 0)
		return (s[n] == '\0' || s[n] == '/' ||
		    strncmp(s + n, ": ", 2) == 0);
	return (s[0] != '\0' && strncmp(s, "..", 2) != 0 &&
	    (isalnum((unsigned char)s[0]) || strchr(first, s[0]) != NULL));
}

/* Whichever colon it begins after. */
static int
pattern_is_inside(const char *s)
{
	const char	*p;

	/* Such can spell a path that is not seen: `src/.{.,x}/'. */
	if ((p = strpbrk(s, "\\[{")) != NULL && strchr(p, '/') != NULL)
		return (0);
	for (p = s; (p = strstr(p, ": ")) != NULL; p += 2)
		if (!path_is_inside(p + 2, "._-*?["))
			return (0);
	return (1);
}

/* Does the call read in the workspace only? */
static int
reads_inside(const char *tool, const char *action)
{
	size_t	 n = strlen(tool);

	if (strlen(action) > ACTION_WHOLE || strncmp(action, tool, n) != 0)
		return (0);
	action += n;
	if (strcmp(tool, "Read") == 0 || strcmp(tool, "LS") == 0)
		return (strncmp(action, ": ", 2) == 0 &&
		    path_is_inside(action + 2, "._-"));
	if (strncmp(action, " in ", 4) != 0 || strstr(action, ": ") == NULL ||
	    !path_is_inside(action + 4, "._-"))
		return (0);
	return (strcmp(tool, "Glob") != 0 || pattern_is_inside(action));
}

static int
rule_fits(const struct rule *r, const char *tool, const char *action)
{
	if (!policy_glob(r->tool, tool))
		return (0);
	return (r->action == NULL ? reads_inside(tool, action) :
	    policy_glob(r->action, action));
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
		if (rule_fits(&rules[i], tool, action)) {
			v.risk = rules[i].risk;
			v.decision = rules[i].decision;
			return (v);
		}
	return (v);
}
