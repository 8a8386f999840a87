/*
 * postgres.c - the embedded PostgreSQL: initdb once, then one more supervised
 * child, on a unix socket only, its own user (architecture 6, promise 5).
 *
 * It is started for ever, 0.1 s doubling to 5 s: after a crash with a busy
 * backend it refuses a dozen starts.  A live postmaster left over by a parent
 * that was killed is stopped first (promise 20).
 */
#include <sys/prctl.h>
#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "parent.h"

#define BACKOFF_MIN_MS	100
#define BACKOFF_MAX_MS	5000
#ifndef STOP_MS
#define STOP_MS		20000	/* of a fast shutdown; of an immediate one */
#endif
#define IDENTITY_MAX	64	/* of a directory, as text */

static struct {
	int		 embedded;
	struct account	 account;
	gid_t		 socket_gid;
	char		 bin[PATH_MAX];
	char		 data[PATH_MAX];
	char		 socket_dir[PATH_MAX];
	pid_t		 pid;
	uint64_t	 start_at;
	uint64_t	 started_ms;
	unsigned int	 backoff_ms;
	int		 stopping;
}			 pg;

const char *
postgres_socket_dir(void)
{
	return (pg.socket_dir);
}

int
postgres_is_running(void)
{
	return (pg.pid != 0);
}

/* Of which version the data is; 0: there is none yet. */
static int
data_version(void)
{
	char	 path[PATH_MAX + 32];
	uint8_t	*text;
	size_t	 len;
	int	 v = 0;

	snprintf(path, sizeof(path), "%s/PG_VERSION", pg.data);
	if ((text = read_file(path, 16, &len)) == NULL)
		return (0);
	text[strcspn((char *)text, "\n")] = '\0';
	v = (int)strtonum((char *)text, 1, 99, NULL);
	free(text);
	return (v);
}

/*
 * The distribution's server: of the version that made the data, which no other
 * can read; for new data the newest.
 */
static void
find_binaries(const struct conf *c)
{
	static const char	 base[] = "/usr/lib/postgresql";
	const char		*errstr;
	struct dirent		*de;
	DIR			*dir;
	int			 best = 0, v, have = data_version();

	if (c->pg_bin != NULL)
		strlcpy(pg.bin, c->pg_bin, sizeof(pg.bin));
	else if ((dir = opendir(base)) != NULL) {
		while ((de = readdir(dir)) != NULL) {
			v = (int)strtonum(de->d_name, 13, 99, &errstr);
			if (errstr != NULL || v <= best ||
			    (have != 0 && v != have))
				continue;
			best = v;
			snprintf(pg.bin, sizeof(pg.bin), "%s/%d/bin", base, v);
		}
		closedir(dir);
	}
	if (pg.bin[0] == '\0' && have != 0)
		fatalx("database embedded: %s was made by PostgreSQL %d, which "
		    "is not under %s any more; install postgresql-%d", pg.data,
		    have, base, have);
	if (pg.bin[0] == '\0')
		fatalx("database embedded: no PostgreSQL under %s; install "
		    "postgresql, or name `binaries' or another `database'",
		    base);
}

static char *
bin(const char *name)
{
	char	*path;

	if (asprintf(&path, "%s/%s", pg.bin, name) == -1)
		fatal("asprintf");
	return (path);
}

static void
own_dir(const char *path, mode_t mode, gid_t gid)
{
	if (mkdir(path, mode) == -1 && errno != EEXIST)
		fatal("%s", path);
	if (geteuid() == 0 && chown(path, pg.account.uid, gid) == -1)
		fatal("%s", path);
	if (chmod(path, mode) == -1)
		fatal("%s", path);
}

static void
args_free(char **argv)
{
	for (; *argv != NULL; argv++)
		if (*argv != pg.data)
			free(*argv);
}

