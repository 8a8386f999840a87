/*
 * place.c - <workspace root>/<session id>/ with workspace, home, tmp, and root
 * (where its room is built).  As root each session has a user of its own from
 * the configured range, remembered in the file `users'.  A removed session is
 * renamed to .trash-<id> first, so that a crash removes it too; what lies deep
 * in it becomes one more .trash- on the way.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <jansson.h>
#include <sodium.h>

#include "agent.h"
#include "id.h"
#include "log.h"
#include "place.h"
#include "util.h"

#define TRASH		".trash-"
#define DEPTH_MAX	64	/* each level has a file open */

/* One look through the workspace root. */
struct trash {
	int		 root;
	unsigned int	 moved;		/* to it, from too deep */
	int		 error;		/* the first, of what stays; or 0 */
};

static json_t	*place_users;	/* session id -> uid */

void
place_random(uint8_t *p, size_t n)
{
	randombytes_buf(p, n);
}

int
place_write(const char *dir, const char *name, const char *text)
{
	int	 fd, rv;

	if ((fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) == -1)
		return (-1);
	rv = file_write(fd, name, text, strlen(text), 0600);
	close(fd);
	return (rv);
}

static void
place_stays(struct trash *t)
{
	if (t->error == 0 && errno != ENOENT)
		t->error = errno;
}

static void
place_raise(struct trash *t, int parent, const char *name)
{
	char	 to[32];

	snprintf(to, sizeof(to), TRASH "%08x%08x", randombytes_random(),
	    randombytes_random());
	if (renameat(parent, name, t->root, to) == -1)
		place_stays(t);
	else
		t->moved++;
}

/* Everything below a directory that may hold anything; follows no link. */
static void
place_delete(struct trash *t, int parent, const char *name, int depth)
{
	struct dirent	*de;
	DIR		*d;
	int		 fd;

	if (unlinkat(parent, name, 0) == 0 || errno == ENOENT)
		return;
	fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW |
	    O_CLOEXEC);
	/* Its owner locked himself out, perhaps. */
	if (fd == -1 && errno == EACCES && fchmodat(parent, name, 0700, 0) == 0)
		fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW |
		    O_CLOEXEC);
	if (fd == -1 || (d = fdopendir(fd)) == NULL) {
		place_stays(t);
		return;
	}
	if (fchmod(fd, 0700) == -1)
		log_debug("delete %s: chmod", name);
	if (depth == DEPTH_MAX) {
		closedir(d);
		place_raise(t, parent, name);
		return;
	}
	while ((de = readdir(d)) != NULL)
		if (strcmp(de->d_name, ".") != 0 &&
		    strcmp(de->d_name, "..") != 0)
			place_delete(t, dirfd(d), de->d_name, depth + 1);
	closedir(d);
	if (unlinkat(parent, name, AT_REMOVEDIR) == -1)
		place_stays(t);
}

/* Looks again as long as there was something that lay too deep. */
static void
place_delete_all(DIR *d)
{
	struct dirent	*de;
	struct trash	 t = { .root = dirfd(d) };

	do {
		t.moved = 0;
		t.error = 0;
		rewinddir(d);
		while ((de = readdir(d)) != NULL)
			if (strncmp(de->d_name, TRASH, strlen(TRASH)) == 0)
				place_delete(&t, t.root, de->d_name, 0);
	} while (t.moved > 0);
	if (t.error != 0) {
		errno = t.error;
		log_warn("workspace root %s: what is left of removed sessions",
		    env->ws_root);
	}
}

/* A process of its own: a workspace may hold a million files. */
static void
place_empty_trash(void)
{
	DIR	*d;
	pid_t	 pid;

	if ((pid = fork()) == -1)
		return;
	if (pid > 0) {
		waitpid(pid, NULL, 0);
		return;
	}
	if (fork() != 0)
		_exit(0);
	/* The lock on the state directory is not for us to keep. */
	close_range(3, ~0U, 0);
	if ((d = opendir(env->ws_root)) == NULL)
		_exit(1);
	place_delete_all(d);
	_exit(0);
}

/*
 * Root of a container may have few users to give: then from those that it has,
 * and without any, all sessions are ours.
 */
static void
place_range(void)
{
	unsigned long	 from, to, n, best = 0, best_n = 0;
	FILE		*f;

	if (geteuid() != 0 || (f = fopen("/proc/self/uid_map", "re")) == NULL)
		return;
	while (fscanf(f, "%lu %lu %lu", &from, &to, &n) == 3) {
		if (from <= env->uid_low &&
		    from + n >= (unsigned long)env->uid_low + env->uid_count) {
			fclose(f);
			return;
		}
		if (n > best_n) {
			best = from;
			best_n = n;
		}
	}
	fclose(f);
	if (best_n > 2 * env->uid_count) {
		env->uid_low = (uid_t)(best + best_n - env->uid_count);
		log_info("users of sessions: %u to %u, of those mapped here",
		    (unsigned)env->uid_low,
		    (unsigned)env->uid_low + env->uid_count - 1);
		return;
	}
	env->uid_count = 0;
	log_warnx("no users are mapped here for sessions (see "
	    "/proc/self/uid_map): all run as this one");
}

