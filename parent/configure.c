/*
 * configure.c - what each worker is told: which options, which secrets, which
 * descriptors.  The one list of who may hold what.
 */
#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "parent.h"
#include "parent_msg.h"

#define PEM_MAX	16384

static void
option(struct peer *p, const char *name, const char *value)
{
	struct msg_proc_option	 m;

	m.name = name;
	m.value = value;
	send_proc_option(p, 0, &m);
}

static void
option_number(struct peer *p, const char *name, long long value)
{
	char	 buf[32];

	snprintf(buf, sizeof(buf), "%lld", value);
	option(p, name, buf);
}

static void
secret(struct peer *p, const char *name, const void *value, size_t len)
{
	struct msg_proc_secret	 m;

	m.name = name;
	m.value = value;
	m.value_len = len;
	send_proc_secret(p, 0, &m);
}

/*
 * Without a peer it is only read.  -1 when it cannot be; the caller decides what
 * that means.
 */
static int
secret_file(struct peer *p, const char *name, const char *path)
{
	uint8_t	*buf;
	size_t	 len;

	if ((buf = read_file(path, PEM_MAX, &len)) == NULL) {
		log_warn("%s: %s", name, path);
		return (-1);
	}
	if (p != NULL)
		secret(p, name, buf, len);
	freezero(buf, PEM_MAX + 1);
	return (0);
}

int
secret_check(const char *name, const char *path)
{
	return (secret_file(NULL, name, path));
}

static void
sessiond_options(struct peer *p, const struct conf *c)
{
	const struct word	*w;
	struct group		*gr;
	char			 line[512], name[64];
	enum proc		 owner;
	static const enum proc	 owners[] = { PROC_SESSIOND, PROC_TASKD,
	    PROC_RUNNERD, PROC_TUNNELD, PROC_PROVIDERD };
	size_t			 i;

	for (i = 0; i < sizeof(owners) / sizeof(owners[0]); i++) {
		owner = owners[i];
		snprintf(name, sizeof(name), "ticket-%s", proc_names[owner]);
		secret(p, name, env->keys.ticket[owner], 32);
	}
	TAILQ_FOREACH(w, &c->admins, entry) {
		snprintf(line, sizeof(line), "%s %s", w->name, w->value);
		secret(p, "admin-user", line, strlen(line));
	}
	explicit_bzero(line, sizeof(line));
	if (env->keys.master[0] != '\0')
		secret(p, "master-key", env->keys.master, 64);
	secret(p, "position-key", env->keys.position, 32);
	if (c->control_group != NULL &&
	    (gr = getgrnam(c->control_group)) != NULL)
		option_number(p, "operator-gid", (long long)gr->gr_gid);
	if (geteuid() != 0)
		option_number(p, "control-uid", (long long)geteuid());
}

static void
storaged_options(struct peer *p, const struct conf *c)
{
	char		 buf[PATH_MAX + 128];
	const char	*dir;

	option_number(p, "server-id", c->server_id);
	option(p, "instance", env->instance);
	option_number(p, "log-retention-days", c->log_days);
	option(p, "role", "marionette");
	if (c->database != NULL) {
		option(p, "conninfo", c->database);
		option(p, "conninfo-owner", c->database_owner != NULL ?
		    c->database_owner : c->database);
		return;
	}
	/* Its root will be the socket's directory, when it has a root. */
	dir = postgres_socket_dir();
	snprintf(buf, sizeof(buf), "host=%s dbname=marionette user=marionette",
	    env->jail == JAIL_FULL ? "/" : dir);
	option(p, "conninfo", buf);
	snprintf(buf, sizeof(buf), "host=%s dbname=marionette "
	    "user=marionette_owner", dir);
	option(p, "conninfo-owner", buf);
}

static void
web_options(struct peer *p, const struct conf *c)
{
	const struct word	*w;

	TAILQ_FOREACH(w, &c->hosts, entry)
		option(p, "host", w->name);
	TAILQ_FOREACH(w, &c->origins, entry)
		option(p, "origin", w->name);
	option_number(p, "max-connections", c->connections);
}

