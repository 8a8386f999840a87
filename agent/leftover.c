/*
 * leftover.c - kills what a dead agent's run left: its holder (if the pid is
 * still that process), then every process that has its mark in the
 * environment, and, as root, every process of the session's own user.  A run
 * whose processes cannot be killed is said so and not waited for.
 */
#include <ctype.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "leftover.h"
#include "log.h"
#include "util.h"

#define LEFTOVER_TERM_MS	2000
#define LEFTOVER_MS		8000
#define ENVIRON_MAX		(4 * 1024 * 1024)

static void
leftover_sleep(void)
{
	static const struct timespec	 ts = { 0, 10000000 };

	nanosleep(&ts, NULL);
}

/* The state letter and the start time; 0 when there is no such process. */
static uint64_t
leftover_stat(pid_t pid, char *state)
{
	char	 path[64], *buf, *p;
	uint64_t start = 0;
	int	 i;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	if ((buf = file_read(path, 4096, NULL)) == NULL)
		return (0);
	/* The name may hold anything, so from its last parenthesis on. */
	if ((p = strrchr(buf, ')')) != NULL && p[1] == ' ') {
		p += 2;
		if (state != NULL)
			*state = *p;
		for (i = 3; i < 22 && p != NULL; i++)
			if ((p = strchr(p, ' ')) != NULL)
				p++;
		if (p != NULL)
			start = strtoull(p, NULL, 10);
	}
	free(buf);
	return (start);
}

uint64_t
leftover_start_time(pid_t pid)
{
	return (leftover_stat(pid, NULL));
}

static int
leftover_is_of(pid_t pid, uid_t uid, const char *mark)
{
	struct stat	 st;
	char		 path[64], *env_text, state = 0;
	size_t		 len, n = strlen(mark) + 1;
	int		 found;

	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	if (stat(path, &st) == -1 || leftover_stat(pid, &state) == 0 ||
	    state == 'Z' || state == 'X')
		return (0);
	if (uid != 0 && uid != geteuid() && st.st_uid == uid)
		return (1);
	snprintf(path, sizeof(path), "/proc/%d/environ", (int)pid);
	if ((env_text = file_read(path, ENVIRON_MAX, &len)) == NULL)
		return (0);
	found = len >= n && memmem(env_text, len, mark, n) != NULL;
	freezero(env_text, len);
	return (found);
}

static int
leftover_sweep(uid_t uid, const char *mark)
{
	struct dirent	*de;
	pid_t		 pid;
	DIR		*d;
	int		 n = 0;

	if ((d = opendir("/proc")) == NULL)
		return (0);
	while ((de = readdir(d)) != NULL) {
		if (!isdigit((unsigned char)de->d_name[0]))
			continue;
		pid = (pid_t)strtol(de->d_name, NULL, 10);
		if (pid <= 1 || pid == getpid() ||
		    !leftover_is_of(pid, uid, mark))
			continue;
		kill(pid, SIGKILL);
		n++;
	}
	closedir(d);
	return (n);
}

static int
leftover_alive(pid_t pid, uint64_t start)
{
	char	 state = 0;

	return (pid > 1 && start != 0 && leftover_stat(pid, &state) == start &&
	    state != 'Z' && state != 'X');
}

char *
leftover_mark(pid_t pid, uint64_t start)
{
	return (xasprintf("%d.%llu", (int)pid, (unsigned long long)start));
}

void
leftover_kill(pid_t pid, uint64_t start, uid_t uid, const char *run_id)
{
	uint64_t	 begin = now_mono();
	char		*mark, *var;

	/* SIGTERM first: a holder without a namespace then kills its own. */
	if (leftover_alive(pid, start))
		kill(pid, SIGTERM);
	while (leftover_alive(pid, start) &&
	    now_mono() - begin < LEFTOVER_TERM_MS)
		leftover_sleep();
	if (leftover_alive(pid, start))
		kill(pid, SIGKILL);
	mark = leftover_mark(pid, start);
	var = xasprintf("%s=%s", LEFTOVER_VAR, mark);
	while (leftover_sweep(uid, var) > 0 || leftover_alive(pid, start)) {
		if (now_mono() - begin > LEFTOVER_MS) {
			log_warnx("run %s: something it started cannot be "
			    "killed", run_id);
			break;
		}
		leftover_sleep();
	}
	free(var);
	free(mark);
}
