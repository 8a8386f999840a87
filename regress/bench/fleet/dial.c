/*
 * dial.c - the agent's dial(), for thousands of connections of one process: a
 * name is looked up once, and on loopback they come from many addresses,
 * because one address has a limit at the server and only so many ports.
 */
#include <sys/socket.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "fleet.h"
#include "h2.h"
#include "log.h"
#include "util.h"

#define PLACES_MAX	8	/* different names */
#define PER_ADDRESS	200	/* connections from one address, about */
#define DIAL_SECONDS	5

struct place {
	char			 name[300];
	struct sockaddr_storage	 addr;
	socklen_t		 len;
};

/* Until done is called. */
struct dial {
	struct event	*ev;
	dial_done	 done;
	void		*arg;
	int		 fd;
	int		 error;
};

static struct place	 places[PLACES_MAX];
static size_t		 nplaces;

static struct place *
place_of(const char *host, const char *port)
{
	struct addrinfo	 hints = { .ai_socktype = SOCK_STREAM,
			    .ai_family = AF_INET }, *ai;
	struct place	*p;
	char		 name[300];
	int		 e;

	snprintf(name, sizeof(name), "%s %s", host, port);
	for (p = places; p < places + nplaces; p++)
		if (strcmp(p->name, name) == 0)
			return (p);
	if (nplaces == PLACES_MAX)
		fatalx("more than %d names", PLACES_MAX);
	if ((e = getaddrinfo(host, port, &hints, &ai)) != 0) {
		hints.ai_family = AF_UNSPEC;
		e = getaddrinfo(host, port, &hints, &ai);
	}
	if (e != 0)
		fatalx("%s: %s", host, gai_strerror(e));
	nplaces++;
	strlcpy(p->name, name, sizeof(p->name));
	memcpy(&p->addr, ai->ai_addr, ai->ai_addrlen);
	p->len = ai->ai_addrlen;
	freeaddrinfo(ai);
	return (p);
}

/* 127.1.x.y, one after the other. */
static void
source(int fd, const struct place *p)
{
	static unsigned int	 next;
	const struct sockaddr_in *to = (const void *)&p->addr;
	struct sockaddr_in	 from = { .sin_family = AF_INET };
	unsigned int		 n;
	int			 on = 1;

	if (p->addr.ss_family != AF_INET ||
	    ntohl(to->sin_addr.s_addr) >> 24 != 127)
		return;
	n = next++ % (unsigned int)(fleet->nrunners / PER_ADDRESS + 1);
	from.sin_addr.s_addr = htonl(0x7f010000 | (n / 250) << 8 |
	    (n % 250 + 1));
	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&from, sizeof(from)) == -1)
		fatal("bind");
}

static void
dial_event(int fd, short what, void *arg)
{
	struct dial	*d = arg;
	dial_done	 done = d->done;
	void		*to = d->arg;
	socklen_t	 len = sizeof(int);
	int		 e = d->error;

	if (e == 0 && (what & EV_TIMEOUT) != 0)
		e = ETIMEDOUT;
	else if (e == 0 &&
	    getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &len) == -1)
		e = errno;
	if (e != 0) {
		if (d->fd != -1)
			close(d->fd);
		fd = -1;
	}
	event_free(d->ev);
	free(d);
	done(fd, e == 0 ? NULL : strerror(e), to);
}

struct dial *
dial_start(struct event_base *base, const char *host, const char *port,
    dial_done done, void *arg)
{
	static const struct timeval	 soon = { 0, 0 };
	static const struct timeval	 wait = { DIAL_SECONDS, 0 };
	struct place			*p = place_of(host, port);
	struct dial			*d;
	int				 on = 1;

	d = xcalloc(1, sizeof(*d));
	d->done = done;
	d->arg = arg;
	d->fd = socket(p->addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK |
	    SOCK_CLOEXEC, 0);
	if (d->fd == -1)
		d->error = errno;
	else {
		setsockopt(d->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		source(d->fd, p);
		if (connect(d->fd, (struct sockaddr *)&p->addr, p->len) == -1 &&
		    errno != EINPROGRESS)
			d->error = errno;
	}
	d->ev = event_new(base, d->error != 0 ? -1 : d->fd, d->error != 0 ? 0 :
	    EV_WRITE, dial_event, d);
	event_add(d->ev, d->error != 0 ? &soon : &wait);
	return (d);
}

void
dial_cancel(struct dial *d)
{
	event_free(d->ev);
	if (d->fd != -1)
		close(d->fd);
	free(d);
}
