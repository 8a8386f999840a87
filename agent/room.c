/*
 * room.c - what a run sees: the machine's directories as they are, its own
 * session at /workspace and /home/agent, its own /tmp and /var/tmp, processes
 * and memory shared by name; the sessions of others and the agent's state are
 * covered.  A session without a user of its own would be the agent's user to
 * all the rest, so there it writes nothing, and finds no socket of a daemon.
 * Built on a tmpfs that becomes the root, so that no directory has to be made
 * in the real one; works as root or in a user namespace.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/capability.h>

#include "room.h"

#define ROOM_PATH	4096

static int
room_write(const char *file, const char *text)
{
	ssize_t	 n;
	int	 fd;

	if ((fd = open(file, O_WRONLY | O_CLOEXEC)) == -1)
		return (-1);
	n = write(fd, text, strlen(text));
	close(fd);
	return (n == (ssize_t)strlen(text) ? 0 : -1);
}

int
room_unshare(const struct room *r, const char **what)
{
	char	 map[64];
	uid_t	 uid = geteuid();
	gid_t	 gid = getegid();
	int	 flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC;

	(void)r;
	if (uid != 0)
		flags |= CLONE_NEWUSER;
	*what = "namespaces";
	if (unshare(flags) == -1)
		return (-1);
	if (uid == 0)
		return (0);
	*what = "user map";
	snprintf(map, sizeof(map), "%u %u 1", (unsigned)uid, (unsigned)uid);
	if (room_write("/proc/self/uid_map", map) == -1 ||
	    (room_write("/proc/self/setgroups", "deny") == -1 &&
	    errno != ENOENT))
		return (-1);
	snprintf(map, sizeof(map), "%u %u 1", (unsigned)gid, (unsigned)gid);
	return (room_write("/proc/self/gid_map", map));
}

static int
room_path(char *out, const char *a, const char *b)
{
	if ((size_t)snprintf(out, ROOM_PATH, "%s%s", a, b) >= ROOM_PATH) {
		errno = ENAMETOOLONG;
		return (-1);
	}
	return (0);
}

/* One entry of the real root, as it is, in the new one. */
static int
room_mirror_one(const char *root, const char *real)
{
	struct stat	 st;
	char		 to[ROOM_PATH], link[ROOM_PATH];
	ssize_t		 n;
	int		 fd;

	if (room_path(to, root, real) == -1 || lstat(real, &st) == -1)
		return (-1);
	if (S_ISLNK(st.st_mode)) {
		if ((n = readlink(real, link, sizeof(link) - 1)) == -1)
			return (-1);
		link[n] = '\0';
		return (symlink(link, to));
	}
	if (S_ISDIR(st.st_mode)) {
		if (mkdir(to, 0755) == -1)
			return (-1);
	} else if (S_ISREG(st.st_mode) || S_ISSOCK(st.st_mode)) {
		if ((fd = open(to, O_CREAT | O_WRONLY | O_CLOEXEC, 0644)) == -1)
			return (-1);
		close(fd);
	} else
		return (0);
	return (mount(real, to, NULL, MS_BIND | MS_REC, NULL));
}

/* What cannot be bound is not there; the program will say what it misses. */
static int
room_mirror(const char *root, const char *dir, const char *const *skip)
{
	struct dirent	*de;
	char		 real[ROOM_PATH];
	DIR		*d;
	size_t		 i;

	if ((d = opendir(dir)) == NULL)
		return (errno == ENOENT ? 0 : -1);
	while ((de = readdir(d)) != NULL) {
		if (strcmp(de->d_name, ".") == 0 ||
		    strcmp(de->d_name, "..") == 0)
			continue;
		for (i = 0; skip[i] != NULL; i++)
			if (strcmp(skip[i], de->d_name) == 0)
				break;
		if (skip[i] != NULL)
			continue;
		if ((size_t)snprintf(real, sizeof(real), "%s/%s",
		    strcmp(dir, "/") == 0 ? "" : dir, de->d_name) <
		    sizeof(real))
			room_mirror_one(root, real);
	}
	closedir(d);
	return (0);
}

