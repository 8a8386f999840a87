/*
 * frontd.h - the contract between frontd's two halves: the engine (sockets,
 * TLS, HTTP, gRPC framing, streams) and the API (api_*.c: what a request
 * means, and which worker is asked).  The engine's own insides are engine.h.
 */
#ifndef FRONTD_H
#define FRONTD_H

#include <sys/queue.h>
#include <sys/tree.h>

#include <stddef.h>
#include <stdint.h>

#define REQUEST_ID_MAX	64
#define REQUEST_ARGS	4
#define BODY_SMALL	(64 * 1024)
#define BODY_PROMPT	(1024 * 1024)
#define STREAM_HIGH	(128 * 1024)	/* stop sending above this, */
#define STREAM_LOW	(64 * 1024)	/* on_drained is called below this */
#define STREAM_MAX	(4 * 1024 * 1024) /* a stream is cut above this */

enum method { M_GET, M_HEAD, M_POST, M_PUT, M_PATCH, M_DELETE, M_OPTIONS,
	METHOD_MAX };
enum listener_kind { LISTEN_API = 1, LISTEN_ADMIN = 2, LISTEN_LOCAL = 4,
	LISTEN_RUNNER = 8 };
#define LISTEN_REST	(LISTEN_API | LISTEN_ADMIN | LISTEN_LOCAL)

/* The headers that are kept; req->header[H_x] is NULL when it was not sent. */
enum header { H_HOST, H_AUTHORIZATION, H_CONTENT_TYPE, H_ACCEPT,
	H_IDEMPOTENCY_KEY, H_X_REQUEST_ID, H_LAST_EVENT_ID, H_IF_MATCH,
	H_IF_NONE_MATCH, H_ORIGIN, H_SEC_FETCH_SITE, H_USER_AGENT, H_EXPECT,
	H_UPGRADE, H_CONNECTION, H_SEC_WEBSOCKET_KEY, H_SEC_WEBSOCKET_VERSION,
	H_SEC_WEBSOCKET_PROTOCOL, H_CORS_METHOD, H_X_RUNNER_TOKEN, HEADER_MAX };

struct param {
	const char	*name, *value;	/* decoded, valid UTF-8, no NUL */
};

/* From its last body byte until it is answered.  All it points to is its own,
 * is wiped and dies with it.  Across turns hold its id. */
struct request {
	RB_ENTRY(request)	 entry;
	uint64_t		 id;
	uint64_t		 started;	/* monotonic ms */
	enum listener_kind	 kind;
	enum method		 method;	/* HEAD comes as M_GET */
	int			 secure;	/* arrived over TLS */
	int			 websocket;	/* a valid WebSocket handshake */
	const struct route	*route;
	char			 request_id[REQUEST_ID_MAX + 1];
	char			 address[64];	/* without port, or "local" */
	const char		*path;		/* decoded, no query */
	const char		*arg[REQUEST_ARGS]; /* the {x} of the row */
	char			*header[HEADER_MAX];
	struct param		*params;	/* in order, may repeat */
	size_t			 nparams;
	char			*body;		/* NUL after it; yours to wipe */
	size_t			 body_len;
	void			*who;		/* conn_adopt()'s, or NULL */
	void			*data;		/* the API half's */
	/* The client is gone, no reply is wanted: once, never after a
	 * reply_*() or stream_end(). */
	void			(*on_closed)(struct request *);
	void			(*on_drained)(struct request *);
	struct exchange		*x;		/* the engine's */
};

#define R_NOAUTH	0x01	/* the API half asks for no credential */
#define R_ANYHOST	0x02	/* exempt from the Host check */
#define R_WEBSOCKET	0x04	/* may be a WebSocket (GET) */
#define R_JSON		0x08	/* a body must be application/json: else 415 */

/* A row: literal segments, {name} for one segment (arg[0], arg[1] ...), and a
 * last segment `*' for the rest, slashes included.  GET rows serve HEAD too. */
