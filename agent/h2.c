/*
 * h2.c - the connection under the gRPC calls: TLS (libtls), HTTP/2 (nghttp2)
 * and the event loop.  A connection on which nothing came for 25 seconds,
 * though pings were sent, is dead.  Nothing is freed inside a call-back of nghttp2:
 * what ends is marked, and the kick event does it from the loop.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <tls.h>

#include "h2_local.h"
#include "util.h"

#define H2_SHAKE_MS	15000	/* connect, hand-shake */
#define H2_PROBE_MS	8000	/* quiet: ping with what is sent */
#define H2_PING_MS	16000	/* quiet: ping */
#define H2_DEAD_MS	25000	/* quiet: dead */
#define H2_OUT_MAX	65536	/* waiting for the socket */
#define H2_WINDOW	(1 << 20)

static const struct timeval	h2_second = { 1, 0 };

void
h2_kick(struct h2 *h)
{
	event_active(h->kick, EV_TIMEOUT, 0);
}

static void __attribute__((format(printf, 2, 3)))
h2_fail(struct h2 *h, const char *fmt, ...)
{
	va_list	 ap;

	if (h->why != NULL)
		return;
	va_start(ap, fmt);
	if (vasprintf(&h->why, fmt, ap) == -1)
		h->why = NULL;
	va_end(ap);
	if (h->why == NULL)
		h->why = xstrdup("out of memory");
	h2_kick(h);
}

static void
h2_free(struct h2 *h)
{
	struct grpc_call	*c;

	while ((c = TAILQ_FIRST(&h->calls)) != NULL) {
		if (h->closed)
			c->silent = 1;
		grpc_on_close(c, h->why != NULL ? h->why : "closed");
	}
	if (!h->closed)
		h->conf.down(h->why, h->conf.arg);
	if (h->dial != NULL)
		dial_cancel(h->dial);
	if (h->ngh != NULL)
		nghttp2_session_del(h->ngh);
	if (h->rd != NULL)
		event_free(h->rd);
	if (h->wr != NULL)
		event_free(h->wr);
	event_free(h->kick);
	event_free(h->tick);
	tls_free(h->tls);
	if (h->fd != -1)
		close(h->fd);
	evbuffer_free(h->out);
	free(h->why);
	free(h->host);
	free(h->port);
	free(h);
}

static int
h2_header(nghttp2_session *ngh, const nghttp2_frame *f, const uint8_t *name,
    size_t namelen, const uint8_t *value, size_t valuelen, uint8_t flags,
    void *arg)
{
	struct grpc_call	*c;

	(void)flags;
	(void)arg;
	c = nghttp2_session_get_stream_user_data(ngh, f->hd.stream_id);
	if (c != NULL)
		grpc_on_header(c, (const char *)name, namelen,
		    (const char *)value, valuelen);
	return (0);
}

static int
h2_data(nghttp2_session *ngh, uint8_t flags, int32_t id, const uint8_t *data,
    size_t len, void *arg)
{
	struct grpc_call	*c;

	(void)flags;
	(void)arg;
	if ((c = nghttp2_session_get_stream_user_data(ngh, id)) != NULL)
		grpc_on_data(c, data, len);
	return (0);
}

static int
h2_stream_close(nghttp2_session *ngh, int32_t id, uint32_t code, void *arg)
{
	struct grpc_call	*c;
	char			 why[64];

	(void)arg;
	c = nghttp2_session_get_stream_user_data(ngh, id);
	if (c == NULL)
		return (0);
	nghttp2_session_set_stream_user_data(ngh, id, NULL);
	snprintf(why, sizeof(why), "stream ended: %s",
	    nghttp2_http2_strerror(code));
	grpc_on_close(c, why);
	return (0);
}

/* The server said that it goes away: what is open may end, then we do. */
static int
h2_frame(nghttp2_session *ngh, const nghttp2_frame *f, void *arg)
{
	struct h2	*h = arg;

	(void)ngh;
	if (f->hd.type == NGHTTP2_GOAWAY)
		h2_fail(h, "the server closed the connection (%s)",
		    nghttp2_http2_strerror(f->goaway.error_code));
	return (0);
}

static int
h2_session(struct h2 *h)
{
	nghttp2_settings_entry	 set[] = {
		{ NGHTTP2_SETTINGS_ENABLE_PUSH, 0 },
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, H2_WINDOW },
	};
	nghttp2_session_callbacks	*cb;
	int				 e;

	if (nghttp2_session_callbacks_new(&cb) != 0)
		return (-1);
	nghttp2_session_callbacks_set_on_header_callback(cb, h2_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, h2_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb,
	    h2_stream_close);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, h2_frame);
	e = nghttp2_session_client_new(&h->ngh, cb, h);
	nghttp2_session_callbacks_del(cb);
	if (e != 0)
		return (-1);
	if (nghttp2_submit_settings(h->ngh, NGHTTP2_FLAG_NONE, set, 2) != 0 ||
	    nghttp2_session_set_local_window_size(h->ngh, NGHTTP2_FLAG_NONE, 0,
	    2 * H2_WINDOW) != 0)
		return (-1);
	return (0);
}

