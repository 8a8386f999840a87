/*
 * conn.c - a connection: bytes in from a socket or libtls to the protocol that
 * speaks on it, bytes out at the end of the turn, and what happens when the
 * other side is slow.  Nothing is freed before the end of the turn, so
 * everybody may kill a connection at any time.  What a client sends can end its
 * own connection and nothing else.
 */
#include <sys/socket.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine.h"
#include "log.h"
#include "text.h"
#include "worker.h"

#define READ_SIZE	(64 * 1024)
#define READ_ROUNDS	4		/* then others have their turn */
#define RECORD_MAX	(16 * 1024)	/* of TLS */
#define HANDSHAKES	32		/* steps a turn, up to 1 ms each */

TAILQ_HEAD(conns, conn);

static const char	 preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
static struct conns	 conns = TAILQ_HEAD_INITIALIZER(conns);
static struct conns	 dirty = TAILQ_HEAD_INITIALIZER(dirty);
static struct conns	 dead = TAILQ_HEAD_INITIALIZER(dead);
static uint8_t		 in[READ_SIZE];
static int		 draining;
static int		 paused;	/* some were found by conn_pauses() */
static unsigned int	 steps, late, was_late;	/* of handshakes, in a turn */

static void	 conn_readable(evutil_socket_t, short, void *);
static void	 conn_writable(evutil_socket_t, short, void *);

/* Takes fd, tls and addr over, whatever happens. */
static struct conn *
conn_create(int fd, enum listener_kind kind, struct tls *tls, const char *name,
    struct address *addr)
{
	struct conn	*c;

	if ((c = calloc(1, sizeof(*c))) == NULL)
		fatal("connection");
	c->fd = fd;
	c->kind = kind;
	c->tls = tls;
	c->secure = tls != NULL;
	c->addr = addr;
	c->state = tls != NULL ? CONN_HANDSHAKE : CONN_DETECT;
	strlcpy(c->name, name, sizeof(c->name));
	conn_deadline(c, TIME_HANDSHAKE);
	event_assign(&c->ev_read, worker_base(), fd, EV_READ | EV_PERSIST,
	    conn_readable, c);
	event_assign(&c->ev_write, worker_base(), fd, EV_WRITE, conn_writable,
	    c);
	TAILQ_INSERT_TAIL(&conns, c, entry);
	http_stats.conns++;
	if (event_add(&c->ev_read, NULL) == -1)
		conn_kill(c);
	return (c);
}

int
conn_new(int fd, enum listener_kind kind, struct tls *server, const char *name,
    struct address *addr)
{
	struct tls	*tls = NULL;
	struct conn	*c;

	if (server != NULL && tls_accept_fds(server, &tls, fd, fd) == -1) {
		log_warnx("tls: %s", tls_error(server));
		address_put(addr);
		close(fd);
		return (-1);
	}
	http_stats.accepted++;
	c = conn_create(fd, kind, tls, name, addr);
	if ((c->tls_server = server) != NULL)
		tls_server_use(server);
	return (0);
}

int
conn_adopt(int fd, void *who, void (*who_free)(void *))
{
	struct conn	*c;

	if (http_stats.conns >= conn_max || draining) {
		http_stats.refused++;
		close(fd);
		if (who_free != NULL)
			who_free(who);
		return (-1);
	}
	evutil_make_socket_nonblocking(fd);
	c = conn_create(fd, LISTEN_LOCAL, NULL, "local", NULL);
	c->who = who;
	c->who_free = who_free;
	return (0);
}

static void
conn_free(struct conn *c)
{
	if (c->h1 != NULL)
		http1_free(c);
	if (c->h2 != NULL)
		http2_free(c);
	if (c->is_dirty)
		TAILQ_REMOVE(&dirty, c, dirty);
	limit_queued(c, 0);
	if (c->tls != NULL)
		tls_free(c->tls);
	if (c->tls_server != NULL)
		tls_server_done(c->tls_server);
	close(c->fd);
	address_put(c->addr);
	if (c->who_free != NULL)
		c->who_free(c->who);
	buf_free(&c->in);
	buf_free(&c->out);
	free(c);
	http_stats.conns--;
}

void
conn_kill(struct conn *c)
{
	if (c->state == CONN_DEAD)
		return;
	c->state = CONN_DEAD;
	event_del(&c->ev_read);
	event_del(&c->ev_write);
	TAILQ_REMOVE(&conns, c, entry);
	TAILQ_INSERT_TAIL(&dead, c, entry);
}

