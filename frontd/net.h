/*
 * net.h - connections: what buf.c, conn.c, limit.c, listener.c, metrics.c and
 * tls.c offer.  A protocol on a connection knows no more of the network.
 */
#ifndef NET_H
#define NET_H

#include <event2/event.h>
#include <event2/event_struct.h>
#include <tls.h>

#include "frontd.h"

#define IN_MAX		(64 * 1024)	/* pipelined bytes held back */
#define OUT_HIGH	(256 * 1024)	/* no more input is handled above */
#define BODIES_MAX	(256UL << 20)	/* of all requests being read */
/* Of HTTP/2: each connection may be a runner's, with its Connect and Logs. */
#define STREAMS_MAX	(10000 + 2 * conn_max)
#define UNSENT_MAX	(256UL << 20)	/* of answers that nobody has read; */
#define UNSENT_OWN	(256UL * 1024)	/* a connection may always have these */
#define WAITING_MAX	(64UL << 20)	/* from runners, for runnerd's queue */
#define STALL_BYTES	(16UL * 1024)	/* who takes fewer in TIME_STALL is cut */

/* Milliseconds. */
#define TIME_HANDSHAKE	10000
#define TIME_HEAD	10000
#define TIME_BODY	60000
#define TIME_IDLE	75000
#define TIME_CROWDED	5000		/* idle, when room is scarce */
#define TIME_STALL	30000
#define TIME_LINGER	2000
#define TIME_BEAT	15000		/* SSE comment, WebSocket ping */

/* buf.c: a byte queue; what leaves it is wiped. */
struct buf {
	uint8_t	*data;
	size_t	 off, len, size;
};
void	 buf_add(struct buf *, const void *, size_t);
void	 buf_printf(struct buf *, const char *, ...)
	    __attribute__((format(printf, 2, 3)));
uint8_t	*buf_head(const struct buf *);
void	 buf_drain(struct buf *, size_t);
void	 buf_free(struct buf *);

/* conn.c */
enum conn_state { CONN_HANDSHAKE, CONN_DETECT, CONN_HTTP1, CONN_HTTP2,
	CONN_FLUSH, CONN_LINGER, CONN_DEAD };

/* Freed at the end of the turn in which it died. */
struct conn {
	TAILQ_ENTRY(conn)	 entry;
	TAILQ_ENTRY(conn)	 dirty;
	struct event		 ev_read, ev_write;
	struct tls		*tls;
	struct tls		*tls_server;	/* that it was made of; or NULL */
	struct buf		 in, out;
	struct http1		*h1;
	struct http2		*h2;
	struct address		*addr;		/* limit.c's */
	void			*who;
	void			(*who_free)(void *);
	uint64_t		 deadline;	/* monotonic ms, 0: none */
	uint64_t		 stall_since;	/* out is not empty since */
	size_t			 stall_sent;
	size_t			 unsent;	/* limit_queued() */
	int			 fd;
	enum listener_kind	 kind;
	enum conn_state		 state;
	unsigned int		 is_dirty:1, eof:1, want_out:1, has_cert:1,
				 secure:1;
	uint8_t			 cert_hash[32];
	char			 name[64];	/* address */
};
/* Takes fd and address over, whatever happens. */
int	 conn_new(int, enum listener_kind, struct tls *, const char *,
	    struct address *);
void	 conn_dirty(struct conn *);	/* has work at the end of the turn */
void	 conn_write(struct conn *, const void *, size_t);
void	 conn_finish(struct conn *);	/* close when out is empty */
void	 conn_kill(struct conn *);
void	 conn_deadline(struct conn *, uint64_t);
int	 conn_is_crowded(void);	/* nearly as many as there may be */
int	 conn_handshakes_late(void);	/* some wait for another turn */
/* What main.c drives all of it with. */
void	 http_turn(void), http_janitor(void), http_drain(void);
int	 http_is_idle(void), http_is_draining(void);

/* limit.c: connections per address, and in all. */
extern size_t	 conn_max, conn_max_address;
struct address	*address_get(const char *);	/* NULL: too many */
void		 address_put(struct address *);
/* What requests that are being received take; a full house takes no more. */
void		 limit_hold(struct conn *, size_t);
void		 limit_release(struct conn *, size_t);
int		 limit_full(const struct conn *);
/* The streams of HTTP/2 that are open, likewise. */
void		 limit_stream_begin(struct conn *);
void		 limit_stream_end(struct conn *);
int		 limit_streams_full(const struct conn *);
/* n bytes of answers wait on it now; unread: n more would be too many. */
void		 limit_queued(struct conn *, size_t);
int		 limit_unread(const struct conn *, size_t);
/* What came from runners and waits; full: no more is read. */
void		 limit_wait(size_t), limit_waited(size_t);
int		 limit_waiting_full(const struct conn *);

/* listener.c */
int	 listener_add(int, enum listener_kind, int);
void	 listener_tick(void), listener_pause(void), listener_close(void);

/* tls.c: PEM; with a CA the clients may show certificates of it. */
struct tls_material {
	const uint8_t	*cert, *key, *ca;
	size_t		 cert_len, key_len, ca_len;
};
int	 tls_setup(const struct tls_material *);
/* The one for new connections, or NULL; whoever has it between use() and done(). */
struct tls *tls_server_get(void);
void	 tls_server_use(struct tls *);
void	 tls_server_done(struct tls *);

/* metrics.c */
struct http_stats {
	uint64_t	 accepted, refused, requests, errors, streams, grpc;
	uint64_t	 bytes_in, bytes_out;
	size_t		 conns, bodies, unsent, waiting;
	size_t		 open;		/* streams of HTTP/2 */
	size_t		 checks[CHECK_KINDS];
};
extern struct http_stats http_stats;
size_t	 http_metrics(char *, size_t);

#endif