/* -1 and errno EAGAIN: later (an event was added); 0: the end. */
static ssize_t
h2_sock_read(struct h2 *h, void *buf, size_t size)
{
	ssize_t	 n;

	if (h->tls == NULL)
		return (recv(h->fd, buf, size, 0));
	n = tls_read(h->tls, buf, size);
	if (n == TLS_WANT_POLLIN || n == TLS_WANT_POLLOUT) {
		if (n == TLS_WANT_POLLOUT)
			event_add(h->wr, NULL);
		errno = EAGAIN;
		return (-1);
	}
	if (n == -1)
		errno = EIO;
	return (n);
}

static ssize_t
h2_sock_write(struct h2 *h, const void *buf, size_t size)
{
	ssize_t	 n;

	if (h->tls == NULL)
		return (send(h->fd, buf, size, MSG_NOSIGNAL));
	n = tls_write(h->tls, buf, size);
	if (n == TLS_WANT_POLLIN || n == TLS_WANT_POLLOUT) {
		errno = EAGAIN;
		return (-1);
	}
	if (n == -1)
		errno = EIO;
	return (n);
}

static const char *
h2_strerror(struct h2 *h)
{
	const char	*s;

	if (h->tls != NULL && errno == EIO && (s = tls_error(h->tls)) != NULL)
		return (s);
	return (strerror(errno));
}

static void
h2_write(struct h2 *h)
{
	const uint8_t	*data;
	uint8_t		*p;
	ssize_t		 n;
	size_t		 len;

	for (;;) {
		while (evbuffer_get_length(h->out) < H2_OUT_MAX) {
			n = nghttp2_session_mem_send(h->ngh, &data);
			if (n < 0) {
				h2_fail(h, "HTTP/2: %s", nghttp2_strerror(
				    (int)n));
				return;
			}
			if (n == 0)
				break;
			evbuffer_add(h->out, data, (size_t)n);
		}
		if ((len = evbuffer_get_length(h->out)) == 0)
			return;
		if (len > 16384)
			len = 16384;
		p = evbuffer_pullup(h->out, (ssize_t)len);
		if ((n = h2_sock_write(h, p, len)) == -1) {
			if (errno == EAGAIN || errno == EINTR)
				event_add(h->wr, NULL);
			else
				h2_fail(h, "write: %s", h2_strerror(h));
			return;
		}
		evbuffer_drain(h->out, (size_t)n);
	}
}

static int
h2_dead(struct h2 *h)
{
	if (now_mono() - h->last_rx <= H2_DEAD_MS)
		return (0);
	h2_fail(h, "nothing heard for %d seconds", H2_DEAD_MS / 1000);
	return (1);
}

static void
h2_read(struct h2 *h)
{
	uint8_t	 buf[16384];
	ssize_t	 n, used;
	int	 i;

	for (i = 0; i < 16 && h->why == NULL && !h->closed; i++) {
		if ((n = h2_sock_read(h, buf, sizeof(buf))) == -1) {
			if (errno != EAGAIN && errno != EINTR)
				h2_fail(h, "read: %s", h2_strerror(h));
			return;
		}
		if (n == 0) {
			h2_fail(h, "the server closed the connection");
			return;
		}
		/* It, or we, stood still: this is old and will be said again. */
		if (h2_dead(h))
			return;
		h->last_rx = now_mono();
		used = nghttp2_session_mem_recv(h->ngh, buf, (size_t)n);
		if (used < 0) {
			h2_fail(h, "not HTTP/2: %s",
			    nghttp2_strerror((int)used));
			return;
		}
	}
	if (i == 16)
		event_active(h->rd, EV_READ, 0);
}

static void
h2_drained(struct h2 *h)
{
	struct grpc_call	*c, *n;

	TAILQ_FOREACH_SAFE(c, &h->calls, entry, n)
		if (c->drain) {
			c->drain = 0;
			if (!c->silent && c->ops->drained != NULL)
				c->ops->drained(c, c->arg);
		}
}