/*
 * Of daemons nothing but how they resolve names, and the programs that some
 * systems have there: the user's own, and those that his groups may talk to
 * (docker), would do for a session what it cannot.
 */
static int
room_run(const char *root)
{
	static const char *const	 dirs[] = { "/run", "/run/systemd" };
	static const char *const	 kept[] = {
		"/run/systemd/resolve", "/run/resolvconf",
		"/run/NetworkManager", "/run/nscd", "/run/current-system",
		"/run/booted-system", "/run/opengl-driver"
	};
	char				 to[ROOM_PATH];
	size_t				 i;

	for (i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++)
		if (room_path(to, root, dirs[i]) == -1 || mkdir(to, 0755) == -1)
			return (-1);
	for (i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		room_mirror_one(root, kept[i]);
	return (0);
}

/* The places of what is not the machine's. */
static int
room_places(const char *root)
{
	static const char *const	 dirs[] = {
		ROOM_WORKSPACE, "/home", ROOM_HOME, "/proc", ROOM_TOOLS,
		ROOM_TMP, "/tmp"
	};
	char				 to[ROOM_PATH];
	size_t				 i;

	for (i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++)
		if (room_path(to, root, dirs[i]) == -1 ||
		    (mkdir(to, 0755) == -1 && errno != EEXIST))
			return (-1);
	return (0);
}

/* A directory of the session at a place in the new root. */
static int
room_bind(const struct room *r, const char *root, const char *from,
    const char *at)
{
	char	 src[ROOM_PATH], to[ROOM_PATH];

	if (room_path(src, r->dir, from) == -1 || room_path(to, root, at) == -1)
		return (-1);
	return (mount(src, to, NULL, MS_BIND, NULL));
}

static int
room_tool(const struct room *r, const char *root)
{
	char	 to[ROOM_PATH];
	int	 fd;

	if (r->tool == NULL)
		return (0);
	if (room_path(to, root, ROOM_TOOLS "/agent") == -1 ||
	    (fd = open(to, O_CREAT | O_WRONLY | O_CLOEXEC, 0755)) == -1)
		return (-1);
	close(fd);
	return (mount(r->tool, to, NULL, MS_BIND, NULL));
}

static int
room_build(const struct room *r, const char *root, const char **what)
{
	static const char *const	 skip_home[] = { "agent", NULL };
	struct mount_attr		 ro = { .attr_set = MOUNT_ATTR_RDONLY };
	const char			*skip[8] = {
		"workspace", "home", "proc", ".marionette"
	};
	char				 path[ROOM_PATH];
	size_t				 n = 4;

	if (r->private_tmp)
		skip[n++] = "tmp";
	if (r->uid == 0)
		skip[n++] = "run";
	*what = "copy of the root directory";
	if (room_mirror(root, "/", skip) == -1 || room_places(root) == -1 ||
	    room_mirror(root, "/home", skip_home) == -1 ||
	    (r->uid == 0 && room_run(root) == -1))
		return (-1);
	*what = "program";
	if (room_tool(r, root) == -1)
		return (-1);
	/* All of it: the user's own files too, and the program itself. */
	*what = "read-only copy of the root directory";
	if (r->uid == 0 && mount_setattr(AT_FDCWD, root, AT_RECURSIVE, &ro,
	    sizeof(ro)) == -1)
		return (-1);
	*what = "session's directories";
	if (room_bind(r, root, "/workspace", ROOM_WORKSPACE) == -1 ||
	    room_bind(r, root, "/home", ROOM_HOME) == -1 ||
	    room_bind(r, root, "/tmp", r->private_tmp ? "/tmp" :
	    ROOM_TMP) == -1)
		return (-1);
	*what = "/proc";
	if (room_path(path, root, "/proc") == -1)
		return (-1);
	return (mount("proc", path, "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC,
	    NULL));
}

/* What is not there, or not to be reached, needs none. */
static int
room_cover(const char *type, const char *path, const char *options)
{
	unsigned long	 flags = MS_NOSUID;

	if (strcmp(type, "devpts") != 0)
		flags |= MS_NODEV;
	if (mount(type, path, type, flags, options) == 0)
		return (0);
	return (errno == ENOENT || errno == ENOTDIR || errno == EACCES ? 0 :
	    -1);
}

/* In the new root, so that a link means what it means to the session. */
static int
room_covers(const struct room *r, const char **what)
{
	/* Who may use these is as good as root: by a group, perhaps. */
	static const char *const	 daemons[] = {
		"/var/lib/incus", "/var/lib/lxd", "/var/snap/lxd"
	};
	static const char		 nothing[] = "mode=0700,size=4k";
	size_t				 i;

	*what = "cover over other sessions";
	for (i = 0; r->hide[i] != NULL; i++)
		if (room_cover("tmpfs", r->hide[i], nothing) == -1)
			return (-1);
	*what = "cover over daemons";
	for (i = 0; r->uid == 0 && i < sizeof(daemons) / sizeof(daemons[0]);
	    i++)
		if (room_cover("tmpfs", daemons[i], nothing) == -1)
			return (-1);
	/*
	 * Memory and queues shared by name would be a way between sessions, a
	 * terminal of the user's one to what he types.
	 */
	*what = "private /dev";
	if (room_cover("tmpfs", "/dev/shm", "mode=1777") == -1 ||
	    (room_cover("mqueue", "/dev/mqueue", NULL) == -1 &&
	    room_cover("tmpfs", "/dev/mqueue", nothing) == -1) ||
	    (room_cover("devpts", "/dev/pts", "mode=620,ptmxmode=666") == -1 &&
	    room_cover("tmpfs", "/dev/pts", nothing) == -1))
		return (-1);
	*what = "private /var/tmp";
	if (r->private_var_tmp && mount(r->private_tmp ? "/tmp" : ROOM_TMP,
	    "/var/tmp", NULL, MS_BIND, NULL) == -1 && errno != ENOENT)
		return (-1);
	return (0);
}

int
room_enter(const struct room *r, const char **what)
{
	char	 root[ROOM_PATH];

	*what = "private mounts";
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == -1)
		return (-1);
	*what = "new root";
	umask(022);
	if (room_path(root, r->dir, "/root") == -1 ||
	    mount("tmpfs", root, "tmpfs", MS_NOSUID | MS_NODEV,
	    "mode=0755,size=64k") == -1)
		return (-1);
	if (room_build(r, root, what) == -1)
		return (-1);
	*what = "new root";
	if (chdir(root) == -1 || syscall(SYS_pivot_root, ".", ".") == -1 ||
	    umount2(".", MNT_DETACH) == -1)
		return (-1);
	if (room_covers(r, what) == -1)
		return (-1);
	*what = "workspace";
	return (chdir(ROOM_WORKSPACE));
}

int
room_drop(const struct room *r, const char **what)
{
	static const struct rlimit	 nocore = { 0, 0 };
	unsigned long			 cap;

	*what = "limits";
	if (setrlimit(RLIMIT_CORE, &nocore) == -1)
		return (-1);
	*what = "capabilities";
	for (cap = 0; cap <= CAP_LAST_CAP; cap++)
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == -1 &&
		    errno != EINVAL && errno != EPERM)
			return (-1);
	*what = "user of the session";
	if (r->uid != 0 && (setgroups(0, NULL) == -1 ||
	    setresgid(r->uid, r->uid, r->uid) == -1 ||
	    setresuid(r->uid, r->uid, r->uid) == -1))
		return (-1);
	*what = "no new privileges";
	return (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
}
