/*
 * http2.h - what http2.c, http2_out.c and grpc.c share of a session and its
 * streams.
 */
#ifndef HTTP2_H
#define HTTP2_H

#include <nghttp2/nghttp2.h>

#include "engine.h"

#define H2_STREAMS_REST		100	/* at once on a connection */
#define H2_STREAMS_RUNNER	256
#define H2_WINDOW		(256 * 1024)

struct http2 {
	nghttp2_session			*ng;
	struct conn			*c;
	TAILQ_HEAD(, h2_stream)		 streams;
	size_t				 nstreams;
	uint64_t			 idle_since;
	uint64_t			 budget_at;	/* of control frames */
	unsigned int			 budget;
	unsigned int			 greeted:1, ending:1, drained:1;
};

/* From its first header field until nghttp2 closes it. */
struct h2_stream {
	TAILQ_ENTRY(h2_stream)	 entry;
	struct http2		*h2;
	struct exchange		*x;		/* until it is answered */
	struct grpc		*g;
	struct buf		 out;
	int32_t			 id;
	int64_t			 length;	/* content-length or -1 */
	uint64_t		 deadline;	/* for what must arrive */
	uint64_t		 stall_since;
	size_t			 stall_sent;
	size_t			 dropped;	/* after the answer */
	int			 grpc_status;
	char			*grpc_text;
	unsigned int		 head_done:1, remote_end:1, replied:1,
				 out_end:1, deferred:1, trailers:1;
};

/* http2_out.c */
extern const struct transport http2_transport;
ssize_t	 h2_read(nghttp2_session *, int32_t, uint8_t *, size_t, uint32_t *,
	    nghttp2_data_source *, void *);
void	 h2_continue(struct h2_stream *);
void	 h2_respond(struct h2_stream *, const struct field *, size_t, int);
void	 h2_out(struct h2_stream *, const void *, size_t);
void	 h2_out_end(struct h2_stream *);
void	 h2_out_drop(struct h2_stream *);
void	 h2_cut(struct h2_stream *, uint32_t);
void	 h2_return(struct h2_stream *, size_t);
void	 h2_end_session(struct http2 *, uint32_t);

/* http2_mem.c */
extern nghttp2_mem h2_mem;

/* grpc.c */
void	 grpc_open(struct h2_stream *);
void	 grpc_data(struct h2_stream *, const uint8_t *, size_t);
void	 grpc_half(struct h2_stream *);
void	 grpc_gone(struct h2_stream *);
void	 grpc_late(struct h2_stream *);

/* health.c */
extern const struct grpc_method health_methods[];

#endif