void
conn_dirty(struct conn *c)
{
	if (c->is_dirty || c->state == CONN_DEAD)
		return;
	c->is_dirty = 1;
	TAILQ_INSERT_TAIL(&dirty, c, dirty);
}

void
conn_write(struct conn *c, const void *p, size_t n)
{
	buf_add(&c->out, p, n);
	conn_dirty(c);
}

void
conn_deadline(struct conn *c, uint64_t ms)
{
	c->deadline = ms == 0 ? 0 : worker_mono_ms() + ms;
}

void
conn_finish(struct conn *c)
{
	if (c->state == CONN_DEAD || c->state == CONN_LINGER)
		return;
	c->state = CONN_FLUSH;
	conn_deadline(c, 0);
	conn_dirty(c);
}

/*
 * Everything is sent: say so, and read on, because closing a socket with unread
 * bytes resets it and takes our answer with it.  That is for a moment, or for
 * as long as the other side goes on: many look for an answer only when all of a
 * body is sent.  But then it counts as one that reads nothing (conn_stalls()).
 */
static void
conn_linger(struct conn *c)
{
	if (c->tls != NULL)
		tls_close(c->tls);
	shutdown(c->fd, SHUT_WR);
	c->state = CONN_LINGER;
	conn_deadline(c, TIME_LINGER);
	c->stall_since = worker_mono_ms();
	c->stall_sent = 0;
	if (c->eof)
		conn_kill(c);
	else
		event_add(&c->ev_read, NULL);
}

static size_t
detect(struct conn *c, const uint8_t *p, size_t n)
{
	size_t	 len = sizeof(preface) - 1;

	if (n < len && memcmp(p, preface, n) == 0)
		return (0);
	if (n >= len && memcmp(p, preface, len) == 0)
		http2_open(c);
	else
		http1_open(c);
	return (0);
}

static size_t
conn_consume(struct conn *c, const uint8_t *p, size_t n)
{
	size_t	 used = 0;

	if (c->state == CONN_DETECT)
		used = detect(c, p, n);
	if (c->state == CONN_HTTP1)
		return (http1_input(c, p, n));
	if (c->state == CONN_HTTP2)
		return (http2_input(c, p, n));
	if (c->state == CONN_LINGER && !draining)
		conn_deadline(c, TIME_LINGER);
	return (c->state == CONN_DETECT ? used : n);
}

/* Too much of what runners sent waits: nothing more of it is read. */
static int
conn_pauses(const struct conn *c)
{
	if (!limit_waiting_full(c))
		return (0);
	paused = 1;
	return (1);
}

static void
conn_input(struct conn *c, const uint8_t *p, size_t n)
{
	size_t	 used;

	if (c->in.len == 0 && n > 0) {
		used = conn_consume(c, p, n);
		if (used < n && c->state <= CONN_HTTP2)
			buf_add(&c->in, p + used, n - used);
	} else if (c->in.len + n > 0) {
		buf_add(&c->in, p, n);
		used = conn_consume(c, buf_head(&c->in), c->in.len);
		if (c->in.len > 0)
			buf_drain(&c->in, used);
	}
	if (c->in.len >= IN_MAX || c->out.len > OUT_HIGH || conn_pauses(c))
		event_del(&c->ev_read);
}

/* Asks libtls or the kernel.  Bytes, 0 at the end, -1 not now, -2 broken. */
static ssize_t
conn_recv(struct conn *c)
{
	ssize_t	 n;

	/* After our close_notify nobody decrypts what still comes. */
	if (c->tls == NULL || c->state == CONN_LINGER) {
		n = recv(c->fd, in, sizeof(in), 0);
		if (n == -1)
			return (errno == EAGAIN || errno == EINTR ? -1 : -2);
		return (n);
	}
	n = tls_read(c->tls, in, sizeof(in));
	c->want_out = n == TLS_WANT_POLLOUT;
	if (n == TLS_WANT_POLLIN || n == TLS_WANT_POLLOUT)
		return (-1);
	return (n == -1 ? -2 : n);
}

static void
conn_ended(struct conn *c)
{
	c->eof = 1;
	event_del(&c->ev_read);
	if (c->state == CONN_HTTP1)
		http1_eof(c);
	else if (c->state != CONN_FLUSH)
		conn_kill(c);
}

