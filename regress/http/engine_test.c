/*
 * engine_test.c - frontd's engine by itself, with the rows of rows.c and
 * listeners on free ports of 127.0.0.1.  Prints the ports as one line of JSON
 * and serves until its standard input closes.
 * usage: engine_test cert key ca socket
 */
#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <err.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "engine.h"
#include "log.h"
#include "worker.h"

static struct event_base	*base;

struct event_base *
worker_base(void)
{
	return (base);
}

static uint64_t
clock_ms(clockid_t id)
{
	struct timespec	 ts;

	clock_gettime(id, &ts);
	return ((uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000);
}

uint64_t
worker_now_ms(void)
{
	return (clock_ms(CLOCK_REALTIME));
}

/* MN_FAST makes a second last as many, so that timeouts can be tested. */
uint64_t
worker_mono_ms(void)
{
	static uint64_t	 factor;
	const char	*s;

	if (factor == 0)
		factor = (s = getenv("MN_FAST")) != NULL ?
		    strtoull(s, NULL, 10) : 1;
	return (clock_ms(CLOCK_MONOTONIC) * factor);
}

static unsigned int
bound(enum listener_kind kind, int tls)
{
	struct sockaddr_in	 sin = { .sin_family = AF_INET };
	socklen_t		 len = sizeof(sin);
	int			 fd;

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if ((fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) == -1 ||
	    bind(fd, (struct sockaddr *)&sin, sizeof(sin)) == -1 ||
	    listen(fd, 1024) == -1 ||
	    getsockname(fd, (struct sockaddr *)&sin, &len) == -1 ||
	    listener_add(fd, kind, tls) == -1)
		err(1, "listener");
	return (ntohs(sin.sin_port));
}

static void
local_accept(evutil_socket_t fd, short what, void *arg)
{
	int	 s;

	(void)what;
	(void)arg;
	if ((s = accept(fd, NULL, NULL)) != -1)
		conn_adopt(s, strdup("somebody"), free);
}

static void
local(const char *path)
{
	struct sockaddr_un	 sun = { .sun_family = AF_UNIX };
	int			 fd;

	strlcpy(sun.sun_path, path, sizeof(sun.sun_path));
	if ((fd = socket(AF_UNIX, SOCK_STREAM, 0)) == -1 ||
	    bind(fd, (struct sockaddr *)&sun, sizeof(sun)) == -1 ||
	    listen(fd, 16) == -1)
		err(1, "%s", path);
	event_add(event_new(base, fd, EV_READ | EV_PERSIST, local_accept,
	    NULL), NULL);
}

static void
read_pem(const char *path, uint8_t **p, size_t *n)
{
	*p = tls_load_file(path, n, NULL);
	if (*p == NULL)
		err(1, "%s", path);
}

/* As the parent hands them over. */
static void
secure(char **path)
{
	struct tls_material	 m = { 0 };
	uint8_t			*cert, *key, *ca;

	read_pem(path[0], &cert, &m.cert_len);
	read_pem(path[1], &key, &m.key_len);
	read_pem(path[2], &ca, &m.ca_len);
	m.cert = cert;
	m.key = key;
	m.ca = ca;
	if (getenv("MN_MTLS") == NULL)
		m.ca_len = 0;
	if (tls_setup(&m) == -1)
		errx(1, "tls");
	free(cert);
	free(key);
	free(ca);
}

static void
on_stdin(evutil_socket_t fd, short what, void *arg)
{
	char	 c;

	(void)what;
	if (read(fd, &c, 1) == 1 && c == 'd')
		http_drain();
	else if (c != 'd')
		*(int *)arg = 0;
	c = 0;
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	http_janitor();
}

int
main(int argc, char **argv)
{
	struct timeval	 second = { 1, 0 };
	int		 running = 1;

	if (argc != 5)
		errx(1, "usage: engine_test cert key ca socket");
	log_init("engine", getenv("MN_VERBOSE") != NULL, 0);
	signal(SIGPIPE, SIG_IGN);
	mallopt(M_PERTURB, 0x5a);
	if (getenv("MN_FAST") != NULL)
		second = (struct timeval){ 0, 20000 };
	if ((base = event_base_new()) == NULL)
		errx(1, "event base");
	secure(argv + 1);
	if (getenv("MN_CONNS") != NULL)
		conn_max_address = strtoul(getenv("MN_CONNS"), NULL, 10);
	if (getenv("MN_CONN_MAX") != NULL)
		conn_max = strtoul(getenv("MN_CONN_MAX"), NULL, 10);
	host_allow("marionette.example");
	host_origin_allow("https://console.example");
	health_set(1);
	local(argv[4]);
	printf("{\"api\":%u,\"tls\":%u,\"runner\":%u,\"runnertls\":%u}\n",
	    bound(LISTEN_API, 0), bound(LISTEN_API, 1),
	    bound(LISTEN_RUNNER, 0), bound(LISTEN_RUNNER, 1));
	fflush(stdout);
	event_add(event_new(base, -1, EV_PERSIST, on_tick, NULL), &second);
	event_add(event_new(base, STDIN_FILENO, EV_READ | EV_PERSIST, on_stdin,
	    &running), NULL);
	while (running) {
		http_turn();
		event_base_loop(base, EVLOOP_ONCE);
	}
	return (0);
}
