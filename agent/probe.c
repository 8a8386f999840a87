/*
 * probe.c - finds out, once, which walls this machine allows, by building a
 * room in an empty directory and leaving it again.
 */
#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "log.h"
#include "room.h"
#include "util.h"

static char	room_found = ROOM_NONE;

static void __attribute__((noreturn))
probe_child(const char *dir, uid_t uid)
{
	struct room	 r;
	const char	*what;
	pid_t		 pid;
	int		 status;

	memset(&r, 0, sizeof(r));
	r.dir = dir;
	r.mode = ROOM_NAMESPACE;
	r.uid = uid;
	r.private_tmp = r.private_var_tmp = 1;
	if (room_unshare(&r, &what) == -1 || (pid = fork()) == -1)
		_exit(1);
	if (pid == 0)
		_exit(room_enter(&r, &what) == -1);
	while (waitpid(pid, &status, 0) == -1 && errno == EINTR)
		continue;
	_exit(status != 0);
}

char
room_probe(const char *root, uid_t uid)
{
	static const char *const	 sub[] = {
		"", "/workspace", "/home", "/tmp", "/root"
	};
	char				 path[4096];
	char				*dir;
	size_t				 i;
	pid_t				 pid;
	int				 status = 1;

	dir = xasprintf("%s/.probe", root);
	for (i = 0; i < sizeof(sub) / sizeof(sub[0]); i++) {
		snprintf(path, sizeof(path), "%s%s", dir, sub[i]);
		if (mkdir(path, 0700) == -1 && errno != EEXIST)
			fatal("workspace root %s: cannot write there", root);
	}
	if ((pid = fork()) == -1)
		fatal("fork");
	if (pid == 0)
		probe_child(dir, uid);
	while (waitpid(pid, &status, 0) == -1 && errno == EINTR)
		continue;
	for (i = sizeof(sub) / sizeof(sub[0]); i-- > 0; ) {
		snprintf(path, sizeof(path), "%s%s", dir, sub[i]);
		rmdir(path);
	}
	free(dir);
	if (status == 0)
		room_found = ROOM_NAMESPACE;
	else
		room_found = geteuid() == 0 ? ROOM_UID : ROOM_NONE;
	return (room_found);
}

char
room_mode(void)
{
	return (room_found);
}

int
room_is_reached(const char *dir, uid_t uid)
{
	pid_t	 pid;
	int	 status = 1;

	if ((pid = fork()) == -1)
		fatal("fork");
	if (pid == 0)
		_exit(setgroups(0, NULL) == -1 || setresgid(uid, uid, uid) ==
		    -1 || setresuid(uid, uid, uid) == -1 || chdir(dir) == -1);
	while (waitpid(pid, &status, 0) == -1 && errno == EINTR)
		continue;
	return (status == 0);
}
