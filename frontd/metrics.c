/*
 * metrics.c - the engine's counters as Prometheus text; conn.c and its
 * neighbours count, the parent collects.
 */
#include <inttypes.h>
#include <stdio.h>

#include "engine.h"

struct http_stats	 http_stats;

size_t
http_metrics(char *buf, size_t size)
{
	const struct http_stats	*s = &http_stats;
	int			 n;

	n = snprintf(buf, size,
	    "marionette_http_connections %zu\n"
	    "marionette_http_accepted_total %" PRIu64 "\n"
	    "marionette_http_refused_total %" PRIu64 "\n"
	    "marionette_http_requests_total %" PRIu64 "\n"
	    "marionette_http_errors_total %" PRIu64 "\n"
	    "marionette_http_streams_total %" PRIu64 "\n"
	    "marionette_grpc_streams_total %" PRIu64 "\n"
	    "marionette_http_received_bytes_total %" PRIu64 "\n"
	    "marionette_http_sent_bytes_total %" PRIu64 "\n"
	    "marionette_http_body_bytes %zu\n",
	    s->conns, s->accepted, s->refused, s->requests, s->errors,
	    s->streams, s->grpc, s->bytes_in, s->bytes_out, s->bodies);
	return (n < 0 || (size_t)n >= size ? 0 : (size_t)n);
}
