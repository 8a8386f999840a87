/*
 * conf.c - the configuration object: defaults, what no single line can check,
 * and printing it back (marionetted -nv), which the tests use as the oracle.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "parent.h"
#include "text.h"

#define COMPLAINT_MAX	9216	/* a value, and what is wrong with it */
/* What a worker has room for; beyond it it would not start. */
#define NAMES_MAX	64	/* frontd: hosts, and origins */
#define ADMINS_MAX	64	/* sessiond */
#define HASH_MAX	160

static int	 to_log;	/* what is wrong, and not to who started us */

static char *
copy(const char *s)
{
	char	*p;

	if ((p = strdup(s)) == NULL)
		fatal("strdup");
	return (p);
}

struct conf *
conf_new(void)
{
	struct conf	*c;

	if ((c = calloc(1, sizeof(*c))) == NULL)
		fatal("conf");
	c->state_dir = copy("/var/lib/marionette");
	c->run_dir = copy("/run/marionette");
	c->user_prefix = copy("_mn_");
	TAILQ_INIT(&c->listens);
	TAILQ_INIT(&c->hosts);
	TAILQ_INIT(&c->origins);
	TAILQ_INIT(&c->admins);
	c->suspend_after = 3600;
	c->lost_after = 600;
	c->heartbeat = 15;
	c->queued_tasks = 1000;
	c->connections = 10000;
	c->log_days = 30;
	c->server_id = 1;
	return (c);
}

struct words *
words_add(struct words *list, const char *name, const char *value, int line)
{
	struct word	*w;

	if ((w = calloc(1, sizeof(*w))) == NULL)
		fatal("conf");
	w->name = copy(name);
	if (value != NULL)
		w->value = copy(value);
	w->line = line;
	TAILQ_INSERT_TAIL(list, w, entry);
	return (list);
}

static void
words_free(struct words *list)
{
	struct word	*w;

	while ((w = TAILQ_FIRST(list)) != NULL) {
		TAILQ_REMOVE(list, w, entry);
		free(w->name);
		free(w->value);
		free(w);
	}
}

void
conf_free(struct conf *c)
{
	struct listen_conf	*l;

	while ((l = TAILQ_FIRST(&c->listens)) != NULL) {
		TAILQ_REMOVE(&c->listens, l, entry);
		free(l->address);
		free(l->cert);
		free(l->key);
		free(l->ca);
		free(l);
	}
	words_free(&c->hosts);
	words_free(&c->origins);
	words_free(&c->admins);
	free(c->state_dir);
	free(c->run_dir);
	free(c->user_prefix);
	free(c->control);
	free(c->control_group);
	free(c->master_key);
	free(c->database);
	free(c->database_owner);
	free(c->password_file);
	free(c->pg_bin);
	free(c);
}

static int
listens_differ(const struct conf *a, const struct conf *b)
{
	const struct listen_conf	*l, *k = TAILQ_FIRST(&b->listens);

	TAILQ_FOREACH(l, &a->listens, entry) {
		if (k == NULL || l->proc != k->proc || l->port != k->port ||
		    l->tls != k->tls || strcmp(l->address, k->address) != 0)
			return (1);
		k = TAILQ_NEXT(k, entry);
	}
	return (k != NULL);
}

/* One of these two strings is new; NULL is one, too. */
static void
keep_string(char **fresh, char **old)
{
	char	*p = *fresh;

	*fresh = *old;
	*old = p;
}

void
conf_keep(struct conf *fresh, struct conf *old)
{
	struct listen_confs	 list = TAILQ_HEAD_INITIALIZER(list);

	if (listens_differ(fresh, old)) {
		log_warnx("reload: other `listen' lines are taken by a "
		    "restart");
		TAILQ_CONCAT(&list, &fresh->listens, entry);
		TAILQ_CONCAT(&fresh->listens, &old->listens, entry);
		TAILQ_CONCAT(&old->listens, &list, entry);
	}
	if ((fresh->database == NULL) != (old->database == NULL)) {
		log_warnx("reload: another kind of `database' is taken by a "
		    "restart");
		keep_string(&fresh->database, &old->database);
		keep_string(&fresh->database_owner, &old->database_owner);
		keep_string(&fresh->password_file, &old->password_file);
	}
}

