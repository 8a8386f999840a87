/*
 * conn.c - a TLS connection to the API listener.  Written to at once, so that
 * the time of the first byte is that of the call; read as long as something
 * comes.  Nothing is freed below a call-back: what ends is marked.
 */
#include <sys/queue.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <sodium.h>
#include <tls.h>

#include "client.h"
#include "h2.h"
#include "log.h"
#include "tls_for.h"
#include "util.h"

#define CONN_IN		4096		/* to begin with */
#define CONN_IN_MAX	(8 << 20)
#define CONN_READ	16384		/* room for a TLS record */
#define CONN_SHAKE_S	15

struct conn {
	TAILQ_ENTRY(conn)	 entry;
	const struct conn_ops	*ops;
	void			*arg;
	struct dial		*dial;
	struct tls		*tls;
	struct event		 rd, wr, late;
	struct evbuffer		*out;
	char			*in;
	size_t			 len, size;
	char			 why[200];
	int			 fd;
	int			 up, busy, failed, closed;
};

static TAILQ_HEAD(, conn)	 conns = TAILQ_HEAD_INITIALIZER(conns);

static void
conn_free(struct conn *c)
{
	TAILQ_REMOVE(&conns, c, entry);
	if (c->dial != NULL)
		dial_cancel(c->dial);
	evtimer_del(&c->late);
	if (c->fd != -1) {
		event_del(&c->rd);
		event_del(&c->wr);
		close(c->fd);
	}
	tls_free(c->tls);
	evbuffer_free(c->out);
	free(c->in);
	free(c);
}

/* At the end of each call-back from the loop. */
static void
conn_settle(struct conn *c)
{
	c->busy--;
	if (c->busy > 0 || (!c->failed && !c->closed))
		return;
	if (!c->closed)
		c->ops->down(c->why, c->arg);
	conn_free(c);
}

/* Told from the loop, never from below the caller. */
static void
conn_fail(struct conn *c, const char *why)
{
	if (c->failed)
		return;
	c->failed = 1;
	strlcpy(c->why, why == NULL ? "?" : why, sizeof(c->why));
	event_active(&c->late, EV_TIMEOUT, 0);
}

static void
conn_late(int fd, short what, void *arg)
{
	struct conn	*c = arg;

	(void)fd;
	(void)what;
	c->busy++;
	if (!c->failed && !c->up)
		conn_fail(c, "no connection in time");
	conn_settle(c);
}

static void
conn_flush(struct conn *c)
{
	ssize_t	 n;
	size_t	 len;

	while ((len = evbuffer_get_length(c->out)) > 0) {
		if (len > CONN_READ)
			len = CONN_READ;
		n = tls_write(c->tls, evbuffer_pullup(c->out, (ssize_t)len),
		    len);
		if (n == TLS_WANT_POLLIN || n == TLS_WANT_POLLOUT) {
			event_add(&c->wr, NULL);
			return;
		}
		if (n == -1) {
			conn_fail(c, tls_error(c->tls));
			return;
		}
		evbuffer_drain(c->out, (size_t)n);
	}
}

void
conn_write(struct conn *c, const void *p, size_t len)
{
	evbuffer_add(c->out, p, len);
	if (c->up)
		conn_flush(c);
}

static void
conn_grow(struct conn *c)
{
	if (c->size - c->len >= CONN_READ)
		return;
	c->size = c->size == 0 ? CONN_IN + CONN_READ : c->size * 2;
	if (c->size > CONN_IN_MAX)
		fatalx("an answer of more than %d bytes", CONN_IN_MAX);
	c->in = xrealloc(c->in, c->size);
}

static void
conn_read(struct conn *c)
{
	ssize_t	 n;
	size_t	 used;

	while (!c->failed && !c->closed) {
		conn_grow(c);
		n = tls_read(c->tls, c->in + c->len, c->size - c->len - 1);
		if (n == TLS_WANT_POLLIN || n == TLS_WANT_POLLOUT) {
			if (n == TLS_WANT_POLLOUT)
				event_add(&c->wr, NULL);
			return;
		}
		if (n <= 0) {
			conn_fail(c, n == 0 ? "the server closed the "
			    "connection" : tls_error(c->tls));
			return;
		}
		c->len += (size_t)n;
		c->in[c->len] = '\0';
		used = c->ops->data(c->in, c->len, c->arg);
		if (used > 0 && used < c->len)
			memmove(c->in, c->in + used, c->len - used);
		c->len -= used;
	}
}

/* 0 when done. */
static int
conn_shake(struct conn *c)
{
	int	 n = tls_handshake(c->tls);

	if (n == TLS_WANT_POLLIN || n == TLS_WANT_POLLOUT) {
		if (n == TLS_WANT_POLLOUT)
			event_add(&c->wr, NULL);
		return (-1);
	}
	if (n != 0) {
		conn_fail(c, tls_error(c->tls));
		return (-1);
	}
	c->up = 1;
	evtimer_del(&c->late);
	c->ops->up(c->arg);
	return (0);
}

static void
conn_event(int fd, short what, void *arg)
{
	struct conn	*c = arg;

	(void)fd;
	(void)what;
	c->busy++;
	if (!c->failed && !c->closed && (c->up || conn_shake(c) == 0)) {
		if (!c->failed && !c->closed)
			conn_flush(c);
		conn_read(c);
	}
	conn_settle(c);
}

static void
conn_dialled(int fd, const char *why, void *arg)
{
	static struct tls_config	*config;
	struct conn			*c = arg;

	if (config == NULL)
		config = tls_for_api(fleet->ca, "http/1.1");
	c->busy++;
	c->dial = NULL;
	if (fd == -1)
		conn_fail(c, why);
	else {
		c->fd = fd;
		event_assign(&c->rd, fleet->base, fd, EV_READ | EV_PERSIST,
		    conn_event, c);
		event_assign(&c->wr, fleet->base, fd, EV_WRITE, conn_event, c);
		event_add(&c->rd, NULL);
		if ((c->tls = tls_client()) == NULL ||
		    tls_configure(c->tls, config) == -1 ||
		    tls_connect_socket(c->tls, fd, fleet->api_host) == -1)
			fatalx("TLS: %s", c->tls == NULL ? "memory" :
			    tls_error(c->tls));
		event_active(&c->wr, EV_WRITE, 0);
	}
	conn_settle(c);
}

struct conn *
conn_open(const struct conn_ops *ops, void *arg)
{
	struct timeval	 tv = { CONN_SHAKE_S, 0 };
	struct conn	*c;

	c = xcalloc(1, sizeof(*c));
	c->ops = ops;
	c->arg = arg;
	c->fd = -1;
	c->out = evbuffer_new();
	evtimer_assign(&c->late, fleet->base, conn_late, c);
	evtimer_add(&c->late, &tv);
	TAILQ_INSERT_TAIL(&conns, c, entry);
	c->dial = dial_start(fleet->base, fleet->api_host, fleet->api_port,
	    conn_dialled, c);
	return (c);
}

void
conn_close(struct conn *c)
{
	c->closed = 1;
	if (c->busy == 0)
		conn_free(c);
}

void
conns_cut(unsigned int percent)
{
	struct conn	*c;

	TAILQ_FOREACH(c, &conns, entry)
		if (c->up && randombytes_uniform(100) < percent)
			conn_fail(c, "cut");
}
