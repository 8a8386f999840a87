/*
 * holder.c - the small process between the agent and a run.  It is in a session
 * of its own, subreaper, and dies with the agent.  Where namespaces are allowed
 * its child is init of a process namespace: when that ends, or is killed, the
 * kernel kills everything in it.  Elsewhere it walks its descendants until none
 * is left.  Only when nothing of the run lives is its end reported.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "room.h"
#include "spec.h"

#define HOLDER_ARGS	1024

static volatile sig_atomic_t	holder_term;
static pid_t			holder_child;
static int			holder_ended;	/* the child, with holder_status */
static int			holder_status;

static void
holder_signal(int sig)
{
	if (sig == SIGTERM)
		holder_term = 1;
}

static void
holder_say(char type, int value, const char *text)
{
	struct hold_msg	 m;

	memset(&m, 0, sizeof(m));
	m.type = type;
	m.value = value;
	snprintf(m.text, sizeof(m.text), "%s", text);
	send(HOLDER_CTL, &m, sizeof(m), MSG_NOSIGNAL);
}

static void __attribute__((noreturn))
holder_fail(const char *what)
{
	holder_say('F', errno, what);
	_exit(127);
}

static void
holder_read(struct spec *s)
{
	ssize_t	 n;

	spec_init(s);
	while (s->len < SPEC_MAX && (n = read(HOLDER_SPEC, s->buf + s->len,
	    SPEC_MAX - s->len)) != 0) {
		if (n == -1) {
			if (errno == EINTR)
				continue;
			_exit(1);
		}
		s->len += (size_t)n;
	}
	/* Not whole: the agent died before it let us start. */
	if (s->len < 2 || s->buf[s->len - 1] != '\0' ||
	    s->buf[s->len - 2] != SPEC_END)
		_exit(0);
	close(HOLDER_SPEC);
}

static void
holder_parse(const struct spec *s, struct room *r, char **argv, char **envp,
    const char **path)
{
	union { const char *c; char *v; } u;
	const char	*p;
	size_t		 na = 0, ne = 0, nh = 0;

	memset(r, 0, sizeof(*r));
	for (p = spec_next(s, NULL); p != NULL; p = spec_next(s, p)) {
		u.c = p + 1;
		switch (p[0]) {
		case SPEC_ARG:
			if (na < HOLDER_ARGS - 1)
				argv[na++] = u.v;
			break;
		case SPEC_ENV:
			if (ne < HOLDER_ARGS - 1)
				envp[ne++] = u.v;
			break;
		case SPEC_HIDE:
			if (nh < ROOM_HIDE_MAX)
				r->hide[nh++] = u.c;
			break;
		case SPEC_PATH: *path = u.c; break;
		case SPEC_KEY: r->key = u.c; break;
		case SPEC_DIR: r->dir = u.c; break;
		case SPEC_UID: r->uid = (uid_t)strtoul(u.c, NULL, 10); break;
		case SPEC_MODE: r->mode = u.c[0]; break;
		case SPEC_TMP: r->private_tmp = 1; break;
		case SPEC_VAR_TMP: r->private_var_tmp = 1; break;
		default: break;
		}
	}
	argv[na] = NULL;
	envp[ne] = NULL;
	r->tool = *path;
}

