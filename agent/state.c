/*
 * state.c - the state directory: a version, a lock (one agent each), the
 * runner's identity.  It holds a private key: mode 0700, and ours, or we do not
 * start.  runner.json is written last, so an enrolment is there wholly or not.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "agent.h"
#include "log.h"
#include "util.h"

#define STATE_VERSION	"marionette-agent 1\n"
#define STATE_FILE_MAX	65536

char *
state_path(const char *name)
{
	return (xasprintf("%s/%s", env->state_dir, name));
}

/*
 * A directory whose name is on the disk, too: a token that was spent for what is
 * in it after a power cut is spent for nothing.  0, or -1 with errno.
 */
static int
named_mkdir(const char *path, mode_t mode)
{
	char	*parent;
	int	 rv;

	if (mkdir(path, mode) == -1)
		return (errno == EEXIST ? 0 : -1);
	parent = xasprintf("%s/..", path);
	rv = dir_sync(AT_FDCWD, parent);
	free(parent);
	/* One may write where one may not read. */
	return (rv == -1 && errno == EACCES ? 0 : rv);
}

/*
 * Each missing directory of the path, the last ours only; those above are for
 * sessions' users to pass, too.
 */
static void
state_mkdir(const char *path)
{
	mode_t	 mask = umask(022);
	char	*p, *slash;

	p = xstrdup(path);
	for (slash = strchr(p + 1, '/'); slash != NULL;
	    slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (named_mkdir(p, 0755) == -1)
			fatal("state directory %s: cannot make %s", path, p);
		*slash = '/';
	}
	if (named_mkdir(p, 0700) == -1)
		fatal("state directory %s: cannot make it", path);
	umask(mask);
	free(p);
}

static void
state_version(void)
{
	char	*path, *have;

	path = state_path("version");
	if ((have = file_read(path, STATE_FILE_MAX, NULL)) == NULL) {
		if (errno != ENOENT)
			fatal("%s", path);
		if (file_write(env->state_fd, "version", STATE_VERSION,
		    strlen(STATE_VERSION), 0600) == -1)
			fatal("state directory %s: cannot write there",
			    env->state_dir);
	} else if (strcmp(have, STATE_VERSION) != 0)
		fatalx("state directory %s is of another version (\"%.40s\"); "
		    "this program wants \"%.*s\": give another --state, or the "
		    "program that wrote it", env->state_dir, have,
		    (int)strlen(STATE_VERSION) - 1, STATE_VERSION);
	free(have);
	free(path);
}

void
state_open(void)
{
	struct stat	 st;
	char		*real;
	int		 fd;

	state_mkdir(env->state_dir);
	if ((real = realpath(env->state_dir, NULL)) == NULL)
		fatal("state directory %s", env->state_dir);
	free(env->state_dir);
	env->state_dir = real;
	env->state_fd = open(real, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (env->state_fd == -1 || fstat(env->state_fd, &st) == -1)
		fatal("state directory %s", real);
	if (st.st_uid != geteuid())
		fatalx("state directory %s belongs to uid %u, this is uid %u: "
		    "run as that user or give another --state", real,
		    (unsigned)st.st_uid, (unsigned)geteuid());
	if ((st.st_mode & 077) != 0 && fchmod(env->state_fd, 0700) == -1)
		fatal("state directory %s: chmod", real);
	fd = openat(env->state_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC |
	    O_NOFOLLOW, 0600);
	if (fd == -1)
		fatal("state directory %s: cannot write there", real);
	if (flock(fd, LOCK_EX | LOCK_NB) == -1)
		fatalx("state directory %s is in use by another "
		    "marionette-agent", real);
	state_version();
	if (mkdirat(env->state_fd, "spool", 0700) == -1 && errno != EEXIST)
		fatal("state directory %s: spool", real);
}

int
state_load(void)
{
	static const char	*files[] = { "key.pem", "cert.pem", "ca.pem" };
	json_error_t		 err;
	json_t			*j;
	const char		*id, *server;
	char			*path;
	size_t			 i;

	path = state_path("runner.json");
	if (access(path, F_OK) == -1 && errno == ENOENT) {
		free(path);
		return (0);
	}
	if ((j = json_load_file(path, 0, &err)) == NULL)
		fatalx("%s line %d: %s", path, err.line, err.text);
	id = json_string_value(json_object_get(j, "runner_id"));
	server = json_string_value(json_object_get(j, "server"));
	if (id == NULL || server == NULL)
		fatalx("%s: runner_id or server is missing", path);
	env->runner_id = xstrdup(id);
	env->heartbeat_s = (uint32_t)json_integer_value(
	    json_object_get(j, "heartbeat_seconds"));
	env->lost_after_s = (uint32_t)json_integer_value(
	    json_object_get(j, "lost_after_seconds"));
	json_decref(j);
	free(path);
	for (i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		path = state_path(files[i]);
		if (access(path, R_OK) == -1)
			fatal("%s (the enrolment is damaged: remove the state "
			    "directory and enrol again)", path);
		free(path);
	}
	return (1);
}

static int
state_file(const char *name, const char *text, int mode)
{
	if (file_write(env->state_fd, name, text, strlen(text), mode) == -1) {
		log_warn("state directory %s: cannot write %s",
		    env->state_dir, name);
		return (-1);
	}
	return (0);
}

/* A start before this one may have asked already and been killed unanswered. */
char *
state_key(void)
{
	char	*key, *path;

	path = state_path("key.pem");
	if ((key = file_read(path, STATE_FILE_MAX, NULL)) == NULL) {
		if (errno != ENOENT)
			fatal("%s", path);
		key = identity_new();
		if (state_file("key.pem", key, 0600) == -1)
			exit(1);
	}
	free(path);
	return (key);
}

int
state_store(const Marionette__V1__EnrollResponse *r, const char *key)
{
	json_t	*j;
	char	*ca = NULL, *cert = NULL, *text = NULL, why[128];
	int	 rv = -1;

	cert = identity_pem(r->certificate_der.data, r->certificate_der.len,
	    why, sizeof(why));
	ca = identity_pem(r->ca_der.data, r->ca_der.len, why, sizeof(why));
	if (cert == NULL || ca == NULL || !identity_matches(key,
	    r->certificate_der.data, r->certificate_der.len)) {
		log_warnx("enrolment: the server's answer holds no certificate "
		    "for our key");
		goto done;
	}
	j = json_pack("{s:s, s:o, s:I, s:I}", "runner_id", r->runner_id,
	    "server", json_sprintf("%s:%s", env->host, env->port),
	    "heartbeat_seconds", (json_int_t)r->heartbeat_seconds,
	    "lost_after_seconds", (json_int_t)r->lost_after_seconds);
	text = json_dumps(j, JSON_INDENT(2));
	json_decref(j);
	if (text == NULL || state_file("cert.pem", cert, 0600) == -1 ||
	    state_file("ca.pem", ca, 0600) == -1 ||
	    state_file("runner.json", text, 0600) == -1)
		goto done;
	rv = 0;
done:
	free(text);
	free(cert);
	free(ca);
	return (rv);
}