static void
conn_secured(struct conn *c)
{
	const char	*alpn = tls_conn_alpn_selected(c->tls);
	const char	*hash;

	if (tls_peer_cert_provided(c->tls) &&
	    (hash = tls_peer_cert_hash(c->tls)) != NULL &&
	    strncmp(hash, "SHA256:", 7) == 0 &&
	    text_unhex(c->cert_hash, sizeof(c->cert_hash), hash + 7) == 0)
		c->has_cert = 1;
	c->state = CONN_DETECT;
	conn_deadline(c, TIME_HANDSHAKE);
	if (alpn != NULL && strcmp(alpn, "h2") == 0)
		http2_open(c);
}

/*
 * 0 when it is done.  When thousands come at once, each turn takes its part:
 * whoever is late is still readable, or writable, in the next one.
 */
static int
conn_handshake(struct conn *c, short what)
{
	int	 rc;

	if (steps == HANDSHAKES) {
		late++;
		if (what & EV_WRITE)
			event_add(&c->ev_write, NULL);
		return (-1);
	}
	steps++;
	if ((rc = tls_handshake(c->tls)) == 0) {
		conn_secured(c);
		return (0);
	}
	if (rc == TLS_WANT_POLLOUT)
		event_add(&c->ev_write, NULL);
	else if (rc != TLS_WANT_POLLIN) {
		log_debug("%s: tls: %s", c->name, tls_error(c->tls));
		conn_kill(c);
	}
	return (-1);
}

static void
conn_readable(evutil_socket_t fd, short what, void *arg)
{
	struct conn	*c = arg;
	ssize_t		 n = -1;
	int		 i;

	(void)fd;
	if (c->state == CONN_HANDSHAKE && conn_handshake(c, what) == -1)
		return;
	if (!c->want_out && conn_pauses(c)) {
		event_del(&c->ev_read);
		return;
	}
	for (i = 0; i < READ_ROUNDS && c->state != CONN_DEAD; i++) {
		if ((n = conn_recv(c)) <= 0)
			break;
		http_stats.bytes_in += (uint64_t)n;
		conn_input(c, in, (size_t)n);
		explicit_bzero(in, (size_t)n);
		/* A plain socket that gave less has no more. */
		if (c->tls == NULL && (size_t)n < sizeof(in))
			break;
		if (!event_pending(&c->ev_read, EV_READ, NULL))
			break;
	}
	if (c->state == CONN_DEAD)
		return;
	if (n == 0)
		conn_ended(c);
	else if (n == -2)
		conn_kill(c);
	else if (i == READ_ROUNDS && c->tls != NULL)
		event_active(&c->ev_read, EV_READ, 0);
	if (c->want_out)
		event_add(&c->ev_write, NULL);
	conn_dirty(c);
}

static void
conn_writable(evutil_socket_t fd, short what, void *arg)
{
	struct conn	*c = arg;

	if (c->state == CONN_HANDSHAKE || c->want_out)
		conn_readable(fd, what, c);
	conn_dirty(c);
}

/* One piece.  Bytes, -1 not now, -2 broken. */
static ssize_t
conn_send(struct conn *c)
{
	ssize_t	 n;

	if (c->tls == NULL) {
		n = send(c->fd, buf_head(&c->out), c->out.len, MSG_NOSIGNAL);
		if (n == -1)
			return (errno == EAGAIN || errno == EINTR ? -1 : -2);
		return (n);
	}
	n = tls_write(c->tls, buf_head(&c->out),
	    c->out.len < RECORD_MAX ? c->out.len : RECORD_MAX);
	if (n == TLS_WANT_POLLIN || n == TLS_WANT_POLLOUT)
		return (-1);
	return (n == -1 ? -2 : n);
}

static void
conn_flush(struct conn *c)
{
	ssize_t	 n = 0;

	if (c->state == CONN_HANDSHAKE || c->state == CONN_LINGER)
		return;
	if (c->state == CONN_FLUSH)
		buf_free(&c->in);
	for (;;) {
		if (c->state == CONN_HTTP2 && http2_fill(c) == -1)
			conn_finish(c);
		if (c->out.len == 0 || (n = conn_send(c)) <= 0)
			break;
		http_stats.bytes_out += (uint64_t)n;
		c->stall_sent += (size_t)n;
		buf_drain(&c->out, (size_t)n);
	}
	if (n == -2) {
		conn_kill(c);
		return;
	}
	if (c->out.len > 0) {
		event_add(&c->ev_write, NULL);
		if (c->stall_since == 0) {
			c->stall_since = worker_mono_ms();
			c->stall_sent = 0;
		}
	} else {
		c->stall_since = 0;
		if (c->state == CONN_FLUSH)
			conn_linger(c);
	}
}

