/*
 * world.c - everybody but frontd, for tests of its API half: starts one frontd
 * as the parent does, plays all its peers, and answers every request with a
 * document that tells what the owner was sent.  What is to go wrong comes as
 * X-Request-ID: do-refuse-CODE, do-end-CODE (of the task alone, not of its
 * log), do-silent, do-hold (of a task that is waited for), do-die (the owner dies
 * at the first asking and is replaced), do-die-CODE (and what replaces it
 * refuses).  Commands on standard input:
 *	kill PROC	that peer dies and is replaced
 *	gone PROC	that peer dies
 *	revoke		the keys are revoked
 *	scan TEXT	how often TEXT is in frontd's memory
 *	count MESSAGE	how often it was received
 *	local PATH	serves a local client on a unix socket
 *	drain TEXT	runnerd says TEXT on the last stream that was opened, if
 *			there is any; then the parent drains frontd, which finds
 *			both at once
 * world FRONTD api|admin|runner
 */
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <netinet/in.h>

#include <err.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "world.h"

enum proc	 front;
pid_t		 frontd_pid;
static int	 local = -1;

static void
serve_local(const char *path)
{
	struct sockaddr_un	 sun = { .sun_family = AF_UNIX };

	strncpy(sun.sun_path, path, sizeof(sun.sun_path) - 1);
	unlink(path);
	if ((local = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) == -1 ||
	    bind(local, (struct sockaddr *)&sun, sizeof(sun)) == -1 ||
	    listen(local, 5) == -1)
		err(1, "%s", path);
}

static void
local_accept(void)
{
	static const uint8_t	 t[8] = "ticket";
	struct msg_local_client	 m = { .uid = 0,
		.key = "key_01234567890123456789012345", .name = "root",
		.tenant = "t1", .scopes = "admin:*",
		.expires = (uint64_t)time(NULL) + 60, .sessiond = t,
		.sessiond_len = 8, .taskd = t, .taskd_len = 8, .runnerd = t,
		.runnerd_len = 8, .tunneld = t, .tunneld_len = 8,
		.providerd = t, .providerd_len = 8 };
	int			 fd;

	if ((fd = accept4(local, NULL, NULL, SOCK_CLOEXEC)) != -1)
		frame(&ctl[PROC_SESSIOND], 0, MSG_LOCAL_CLIENT, &m, fd);
}

static void
report(void)
{
	static const char	 text[] = "# TYPE x_total counter\nx_total 1\n"
				    "y{a=\"b\"} 2\n";
	struct msg_proc_report	 m = { .name = "taskd", .pid = 7, .uid = 8,
				    .root = "/var/empty", .jail = 2,
				    .ready = 1, .started_ms = 1000,
				    .metrics = (const uint8_t *)text,
				    .metrics_len = sizeof(text) - 1 };

	frame(&ctl[PROC_PARENT], 0, MSG_PROC_REPORT, &m, -1);
	m.name = "sessiond";
	frame(&ctl[PROC_PARENT], 0, MSG_PROC_REPORT, &m, -1);
}

/* The parent's channel is the first with something to read. */
static void
drain(const char *text)
{
	struct msg_stream_message	 m = { .body = (const uint8_t *)text,
					    .body_len = strlen(text) };
	struct msg_proc_ping		 ping = { 0 };
	struct msg_proc_drain		 last = { .seconds = 10 };

	if (kill(frontd_pid, SIGSTOP) == -1 || waitpid(frontd_pid, NULL, WUNTRACED) == -1)
		err(1, "frontd");
	frame(&ctl[PROC_PARENT], 0, MSG_PROC_PING, &ping, -1);
	if (opened != 0)
		frame(&ctl[PROC_RUNNERD], opened, MSG_STREAM_MESSAGE, &m, -1);
	frame(&ctl[PROC_PARENT], 0, MSG_PROC_DRAIN, &last, -1);
	kill(frontd_pid, SIGCONT);
}

static enum msg_type
by_name(const char *name)
{
	enum msg_type	 type;

	for (type = 1; type < MSG_MAX; type++)
		if (strcmp(msg_descs[type].name, name) == 0)
			return (type);
	errx(1, "no message %s", name);
}

