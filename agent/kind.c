/*
 * kind.c - the table of kinds, and which programs of them are here.  A new kind
 * is a file and a line.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent.h"
#include "kind.h"
#include "log.h"
#include "util.h"

#define KIND_CUSTOM	"custom:"
#define KIND_DEMO	"custom:demo"
#define DEMO_PROGRAM	"demo-agent"

static int
kind_runs(const char *path)
{
	struct stat	 st;

	return (stat(path, &st) == 0 && S_ISREG(st.st_mode) &&
	    access(path, X_OK) == 0);
}

/* Where PATH has it; NULL when it does not. */
static char *
kind_which(const char *name)
{
	const char	*path = getenv("PATH"), *colon;
	char		*try;

	while (path != NULL && *path != '\0') {
		colon = strchrnul(path, ':');
		try = xasprintf("%.*s/%s", (int)(colon - path), path, name);
		if (try[0] == '/' && kind_runs(try))
			return (try);
		free(try);
		path = *colon == '\0' ? NULL : colon + 1;
	}
	return (NULL);
}

/* Beside this program, or where `make install' puts it. */
static char *
kind_demo(void)
{
	static const char *const	 at[] = {
		"/../libexec/marionette/", "/", "/../agent/demo/"
	};
	char				 self[4096], *slash, *try, *real;
	size_t				 i;
	ssize_t				 n;

	n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n == -1)
		return (NULL);
	self[n] = '\0';
	if ((slash = strrchr(self, '/')) == NULL)
		return (NULL);
	*slash = '\0';
	for (i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		try = xasprintf("%s%s" DEMO_PROGRAM, self, at[i]);
		real = kind_runs(try) ? realpath(try, NULL) : NULL;
		free(try);
		if (real != NULL)
			return (real);
	}
	return (NULL);
}

static void
kind_put(struct agent *a, const struct kind *k, const char *name, char *path)
{
	struct program	*p;
	size_t		 i;

	for (i = 0; i < a->nprograms; i++)
		if (strcmp(a->programs[i].name, name) == 0) {
			free(path);
			return;		/* The first one stands. */
		}
	if (a->nprograms == AGENT_PROGRAMS_MAX)
		fatalx("--agent: at most %d", AGENT_PROGRAMS_MAX);
	p = &a->programs[a->nprograms++];
	p->kind = k;
	p->name = xstrdup(name);
	p->path = path;
}

static char *
kind_path(const char *name, const char *path)
{
	char	*real;

	if ((real = path[0] == '/' || strchr(path, '/') != NULL ?
	    realpath(path, NULL) : kind_which(path)) == NULL)
		fatalx("--agent %s: %s is not there", name, path);
	if (!kind_runs(real))
		fatalx("--agent %s: %s is not a program that can be run", name,
		    real);
	if (path[0] == '/') {	/* A link may say what it is by its name. */
		free(real);
		real = xstrdup(path);
	}
	return (real);
}

void
kind_add(struct agent *a, char *arg)
{
	char	*eq, *path = NULL;

	if ((eq = strchr(arg, '=')) != NULL) {
		*eq = '\0';
		path = eq + 1;
	}
	if (strcmp(arg, "claude") == 0)
		kind_put(a, &kind_claude, arg, kind_path(arg,
		    path != NULL ? path : "claude"));
	else if (strcmp(arg, "demo") == 0 || strcmp(arg, KIND_DEMO) == 0) {
		path = path != NULL ? kind_path(arg, path) : kind_demo();
		if (path == NULL)
			fatalx("--agent demo: " DEMO_PROGRAM " was not found; "
			    "give --agent demo=/path/to/" DEMO_PROGRAM);
		kind_put(a, &kind_custom, KIND_DEMO, path);
	} else if (strncmp(arg, KIND_CUSTOM, strlen(KIND_CUSTOM)) == 0 &&
	    path != NULL && arg[strlen(KIND_CUSTOM)] != '\0')
		kind_put(a, &kind_custom, arg, kind_path(arg, path));
	else
		fatalx("--agent %s: expected claude[=path], demo[=path] or "
		    "custom:name=path", arg);
}

void
kind_find(struct agent *a)
{
	char	*path;

	if ((path = kind_which("claude")) != NULL)
		kind_put(a, &kind_claude, "claude", path);
	if ((path = kind_demo()) != NULL)
		kind_put(a, &kind_custom, KIND_DEMO, path);
	if (a->nprograms == 0)
		fatalx("there is no coding agent to run: claude is not on "
		    "PATH and none was given with --agent");
}

const struct program *
kind_program(const char *name)
{
	size_t	 i;

	if (name == NULL)
		return (&env->programs[0]);
	if (strcmp(name, "demo") == 0)
		name = KIND_DEMO;
	for (i = 0; i < env->nprograms; i++)
		if (strcmp(env->programs[i].name, name) == 0)
			return (&env->programs[i]);
	return (NULL);
}
