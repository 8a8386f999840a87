/*
 * grpc_client.c - gRPC over HTTP/2: requests, messages with their five bytes
 * of prefix, and the status in the trailers.  Compressed messages are refused
 * (none was offered).  What a server sends wrongly ends the call, not us.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "h2_local.h"
#include "util.h"

#define GRPC_PREFIX	5

static ssize_t
grpc_read(nghttp2_session *ngh, int32_t id, uint8_t *buf, size_t size,
    uint32_t *flags, nghttp2_data_source *src, void *arg)
{
	struct grpc_call	*c = src->ptr;
	int			 n;

	(void)ngh;
	(void)id;
	(void)arg;
	if ((n = evbuffer_remove(c->out, buf, size)) == -1)
		return (NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE);
	if (evbuffer_get_length(c->out) == 0) {
		c->drain = 1;
		if (c->fin)
			*flags |= NGHTTP2_DATA_FLAG_EOF;
		else if (n == 0)
			return (NGHTTP2_ERR_DEFERRED);
	}
	return (n);
}

static void
grpc_nv(nghttp2_nv *nv, const char *name, const char *value)
{
	/* nghttp2 copies both; its structure is not const. */
	union { const char *c; uint8_t *u; } n = { name }, v = { value };

	nv->name = n.u;
	nv->namelen = strlen(name);
	nv->value = v.u;
	nv->valuelen = strlen(value);
	nv->flags = NGHTTP2_NV_FLAG_NONE;
}

struct grpc_call *
grpc_open(struct h2 *h, const char *path, const char *key, const char *value,
    const struct grpc_ops *ops, void *arg)
{
	nghttp2_data_provider	 dp;
	nghttp2_nv		 nv[8];
	struct grpc_call	*c;
	char			 authority[320];
	size_t			 n = 0;

	if (h->ngh == NULL || h->why != NULL || h->closed)
		return (NULL);
	snprintf(authority, sizeof(authority), strchr(h->host, ':') == NULL ?
	    "%s:%s" : "[%s]:%s", h->host, h->port);
	c = xcalloc(1, sizeof(*c));
	c->h2 = h;
	c->ops = ops;
	c->arg = arg;
	c->status = -1;
	c->out = evbuffer_new();
	c->in = evbuffer_new();
	if (c->out == NULL || c->in == NULL)
		goto fail;
	grpc_nv(&nv[n++], ":method", "POST");
	grpc_nv(&nv[n++], ":scheme", h->tls != NULL ? "https" : "http");
	grpc_nv(&nv[n++], ":path", path);
	grpc_nv(&nv[n++], ":authority", authority);
	grpc_nv(&nv[n++], "content-type", "application/grpc");
	grpc_nv(&nv[n++], "te", "trailers");
	grpc_nv(&nv[n++], "user-agent", "marionette-agent/" MN_VERSION);
	if (key != NULL)
		grpc_nv(&nv[n++], key, value);
	dp.source.ptr = c;
	dp.read_callback = grpc_read;
	c->id = nghttp2_submit_request(h->ngh, NULL, nv, n, &dp, c);
	if (c->id < 0)
		goto fail;
	TAILQ_INSERT_TAIL(&h->calls, c, entry);
	h2_kick(h);
	return (c);
fail:
	if (c->out != NULL)
		evbuffer_free(c->out);
	if (c->in != NULL)
		evbuffer_free(c->in);
	free(c);
	return (NULL);
}

int
grpc_send(struct grpc_call *c, const uint8_t *msg, size_t len)
{
	uint8_t	 prefix[GRPC_PREFIX];

	if (c->fin || len > GRPC_MSG_MAX)
		return (-1);
	prefix[0] = 0;
	prefix[1] = (uint8_t)(len >> 24);
	prefix[2] = (uint8_t)(len >> 16);
	prefix[3] = (uint8_t)(len >> 8);
	prefix[4] = (uint8_t)len;
	if (evbuffer_add(c->out, prefix, sizeof(prefix)) == -1 ||
	    evbuffer_add(c->out, msg, len) == -1)
		return (-1);
	c->drain = 0;
	nghttp2_session_resume_data(c->h2->ngh, c->id);
	h2_kick(c->h2);
	return (0);
}

