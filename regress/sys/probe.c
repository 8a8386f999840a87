/*
 * probe.c - linked into the workers of a test build, and into nothing else:
 * each real-time signal makes the worker try one forbidden system call from
 * inside its jail and say how it ended.  One that says nothing is dead.
 */
#include <sys/socket.h>
#include <sys/syscall.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* In the order of the signals from SIGRTMIN. */
static const struct {
	const char	*name;
	long		 number, arg[3];
} calls[] = {
	{ "socket",	SYS_socket,	{ AF_INET, SOCK_STREAM, 0 } },
	{ "open",	SYS_open,	{ 0, 0, 0 } },
	{ "openat",	SYS_openat,	{ -1, 0, 0 } },
	{ "connect",	SYS_connect,	{ -1, 0, 0 } },
	{ "bind",	SYS_bind,	{ -1, 0, 0 } },
	{ "listen",	SYS_listen,	{ -1, 1, 0 } },
	{ "execve",	SYS_execve,	{ 0, 0, 0 } },
	{ "ptrace",	SYS_ptrace,	{ 0, 0, 0 } },
	{ "clone",	SYS_clone,	{ SIGCHLD, 0, 0 } },
	{ "kill",	SYS_kill,	{ 1, 0, 0 } },
	{ "setuid",	SYS_setuid,	{ 0, 0, 0 } },
	{ "chroot",	SYS_chroot,	{ 0, 0, 0 } },
	{ "mount",	SYS_mount,	{ 0, 0, 0 } },
};
#define NCALLS	(sizeof(calls) / sizeof(calls[0]))

void	 probe_init(void) __attribute__((constructor));

static void
probe(int sig)
{
	size_t	 n = (size_t)(sig - SIGRTMIN);
	char	 line[128];
	int	 code = errno;
	long	 rc;

	errno = 0;
	rc = syscall(calls[n].number, calls[n].arg[0], calls[n].arg[1],
	    calls[n].arg[2], 0, 0);
	if (rc == 0 && calls[n].number == SYS_clone)
		_exit(0);
	snprintf(line, sizeof(line), "probe %ld %s %s\n", (long)getpid(),
	    calls[n].name, rc == -1 ? strerrorname_np(errno) : "ALLOWED");
	if (write(STDERR_FILENO, line, strlen(line)) == -1)
		_exit(1);
	errno = code;
}

void
probe_init(void)
{
	struct sigaction	 sa = { .sa_handler = probe };
	size_t			 i;

	for (i = 0; i < NCALLS; i++)
		sigaction(SIGRTMIN + (int)i, &sa, NULL);
}
