/*
 * config.c - what the parent says about the database, and the keywords of
 * connections.  user, passfile and the certificate files are always given:
 * libpq would look for them in a home directory, and the jail has none
 * (promise 5).  A host's name is resolved once, before the jail.
 */
#include <sys/socket.h>

#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "storaged.h"
#include "worker.h"

#define KEYWORDS	32
#define NAME_SIZE	64

static struct {
	char		*owner;		/* conninfo before the jail */
	char		*worker;	/* after it */
	char		*password;
	char		 role[NAME_SIZE];
	char		 address[NI_MAXHOST];	/* of the worker's host */
	char		 user[NAME_SIZE];	/* of the worker's conninfo */
	char		 instance[INSTANCE_SIZE];
	char		 application[NAME_SIZE];	/* of who writes */
	int		 server_id;
	int		 log_days;
	int		 fixed;		/* the jail is closed */
} conf = { .role = "marionette", .server_id = 1, .log_days = 30 };

static int64_t
number(const char *name, const char *value, long long max)
{
	const char	*errstr;
	long long	 n;

	n = strtonum(value, 1, max, &errstr);
	if (errstr != NULL)
		fatalx("option %s: %s is %s", name, value, errstr);
	return (n);
}

static void
set(char **p, const char *value)
{
	free(*p);
	if ((*p = strdup(value)) == NULL)
		fatal("option");
}

void
config_option(const char *name, const char *value)
{
	if (strcmp(name, "log-retention-days") == 0)
		conf.log_days = (int)number(name, value, 400);
	else if (strcmp(name, "server-id") == 0)
		conf.server_id = (int)number(name, value, 65535);
	else if (strcmp(name, "instance") == 0) {
		if (strlcpy(conf.instance, value, sizeof(conf.instance)) >=
		    sizeof(conf.instance))
			fatalx("option instance: too long");
	} else if (strcmp(name, "conninfo-owner") == 0)
		set(&conf.owner, value);
	else if (strcmp(name, "conninfo") == 0) {
		/* A new one needs an address, and there is no resolver here. */
		if (conf.fixed && strcmp(conf.worker, value) != 0)
			log_warnx("option conninfo: changed, wants a restart");
		else
			set(&conf.worker, value);
	} else if (strcmp(name, "role") == 0) {
		if (strlcpy(conf.role, value, sizeof(conf.role)) >=
		    sizeof(conf.role))
			fatalx("option role: too long");
	} else
		fatalx("option %s is not known", name);
}

void
config_secret(const char *name, const uint8_t *value, size_t len)
{
	if (strcmp(name, "db-password") != 0)
		fatalx("secret %s is not known", name);
	if (conf.password != NULL)
		freezero(conf.password, strlen(conf.password));
	if ((conf.password = calloc(1, len + 1)) == NULL)
		fatal("secret");
	memcpy(conf.password, value, len);
}

int
config_server_id(void)
{
	return (conf.server_id);
}

const char *
config_instance(void)
{
	return (conf.instance);
}

/* What the writing connection is called, for other servers to see. */
const char *
config_application(void)
{
	snprintf(conf.application, sizeof(conf.application),
	    "marionette write %d %s", conf.server_id, conf.instance);
	return (conf.application);
}

int
config_log_days(void)
{
	return (conf.log_days);
}

/* Whom migrations grant to: the role that the jailed part connects as. */
const char *
config_role(void)
{
	return (conf.user[0] != '\0' ? conf.user : conf.role);
}

/* The first address of the worker's host, unless it is a directory. */
static void
resolve(const char *host, const char *port)
{
	struct addrinfo	 hints, *res;
	int		 rc;

	memset(&hints, 0, sizeof(hints));
	hints.ai_socktype = SOCK_STREAM;
	if ((rc = getaddrinfo(host, port, &hints, &res)) != 0) {
		log_warnx("database host %s: %s", host, gai_strerror(rc));
		return;
	}
	if (getnameinfo(res->ai_addr, res->ai_addrlen, conf.address,
	    sizeof(conf.address), NULL, 0, NI_NUMERICHOST) != 0)
		conf.address[0] = '\0';
	freeaddrinfo(res);
}

static const char *
option_of(const PQconninfoOption *opts, const char *keyword)
{
	for (; opts->keyword != NULL; opts++)
		if (strcmp(opts->keyword, keyword) == 0)
			return (opts->val);
	return (NULL);
}

void
config_done(int reload)
{
	PQconninfoOption	*opts;
	const char		*host, *user;
	char			*why = NULL;

	if (reload)
		return;
	if (conf.owner == NULL || conf.worker == NULL ||
	    conf.instance[0] == '\0')
		fatalx("options conninfo, conninfo-owner and instance are "
		    "needed");
	if ((opts = PQconninfoParse(conf.worker, &why)) == NULL)
		fatalx("database: %.*s", why != NULL ?
		    (int)strcspn(why, "\n") : 9, why != NULL ? why :
		    "no memory");
	if ((user = option_of(opts, "user")) != NULL)
		strlcpy(conf.user, user, sizeof(conf.user));
	host = option_of(opts, "host");
	if (host != NULL && host[0] != '/' && host[0] != '@' &&
	    strchr(host, ',') == NULL && option_of(opts, "hostaddr") == NULL)
		resolve(host, option_of(opts, "port"));
	PQconninfoFree(opts);
	/* Never asked for a home directory, not even by OpenSSL. */
	setenv("HOME", "/", 1);
	conf.fixed = 1;
}

/* Keywords over those of conninfo; later ones win. */
struct keywords {
	const char	*key[KEYWORDS];
	const char	*value[KEYWORDS];
	int		 n;
};

static void
add(struct keywords *k, const char *key, const char *value)
{
	if (k->n + 1 >= KEYWORDS)
		fatalx("too many connection keywords");
	k->key[k->n] = key;
	k->value[k->n++] = value;
	k->key[k->n] = k->value[k->n] = NULL;
}

static void
keywords(struct keywords *k, const char *conninfo, const char *name,
    const char *options)
{
	k->n = 0;
	/* What stands before dbname is a default, what stands after it wins. */
	add(k, "user", conf.role);
	add(k, "passfile", "/nonexistent/passfile");
	add(k, "sslrootcert", "/nonexistent/root.crt");
	add(k, "sslcert", "/nonexistent/client.crt");
	add(k, "sslkey", "/nonexistent/client.key");
	add(k, "sslcrl", "/nonexistent/root.crl");
	add(k, "gssencmode", "disable");
	add(k, "tcp_user_timeout", "15000");
	add(k, "keepalives_idle", "10");
	add(k, "dbname", conninfo);
	add(k, "application_name", name);
	add(k, "client_encoding", "UTF8");
	add(k, "options", options);
	if (conf.password != NULL)
		add(k, "password", conf.password);
}

PGconn *
config_connect_owner(void)
{
	struct keywords	 k;

	keywords(&k, conf.owner, "marionette migration",
	    "-c search_path=mn,mn_data -c timezone=UTC "
	    "-c mn.tenant=* -c client_min_messages=warning");
	return (PQconnectdbParams(k.key, k.value, 1));
}

PGconn *
config_connect_start(const char *name, const char *options)
{
	struct keywords	 k;

	keywords(&k, conf.worker, name, options);
	if (conf.address[0] != '\0')
		add(&k, "hostaddr", conf.address);
	return (PQconnectStartParams(k.key, k.value, 1));
}
