/*
 * control.c - the local control socket: accepts, asks the kernel who it is, and
 * hands the connection with tickets to frontd(admin), which speaks HTTP on it.
 * Root, the uid that runs a root-less server, and the operators' group (as the
 * peer's primary group: the kernel tells no other) may use it.
 */
#include <sys/resource.h>
#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "sessiond.h"

#define UIDS_MAX	16
#define FD_RESERVE	16	/* for what peers pass (promise 22) */

static int		 listen_fd = -1;
static int		 fd_max;	/* above it none is taken for a client */
static struct event	*ev, *ev_pause;
static uint32_t		 uids[UIDS_MAX];
static unsigned int	 nuids;
static uint32_t		 operator_gid;
static int		 has_operator;

void
control_reset(void)
{
	nuids = 0;
	has_operator = 0;
}

void
control_listen(int fd)
{
	struct rlimit	 rl;

	/* Before the jail, which makes the hard limit the one that counts. */
	if (fd_max == 0) {
		if (getrlimit(RLIMIT_NOFILE, &rl) == -1)
			fatal("getrlimit");
		if (rl.rlim_max > INT_MAX)
			rl.rlim_max = INT_MAX;
		fd_max = (int)rl.rlim_max - FD_RESERVE;
	}
	listen_fd = fd;
}

void
control_operator(const char *name, const char *value)
{
	const char	*errstr;
	uint32_t	 v;

	v = (uint32_t)strtonum(value, 0, UINT32_MAX, &errstr);
	if (errstr != NULL)
		fatalx("%s %s: %s", name, value, errstr);
	if (strcmp(name, "operator-gid") == 0) {
		operator_gid = v;
		has_operator = 1;
	} else if (nuids < UIDS_MAX)
		uids[nuids++] = v;
}

static int
may_use(const struct ucred *uc)
{
	unsigned int	 i;

	for (i = 0; i < nuids; i++)
		if (uids[i] == uc->uid)
			return (1);
	return (uc->uid == 0 || (has_operator && uc->gid == operator_gid));
}

static void
hand_over(int fd, const struct ucred *uc)
{
	struct msg_local_client	 m;
	struct identity		 who;
	uint8_t			 t[5][TICKET_MAX];
	size_t			 len[5];
	char			 name[64];

	snprintf(name, sizeof(name), "uid %u", (unsigned int)uc->uid);
	identity_set(&who, "default", "local", name, SCOPES_ALL);
	identity_tickets(&who, t, len, &m.expires);
	m.uid = uc->uid;
	m.key = who.key;
	m.name = who.name;
	m.tenant = who.tenant;
	m.scopes = who.scopes;
	m.sessiond = t[0];
	m.sessiond_len = len[0];
	m.taskd = t[1];
	m.taskd_len = len[1];
	m.runnerd = t[2];
	m.runnerd_len = len[2];
	m.tunneld = t[3];
	m.tunneld_len = len[3];
	m.providerd = t[4];
	m.providerd_len = len[4];
	if (send_local_client(peer_of(PROC_ADMIN), 0, &m, fd) == -1)
		close(fd);
}

static void
resume(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	event_add(ev, NULL);
}

/*
 * Clients that a stuck frontd(admin) has not taken yet keep their descriptors.
 * The next one is the lowest that is free.
 */
static int
has_room(void)
{
	int	 fd;

	if ((fd = fcntl(listen_fd, F_DUPFD_CLOEXEC, 0)) == -1)
		return (0);
	close(fd);
	return (fd < fd_max);
}

static void
wait_a_second(void)
{
	struct timeval	 second = { 1, 0 };

	event_del(ev);
	event_add(ev_pause, &second);
}

static void
accept_one(evutil_socket_t lfd, short what, void *arg)
{
	struct ucred	 uc;
	socklen_t	 len = sizeof(uc);
	int		 fd;

	(void)what;
	(void)arg;
	/* Out of descriptors: the backlog waits a second. */
	if (!has_room()) {
		wait_a_second();
		return;
	}
	if ((fd = accept4(lfd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) ==
	    -1) {
		if (errno == EMFILE || errno == ENFILE)
			wait_a_second();
		return;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &uc, &len) == -1 ||
	    !may_use(&uc) || !peer_is_up(peer_of(PROC_ADMIN))) {
		close(fd);
		return;
	}
	hand_over(fd, &uc);
}

void
control_watch(void)
{
	if (listen_fd == -1)
		return;
	ev = event_new(worker_base(), listen_fd, EV_READ | EV_PERSIST,
	    accept_one, NULL);
	ev_pause = event_new(worker_base(), -1, 0, resume, NULL);
	if (ev == NULL || ev_pause == NULL || event_add(ev, NULL) == -1)
		fatalx("no event");
}