/* 0 when done, -1 when it waits or has failed. */
static int
h2_shake(struct h2 *h)
{
	const char	*alpn;
	char		 err[256];
	int		 n;

	if (h->tls != NULL) {
		n = tls_handshake(h->tls);
		if (n == TLS_WANT_POLLIN)
			return (-1);
		if (n == TLS_WANT_POLLOUT) {
			event_add(h->wr, NULL);
			return (-1);
		}
		if (n != 0) {
			h2_fail(h, "TLS: %s", tls_error(h->tls));
			return (-1);
		}
		if (h->conf.check != NULL &&
		    h->conf.check(h->tls, h->conf.arg, err, sizeof(err)) == -1) {
			h2_fail(h, "TLS: %s", err);
			return (-1);
		}
		alpn = tls_conn_alpn_selected(h->tls);
		if (alpn == NULL || strcmp(alpn, "h2") != 0) {
			h2_fail(h, "the server does not speak HTTP/2 here; is "
			    "this its runner port?");
			return (-1);
		}
	}
	h->shaken = 1;
	h->last_rx = now_mono();
	if (h2_session(h) == -1) {
		h2_fail(h, "HTTP/2: out of memory");
		return (-1);
	}
	h->conf.up(h->conf.arg);
	return (0);
}

static void
h2_event(int fd, short what, void *arg)
{
	struct h2	*h = arg;

	(void)fd;
	if (h->why != NULL || h->closed)
		return;
	if (!h->shaken && h2_shake(h) == -1)
		return;
	if (what & (EV_READ | EV_WRITE))
		h2_read(h);
	if (h->why == NULL && !h->closed)
		h2_write(h);
	if (h->why == NULL && !h->closed)
		h2_drained(h);
}

static void
h2_on_kick(int fd, short what, void *arg)
{
	struct h2	*h = arg;

	(void)fd;
	(void)what;
	/* Not in h2_close(), which a callback of nghttp2 may lead to. */
	if (h->ngh != NULL && h->closed)
		nghttp2_session_terminate_session(h->ngh, NGHTTP2_NO_ERROR);
	if (h->ngh != NULL && !(h->why != NULL && h->fd == -1))
		h2_write(h);
	if (h->why != NULL || h->closed) {
		h2_free(h);
		return;
	}
	if (h->ngh != NULL)
		h2_drained(h);
}

void
h2_probe(struct h2 *h)
{
	if (h->ngh == NULL || now_mono() - h->last_rx < H2_PROBE_MS)
		return;
	nghttp2_submit_ping(h->ngh, NGHTTP2_FLAG_NONE, NULL);
	h2_kick(h);
}

static void
h2_on_tick(int fd, short what, void *arg)
{
	struct h2	*h = arg;
	uint64_t	 now = now_mono();

	(void)fd;
	(void)what;
	if (h->why != NULL || h->closed)
		return;
	if (!h->shaken) {
		if (now - h->since > H2_SHAKE_MS)
			h2_fail(h, "no answer in %d seconds",
			    H2_SHAKE_MS / 1000);
	} else if (!h2_dead(h) && now - h->last_rx > H2_PING_MS) {
		nghttp2_submit_ping(h->ngh, NGHTTP2_FLAG_NONE, NULL);
		h2_write(h);
	}
}

static void
h2_dialled(int fd, const char *why, void *arg)
{
	struct h2	*h = arg;

	h->dial = NULL;
	if (fd == -1) {
		h2_fail(h, "%s", why);
		return;
	}
	h->fd = fd;
	h->rd = event_new(h->conf.base, fd, EV_READ | EV_PERSIST, h2_event, h);
	h->wr = event_new(h->conf.base, fd, EV_WRITE, h2_event, h);
	event_add(h->rd, NULL);
	if (h->conf.tls != NULL) {
		if ((h->tls = tls_client()) == NULL ||
		    tls_configure(h->tls, h->conf.tls) == -1 ||
		    tls_connect_socket(h->tls, fd, h->host) == -1) {
			h2_fail(h, "TLS: %s", h->tls == NULL ? "no memory" :
			    tls_error(h->tls));
			return;
		}
	}
	event_active(h->wr, EV_WRITE, 0);
}

struct h2 *
h2_open(const struct h2_conf *conf)
{
	struct h2	*h;

	h = xcalloc(1, sizeof(*h));
	h->conf = *conf;
	h->host = xstrdup(conf->host);
	h->port = xstrdup(conf->port);
	h->fd = -1;
	h->since = h->last_rx = now_mono();
	TAILQ_INIT(&h->calls);
	h->out = evbuffer_new();
	h->kick = evtimer_new(conf->base, h2_on_kick, h);
	h->tick = event_new(conf->base, -1, EV_PERSIST, h2_on_tick, h);
	event_add(h->tick, &h2_second);
	h->dial = dial_start(conf->base, h->host, h->port, h2_dialled, h);
	return (h);
}

void
h2_close(struct h2 *h)
{
	h->closed = 1;
	h2_kick(h);
}

uint64_t
h2_last_rx(const struct h2 *h)
{
	return (h->last_rx);
}
