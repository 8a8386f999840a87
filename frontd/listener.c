/*
 * listener.c - sockets that the parent bound and passed.  When descriptors run
 * out accepting stops for a second, instead of spinning on a socket that stays
 * readable; a client beyond a limit is told so, where no TLS is in the way.
 * While handshakes are late new clients wait in the kernel's queue, where no
 * deadline of ours runs.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine.h"
#include "log.h"
#include "worker.h"

#define ACCEPT_ROUNDS	64
#define USER_TIMEOUT_MS	60000
#define LOWAT_RUNNER	(16 * 1024)

struct listener {
	TAILQ_ENTRY(listener)	 entry;
	struct event		 ev;
	int			 fd;
	enum listener_kind	 kind;
	int			 tls;
};

static TAILQ_HEAD(, listener)	 listeners = TAILQ_HEAD_INITIALIZER(listeners);
static int			 paused;

/* Accepted sockets inherit these on Linux. */
static void
listener_options(int fd, enum listener_kind kind)
{
	int	 on = 1, timeout = USER_TIMEOUT_MS, lowat = LOWAT_RUNNER;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout,
	    sizeof(timeout));
	if (kind == LISTEN_RUNNER)
		setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &lowat,
		    sizeof(lowat));
}

static void
address_text(char *name, size_t size, const struct sockaddr_storage *ss)
{
	const struct sockaddr_in	*in4 = (const void *)ss;
	const struct sockaddr_in6	*in6 = (const void *)ss;

	strlcpy(name, "unknown", size);
	if (ss->ss_family == AF_INET)
		inet_ntop(AF_INET, &in4->sin_addr, name, (socklen_t)size);
	else if (ss->ss_family == AF_INET6 &&
	    IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr))
		inet_ntop(AF_INET, in6->sin6_addr.s6_addr + 12, name,
		    (socklen_t)size);
	else if (ss->ss_family == AF_INET6)
		inet_ntop(AF_INET6, &in6->sin6_addr, name, (socklen_t)size);
}

/*
 * One answer for whoever is too many; TLS clients see the connection end.  It
 * says where it ends itself: a request that nobody reads resets the connection.
 */
static void
refuse(int fd, int tls)
{
	static const char	 body[] = "{\"code\":\"unavailable\","
				    "\"message\":\"too many connections, try"
				    " again\",\"request_id\":\"-\"}\n";
	char			 busy[256];
	int			 n;

	http_stats.refused++;
	n = snprintf(busy, sizeof(busy), "HTTP/1.1 503 Service Unavailable\r\n"
	    "Content-Type: application/json\r\nContent-Length: %zu\r\n"
	    "Retry-After: 1\r\nConnection: close\r\n\r\n%s",
	    sizeof(body) - 1, body);
	if (!tls && send(fd, busy, (size_t)n, MSG_NOSIGNAL) == -1)
		log_debug("cannot even refuse");
	close(fd);
}

static void
listener_accept(evutil_socket_t fd, short what, void *arg)
{
	struct sockaddr_storage	 ss = { 0 };
	struct listener		*l = arg;
	struct address		*addr;
	char			 name[INET6_ADDRSTRLEN];
	socklen_t		 len;
	int			 s, i;

	(void)what;
	if (l->tls && conn_handshakes_late())
		return;
	for (i = 0; i < ACCEPT_ROUNDS; i++) {
		len = sizeof(ss);
		s = accept4(fd, (struct sockaddr *)&ss, &len,
		    SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (s == -1) {
			if (errno == EMFILE || errno == ENFILE ||
			    errno == ENOBUFS || errno == ENOMEM) {
				log_warn("accept");
				listener_pause();
			}
			return;
		}
		address_text(name, sizeof(name), &ss);
		if ((addr = address_get(name)) == NULL)
			refuse(s, l->tls);
		else
			conn_new(s, l->kind, l->tls ? tls_server_get() : NULL,
			    name, addr);
	}
}

int
listener_add(int fd, enum listener_kind kind, int tls)
{
	struct listener	*l;

	if ((l = calloc(1, sizeof(*l))) == NULL)
		fatal("listener");
	l->fd = fd;
	l->kind = kind;
	l->tls = tls;
	evutil_make_socket_nonblocking(fd);
	listener_options(fd, kind);
	event_assign(&l->ev, worker_base(), fd, EV_READ | EV_PERSIST,
	    listener_accept, l);
	TAILQ_INSERT_TAIL(&listeners, l, entry);
	return (event_add(&l->ev, NULL));
}

void
listener_pause(void)
{
	struct listener	*l;

	TAILQ_FOREACH(l, &listeners, entry)
		event_del(&l->ev);
	paused = 1;
}

/* Once a second: a pause has lasted long enough. */
void
listener_tick(void)
{
	struct listener	*l;

	if (!paused)
		return;
	paused = 0;
	TAILQ_FOREACH(l, &listeners, entry)
		event_add(&l->ev, NULL);
}

/* For a drain, or before a reload passes other ones. */
void
listener_close(void)
{
	struct listener	*l;

	while ((l = TAILQ_FIRST(&listeners)) != NULL) {
		TAILQ_REMOVE(&listeners, l, entry);
		event_del(&l->ev);
		close(l->fd);
		free(l);
	}
}