void
grpc_finish(struct grpc_call *c)
{
	c->fin = 1;
	nghttp2_session_resume_data(c->h2->ngh, c->id);
	h2_kick(c->h2);
}

size_t
grpc_queued(const struct grpc_call *c)
{
	return (evbuffer_get_length(c->out));
}

/* Percent-encoded, as gRPC has it; controls are the log's to escape. */
static void
grpc_decode(char *out, size_t size, const char *s, size_t len)
{
	char	 hex[3] = "";
	size_t	 i, o = 0;

	for (i = 0; i < len && o + 1 < size; i++) {
		if (s[i] == '%' && i + 2 < len) {
			hex[0] = s[i + 1];
			hex[1] = s[i + 2];
			out[o++] = (char)strtoul(hex, NULL, 16);
			i += 2;
		} else
			out[o++] = s[i];
	}
	out[o] = '\0';
}

void
grpc_on_header(struct grpc_call *c, const char *name, size_t namelen,
    const char *value, size_t valuelen)
{
	char	 num[8];

	snprintf(num, sizeof(num), "%.*s", (int)(valuelen > 7 ? 7 : valuelen),
	    value);
	if (namelen == 7 && memcmp(name, ":status", 7) == 0)
		c->http = (int)strtol(num, NULL, 10);
	else if (namelen == 11 && memcmp(name, "grpc-status", 11) == 0)
		c->status = (int)strtol(num, NULL, 10);
	else if (namelen == 12 && memcmp(name, "grpc-message", 12) == 0)
		grpc_decode(c->message, sizeof(c->message), value, valuelen);
}

void
grpc_on_data(struct grpc_call *c, const uint8_t *data, size_t len)
{
	uint8_t	*p;
	size_t	 n;

	if (c->silent || evbuffer_add(c->in, data, len) == -1)
		return;
	while (!c->silent && (n = evbuffer_get_length(c->in)) >= GRPC_PREFIX) {
		p = evbuffer_pullup(c->in, GRPC_PREFIX);
		len = (size_t)p[1] << 24 | (size_t)p[2] << 16 |
		    (size_t)p[3] << 8 | p[4];
		if (p[0] != 0 || len > GRPC_MSG_MAX) {
			c->status = GRPC_INTERNAL;
			snprintf(c->message, sizeof(c->message), p[0] != 0 ?
			    "compressed message" : "message of %zu bytes", len);
			nghttp2_submit_rst_stream(c->h2->ngh, NGHTTP2_FLAG_NONE,
			    c->id, NGHTTP2_INTERNAL_ERROR);
			evbuffer_drain(c->in, n);
			return;
		}
		if (n < GRPC_PREFIX + len)
			return;
		p = evbuffer_pullup(c->in, (ssize_t)(GRPC_PREFIX + len));
		c->ops->message(c, p + GRPC_PREFIX, len, c->arg);
		evbuffer_drain(c->in, GRPC_PREFIX + len);
	}
}

void
grpc_on_close(struct grpc_call *c, const char *why)
{
	int	 status = c->status;

	TAILQ_REMOVE(&c->h2->calls, c, entry);
	if (status == -1) {
		if (c->http != 0 && c->http != 200) {
			status = GRPC_UNKNOWN;
			snprintf(c->message, sizeof(c->message),
			    "HTTP status %d", c->http);
		} else {
			status = GRPC_UNAVAILABLE;
			snprintf(c->message, sizeof(c->message), "%s", why);
		}
	}
	if (!c->silent)
		c->ops->end(c, status, c->message, c->arg);
	evbuffer_free(c->out);
	evbuffer_free(c->in);
	free(c);
}
