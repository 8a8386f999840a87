/*
 * h2_local.h - what h2.c and grpc_client.c share and nobody else needs.
 */
#ifndef AGENT_H2_LOCAL_H
#define AGENT_H2_LOCAL_H

#include <sys/queue.h>

#include <event2/buffer.h>
#include <event2/event.h>
#include <nghttp2/nghttp2.h>

#include "h2.h"

/* Lives from grpc_open() to its end; on its connection's list. */
struct grpc_call {
	TAILQ_ENTRY(grpc_call)	 entry;
	struct h2		*h2;
	const struct grpc_ops	*ops;
	void			*arg;
	struct evbuffer		*out;
	struct evbuffer		*in;
	char			 message[256];	/* grpc-message */
	int32_t			 id;		/* HTTP/2 stream */
	int			 http;		/* :status */
	int			 status;	/* grpc-status, -1 unknown */
	int			 fin;		/* no more from us */
	int			 silent;	/* canceled: tell nobody */
	int			 drain;		/* tell when out is empty */
};
TAILQ_HEAD(grpc_calls, grpc_call);

struct h2 {
	struct h2_conf		 conf;
	char			*host;
	char			*port;
	struct dial		*dial;
	struct event		*rd;
	struct event		*wr;
	struct event		*kick;	/* flush, or free, from the loop */
	struct event		*tick;	/* hand-shake limit, then liveness */
	struct tls		*tls;
	nghttp2_session		*ngh;
	struct evbuffer		*out;
	struct grpc_calls	 calls;
	char			*why;	/* set: it is going down */
	uint64_t		 last_rx;
	uint64_t		 since;
	int			 fd;
	int			 shaken;
	int			 closed;	/* by us: free, tell nobody */
};

void	 h2_kick(struct h2 *);
void	 grpc_on_header(struct grpc_call *, const char *, size_t, const char *,
	    size_t);
void	 grpc_on_data(struct grpc_call *, const uint8_t *, size_t);
/* Frees it; tells its owner unless silent. */
void	 grpc_on_close(struct grpc_call *, const char *why);

#endif
