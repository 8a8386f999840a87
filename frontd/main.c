/*
 * main.c - frontd, three times: api, admin, runner.  Binds the worker skeleton
 * to the engine and the API half.
 */
#include <sys/resource.h>

#include <malloc.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "engine.h"
#include "log.h"
#include "worker.h"

#define FD_RESERVE	64	/* peers, listeners, passed descriptors */
#define SECRET_MAX	16384
#define PERTURB		0x5a

static struct pem {
	uint8_t	 data[SECRET_MAX];
	size_t	 len;
}		 cert, key, ca;
static size_t	 fd_max;	/* descriptors that clients may have */

static const int	 calls[] = { SCMP_SYS(accept4), SCMP_SYS(setsockopt),
	SCMP_SYS(shutdown), -1 };
static const struct jail	 jail = { "frontd", calls, 0 };

static void
option(const char *name, const char *value)
{
	const char	*error;

	if (strcmp(name, "host") == 0)
		host_allow(value);
	else if (strcmp(name, "origin") == 0)
		host_origin_allow(value);
	else if (strcmp(name, "max-connections") == 0) {
		conn_max = (size_t)strtonum(value, 1, 1000000, &error);
		if (error != NULL)
			fatalx("option %s is %s", name, error);
	} else
		fatalx("option %s is not known", name);
}

static void
secret(const char *name, const uint8_t *p, size_t n)
{
	struct pem	*pem;

	if (strcmp(name, "tls-cert") == 0)
		pem = &cert;
	else if (strcmp(name, "tls-key") == 0)
		pem = &key;
	else if (strcmp(name, "tls-ca") == 0)
		pem = &ca;
	else
		fatalx("secret %s is not known", name);
	if (n > sizeof(pem->data))
		fatalx("secret %s is too long", name);
	memcpy(pem->data, p, n);
	pem->len = n;
}

static void
listener(const char *name, const char *address, int tls, int fd)
{
	enum listener_kind	 kind;

	if (strcmp(name, "api") == 0)
		kind = LISTEN_API;
	else if (strcmp(name, "admin") == 0)
		kind = LISTEN_ADMIN;
	else if (strcmp(name, "runner") == 0)
		kind = LISTEN_RUNNER;
	else
		fatalx("listener %s is not known", name);
	if (listener_add(fd, kind, tls) == -1)
		fatal("listener %s on %s", name, address);
	log_debug("listening on %s%s", address, tls ? ", TLS" : "");
}

static void
limits(void)
{
	struct rlimit	 rl;

	if (fd_max != 0)
		return;
	if (getrlimit(RLIMIT_NOFILE, &rl) == -1)
		fatal("getrlimit");
	if (rl.rlim_max <= FD_RESERVE)
		fatalx("%llu descriptors are too few",
		    (unsigned long long)rl.rlim_max);
	fd_max = (size_t)rl.rlim_max - FD_RESERVE;
}

static void
configured(int reload)
{
	struct tls_material	 m = { cert.data, key.data, ca.data, cert.len,
				    key.len, ca.len };

	if (cert.len > 0 && tls_setup(&m) == -1 && !reload)
		fatalx("the TLS certificate or key cannot be used");
	explicit_bzero(&key, sizeof(key));
	cert.len = ca.len = 0;
	limits();
	if (conn_max > fd_max)
		conn_max = fd_max;
}

/*
 * The TLS library frees its record buffers without wiping them; the allocator
 * does it for all that is freed.
 */
static void
pre_jail(void)
{
	mallopt(M_PERTURB, PERTURB);
	api_init();
}

static void
peer_up(struct peer *p)
{
	if (p->proc == PROC_RUNNERD)
		health_set(1);
	api_peer_up(p);
}

static void
peer_down(struct peer *p)
{
	if (p->proc == PROC_RUNNERD)
		health_set(0);
	api_peer_down(p);
}

static void
janitor(void)
{
	static int	 said;

	http_janitor();
	api_janitor();
	if (said || !worker_draining() || !http_is_idle() || !api_is_idle())
		return;
	said = 1;
	worker_drained();
}

/*
 * runnerd was drained first (parent): what it told the runners goes out before
 * their streams end, although it came on another channel.
 */
static void
drain(void)
{
	peer_read(peer_of(PROC_RUNNERD));
	http_drain();
	api_drain();
}

static size_t
metrics(char *buf, size_t size)
{
	size_t	 n;

	n = http_metrics(buf, size);
	return (n + api_metrics(buf + n, size - n));
}

static int
check_read(struct pem *pem, const char *path)
{
	FILE	*f;
	int	 rest;

	if ((f = fopen(path, "r")) == NULL) {
		log_warn("tls: %s", path);
		return (-1);
	}
	pem->len = fread(pem->data, 1, sizeof(pem->data), f);
	rest = fgetc(f);
	fclose(f);
	if (pem->len > 0 && rest == EOF)
		return (0);
	log_warnx("tls: %s: 1 to %d bytes are expected", path, SECRET_MAX);
	return (-1);
}

/*
 * frontd -C certificate key [ca]: can they be used?  The parent asks before it
 * starts anything or takes a new configuration.
 */
static int
check(int argc, char **argv)
{
	struct tls_material	 m;
	int			 rc;

	log_init("frontd", 0, 0);
	if (argc < 4 || check_read(&cert, argv[2]) == -1 ||
	    check_read(&key, argv[3]) == -1 ||
	    (argc > 4 && check_read(&ca, argv[4]) == -1))
		return (1);
	m = (struct tls_material){ cert.data, key.data, ca.data, cert.len,
	    key.len, ca.len };
	rc = tls_setup(&m);
	explicit_bzero(&key, sizeof(key));
	return (rc == -1 ? 1 : 0);
}

int
main(int argc, char **argv)
{
	static const struct worker	 frontd = {
		.title = "frontd",
		.jail = &jail,
		.begin = host_clear,
		.option = option,
		.secret = secret,
		.listener = listener,
		.configured = configured,
		.pre_jail = pre_jail,
		.peer_up = peer_up,
		.peer_down = peer_down,
		.turn = http_turn,
		.janitor = janitor,
		.metrics = metrics,
		.drain = drain,
	};

	if (argc > 1 && strcmp(argv[1], "-C") == 0)
		return (check(argc, argv));
	return (worker_main(argc, argv, &frontd));
}