/* Roles and database, by the single-user server: nothing listens yet. */
static int
create_database(void)
{
	static const char	 sql[] =
	    "CREATE ROLE marionette LOGIN;\n"
	    "CREATE DATABASE marionette OWNER marionette_owner;\n";
	char			*argv[8];
	int			 fds[2], status;

	if (pipe(fds) == -1 ||
	    write(fds[1], sql, sizeof(sql) - 1) != (ssize_t)sizeof(sql) - 1)
		fatal("pipe");
	close(fds[1]);
	argv[0] = bin("postgres");
	argv[1] = strdup("--single");
	argv[2] = strdup("-D");
	argv[3] = pg.data;
	argv[4] = strdup("-c");
	argv[5] = strdup("log_checkpoints=off");
	argv[6] = strdup("postgres");
	argv[7] = NULL;
	status = run_program(argv, &pg.account, fds[0]);
	args_free(argv);
	close(fds[0]);
	return (status == 0 ? 0 : -1);
}

static int
is_empty(const char *path)
{
	struct dirent	*de;
	DIR		*dir;
	int		 n = 0;

	if ((dir = opendir(path)) == NULL)
		fatal("%s", path);
	while ((de = readdir(dir)) != NULL)
		n += strcmp(de->d_name, ".") != 0 &&
		    strcmp(de->d_name, "..") != 0;
	closedir(dir);
	return (n == 0);
}

static void
set_aside(void)
{
	char	 aside[PATH_MAX + 32];

	snprintf(aside, sizeof(aside), "%s.half-made-%lld", pg.data,
	    (long long)time(NULL));
	if (rename(pg.data, aside) == -1)
		fatal("%s", aside);
	log_warnx("database embedded: %s was half made; it is now %s", pg.data,
	    aside);
	own_dir(pg.data, 0700, pg.account.gid);
}

/*
 * Which directory it is: numbers are used again, though not in the same moment.
 * Not of which device, whose number may be another after a boot.
 */
static void
data_identity(char *out, size_t size)
{
	struct statx	 st;

	if (statx(AT_FDCWD, pg.data, 0, STATX_INO | STATX_BTIME, &st) == -1)
		fatal("%s", pg.data);
	snprintf(out, size, "%llu %lld.%09u\n", (unsigned long long)st.stx_ino,
	    (long long)st.stx_btime.tv_sec, st.stx_btime.tv_nsec);
}

/* Is what lies here that which was begun? */
static int
is_half_made(const char *begun)
{
	char	 now[IDENTITY_MAX];
	uint8_t	*then;
	size_t	 len;
	int	 same;

	if ((then = read_file(begun, sizeof(now), &len)) == NULL)
		return (0);
	data_identity(now, sizeof(now));
	same = strcmp((char *)then, now) == 0;
	free(then);
	return (same);
}

static int
initdb(void)
{
	char	*argv[16];
	int	 n = 0, status;

	log_info("database embedded: initdb in %s", pg.data);
	argv[n++] = bin("initdb");
	argv[n++] = strdup("-D");
	argv[n++] = pg.data;
	argv[n++] = strdup("-U");
	argv[n++] = strdup("marionette_owner");
	argv[n++] = strdup("-A");
	argv[n++] = strdup("peer");
	argv[n++] = strdup("-E");
	argv[n++] = strdup("UTF8");
	argv[n++] = strdup("--locale=C");
	argv[n++] = strdup("--no-instructions");
	argv[n] = NULL;
	status = run_program(argv, &pg.account, -1);
	args_free(argv);
	return (status == 0 ? 0 : -1);
}

/*
 * A mark stands beside the data while it is made, and none when it is whole:
 * so a backup that is put back needs none.  It says of which directory, as one
 * may be put back where the making was cut short, and none is left when it
 * failed.
 */
static void
initialise(void)
{
	const char	*why = NULL;
	char		 begun[PATH_MAX], mark[IDENTITY_MAX];

	snprintf(begun, sizeof(begun), "%s", state_path("postgres.begun"));
	if (!is_empty(pg.data)) {
		if (!is_half_made(begun)) {
			if (access(begun, F_OK) == 0)
				remove_file(begun);
			return;
		}
		/* Cut short in here: never used, and not ours to remove. */
		set_aside();
	}
	data_identity(mark, sizeof(mark));
	write_file(begun, 0644, mark);
	if (initdb() == -1)
		why = "initdb failed, see above";
	else if (create_database() == -1)
		why = "its database cannot be made";
	if (why != NULL && !is_empty(pg.data))
		set_aside();
	remove_file(begun);
	if (why != NULL)
		fatalx("database embedded: %s", why);
}

