/*
 * state.c - the state and run directories: made, owned, locked, and of this
 * version; accounts of the workers; the keys that are read here, handed to
 * their one owner each, and wiped (architecture 2).
 */
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "parent.h"
#include "text.h"

#define STATE_VERSION	"1"

static char	 state_dir[PATH_MAX], run_dir[PATH_MAX];
static int	 lock_fd = -1;

const char *
state_path(const char *name)
{
	static char	 path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", state_dir, name);
	return (path);
}

const char *
run_path(const char *name)
{
	static char	 path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", run_dir, name);
	return (path);
}

/* The program beside us (a build), or where `make install' puts it. */
const char *
program_path(const char *name)
{
	static char	 path[PATH_MAX];
	char		 self[PATH_MAX];
	ssize_t		 n;
	char		*slash;

	if ((n = readlink("/proc/self/exe", self, sizeof(self) - 1)) == -1)
		fatal("/proc/self/exe");
	self[n] = '\0';
	if ((slash = strrchr(self, '/')) != NULL)
		*slash = '\0';
	snprintf(path, sizeof(path), "%s/%s", self, name);
	if (access(path, X_OK) == 0)
		return (path);
	snprintf(path, sizeof(path), "%s/../libexec/marionette/%s", self, name);
	return (path);
}

void
account_find(const struct conf *c, const char *name, struct account *a)
{
	struct passwd	*pw;
	char		 user[64];

	a->uid = getuid();
	a->gid = getgid();
	if (geteuid() != 0)
		return;
	snprintf(user, sizeof(user), "%s%s", c->user_prefix, name);
	if ((pw = getpwnam(user)) == NULL)
		fatalx("there is no user %s; `make install' or `make users' "
		    "makes the workers' users", user);
	a->uid = pw->pw_uid;
	a->gid = pw->pw_gid;
}

/* A directory of ours; parents are made too, for others to pass through. */
static void
make_dir(const char *path, mode_t mode)
{
	char		 part[PATH_MAX];
	struct stat	 st;
	char		*p;

	strlcpy(part, path, sizeof(part));
	for (p = part + 1; (p = strchr(p, '/')) != NULL; p++) {
		*p = '\0';
		/* Whatever the umask: the workers' users go this way. */
		if (mkdir(part, 0755) == 0 ? chmod(part, 0755) == -1 :
		    errno != EEXIST)
			fatal("%s", part);
		*p = '/';
	}
	if (mkdir(path, mode) == -1 && errno != EEXIST)
		fatal("%s", path);
	if (lstat(path, &st) == -1)
		fatal("%s", path);
	if (!S_ISDIR(st.st_mode))
		fatalx("%s: a directory is expected there", path);
	if (st.st_uid != geteuid())
		fatalx("%s: belongs to uid %u, not to us (uid %u); start as "
		    "that user or give another directory", path,
		    (unsigned int)st.st_uid, (unsigned int)geteuid());
	if ((st.st_mode & 0777) != mode && chmod(path, mode) == -1)
		fatal("%s", path);
}

uint8_t *
read_file(const char *path, size_t max, size_t *len)
{
	uint8_t	*buf;
	ssize_t	 n;
	int	 fd;

	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) == -1)
		return (NULL);
	if ((buf = calloc(1, max + 1)) == NULL)
		fatal("calloc");
	*len = 0;
	while (*len <= max &&
	    (n = read(fd, buf + *len, max + 1 - *len)) != 0) {
		if (n == -1) {
			freezero(buf, max + 1);
			close(fd);
			return (NULL);
		}
		*len += (size_t)n;
	}
	close(fd);
	if (*len > max) {
		freezero(buf, max + 1);
		errno = EFBIG;
		return (NULL);
	}
	buf[*len] = '\0';
	return (buf);
}

/* That a file of this name is there, or is not, outlives a power cut. */
static void
sync_name(const char *path)
{
	char	 dir[PATH_MAX], *slash;
	int	 fd;

	strlcpy(dir, path, sizeof(dir));
	if ((slash = strrchr(dir, '/')) != NULL)
		*slash = '\0';
	if ((fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) == -1 ||
	    fsync(fd) == -1)
		log_warn("%s", dir);
	if (fd != -1)
		close(fd);
}