/* At the end of a turn: held input, then output, as long as both go on. */
static void
conn_turn(struct conn *c)
{
	int	 was_high;

	do {
		if (c->in.len > 0 && c->out.len <= OUT_HIGH &&
		    c->state == CONN_HTTP1 && !http1_busy(c))
			conn_input(c, NULL, 0);
		was_high = c->out.len > OUT_HIGH;
		if (c->state != CONN_DEAD)
			conn_flush(c);
	} while (was_high && c->in.len > 0 && c->out.len <= OUT_HIGH &&
	    c->state == CONN_HTTP1);
	/* What stands before the end has been handled. */
	if (c->eof && c->out.len <= OUT_HIGH && c->state == CONN_HTTP1 &&
	    !http1_busy(c))
		http1_eof(c);
	/* Of HTTP/2 the queues of its streams are counted. */
	if (c->h1 != NULL)
		limit_queued(c, c->out.len);
	if (c->state == CONN_HTTP1)
		http1_flushed(c);
	else if (c->state == CONN_HTTP2)
		http2_flushed(c);
	if (c->state != CONN_DEAD && !c->eof && c->in.len < IN_MAX &&
	    c->out.len <= OUT_HIGH && !conn_pauses(c))
		event_add(&c->ev_read, NULL);
}

int
conn_handshakes_late(void)
{
	return (late > 0 || was_late > 0);
}

/* What waits goes on; all are read again when half of it is gone. */
static void
resume(void)
{
	struct conn	*c;

	grpc_resume();
	if (!paused || http_stats.waiting > WAITING_MAX / 2)
		return;
	paused = 0;
	TAILQ_FOREACH(c, &conns, entry)
		conn_dirty(c);
}

void
http_turn(void)
{
	struct conn	*c;

	resume();
	was_late = late;
	steps = late = 0;
	while (!TAILQ_EMPTY(&dirty) || !TAILQ_EMPTY(&dead)) {
		if ((c = TAILQ_FIRST(&dirty)) != NULL) {
			TAILQ_REMOVE(&dirty, c, dirty);
			c->is_dirty = 0;
			if (c->state != CONN_DEAD)
				conn_turn(c);
		} else if ((c = TAILQ_FIRST(&dead)) != NULL) {
			TAILQ_REMOVE(&dead, c, entry);
			conn_free(c);
		}
	}
}

/*
 * The reader is too slow when in TIME_STALL it took less than STALL_BYTES of
 * what was waiting for it.
 */
static int
conn_stalls(struct conn *c, uint64_t now)
{
	if (c->stall_since == 0 || now - c->stall_since < TIME_STALL)
		return (0);
	if (c->stall_sent < STALL_BYTES)
		return (1);
	c->stall_since = now;
	c->stall_sent = 0;
	return (0);
}

int
conn_is_crowded(void)
{
	return (http_stats.conns > conn_max / 4 * 3);
}

/*
 * Nearly full: whoever sits on a connection without a request makes room, over
 * HTTP/2 too (http2_tick()).
 */
static int
conn_makes_room(struct conn *c, uint64_t now)
{
	return (conn_is_crowded() &&
	    c->state == CONN_HTTP1 && http1_idle(c) &&
	    c->deadline < now + TIME_IDLE - TIME_CROWDED);
}

void
http_janitor(void)
{
	struct conn	*c, *next;
	uint64_t	 now = worker_mono_ms();

	listener_tick();
	TAILQ_FOREACH_SAFE(c, &conns, entry, next) {
		if (conn_stalls(c, now))
			conn_kill(c);
		else if (conn_makes_room(c, now))
			conn_finish(c);
		else if (c->deadline != 0 && now >= c->deadline) {
			if (c->state == CONN_HTTP1)
				http1_late(c);
			else
				conn_kill(c);
		} else if (c->state == CONN_HTTP2)
			http2_tick(c);
	}
	stream_tick();
}

/* Nothing new: idle connections end, those with a request after its answer. */
void
http_drain(void)
{
	struct conn	*c, *next;

	draining = 1;
	listener_close();
	stream_drain();
	grpc_drain();
	TAILQ_FOREACH_SAFE(c, &conns, entry, next) {
		if (c->state == CONN_HTTP2)
			http2_drain(c);
		else if (c->state == CONN_HANDSHAKE)
			conn_kill(c);	/* too late to be asked to leave */
		else if (c->state == CONN_DETECT ||
		    (c->state == CONN_HTTP1 && http1_idle(c)))
			conn_finish(c);
	}
}

int
http_is_draining(void)
{
	return (draining);
}

int
http_is_idle(void)
{
	return (http_stats.conns == 0);
}