/* Who may connect: storaged's user, and the owner before the jail. */
static void
write_access(const struct conf *c)
{
	char		 ident[1024], owner[64], worker[64];
	struct passwd	*pw;

	if ((pw = getpwuid(geteuid())) == NULL)
		fatalx("uid %u has no name", (unsigned int)geteuid());
	strlcpy(owner, pw->pw_name, sizeof(owner));
	if (geteuid() == 0)
		snprintf(worker, sizeof(worker), "%sstore", c->user_prefix);
	else
		strlcpy(worker, owner, sizeof(worker));
	snprintf(ident, sizeof(ident), "mn %s marionette\n"
	    "mn %s marionette_owner\nmn %s marionette\n", worker, owner, owner);
	write_file(state_path("pg_ident.conf"), 0644, ident);
	write_file(state_path("pg_hba.conf"), 0644,
	    "local all all peer map=mn\n");
}

/* Does this process live, as a server on our data?  Pids are used again. */
static int
is_our_postmaster(pid_t pid)
{
	char	 path[64], cwd[PATH_MAX], data[PATH_MAX];
	ssize_t	 n;

	snprintf(path, sizeof(path), "/proc/%ld/cwd", (long)pid);
	if ((n = readlink(path, cwd, sizeof(cwd) - 1)) == -1 ||
	    realpath(pg.data, data) == NULL)
		return (0);
	cwd[n] = '\0';
	return (strcmp(cwd, data) == 0);
}

/* A postmaster that a killed parent left: asked to stop, waited for. */
static void
stop_leftover(void)
{
	const char	*errstr;
	char		 path[PATH_MAX + 32];
	uint8_t		*text;
	size_t		 len;
	pid_t		 pid;
	int		 i;

	snprintf(path, sizeof(path), "%s/postmaster.pid", pg.data);
	if ((text = read_file(path, 4096, &len)) == NULL)
		return;
	text[strcspn((char *)text, "\n")] = '\0';
	pid = (pid_t)strtonum((char *)text, 2, INT_MAX, &errstr);
	free(text);
	if (errstr != NULL || !is_our_postmaster(pid))
		return;
	log_info("database embedded: stopping its old postmaster (pid %ld)",
	    (long)pid);
	kill(pid, SIGINT);
	for (i = 0; i < 200 && is_our_postmaster(pid); i++)
		usleep(50000);
	if (is_our_postmaster(pid)) {
		kill(pid, SIGQUIT);
		usleep(500000);
	}
}

void
postgres_init(const struct conf *c)
{
	struct account	 store;

	strlcpy(pg.socket_dir, run_path("postgres"), sizeof(pg.socket_dir));
	if (c->database != NULL)
		return;
	pg.embedded = 1;
	pg.backoff_ms = BACKOFF_MIN_MS;
	account_find(c, "db", &pg.account);
	account_find(c, "store", &store);
	pg.socket_gid = store.gid;
	strlcpy(pg.data, state_path("postgres"), sizeof(pg.data));
	find_binaries(c);
	own_dir(pg.data, 0700, pg.account.gid);
	own_dir(pg.socket_dir, 0750, pg.socket_gid);
	stop_leftover();
	initialise();
	write_access(c);
	pg.start_at = mono_ms();
}

