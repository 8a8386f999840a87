/*
 * h2.h - one HTTP/2 client connection, over TLS or (development) without, and
 * gRPC calls on it.  No globals: a process may have as many as it likes.
 */
#ifndef AGENT_H2_H
#define AGENT_H2_H

#include <stddef.h>
#include <stdint.h>

struct dial;
struct event_base;
struct grpc_call;
struct h2;
struct tls;
struct tls_config;

/* dial.c: a connected, non-blocking socket; done is called once, later. */
typedef void	(*dial_done)(int fd, const char *why, void *);
struct dial	*dial_start(struct event_base *, const char *host,
		    const char *port, dial_done, void *);
void		 dial_cancel(struct dial *);

struct h2_conf {
	struct event_base	*base;
	const char		*host;	/* copied */
	const char		*port;	/* copied */
	struct tls_config	*tls;	/* copied by reference; NULL: plaintext */
	/* Before a byte of HTTP is sent; -1 and a reason in the buffer refuses. */
	int	(*check)(struct tls *, void *, char *, size_t);
	void	(*up)(void *);
	/* Once; the calls have ended, and the connection is gone afterwards. */
	void	(*down)(const char *why, void *);
	void	*arg;
};

struct h2	*h2_open(const struct h2_conf *);
/* Ends it from our side: no call-back comes any more. */
void		 h2_close(struct h2 *);
/*
 * Asks for a sign of life when it has been quiet for a while: said with each
 * heartbeat the question costs no packet of its own, and seldom is one needed
 * between two heartbeats.
 */
void		 h2_probe(struct h2 *);
/* Milliseconds (now_mono) of the last byte that came. */
uint64_t	 h2_last_rx(const struct h2 *);

#define GRPC_MSG_MAX	(4 * 1024 * 1024)

enum grpc_status {
	GRPC_OK = 0, GRPC_CANCELLED = 1, GRPC_UNKNOWN = 2, GRPC_INVALID = 3,
	GRPC_DEADLINE = 4, GRPC_NOT_FOUND = 5, GRPC_EXISTS = 6,
	GRPC_DENIED = 7, GRPC_EXHAUSTED = 8, GRPC_PRECONDITION = 9,
	GRPC_INTERNAL = 13, GRPC_UNAVAILABLE = 14, GRPC_UNAUTHENTICATED = 16
};

struct grpc_ops {
	void	(*message)(struct grpc_call *, const uint8_t *, size_t, void *);
	/* Once; the call is gone afterwards. */
	void	(*end)(struct grpc_call *, int status, const char *, void *);
	/* What was queued has gone to the socket; may be NULL. */
	void	(*drained)(struct grpc_call *, void *);
};

/* key, value: one more header, or NULL.  The ops are kept, not copied. */
struct grpc_call *grpc_open(struct h2 *, const char *path, const char *key,
		    const char *value, const struct grpc_ops *, void *);
int		 grpc_send(struct grpc_call *, const uint8_t *, size_t);
/* No more from us. */
void		 grpc_finish(struct grpc_call *);
size_t		 grpc_queued(const struct grpc_call *);

#endif