static void
holder_handlers(int on)
{
	struct sigaction	 sa;
	sigset_t		 none;

	memset(&sa, 0, sizeof(sa));
	sa.sa_handler = on ? holder_signal : SIG_DFL;
	sigemptyset(&sa.sa_mask);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGCHLD, &sa, NULL);
	sa.sa_handler = on ? SIG_IGN : SIG_DFL;
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
	sigaction(SIGPIPE, &sa, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* A pipe holds 64 KiB, so the writing of a key does not wait. */
static void
holder_key(const struct room *r)
{
	int	 fd[2];

	if (r->key == NULL)
		return;
	if (pipe2(fd, O_CLOEXEC) == -1 || write(fd[1], r->key,
	    strlen(r->key)) != (ssize_t)strlen(r->key) ||
	    dup2(fd[0], HOLDER_KEY) == -1)
		holder_fail("key");
	/* dup2 of a descriptor to itself keeps its close-on-exec. */
	if (fcntl(HOLDER_KEY, F_SETFD, 0) == -1)
		holder_fail("key");
}

/* The program's own process, up to its first instruction. */
static void __attribute__((noreturn))
holder_exec(const struct room *r, char **argv, char **envp, const char *path)
{
	char		 dir[4096];
	const char	*what;

	holder_handlers(0);
	setsid();
	if (r->mode != ROOM_NAMESPACE) {
		snprintf(dir, sizeof(dir), "%s/workspace", r->dir);
		if (chdir(dir) == -1)
			holder_fail("workspace");
	}
	if (room_drop(r, &what) == -1)
		holder_fail(what);
	/* After the change of user, which clears it. */
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	fcntl(HOLDER_CTL, F_SETFD, FD_CLOEXEC);
	holder_key(r);
	holder_say('S', 0, "");
	execve(path, argv, envp);
	/* Somewhere that the session's user cannot go: see room_tool(). */
	if (errno == EACCES && r->mode == ROOM_NAMESPACE)
		execve(ROOM_TOOLS "/agent", argv, envp);
	if (errno == ENOENT && access(path, F_OK) == 0)
		holder_fail("its interpreter");
	holder_fail(path);
}

/* Its pipes are the program's alone: their end must be seen. */
static void
holder_let_go(struct spec *s)
{
	int	 fd, i;

	spec_free(s);
	if ((fd = open("/dev/null", O_RDWR | O_CLOEXEC)) == -1)
		return;
	for (i = 0; i < 3; i++)
		dup2(fd, i);
	if (fd > 2)
		close(fd);
}

/* Process 1 of the run's namespace. */
static void __attribute__((noreturn))
holder_init(const struct room *r, char **argv, char **envp, const char *path,
    struct spec *s, int result)
{
	const char	*what;
	pid_t		 pid, got;
	int		 status;

	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	prctl(PR_SET_NAME, "mn-init", 0, 0, 0);
	if (room_enter(r, &what) == -1)
		holder_fail(what);
	if ((pid = fork()) == -1)
		holder_fail("fork");
	if (pid == 0) {
		close(result);
		holder_exec(r, argv, envp, path);
	}
	holder_let_go(s);
	close(HOLDER_CTL);
	for (;;) {
		if (holder_term) {
			holder_term = 0;
			kill(pid, SIGTERM);
		}
		if ((got = waitpid(-1, &status, 0)) == pid)
			break;
		if (got == -1 && errno != EINTR)
			_exit(1);
	}
	if (write(result, &status, sizeof(status)) == -1)
		_exit(1);
	_exit(0);		/* The kernel kills the rest. */
}

/* SIGKILL to all below pid; how many. */
static int
holder_kill_below(pid_t pid, int depth)
{
	char		 path[64], list[8192], *p, *e;
	ssize_t		 len;
	long		 child;
	int		 fd, n = 0;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid,
	    (int)pid);
	if (depth > 64 || (fd = open(path, O_RDONLY | O_CLOEXEC)) == -1)
		return (0);
	len = read(fd, list, sizeof(list) - 1);
	close(fd);
	if (len <= 0)
		return (0);
	list[len] = '\0';
	/* A blank is behind each; without one it is cut: its end comes later. */
	for (p = list; (child = strtol(p, &e, 10)) > 1 && *e == ' '; p = e) {
		/* Stopped first, so that it makes no more while we look. */
		kill((pid_t)child, SIGSTOP);
		n += 1 + holder_kill_below((pid_t)child, depth + 1);
		kill((pid_t)child, SIGKILL);
	}
	return (n);
}

/* Takes in all that have died; 0 when there is none left to wait for. */
static int
holder_reap(void)
{
	int	 status;
	pid_t	 got;

	while ((got = waitpid(-1, &status, WNOHANG)) > 0)
		if (got == holder_child) {
			holder_ended = 1;
			holder_status = status;
		}
	return (got == 0);
}

static void
holder_kill_all(int namespace)
{
	static const struct timespec	 ms = { 0, 2000000 };

	if (namespace && !holder_ended) {
		kill(holder_child, SIGKILL);
		return;
	}
	/* Orphans come to us, the subreaper, and are found the next time. */
	while (holder_reap()) {
		holder_kill_below(getpid(), 0);
		nanosleep(&ms, NULL);
	}
}

/* Returns when the child is gone. */
static void
holder_watch(int namespace)
{
	struct pollfd	 pfd = { .fd = HOLDER_CTL, .events = POLLIN };
	struct hold_msg	 m;
	sigset_t	 blocked, none;
	ssize_t		 n;

	/* Signals come only while we wait, so that none is missed. */
	sigemptyset(&none);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGCHLD);
	sigaddset(&blocked, SIGTERM);
	sigprocmask(SIG_SETMASK, &blocked, NULL);
	for (;;) {
		holder_reap();
		if (holder_ended)
			return;
		if (holder_term)	/* The agent died (PDEATHSIG). */
			holder_kill_all(namespace);
		if (ppoll(&pfd, 1, NULL, &none) <= 0)
			continue;
		n = recv(HOLDER_CTL, &m, sizeof(m), MSG_DONTWAIT);
		if (n == 0 || (n > 0 && m.type == 'K')) {
			holder_kill_all(namespace);
			if (n == 0)
				pfd.fd = -1;
		} else if (n > 0 && m.type == 'T')
			kill(holder_child, SIGTERM);
	}
}

void
holder_main(void)
{
	static char	*argv[HOLDER_ARGS], *envp[HOLDER_ARGS];
	struct spec	 s;
	struct room	 r;
	const char	*path = NULL, *what;
	int		 result[2], st, ns;

	setsid();
	prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	holder_read(&s);
	holder_parse(&s, &r, argv, envp, &path);
	if (path == NULL || r.dir == NULL || pipe2(result, O_CLOEXEC) == -1)
		holder_fail("holder");
	ns = r.mode == ROOM_NAMESPACE;
	if (ns && room_unshare(&r, &what) == -1)
		holder_fail(what);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	holder_handlers(1);
	if ((holder_child = fork()) == -1)
		holder_fail("fork");
	if (holder_child == 0) {
		close(result[0]);
		if (ns)
			holder_init(&r, argv, envp, path, &s, result[1]);
		holder_exec(&r, argv, envp, path);
	}
	close(result[1]);
	holder_let_go(&s);
	if (ns)		/* Our death is init's, and with it everybody's. */
		prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	holder_watch(ns);
	holder_kill_all(0);
	if (ns && read(result[0], &st, sizeof(st)) == sizeof(st))
		holder_status = st;
	holder_say('X', holder_status, "");
	_exit(0);
}