static void
exec_postgres(pid_t parent)
{
	char		*argv[48], *opt;
	struct group	*gr;
	sigset_t	 none;
	gid_t		 gid = pg.socket_gid;
	size_t		 i;
	int		 n = 0;
	static const char *const options[] = {
		"listen_addresses=", "unix_socket_permissions=0770",
		"max_connections=24", "shared_buffers=64MB", "jit=off",
		"wal_level=minimal", "max_wal_senders=0",
		"log_min_messages=warning", "logging_collector=off",
		"log_line_prefix=%m postgres: ", "log_checkpoints=off",
		"log_error_verbosity=terse",
		"timezone=UTC", "log_timezone=UTC"
	};

	argv[n++] = bin("postgres");
	argv[n++] = strdup("-D");
	argv[n++] = pg.data;
	for (i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		argv[n++] = strdup("-c");
		argv[n++] = strdup(options[i]);
	}
	if (asprintf(&opt, "unix_socket_directories=%s", pg.socket_dir) == -1)
		_exit(127);
	argv[n++] = strdup("-c");
	argv[n++] = opt;
	/* The socket is 0770: its group is storaged's, our one further group. */
	if (asprintf(&opt, "unix_socket_group=%u", (unsigned int)gid) == -1)
		_exit(127);
	argv[n++] = strdup("-c");
	argv[n++] = opt;
	if (asprintf(&opt, "hba_file=%s", state_path("pg_hba.conf")) == -1)
		_exit(127);
	argv[n++] = strdup("-c");
	argv[n++] = opt;
	if (asprintf(&opt, "ident_file=%s", state_path("pg_ident.conf")) == -1)
		_exit(127);
	argv[n++] = strdup("-c");
	argv[n++] = opt;
	/* storaged's group is one of the server's, so that it may give it. */
	if (geteuid() == 0 && (gr = getgrgid(gid)) != NULL) {
		if (asprintf(&opt, "unix_socket_group=%s", gr->gr_name) == -1)
			_exit(127);
		argv[n++] = strdup("-c");
		argv[n++] = opt;
	}
	argv[n] = NULL;
	closefrom(3);
	setsid();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (geteuid() == 0 && (setgroups(1, &gid) == -1 ||
	    setresgid(pg.account.gid, pg.account.gid, pg.account.gid) == -1 ||
	    setresuid(pg.account.uid, pg.account.uid, pg.account.uid) == -1))
		_exit(127);
	/* After the change of uid, which clears it; SIGINT: fast shutdown. */
	if (prctl(PR_SET_PDEATHSIG, SIGINT) == -1 || getppid() != parent ||
	    chdir("/") == -1)
		_exit(127);
	execv(argv[0], argv);
	log_warn("%s", argv[0]);
	_exit(127);
}

void
postgres_tick(void)
{
	pid_t	 parent = getpid();

	if (!pg.embedded || pg.pid != 0 || pg.stopping || pg.start_at == 0 ||
	    mono_ms() < pg.start_at)
		return;
	pg.start_at = 0;
	pg.started_ms = mono_ms();
	if ((pg.pid = fork()) == -1) {
		log_warn("postgres: fork");
		pg.pid = 0;
		pg.start_at = mono_ms() + BACKOFF_MAX_MS;
	} else if (pg.pid == 0)
		exec_postgres(parent);
}

int
postgres_reaped(pid_t pid, int status)
{
	if (pg.pid == 0 || pid != pg.pid)
		return (0);
	pg.pid = 0;
	if (pg.stopping)
		return (1);
	log_warnx("postgres (pid %ld) ended (status 0x%x): started again in "
	    "%u ms", (long)pid, status, pg.backoff_ms);
	if (mono_ms() - pg.started_ms > 10000)
		pg.backoff_ms = BACKOFF_MIN_MS;
	pg.start_at = mono_ms() + pg.backoff_ms;
	pg.backoff_ms = pg.backoff_ms * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS :
	    pg.backoff_ms * 2;
	return (1);
}

/*
 * Called again and again until it is gone: asked, told, and ended in the end,
 * which costs no more than a recovery at the next start.
 */
void
postgres_stop(void)
{
	static const int	 signals[] = { SIGINT, SIGQUIT, SIGKILL };
	static const size_t	 last = sizeof(signals) / sizeof(signals[0]) -
				    1;
	static uint64_t		 since;
	static size_t		 stage;

	if (pg.pid == 0 || (pg.stopping && mono_ms() - since <= STOP_MS))
		return;
	if (pg.stopping) {
		log_warnx("postgres (pid %ld) does not stop: it is told to "
		    "crash and recovers at the next start", (long)pg.pid);
		stage += stage < last;
	}
	pg.stopping = 1;
	since = mono_ms();
	kill(pg.pid, signals[stage]);
}
