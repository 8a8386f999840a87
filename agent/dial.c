/*
 * dial.c - a name and a port become a connected socket.  Names are looked up
 * by the C library's own thread (getaddrinfo_a), so that nothing waits; the
 * addresses are then tried in turn, 5 seconds each.
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "h2.h"
#include "util.h"

/* Freed after done, or when the look-up of a canceled one has ended. */
struct dial {
	struct gaicb		 req;
	struct addrinfo		 hints;
	struct event_base	*base;
	struct event		*ev;
	struct addrinfo		*next;
	dial_done		 done;
	void			*arg;
	char			*host;
	char			*port;
	char			 why[256];
	int			 fd;
	int			 looking;
	int			 canceled;
};

static const struct timeval	dial_try = { 5, 0 };
static const struct timeval	dial_poll = { 0, 5000 };

static void
dial_free(struct dial *d)
{
	event_free(d->ev);
	if (d->fd != -1)
		close(d->fd);
	if (d->req.ar_result != NULL)
		freeaddrinfo(d->req.ar_result);
	free(d->host);
	free(d->port);
	free(d);
}

static void
dial_end(struct dial *d, int fd)
{
	dial_done	 done = d->done;
	void		*arg = d->arg;
	char		 why[sizeof(d->why)];

	memcpy(why, d->why, sizeof(why));
	d->fd = -1;
	dial_free(d);
	done(fd, fd == -1 ? why : NULL, arg);
}

static void	dial_event(int, short, void *);

/* Starts with the next address that takes a connect; none: the end. */
static void
dial_next(struct dial *d)
{
	struct addrinfo	*ai;
	int		 on = 1;

	while ((ai = d->next) != NULL) {
		d->next = ai->ai_next;
		d->fd = socket(ai->ai_family, ai->ai_socktype | SOCK_NONBLOCK |
		    SOCK_CLOEXEC, ai->ai_protocol);
		if (d->fd == -1) {
			snprintf(d->why, sizeof(d->why), "socket: %s",
			    strerror(errno));
			continue;
		}
		setsockopt(d->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		if (connect(d->fd, ai->ai_addr, ai->ai_addrlen) == 0 ||
		    errno == EINPROGRESS) {
			event_free(d->ev);
			d->ev = event_new(d->base, d->fd, EV_WRITE, dial_event,
			    d);
			event_add(d->ev, &dial_try);
			return;
		}
		snprintf(d->why, sizeof(d->why), "%s", strerror(errno));
		close(d->fd);
		d->fd = -1;
	}
	dial_end(d, -1);
}

static void
dial_found(struct dial *d)
{
	int	 e;

	d->looking = 0;
	if (d->canceled) {
		dial_free(d);
		return;
	}
	if ((e = gai_error(&d->req)) != 0) {
		snprintf(d->why, sizeof(d->why), "%s", gai_strerror(e));
		dial_end(d, -1);
		return;
	}
	d->next = d->req.ar_result;
	dial_next(d);
}

static void
dial_event(int fd, short what, void *arg)
{
	struct dial	*d = arg;
	socklen_t	 len = sizeof(int);
	int		 e = 0;

	if (d->looking) {
		if (gai_error(&d->req) == EAI_INPROGRESS)
			event_add(d->ev, &dial_poll);
		else
			dial_found(d);
		return;
	}
	if (what & EV_TIMEOUT)
		e = ETIMEDOUT;
	else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &len) == -1)
		e = errno;
	if (e == 0) {
		dial_end(d, fd);
		return;
	}
	snprintf(d->why, sizeof(d->why), "%s", strerror(e));
	close(d->fd);
	d->fd = -1;
	dial_next(d);
}

struct dial *
dial_start(struct event_base *base, const char *host, const char *port,
    dial_done done, void *arg)
{
	struct gaicb	*list[1];
	struct dial	*d;
	static const struct timeval	 soon = { 0, 0 };

	d = xcalloc(1, sizeof(*d));
	d->base = base;
	d->done = done;
	d->arg = arg;
	d->fd = -1;
	d->host = xstrdup(host);
	d->port = xstrdup(port);
	d->hints.ai_socktype = SOCK_STREAM;
	d->hints.ai_flags = AI_NUMERICSERV;
	d->req.ar_name = d->host;
	d->req.ar_service = d->port;
	d->req.ar_request = &d->hints;
	d->ev = evtimer_new(base, dial_event, d);
	d->looking = 1;
	list[0] = &d->req;
	if (getaddrinfo_a(GAI_NOWAIT, list, 1, NULL) != 0) {
		/* No thread to be had: say so from the loop, as ever. */
		d->looking = 0;
		d->next = NULL;
		d->fd = -1;
		snprintf(d->why, sizeof(d->why), "cannot look up names");
		event_free(d->ev);
		d->ev = evtimer_new(base, dial_event, d);
	}
	event_add(d->ev, &soon);
	return (d);
}

void
dial_cancel(struct dial *d)
{
	d->canceled = 1;
	if (!d->looking)
		dial_free(d);
}