static void
command(char *line)
{
	struct msg_auth_revoked	 rm = { "key_01234567890123456789012345" };
	char			*arg;

	line[strcspn(line, "\n")] = '\0';
	arg = line + strcspn(line, " ");
	if (*arg != '\0')
		*arg++ = '\0';
	if (strcmp(line, "kill") == 0 || strcmp(line, "gone") == 0) {
		peer_end(proc_by_name(arg));
		if (*line == 'k')
			peer_begin(proc_by_name(arg));
	} else if (strcmp(line, "back") == 0)
		peer_begin(proc_by_name(arg));
	else if (strcmp(line, "revoke") == 0) {
		revoked = 1;
		frame(&ctl[PROC_SESSIOND], 0, MSG_AUTH_REVOKED, &rm, -1);
	} else if (strcmp(line, "local") == 0)
		serve_local(arg);
	else if (strcmp(line, "report") == 0)
		report();
	else if (strcmp(line, "drain") == 0)
		drain(arg);
	else if (strcmp(line, "busy") == 0)
		busy_with = by_name(arg);
	else if (strcmp(line, "count") == 0) {
		printf("%u\n", counts[by_name(arg)]);
		return;
	} else if (strcmp(line, "scan") == 0) {
		printf("%d\n", scan(arg));
		return;
	}
	printf("ok\n");
}

static int
listener(unsigned int *port)
{
	struct sockaddr_in	 sin = { .sin_family = AF_INET };
	socklen_t		 len = sizeof(sin);
	int			 fd;

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if ((fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
	    0)) == -1 || bind(fd, (struct sockaddr *)&sin, sizeof(sin)) == -1 ||
	    listen(fd, 50) == -1 ||
	    getsockname(fd, (struct sockaddr *)&sin, &len) == -1)
		err(1, "listener");
	*port = ntohs(sin.sin_port);
	return (fd);
}

static void
start(const char *program, const char *name)
{
	struct msg_proc_start		 st = { .name = name,
					    .table = msg_table_hash,
					    .table_len = 32, .root = "" };
	struct msg_proc_listener	 l = { .name = name,
					    .address = "127.0.0.1" };
	struct msg_proc_configured	 done = { 0 };
	unsigned int			 port;
	int				 sv[2], fd;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) == -1)
		err(1, "socketpair");
	fd = listener(&port);
	switch (frontd_pid = fork()) {
	case -1:
		err(1, "fork");
	case 0:
		if (dup2(sv[1], 3) == -1)
			_exit(1);
		fcntl(3, F_SETFD, 0);
		execl(program, program, "-P", name, (char *)NULL);
		_exit(127);
	}
	close(sv[1]);
	ctl[PROC_PARENT].fd = sv[0];
	ctl[PROC_PARENT].proc = PROC_PARENT;
	if ((ctl[PROC_PARENT].in = malloc(CHAN_SIZE)) == NULL)
		err(1, NULL);
	frame(&ctl[PROC_PARENT], 0, MSG_PROC_START, &st, -1);
	frame(&ctl[PROC_PARENT], 0, MSG_PROC_LISTENER, &l, fd);
	frame(&ctl[PROC_PARENT], 0, MSG_PROC_CONFIGURED, &done, -1);
	printf("port %u\n", port);
}

int
main(int argc, char **argv)
{
	struct pollfd	 pfd[2 * PROC_MAX + 2];
	struct chan	*at[2 * PROC_MAX + 2];
	char		 line[1024];
	int		 i, n, k;

	if (argc != 3 || (k = proc_by_name(argv[2])) == -1)
		errx(1, "usage: world FRONTD api|admin|runner");
	front = (enum proc)k;
	if (sodium_init() == -1)
		errx(1, "sodium");
	setvbuf(stdout, NULL, _IOLBF, 0);
	setvbuf(stdin, NULL, _IONBF, 0);
	for (i = 0; i < PROC_MAX; i++)
		ctl[i].fd = bulk[i].fd = -1;
	start(argv[1], argv[2]);
	for (;;) {
		n = 0;
		pfd[n].fd = 0;
		pfd[n++].events = POLLIN;
		pfd[n].fd = local;
		pfd[n++].events = POLLIN;
		for (i = 0; i < PROC_MAX; i++) {
			at[n] = &ctl[i];
			pfd[n].fd = ctl[i].fd;
			pfd[n++].events = POLLIN;
			at[n] = &bulk[i];
			pfd[n].fd = bulk[i].fd;
			pfd[n++].events = POLLIN;
		}
		if (poll(pfd, (nfds_t)n, -1) == -1)
			err(1, "poll");
		for (i = 2; i < n; i++)
			if (pfd[i].revents != 0 && at[i]->fd == pfd[i].fd)
				chan_read(at[i]);
		if (pfd[1].revents != 0)
			local_accept();
		if (pfd[0].revents != 0) {
			if (fgets(line, sizeof(line), stdin) == NULL)
				break;
			command(line);
		}
	}
	peer_end(PROC_PARENT);
	waitpid(frontd_pid, NULL, 0);
	return (0);
}