void
conf_complains_to_log(void)
{
	to_log = 1;
}

void
conf_vcomplain(const char *path, int line, const char *fmt, va_list ap)
{
	char	 what[COMPLAINT_MAX], where[16] = "";

	vsnprintf(what, sizeof(what), fmt, ap);
	if (line > 0)
		snprintf(where, sizeof(where), ":%d", line);
	if (to_log)
		log_warnx("%s%s: %s", path, where, what);
	else
		fprintf(stderr, "%s%s: %s\n", path, where, what);
}

void
conf_complain(const char *path, int line, const char *fmt, ...)
{
	va_list	 ap;

	va_start(ap, fmt);
	conf_vcomplain(path, line, fmt, ap);
	va_end(ap);
}

static int
complain(const char *path, int line, const char *what)
{
	conf_complain(path, line, "%s", what);
	return (1);
}

static int
check_listen(const struct conf *c, const struct listen_conf *l,
    const char *path)
{
	int	 n = 0;

	if ((l->cert == NULL) != (l->key == NULL))
		n += complain(path, l->line, "listen: `certificate' and `key' "
		    "go together");
	if (l->tls && l->cert == NULL && l->proc != PROC_RUNNER)
		n += complain(path, l->line, "listen: `tls' wants `certificate "
		    "\"file\" key \"file\"' (only the runner listener has a CA "
		    "of the server's own)");
	if (!l->tls && l->proc == PROC_RUNNER && !c->skip_tls)
		n += complain(path, l->line, "listen runner: plaintext only "
		    "with `skip tls', for development");
	return (n);
}

/* Each listening process holds one pair of certificate and key. */
static int
check_pair(const struct listen_conf *l, const struct listen_conf *k,
    const char *path)
{
	const char	*a = l->cert != NULL ? l->cert : "";
	const char	*b = k->cert != NULL ? k->cert : "";

	if (l->proc != k->proc || !l->tls || !k->tls || strcmp(a, b) == 0)
		return (0);
	return (complain(path, k->line, "listen: the `tls' lines of one kind "
	    "of listener share one certificate, and this is another"));
}

/* The list has at most max words, called so. */
static int
check_room(const struct words *list, int max, const char *name,
    const char *path)
{
	const struct word	*w;
	int			 n = 0;

	TAILQ_FOREACH(w, list, entry)
		if (++n > max) {
			conf_complain(path, w->line, "at most %d `%s' are "
			    "possible", max, name);
			return (1);
		}
	return (0);
}

/* Messages hold UTF-8 alone; NULL is fine. */
static int
check_text(const char *value, int line, const char *name, const char *path)
{
	if (value == NULL || text_is_utf8(value, strlen(value)))
		return (0);
	conf_complain(path, line, "%s: it is no UTF-8", name);
	return (1);
}

/* Has each worker room for what it will be told, and can it be told? */
static int
check_workers(const struct conf *c, const char *path)
{
	const struct word	*w;
	int			 n;

	n = check_text(c->run_dir, 0, "run directory", path) +
	    check_text(c->control, 0, "control socket", path) +
	    check_text(c->database, 0, "database", path) +
	    check_text(c->database_owner, 0, "database owner", path);
	TAILQ_FOREACH(w, &c->hosts, entry)
		n += check_text(w->name, w->line, "hostname", path);
	TAILQ_FOREACH(w, &c->origins, entry)
		n += check_text(w->name, w->line, "origin", path);
	n += check_room(&c->hosts, NAMES_MAX, "hostname", path) +
	    check_room(&c->origins, NAMES_MAX, "origin", path) +
	    check_room(&c->admins, ADMINS_MAX, "admin user", path);
	TAILQ_FOREACH(w, &c->admins, entry)
		if (strlen(w->value) > HASH_MAX) {
			conf_complain(path, w->line, "admin user %s: the hash "
			    "has more than %d bytes", w->name, HASH_MAX);
			n++;
		}
	return (n);
}

