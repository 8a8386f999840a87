/*
 * engine.h - the insides of HTTP: an exchange, what carries it, and what the
 * files of the engine call in each other.
 */
#ifndef ENGINE_H
#define ENGINE_H

#include <sys/types.h>

#include "net.h"

#define HEAD_MAX	(16 * 1024)	/* request line and header fields */
#define TARGET_MAX	(8 * 1024)
#define FIELDS_MAX	100
#define PARAMS_MAX	64
#define REPLY_FIELDS	16

/* One request or reply header field. */
struct field {
	const char	*name, *value;
};

/* A way to carry a reply: http1.c and http2_out.c. */
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

/* A request and the engine's knowledge of it, until it is over. */
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
	unsigned int		 is_head:1, last:1, high:1, listed:1,
				 http10:1;
	int			 bad;		/* status of a broken head */
	const char		*bad_text;
	const char		*target, *verb;
	int			 te, length;	/* HTTP/1 framing, seen */
	size_t			 nfields, fields_size;
	size_t			 body_size;	/* allocated */
	struct field		 reply[REPLY_FIELDS];
	size_t			 nreply;
	int			 status;
};

/* request.c */
struct exchange	*exchange_new(struct conn *, const struct transport *);
void	 exchange_free(struct exchange *);
char	*exchange_copy(struct exchange *, const char *, size_t);
void	*exchange_alloc(struct exchange *, size_t);
void	 exchange_bad(struct exchange *, int, const char *);
void	 exchange_field(struct exchange *, const char *, size_t, const char *,
	    size_t);
int	 exchange_body(struct exchange *, const void *, size_t);
void	 exchange_call(struct exchange *);
void	 exchange_closed(struct exchange *);	/* the client is gone: frees */
void	 exchange_drained(struct exchange *);

/* check.c; -1: answered with an error.  has_body: its length or -1. */
int	 exchange_head(struct exchange *, int, int64_t);
int	 exchange_body_wanted(struct exchange *, int, int64_t);
int	 exchange_expects(struct exchange *);
void	 exchange_refuse(struct exchange *, int, const char *);

/* route.c, query.c, host.c, respond.c */
const struct route *route_find(struct request *, char **, int *);
int	 query_target(struct exchange *);
int	 host_check(struct exchange *);
int	 host_is_ours(const struct request *);
int	 host_origin(const struct request *);
int	 host_page_may(const struct request *);
void	 host_allow(const char *), host_origin_allow(const char *);
void	 host_clear(void);
void	 respond_cors(struct request *);
void	 respond_head(struct exchange *, int, const char *, int64_t);
void	 respond_over(struct exchange *);
const char *respond_reason(int);
const char *respond_date(void);

/* http1_head.c */
enum scan { SCAN_START, SCAN_LINE, SCAN_CR, SCAN_BOL, SCAN_END };
struct head_scan {
	enum scan	 state;
	size_t		 done;		/* bytes that were looked at */
};
ssize_t	 head_scan(struct head_scan *, const uint8_t *, size_t);
int	 head_line_is_good(const char *, size_t);
void	 head_framing(struct exchange *, const char *, size_t, const char *,
	    size_t);

/* http1.c */
void	 http1_open(struct conn *), http1_free(struct conn *);
size_t	 http1_input(struct conn *, const uint8_t *, size_t);
void	 http1_eof(struct conn *), http1_late(struct conn *);
void	 http1_flushed(struct conn *);
int	 http1_busy(const struct conn *), http1_idle(const struct conn *);
void	 http1_switch(struct exchange *, const char *, const char *);

/* http2.c */
void	 http2_open(struct conn *), http2_free(struct conn *);
size_t	 http2_input(struct conn *, const uint8_t *, size_t);
int	 http2_fill(struct conn *);
void	 http2_flushed(struct conn *), http2_tick(struct conn *);
void	 http2_drain(struct conn *);

/* stream.c, grpc.c, health.c */
void	 stream_tick(void), stream_drain(void);
void	 stream_forget(struct exchange *);
void	 grpc_drain(void), grpc_resume(void);
void	 health_set(int);

/* ws.c, sha1.c */
int	 ws_wanted(struct exchange *);
void	 ws_open(struct exchange *), ws_free(struct exchange *);
int	 ws_input(struct exchange *, const uint8_t *, size_t);
void	 ws_send(struct exchange *, const char *, size_t);
void	 ws_ping(struct exchange *);
void	 ws_end(struct exchange *, int);	/* over; 0: gone for now */
void	 sha1(const void *, size_t, uint8_t[20]);

#endif