void
place_init(void)
{
	struct stat	 st;
	json_error_t	 err;
	char		*path, *real;

	if (mkdir(env->ws_root, 0711) == -1 && errno != EEXIST)
		fatal("workspace root %s: cannot make it", env->ws_root);
	if ((real = realpath(env->ws_root, NULL)) == NULL ||
	    stat(real, &st) == -1)
		fatal("workspace root %s", env->ws_root);
	free(env->ws_root);
	env->ws_root = real;
	if (st.st_uid != geteuid())
		fatalx("workspace root %s belongs to uid %u, this is uid %u",
		    real, (unsigned)st.st_uid, (unsigned)geteuid());
	if ((st.st_mode & 0777) != 0711 && chmod(real, 0711) == -1)
		fatal("workspace root %s: chmod", real);
	path = state_path("users");
	/* What is there and cannot be read now is not begun anew. */
	place_users = access(path, F_OK) == -1 && errno == ENOENT ?
	    json_object() : json_load_file(path, 0, &err);
	if (place_users == NULL)
		fatalx("%s: %s", path, err.text);
	if (!json_is_object(place_users))
		fatalx("%s: not a JSON object", path);
	free(path);
	place_range();
	place_empty_trash();
}

static int
place_store_users(void)
{
	char	*text;
	int	 rv;

	text = json_dumps(place_users, JSON_INDENT(1));
	if (text == NULL)
		return (-1);
	rv = file_write(env->state_fd, "users", text, strlen(text), 0600);
	free(text);
	return (rv);
}

static int
place_taken(uid_t uid)
{
	const char	*id;
	json_t		*j;

	json_object_foreach(place_users, id, j)
		if ((uid_t)json_integer_value(j) == uid)
			return (1);
	return (0);
}

/*
 * uid 0 when there are none to give: all is ours.  One is drawn, not the first
 * that is free: of several agents on a machine each would give the same users,
 * and kill the others' processes with its own left-overs.
 */
static const char *
place_user(const char *id, uid_t *uid)
{
	const char	*why;
	json_t		*j;
	unsigned int	 i, n = 0;

	*uid = 0;
	if (geteuid() != 0 || env->uid_count == 0)
		return (NULL);
	if ((j = json_object_get(place_users, id)) != NULL) {
		*uid = (uid_t)json_integer_value(j);
		return (NULL);
	}
	i = randombytes_uniform(env->uid_count);
	for (; n < env->uid_count && place_taken(env->uid_low + i); n++)
		i = (i + 1) % env->uid_count;
	if (n == env->uid_count)
		return ("all users of --uid-range have a session");
	*uid = env->uid_low + i;
	json_object_set_new(place_users, id, json_integer((json_int_t)*uid));
	if (place_store_users() == -1) {
		why = strerror(errno);
		json_object_del(place_users, id);
		*uid = 0;
		return (why);
	}
	return (NULL);
}

static int
place_dirs(const char *dir, uid_t uid)
{
	static const char *const	 sub[] = {
		"workspace", "home", "tmp"
	};
	struct stat			 st;
	char				*path;
	size_t				 i;
	int				 rv;

	if (mkdir(dir, 0700) == -1 && errno != EEXIST)
		return (-1);
	/* In "uid" mode its user must get through; the root hides others. */
	if (uid != 0 && (chown(dir, 0, uid) == -1 || chmod(dir, 0710) == -1))
		return (-1);
	path = xasprintf("%s/root", dir);
	rv = mkdir(path, 0700) == -1 && errno != EEXIST ? -1 : 0;
	free(path);
	for (i = 0; rv == 0 && i < sizeof(sub) / sizeof(sub[0]); i++) {
		path = xasprintf("%s/%s", dir, sub[i]);
		if ((mkdir(path, 0700) == -1 && errno != EEXIST) ||
		    lstat(path, &st) == -1 || !S_ISDIR(st.st_mode) ||
		    (uid != 0 && lchown(path, uid, uid) == -1))
			rv = -1;
		free(path);
	}
	return (rv);
}

const char *
place_make(const char *id, const char *dir, uid_t *uid)
{
	const char	*why;

	why = place_user(id, uid);
	if (why == NULL && place_dirs(dir, *uid) == -1)
		why = strerror(errno);
	if (why != NULL)
		log_warnx("session directory %s: %s", dir, why);
	return (why);
}

void
place_remove(const char *id, const char *dir)
{
	char	*trash;

	trash = xasprintf("%s/" TRASH "%s", env->ws_root, id);
	if (rename(dir, trash) == -1 && errno != ENOENT)
		log_warn("session directory %s", dir);
	free(trash);
	if (json_object_del(place_users, id) == 0 && place_store_users() == -1)
		log_warn("users");
	place_empty_trash();
}

char **
place_kept(const char *but, size_t max, size_t *n)
{
	struct dirent	*de;
	char		**ids;
	DIR		*d;

	*n = 0;
	ids = xcalloc(max, sizeof(*ids));
	if ((d = opendir(env->ws_root)) == NULL) {
		log_warn("workspace root %s", env->ws_root);
		return (ids);
	}
	while (*n < max && (de = readdir(d)) != NULL)
		if (id_is(de->d_name, "sess") && (but == NULL ||
		    strcmp(de->d_name, but) != 0))
			ids[(*n)++] = xstrdup(de->d_name);
	closedir(d);
	return (ids);
}

void
place_kept_free(char **ids, size_t n)
{
	size_t	 i;

	for (i = 0; i < n; i++)
		free(ids[i]);
	free(ids);
}