int
conf_check(const struct conf *c, const char *path)
{
	const struct listen_conf	*l, *k;
	int				 n = 0, have[PROC_MAX] = { 0 };

	TAILQ_FOREACH(l, &c->listens, entry) {
		have[l->proc] = 1;
		n += check_listen(c, l, path);
		for (k = TAILQ_NEXT(l, entry); k != NULL;
		    k = TAILQ_NEXT(k, entry)) {
			n += check_pair(l, k, path);
			if (k->port == l->port &&
			    strcmp(k->address, l->address) == 0)
				n += complain(path, k->line, "listen: this "
				    "address and port stand above already");
		}
	}
	if (!have[PROC_API])
		n += complain(path, 0, "a line `listen api on localhost port "
		    "8080 plaintext' is missing");
	if (!have[PROC_RUNNER])
		n += complain(path, 0, "a line `listen runner on * port 9090 "
		    "tls' is missing");
	if (TAILQ_EMPTY(&c->admins) && c->master_key == NULL)
		n += complain(path, 0, "no credentials: an `admin user' or a "
		    "`master key file' is needed");
	if (c->heartbeat * 3 > c->lost_after)
		n += complain(path, 0, "`lost after' must be at least three "
		    "heartbeats");
	if (c->state_dir[0] != '/' || c->run_dir[0] != '/')
		n += complain(path, 0, "state and run directory must be "
		    "absolute paths");
	/* sun_path has 108 bytes, and the sockets' names stand behind. */
	if (strlen(c->run_dir) > 70)
		n += complain(path, 0, "run directory: at most 70 bytes");
	if (c->database == NULL && (c->database_owner != NULL ||
	    c->password_file != NULL))
		n += complain(path, 0, "`database owner' and `database password "
		    "file' want a `database \"conninfo\"'");
	return (n + check_workers(c, path));
}

static void
print_quoted(FILE *f, const char *s)
{
	fputc('"', f);
	for (; *s != '\0'; s++) {
		if (*s == '"' || *s == '\\')
			fputc('\\', f);
		fputc(*s, f);
	}
	fputc('"', f);
}

static void
print_string(FILE *f, const char *key, const char *value)
{
	if (value == NULL)
		return;
	fprintf(f, "%s ", key);
	print_quoted(f, value);
	fputc('\n', f);
}

static void
print_listen(FILE *f, const struct listen_conf *l)
{
	fprintf(f, "listen %s on ", proc_names[l->proc]);
	print_quoted(f, l->address);
	fprintf(f, " port %u %s", l->port, l->tls ? "tls" : "plaintext");
	if (l->cert != NULL) {
		fprintf(f, " certificate ");
		print_quoted(f, l->cert);
		fprintf(f, " key ");
		print_quoted(f, l->key);
	}
	if (l->ca != NULL) {
		fprintf(f, " client ca ");
		print_quoted(f, l->ca);
	}
	fputc('\n', f);
}

void
conf_print(const struct conf *c, FILE *f)
{
	const struct listen_conf	*l;
	const struct word		*w;

	print_string(f, "state directory", c->state_dir);
	print_string(f, "run directory", c->run_dir);
	print_string(f, "user prefix", c->user_prefix);
	print_string(f, "control socket", c->control);
	print_string(f, "control group", c->control_group);
	fprintf(f, "log format %s\n", c->json ? "json" : "text");
	fprintf(f, "log retention %lld days\n", c->log_days);
	TAILQ_FOREACH(l, &c->listens, entry)
		print_listen(f, l);
	if (c->skip_tls)
		fprintf(f, "skip tls\n");
	TAILQ_FOREACH(w, &c->hosts, entry)
		print_string(f, "hostname", w->name);
	TAILQ_FOREACH(w, &c->origins, entry)
		print_string(f, "origin", w->name);
	TAILQ_FOREACH(w, &c->admins, entry) {
		fprintf(f, "admin user ");
		print_quoted(f, w->name);
		print_string(f, " password", w->value);
	}
	print_string(f, "master key file", c->master_key);
	if (c->database == NULL && c->pg_bin == NULL)
		fprintf(f, "database embedded\n");
	print_string(f, "database embedded binaries", c->pg_bin);
	print_string(f, "database", c->database);
	print_string(f, "database owner", c->database_owner);
	print_string(f, "database password file", c->password_file);
	fprintf(f, "suspend after %lld\nlost after %lld\nheartbeat %lld\n",
	    c->suspend_after, c->lost_after, c->heartbeat);
	fprintf(f, "limit queued tasks %lld\nlimit connections %lld\n"
	    "server id %lld\n", c->queued_tasks, c->connections, c->server_id);
}