/* Certificates of a frontd's TLS listeners; one pair a process. */
static int
tls_secrets(enum proc proc, struct peer *p, const struct conf *c)
{
	const struct listen_conf	*l;
	char				 cert[PATH_MAX], key[PATH_MAX];

	TAILQ_FOREACH(l, &c->listens, entry) {
		if (l->proc != proc || !l->tls)
			continue;
		strlcpy(cert, l->cert != NULL ? l->cert :
		    state_path("keys/runner.crt"), sizeof(cert));
		strlcpy(key, l->key != NULL ? l->key :
		    state_path("keys/runner.key"), sizeof(key));
		if (secret_file(p, "tls-cert", cert) == -1 ||
		    secret_file(p, "tls-key", key) == -1)
			return (-1);
		return (proc != PROC_RUNNER ? 0 : secret_file(p, "tls-ca",
		    l->ca != NULL ? l->ca : state_path("keys/ca.crt")));
	}
	return (0);
}

static int
providerd_secrets(struct peer *p)
{
	if (secret_file(p, "encryption-key",
	    state_path("keys/encryption-key")) == -1 ||
	    secret_file(p, "ca-key", state_path("keys/ca.key")) == -1)
		return (-1);
	return (secret_file(p, "ca-cert", state_path("keys/ca.crt")));
}

/* What of its options is in files. */
static int
child_secrets(enum proc proc, struct peer *p, const struct conf *c)
{
	if (proc == PROC_API || proc == PROC_ADMIN || proc == PROC_RUNNER)
		return (tls_secrets(proc, p, c));
	if (proc == PROC_PROVIDERD)
		return (providerd_secrets(p));
	if (proc == PROC_STORAGED && c->database != NULL &&
	    c->password_file != NULL)
		return (secret_file(p, "db-password", c->password_file));
	return (0);
}

int
child_options(struct child *ch)
{
	struct peer			*p = peer_of(ch->proc);
	const struct conf		*c = env->conf;
	struct msg_proc_configure	 begin;
	struct msg_proc_configured	 done = { 0 };

	begin.json = (uint8_t)c->json;
	send_proc_configure(p, 0, &begin);
	switch (ch->proc) {
	case PROC_API:
	case PROC_ADMIN:
	case PROC_RUNNER:
		web_options(p, c);
		break;
	case PROC_SESSIOND:
		sessiond_options(p, c);
		break;
	case PROC_TASKD:
		option_number(p, "suspend-after-seconds", c->suspend_after);
		option_number(p, "max-queued-tasks", c->queued_tasks);
		break;
	case PROC_RUNNERD:
		option_number(p, "heartbeat-seconds", c->heartbeat);
		option_number(p, "lost-after-seconds", c->lost_after);
		option_number(p, "skip-tls", c->skip_tls);
		break;
	case PROC_STORAGED:
		storaged_options(p, c);
		break;
	case PROC_PROVIDERD:
	case PROC_TUNNELD:
	case PROC_PARENT:
	case PROC_MAX:
		break;
	}
	if (child_secrets(ch->proc, p, c) == -1)
		return (-1);
	if (ch->proc == PROC_TASKD || ch->proc == PROC_RUNNERD ||
	    ch->proc == PROC_PROVIDERD)
		secret(p, "ticket", env->keys.ticket[ch->proc], 32);
	send_proc_configured(p, 0, &done);
	return (0);
}

int
child_configure(struct child *ch)
{
	struct peer		*p = peer_of(ch->proc);
	struct msg_proc_start	 m;

	m.name = proc_names[ch->proc];
	m.table = msg_table_hash;
	m.table_len = sizeof(msg_table_hash);
	m.generation = ch->generation;
	m.uid = ch->account.uid;
	m.gid = ch->account.gid;
	m.root = ch->root;
	m.jail = (uint8_t)env->jail;
	m.verbose = (uint8_t)env->verbose;
	m.json = (uint8_t)env->conf->json;
	send_proc_start(p, 0, &m);
	listeners_send(p);
	return (child_options(ch));
}

void
child_reload(struct child *ch)
{
	if (ch->state == CHILD_STARTING) {
		/*
		 * It reads nothing until it is ready, which it may never be
		 * with what it was told: started again, and not by a fault of
		 * its own.
		 */
		ch->state = CHILD_DOWN;
		kill(ch->pid, SIGKILL);
	} else if (ch->state != CHILD_READY)
		return;
	else if (child_secrets(ch->proc, NULL, env->conf) == -1)
		log_warnx("%s: goes on with what it was told before",
		    proc_names[ch->proc]);
	else if (child_options(ch) == -1)
		/* Half told it would be worse than started again. */
		kill(ch->pid, SIGKILL);
}