struct route {
	enum method	 method;
	int		 listeners;	/* LISTEN_x | ... */
	const char	*path;
	const char	*scope;		/* for the API half */
	size_t		 body_max;	/* 0: a body is refused */
	int		 flags;
	void		(*call)(struct request *);
};

/* The API half defines this: arrays that end with a NULL path; NULL last. */
extern const struct route *const route_tables[];

/* request.c */
struct request	*request_find(uint64_t);	/* NULL: gone or answered */
const char	*request_param(const struct request *, const char *);
/* The body held a secret: over TLS the connection ends with the reply,
 * because the TLS library keeps the last record until then. */
void		 request_secret(struct request *);
/* The connection ends with the reply: who it belongs to is over. */
void		 request_last(struct request *);

/* host.c: a page says that it was made by this server itself. */
int		 host_is_origin(const struct request *);

/* limit.c: credentials of a kind that are being asked about, max at once; -1:
 * this address has its share of them.  What it gives goes back at the end. */
enum check_kind { CHECK_KEY, CHECK_PASSWORD, CHECK_KINDS };
struct address;
int	limit_check_begin(const struct request *, enum check_kind, size_t max,
	    struct address **);
void	limit_check_end(struct address *, enum check_kind);

/* respond.c.  Exactly one of reply_*() or stream_begin() per request; after a
 * reply_*() or stream_end() the request may not be touched. */
void	reply_header(struct request *, const char *, const char *, ...)
	    __attribute__((format(printf, 3, 4)));
void	reply_json(struct request *, int, const char *, size_t);
void	reply_body(struct request *, int, const char *, const void *, size_t);
void	reply_empty(struct request *, int);	/* 204, 304 */
void	reply_error(struct request *, int, const char *, const char *,
	    const char *);	/* code, message, details: JSON or NULL */

/* stream.c: SSE, or WebSocket when req->websocket.  data is one-line JSON. */
void	stream_begin(struct request *);
/* Some items, id, event and data (id and event may be NULL), and at once: */
void	stream_put(struct request *, const char *, const char *,
	    const char *, size_t);
/* An id alone, which is no event: whoever is cut off goes on from there. */
void	stream_position(struct request *, const char *);
size_t	stream_flush(struct request *);	/* bytes queued; 0: too much, the
					 * stream was cut */
size_t	stream_queued(const struct request *);
void	stream_end(struct request *, int);	/* all was said; 0: come back */

/*
 * grpc.c.  The API half defines the table of methods (NULL path last).
 * closed() is called once, whoever ended it, unless grpc_finish() did.
 */
struct grpc_stream {
	RB_ENTRY(grpc_stream)	 entry;
	uint64_t		 id;
	const struct grpc_method *method;
	const char		*token;		/* x-runner-token or "", only
						 * while opened() runs */
	uint8_t			 cert_hash[32];	/* of the client certificate */
	int			 has_cert;
	char			 address[64];
	void			*data;		/* the API half's */
	struct grpc		*g;		/* the engine's */
};

#define G_QUIET	0x01	/* its first message may be long in coming */
#define G_BULK	0x02	/* others' messages do not wait behind its */
struct grpc_method {
	const char	*path;		/* /package.Service/Method */
	size_t		 message_max;
	void		(*opened)(struct grpc_stream *);
	void		(*message)(struct grpc_stream *, const uint8_t *, size_t);
	void		(*half_closed)(struct grpc_stream *);
	void		(*closed)(struct grpc_stream *);
	int		 flags;
	/* message() may be called; NULL: always.  If not it waits. */
	int		 (*takes)(const struct grpc_stream *);
};

extern const struct grpc_method grpc_methods[];

struct grpc_stream *grpc_find(uint64_t);
size_t	grpc_send(struct grpc_stream *, const uint8_t *, size_t); /* as above */
void	grpc_credit(struct grpc_stream *, size_t); /* bytes of message()s */
void	grpc_finish(struct grpc_stream *, int, const char *);

/* conn.c: a connected local socket; who is freed with it, or when it fails. */
int	conn_adopt(int, void *, void (*)(void *));

#endif
