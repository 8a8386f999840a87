/*
 * engine.h - the insides of the network half: buffers, connections, exchanges
 * and what the files of the engine call in each other.
 */
#ifndef ENGINE_H
#define ENGINE_H

#include <event2/event.h>
#include <event2/event_struct.h>
#include <tls.h>

#include "frontd.h"

#define HEAD_MAX	(16 * 1024)	/* request line and header fields */
#define TARGET_MAX	(8 * 1024)
#define FIELDS_MAX	100
#define PARAMS_MAX	64
#define REPLY_FIELDS	16
#define IN_MAX		(64 * 1024)	/* pipelined bytes held back */
#define OUT_HIGH	(256 * 1024)	/* no more input is handled above */
#define BODIES_MAX	(256UL << 20)	/* of all requests being read */

#define TIME_HANDSHAKE	10000
#define TIME_HEAD	10000
#define TIME_BODY	60000
#define TIME_IDLE	75000
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

struct conn {
	TAILQ_ENTRY(conn)	 entry;
	TAILQ_ENTRY(conn)	 dirty;
	struct event		 ev_read, ev_write;
	struct tls		*tls;
	struct buf		 in, out;
	struct http1		*h1;
	struct http2		*h2;
	struct address		*addr;		/* limit.c's */
	void			*who;
	void			(*who_free)(void *);
	uint64_t		 deadline;	/* monotonic ms, 0: none */
	uint64_t		 stall_since;	/* out is not empty since */
	size_t			 stall_sent;
	int			 fd;
	enum listener_kind	 kind;
	enum conn_state		 state;
	unsigned int		 is_dirty:1, eof:1, want_out:1, has_cert:1,
				 secure:1;
	uint8_t			 cert_hash[32];
	char			 name[64];	/* address */
};
int	 conn_new(int, enum listener_kind, struct tls *, const char *,
	    struct address *);
void	 conn_dirty(struct conn *);
void	 conn_write(struct conn *, const void *, size_t);
void	 conn_finish(struct conn *);	/* close when out is empty */
void	 conn_kill(struct conn *);
void	 conn_deadline(struct conn *, uint64_t);

/* limit.c: connections per address, and in all. */
struct address	*address_get(const char *);	/* NULL: too many */
void	 address_put(struct address *);

/* One request or reply header field. */
struct field {
	const char	*name, *value;
};

/* A way to carry a reply: http1.c and http2.c. */
struct transport {
	/* length -1: a stream.  The body follows, then end(). */
	void	(*head)(struct exchange *, int, const struct field *, size_t,
		    int64_t);
	void	(*body)(struct exchange *, const void *, size_t);
	void	(*end)(struct exchange *);
	void	(*cut)(struct exchange *);	/* broken off */
	size_t	(*queued)(const struct exchange *);
};

enum exchange_state { X_HEAD, X_BODY, X_CALLED, X_STREAM };

/* request.c: a request and the engine's knowledge of it; one allocation. */
struct exchange {
	struct request		 req;
	const struct transport	*t;
	struct conn		*c;
	struct h2_stream	*h2;
	struct ws		*ws;
	struct chunk		*chunks;	/* arena */
	enum exchange_state	 state;
	TAILQ_ENTRY(exchange)	 stream;	/* stream.c's */
	uint64_t		 beat;
	unsigned int		 is_head:1, secret:1, close:1, high:1,
				 listed:1, http10:1;
	int			 bad;		/* status of a broken head */
	const char		*bad_text;
	const char		*target, *verb;
	const char		*te, *length;	/* HTTP/1 framing headers */
	size_t			 nfields, fields_size;
	size_t			 body_size;	/* allocated */
	struct field		 reply[REPLY_FIELDS];
	size_t			 nreply;
	int			 status;
};
struct exchange	*exchange_new(struct conn *, const struct transport *);
void	 exchange_free(struct exchange *);
char	*exchange_copy(struct exchange *, const char *, size_t);
void	*exchange_alloc(struct exchange *, size_t);
void	 exchange_bad(struct exchange *, int, const char *);
void	 exchange_refuse(struct exchange *, int, const char *);
void	 exchange_field(struct exchange *, const char *, size_t, const char *,
	    size_t);
/* -1: answered with an error.  has_body; its length or -1. */
int	 exchange_head(struct exchange *, int, int64_t);
int	 exchange_body(struct exchange *, const void *, size_t);
void	 exchange_call(struct exchange *);
void	 exchange_closed(struct exchange *);	/* the client is gone: frees */
void	 exchange_drained(struct exchange *);

/* The rest, by file. */
const struct route *route_find(struct request *, char **, int *);
int	 query_target(struct exchange *);
int	 host_check(struct exchange *);
int	 host_origin(const struct request *);
int	 host_is_ours(const struct request *);
int	 host_page_may(const struct request *);
void	 host_allow(const char *), host_origin_allow(const char *);
void	 host_clear(void);
void	 respond_cors(struct request *);
void	 respond_head(struct exchange *, int, const char *, int64_t);
void	 respond_over(struct exchange *);
const char *respond_reason(int);
const char *respond_date(void);

void	 http1_open(struct conn *), http1_free(struct conn *);
size_t	 http1_input(struct conn *, const uint8_t *, size_t);
void	 http1_eof(struct conn *), http1_late(struct conn *);
void	 http1_flushed(struct conn *);
int	 http1_busy(const struct conn *);
void	 http1_switch(struct exchange *, const char *, const char *);

void	 http2_open(struct conn *), http2_free(struct conn *);
size_t	 http2_input(struct conn *, const uint8_t *, size_t);
int	 http2_fill(struct conn *);
void	 http2_flushed(struct conn *), http2_tick(struct conn *);
void	 http2_drain(struct conn *);

void	 stream_tick(void), stream_drain(void);
void	 grpc_drain(void);
void	 stream_forget(struct exchange *);
int	 ws_wanted(struct exchange *);
void	 ws_open(struct exchange *), ws_free(struct exchange *);
int	 ws_input(struct exchange *, const uint8_t *, size_t);
void	 ws_send(struct exchange *, const char *, size_t);
void	 ws_ping(struct exchange *), ws_end(struct exchange *);
void	 sha1(const void *, size_t, uint8_t[20]);

/* http.c: what main.c and the tests drive the engine with. */
struct http_stats {
	uint64_t	 accepted, refused, requests, errors, streams, grpc;
	uint64_t	 bytes_in, bytes_out;
	size_t		 conns, bodies;
};
extern struct http_stats http_stats;
void	 http_turn(void), http_janitor(void), http_drain(void);
int	 http_is_idle(void), http_is_draining(void);
size_t	 http_metrics(char *, size_t);
int	 listener_add(int, enum listener_kind, int);
void	 listener_tick(void), listener_pause(void), listener_close(void);
/* PEM; with a CA the clients may show certificates of it. */
struct tls_material {
	const uint8_t	*cert, *key, *ca;
	size_t		 cert_len, key_len, ca_len;
};
int	 tls_setup(const struct tls_material *);
struct tls *tls_server_get(void);
void	 health_set(int);
extern size_t conn_max, conn_max_address;

#endif