void
write_file(const char *path, mode_t mode, const char *text)
{
	char	 tmp[PATH_MAX];
	size_t	 len = strlen(text);
	int	 fd;

	snprintf(tmp, sizeof(tmp), "%s.new", path);
	unlink(tmp);
	if ((fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
	    mode)) == -1)
		fatal("%s", tmp);
	if (write(fd, text, len) != (ssize_t)len || fchmod(fd, mode) == -1 ||
	    fsync(fd) == -1 || close(fd) == -1 || rename(tmp, path) == -1)
		fatal("%s", path);
	sync_name(path);
}

void
remove_file(const char *path)
{
	if (unlink(path) == -1)
		fatal("%s", path);
	sync_name(path);
}

static void
check_version(void)
{
	uint8_t	*text;
	size_t	 len;

	if ((text = read_file(state_path("version"), 64, &len)) == NULL) {
		if (errno != ENOENT)
			fatal("%s", state_path("version"));
		write_file(state_path("version"), 0644, STATE_VERSION "\n");
		return;
	}
	if (strcmp((char *)text, STATE_VERSION "\n") != 0)
		fatalx("%s is of version %.20s, and this program knows version "
		    "%s", state_dir, (char *)text, STATE_VERSION);
	free(text);
}

void
state_open(const struct conf *c)
{
	strlcpy(state_dir, c->state_dir, sizeof(state_dir));
	strlcpy(run_dir, c->run_dir, sizeof(run_dir));
	make_dir(state_dir, 0755);
	make_dir(run_dir, 0755);
	make_dir(state_path("keys"), 0700);
	make_dir(run_path("empty"), 0755);
	lock_fd = open(state_path("lock"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (lock_fd == -1)
		fatal("%s", state_path("lock"));
	if (flock(lock_fd, LOCK_EX | LOCK_NB) == -1)
		fatalx("%s is in use by another marionetted; `mctl server "
		    "status' shows it", state_dir);
	check_version();
}

int
run_program(char *const argv[], const struct account *a, int in)
{
	pid_t	 pid;
	int	 out, status;

	if ((pid = fork()) == -1)
		return (-1);
	if (pid == 0) {
		/* What it has to complain about goes to standard error. */
		if ((in != -1 && dup2(in, STDIN_FILENO) == -1) ||
		    (out = open("/dev/null", O_WRONLY)) == -1 ||
		    dup2(out, STDOUT_FILENO) == -1)
			_exit(127);
		if (a != NULL && geteuid() == 0 && (setgroups(0, NULL) == -1 ||
		    setresgid(a->gid, a->gid, a->gid) == -1 ||
		    setresuid(a->uid, a->uid, a->uid) == -1))
			_exit(127);
		if (chdir("/") == -1)
			_exit(127);
		execv(argv[0], argv);
		log_warn("%s", argv[0]);
		_exit(127);
	}
	while (waitpid(pid, &status, 0) == -1)
		if (errno != EINTR)
			return (-1);
	return (WIFEXITED(status) ? WEXITSTATUS(status) : -1);
}

/* Behind the others, unless it is one of them. */
static void
name_add(char *list, size_t size, const char *name)
{
	const char	*p;
	size_t		 n, len = strlen(name);

	for (p = list; *p != '\0'; p += n, p += *p == ',')
		if ((n = strcspn(p, ",")) == len && memcmp(p, name, n) == 0)
			return;
	strlcat(list, ",", size);
	strlcat(list, name, size);
}

/* The names that the runner listener's certificate is for. */
static void
certificate_names(const struct conf *c, char *out, size_t size)
{
	const struct listen_conf	*l;
	const struct word		*w;
	char				 host[256];

	strlcpy(out, "localhost,127.0.0.1,::1", size);
	if (gethostname(host, sizeof(host)) == 0 && host[0] != '\0')
		name_add(out, size, host);
	TAILQ_FOREACH(w, &c->hosts, entry)
		name_add(out, size, w->name);
	TAILQ_FOREACH(l, &c->listens, entry)
		if (l->proc == PROC_RUNNER && strcmp(l->address, "*") != 0)
			name_add(out, size, l->address);
}

static int
master_key_load(const struct conf *c, struct keys *k)
{
	uint8_t	 hash[crypto_hash_sha256_BYTES], *text;
	size_t	 len;
	int	 rc = 0;

	if (c->master_key == NULL) {
		k->master[0] = '\0';
		return (0);
	}
	if ((text = read_file(c->master_key, 4096, &len)) == NULL) {
		log_warn("master key file %s", c->master_key);
		return (-1);
	}
	while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r'))
		text[--len] = '\0';
	/* Either the key itself or, as it should be stored, its hash. */
	if (strncmp((char *)text, "sha256:", 7) == 0 &&
	    text_unhex(hash, sizeof(hash), (char *)text + 7) == 0)
		strlcpy(k->master, (char *)text + 7, sizeof(k->master));
	else if (strncmp((char *)text, "mk_", 3) == 0 && len >= 40) {
		crypto_hash_sha256(hash, text, len);
		text_hex(k->master, hash, sizeof(hash));
	} else {
		log_warnx("master key file %s: `mk_...' or `sha256:' and 64 "
		    "hexadecimal digits are expected", c->master_key);
		rc = -1;
	}
	freezero(text, 4097);
	return (rc);
}

/*
 * The key that hides positions of events must outlive the server, or every
 * follower would have to begin anew after a restart.  It is read once: what a
 * reload finds in its place has no say.
 */
static void
position_key_load(struct keys *k)
{
	static int	 loaded;
	uint8_t		*text;
	char		 path[PATH_MAX], hex[66];
	size_t		 len;

	if (loaded)
		return;
	loaded = 1;
	strlcpy(path, state_path("keys/position-key"), sizeof(path));
	if ((text = read_file(path, 128, &len)) == NULL) {
		if (errno != ENOENT)
			fatal("%s", path);
		randombytes_buf(k->position, sizeof(k->position));
		text_hex(hex, k->position, sizeof(k->position));
		strlcat(hex, "\n", sizeof(hex));
		write_file(path, 0600, hex);
		explicit_bzero(hex, sizeof(hex));
		return;
	}
	if (len == 65)
		text[64] = '\0';
	if (text_unhex(k->position, sizeof(k->position), (char *)text) == -1)
		fatalx("%s: 64 hexadecimal digits are expected", path);
	freezero(text, 129);
}

/*
 * What the server began with is not made a second time in its place: with
 * another encryption key nothing that is stored opens, and the runners know no
 * other CA.
 */
static int
keys_are_gone(void)
{
	static const char *const	 once[] = { "keys/encryption-key",
	    "keys/ca.key", "keys/ca.crt" };
	size_t				 i;

	for (i = 0; i < sizeof(once) / sizeof(once[0]); i++)
		if (access(state_path(once[i]), F_OK) == -1) {
			log_warnx("%s is gone; put it back",
			    state_path(once[i]));
			return (1);
		}
	return (0);
}

int
keys_make(const struct conf *c)
{
	static int	 made;
	char		 dir[PATH_MAX], names[4096], *argv[6];
	int		 status;

	if (made && keys_are_gone())
		return (-1);
	strlcpy(dir, state_path("keys"), sizeof(dir));
	certificate_names(c, names, sizeof(names));
	argv[0] = strdup(program_path("providerd"));
	argv[1] = strdup("-I");
	argv[2] = dir;
	argv[3] = strdup("-H");
	argv[4] = names;
	argv[5] = NULL;
	/* Only providerd and the agent can make keys and certificates. */
	status = run_program(argv, NULL, -1);
	free(argv[0]);
	free(argv[1]);
	free(argv[3]);
	if (status == 0 || status == BOOTSTRAP_NEW_LEAF) {
		made = 1;
		return (status == BOOTSTRAP_NEW_LEAF);
	}
	log_warnx("%s: the keys cannot be made, see above", dir);
	return (-1);
}

/* -1, having said why, and nothing changed: a file of the operator's is bad. */
int
keys_load(const struct conf *c, struct keys *k)
{
	int	 i;

	/* Ticket keys live as long as the parent: tickets live a minute. */
	for (i = 0; i < PROC_MAX; i++)
		if (k->ticket[i][0] == 0 && k->ticket[i][1] == 0)
			randombytes_buf(k->ticket[i], sizeof(k->ticket[i]));
	position_key_load(k);
	return (master_key_load(c, k));
}
