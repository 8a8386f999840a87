/* links: sessiond/control.c sessiond/admin.c sessiond/auth.c sessiond/key.c sessiond/reply.c regress/unit/far.c regress/unit/own_time.c */
/*
 * More clients of the control socket than there are descriptors, and a frontd
 * that takes none.
 */
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "far.h"
#include "sessiond.h"
#include "worker.h"

#define CLIENTS	60
#define ROOM	40	/* descriptors that are left for them, and for all else */
#define RESERVE	16

static struct sessiond	 self;
struct sessiond		*env = &self;
static struct event_base	*base;

struct event_base *
worker_base(void)
{
	return (base);
}

static void
came_up(struct peer *p)
{
	ask_peer_up(p);
}

/* The socket that they wait at. */
static int
clients(void)
{
	struct sockaddr_un	 sun = { .sun_family = AF_UNIX };
	socklen_t		 len = sizeof(sa_family_t);
	int			 fd, i, s;

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_int_not_equal(fd, -1);
	/* Without a name: the kernel gives one. */
	assert_int_equal(bind(fd, (struct sockaddr *)&sun, len), 0);
	assert_int_equal(listen(fd, CLIENTS), 0);
	len = sizeof(sun);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sun, &len), 0);
	for (i = 0; i < CLIENTS; i++) {
		s = socket(AF_UNIX, SOCK_STREAM, 0);
		assert_int_equal(connect(s, (struct sockaddr *)&sun, len), 0);
	}
	return (fd);
}

static void
reserve(void **state)
{
	struct rlimit	 rl;
	int		 fd, i;

	(void)state;
	fd = clients();
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &rl), 0);
	i = dup(fd);
	close(i);
	rl.rlim_cur = rl.rlim_max = (rlim_t)i + ROOM;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &rl), 0);
	control_listen(fd);
	control_watch();
	for (i = 0; i < 2 * CLIENTS; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
	/* What the parent passes now is not cut off. */
	for (i = 0; i < RESERVE; i++)
		assert_int_not_equal(dup(fd), -1);
	/* And those that there was room for were not sent away. */
	for (i = 0; far_next(PROC_ADMIN) == MSG_LOCAL_CLIENT; i++)
		;
	assert_int_equal(i, ROOM - RESERVE);
}

int
main(void)
{
	const struct CMUnitTest	 tests[] = {
		cmocka_unit_test(reserve),
	};

	char			 uid[16];

	if ((base = event_base_new()) == NULL)
		return (1);
	far_init(PROC_SESSIOND);
	snprintf(uid, sizeof(uid), "%u", (unsigned int)getuid());
	control_operator("control-uid", uid);
	far_up(PROC_ADMIN, came_up);
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
