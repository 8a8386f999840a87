/*
 * listener.c - sockets bound by the parent and passed to their one worker,
 * again after each restart of it.  A busy port is tried for five seconds
 * (promise 20), then it is fatal and names the line.
 */
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "parent.h"
#include "parent_msg.h"

#define LISTENERS_MAX	64
#define BIND_SECONDS	5

static struct listener {
	enum proc	 proc;
	const char	*name;
	char		 address[128];
	int		 tls;
	int		 fd;
}			 listeners[LISTENERS_MAX];
static unsigned int	 nlisteners;
static char		 control_path[sizeof(((struct sockaddr_un *)0)->sun_path)];

static struct listener *
listener_add(enum proc proc, const char *name, const char *address, int tls,
    int fd)
{
	struct listener	*l = &listeners[nlisteners++];

	if (nlisteners > LISTENERS_MAX)
		fatalx("more than %d listening sockets", LISTENERS_MAX);
	l->proc = proc;
	l->name = name;
	strlcpy(l->address, address, sizeof(l->address));
	l->tls = tls;
	l->fd = fd;
	return (l);
}

static int
bind_once(const struct addrinfo *ai, int v6only)
{
	int	 fd, on = 1;

	fd = socket(ai->ai_family, ai->ai_socktype | SOCK_NONBLOCK |
	    SOCK_CLOEXEC, ai->ai_protocol);
	if (fd == -1)
		return (-1);
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == -1 ||
	    (ai->ai_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6,
	    IPV6_V6ONLY, &v6only, sizeof(v6only)) == -1) ||
	    bind(fd, ai->ai_addr, ai->ai_addrlen) == -1 ||
	    listen(fd, SOMAXCONN) == -1) {
		close(fd);
		return (-1);
	}
	return (fd);
}

static int
bind_patiently(const struct addrinfo *ai, int v6only)
{
	uint64_t	 until = mono_ms() + BIND_SECONDS * 1000;
	int		 fd;

	while ((fd = bind_once(ai, v6only)) == -1 && errno == EADDRINUSE &&
	    mono_ms() < until)
		usleep(100000);
	return (fd);
}

/* The address is there to bind at all (a host without IPv6, say). */
static int
is_absent(int code)
{
	return (code == EADDRNOTAVAIL || code == EAFNOSUPPORT);
}

static void
listen_added(const struct listen_conf *l, const struct addrinfo *ai, int fd,
    const char *path)
{
	char	 text[128], host[NI_MAXHOST];

	if (getnameinfo(ai->ai_addr, ai->ai_addrlen, host, sizeof(host), NULL,
	    0, NI_NUMERICHOST) != 0)
		strlcpy(host, "?", sizeof(host));
	snprintf(text, sizeof(text), strchr(host, ':') != NULL ?
	    "[%s]:%u" : "%s:%u", host, l->port);
	listener_add(l->proc, proc_names[l->proc], text, l->tls, fd);
	if (!l->tls && strncmp(text, "127.", 4) != 0 &&
	    strncmp(text, "[::1]", 5) != 0)
		log_warnx("%s:%d: %s is plaintext beyond loopback", path,
		    l->line, text);
}

/* Every address of node; those that the host does not have are passed over. */
static int
listen_node(const struct listen_conf *l, const char *node, const char *path)
{
	struct addrinfo	 hints, *res, *ai;
	char		 port[8];
	int		 fd, rc, n = 0;

	memset(&hints, 0, sizeof(hints));
	hints.ai_socktype = SOCK_STREAM;
	hints.ai_flags = AI_PASSIVE;
	snprintf(port, sizeof(port), "%u", l->port);
	if ((rc = getaddrinfo(node, port, &hints, &res)) != 0)
		fatalx("%s:%d: listen on %s: %s", path, l->line, l->address,
		    gai_strerror(rc));
	for (ai = res; ai != NULL; ai = ai->ai_next) {
		if ((fd = bind_patiently(ai, 1)) != -1) {
			listen_added(l, ai, fd, path);
			n++;
		} else if (!is_absent(errno))
			fatal("%s:%d: listen %s on %s port %u", path, l->line,
			    proc_names[l->proc], l->address, l->port);
	}
	freeaddrinfo(res);
	return (n);
}

static void
listen_tcp(const struct listen_conf *l, const char *path)
{
	int	 n;

	/* Plaintext never leaves the host unless an address is named. */
	if (strcmp(l->address, "localhost") == 0 ||
	    (strcmp(l->address, "*") == 0 && !l->tls))
		n = listen_node(l, "127.0.0.1", path) +
		    listen_node(l, "::1", path);
	else if (strcmp(l->address, "*") == 0)
		n = listen_node(l, NULL, path);
	else
		n = listen_node(l, l->address, path);
	if (n == 0)
		fatalx("%s:%d: listen on %s: this host has no such address",
		    path, l->line, l->address);
}

static void
control_remove(void)
{
	unlink(control_path);
}

static void
listen_control(const struct conf *c)
{
	struct sockaddr_un	 sun;
	struct group		*gr;
	mode_t			 mask;
	int			 fd;

	memset(&sun, 0, sizeof(sun));
	sun.sun_family = AF_UNIX;
	if (strlcpy(sun.sun_path, c->control != NULL ? c->control :
	    run_path("control.sock"), sizeof(sun.sun_path)) >=
	    sizeof(sun.sun_path))
		fatalx("control socket: the path is too long");
	strlcpy(control_path, sun.sun_path, sizeof(control_path));
	/* The lock on the state directory says that nobody listens there. */
	unlink(sun.sun_path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	mask = umask(0117);
	if (fd == -1 || bind(fd, (struct sockaddr *)&sun, sizeof(sun)) == -1 ||
	    listen(fd, 128) == -1)
		fatal("control socket %s", sun.sun_path);
	umask(mask);
	if (c->control_group != NULL) {
		if ((gr = getgrnam(c->control_group)) == NULL)
			fatalx("control group %s: there is no such group",
			    c->control_group);
		if (chown(sun.sun_path, (uid_t)-1, gr->gr_gid) == -1)
			fatal("control socket %s", sun.sun_path);
	}
	atexit(control_remove);
	listener_add(PROC_SESSIOND, "control", sun.sun_path, 0, fd);
}

void
listeners_open(const struct conf *c)
{
	const struct listen_conf	*l;

	TAILQ_FOREACH(l, &c->listens, entry)
		listen_tcp(l, env->conf_path);
	listen_control(c);
}

void
listeners_send(struct peer *p)
{
	struct msg_proc_listener	 m;
	unsigned int			 i;
	int				 fd;

	for (i = 0; i < nlisteners; i++) {
		if (listeners[i].proc != p->proc)
			continue;
		if ((fd = fcntl(listeners[i].fd, F_DUPFD_CLOEXEC, 3)) == -1)
			fatal("listener");
		m.name = listeners[i].name;
		m.address = listeners[i].address;
		m.tls = (uint8_t)listeners[i].tls;
		send_proc_listener(p, 0, &m, fd);
	}
}

/*
 * The server stops: who comes now is refused by the kernel, and who waits to be
 * accepted is told that nobody will, when the worker has closed its own, too.
 */
void
listeners_close(void)
{
	while (nlisteners > 0)
		close(listeners[--nlisteners].fd);
}

void
listeners_log(const struct conf *c)
{
	unsigned int	 i;

	(void)c;
	for (i = 0; i < nlisteners; i++)
		log_info("listening: %s %s%s", listeners[i].name,
		    listeners[i].address, listeners[i].tls ? " tls" : "");
}
