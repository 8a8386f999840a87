/*
 * ws.c - WebSocket (RFC 6455): the handshake, then frames by wslay.  Streams
 * flow one way, so messages of the client are read, bounded and dropped; its
 * pings and closes are answered.  Malformed frames end the connection with the
 * status that the RFC names.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <wslay/wslay.h>

#include "engine.h"
#include "log.h"

#define WS_GUID		"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#define WS_MESSAGE_MAX	4096
#define WS_KEY_LEN	24		/* base64 of 16 bytes */

struct ws {
	wslay_event_context_ptr	 ctx;
	struct exchange		*x;
	const uint8_t		*in;	/* while ws_input() runs */
	size_t			 in_len;
};

/* Is word in a comma-separated list? */
static int
list_has(const char *list, const char *word)
{
	size_t	 n, len = strlen(word);

	while (list != NULL && *list != '\0') {
		list += strspn(list, " \t,");
		n = strcspn(list, " \t,");
		if (n == len && strncasecmp(list, word, n) == 0)
			return (1);
		list += n;
	}
	return (0);
}

/* 0: not a handshake, 1: a good one, -1: a bad one, answered. */
int
ws_wanted(struct exchange *x)
{
	struct request	*req = &x->req;
	const char	*key = req->header[H_SEC_WEBSOCKET_KEY];
	const char	*version = req->header[H_SEC_WEBSOCKET_VERSION];

	if (x->c->h1 == NULL || x->http10 || x->is_head ||
	    !list_has(req->header[H_UPGRADE], "websocket"))
		return (0);
	if (version == NULL || strcmp(version, "13") != 0) {
		reply_header(req, "Sec-WebSocket-Version", "13");
		reply_header(req, "Upgrade", "websocket");
		reply_error(req, 426, "upgrade_required",
		    "the WebSocket version must be 13", NULL);
		return (-1);
	}
	if (!list_has(req->header[H_CONNECTION], "upgrade") || key == NULL ||
	    strlen(key) != WS_KEY_LEN || strspn(key, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz0123456789+/") != WS_KEY_LEN - 2 ||
	    strcmp(key + WS_KEY_LEN - 2, "==") != 0) {
		reply_error(req, 400, "bad_request",
		    "the WebSocket handshake is malformed", NULL);
		return (-1);
	}
	req->websocket = 1;
	return (1);
}

static ssize_t
ws_on_recv(wslay_event_context_ptr ctx, uint8_t *p, size_t n, int flags,
    void *arg)
{
	struct ws	*ws = arg;

	(void)flags;
	if (ws->in_len == 0) {
		wslay_event_set_error(ctx, WSLAY_ERR_WOULDBLOCK);
		return (-1);
	}
	if (n > ws->in_len)
		n = ws->in_len;
	memcpy(p, ws->in, n);
	ws->in += n;
	ws->in_len -= n;
	return ((ssize_t)n);
}

static ssize_t
ws_on_send(wslay_event_context_ptr ctx, const uint8_t *p, size_t n, int flags,
    void *arg)
{
	struct ws	*ws = arg;

	(void)ctx;
	(void)flags;
	conn_write(ws->x->c, p, n);
	return ((ssize_t)n);
}

static const struct wslay_event_callbacks	 ws_callbacks = {
	.recv_callback = ws_on_recv,
	.send_callback = ws_on_send,
};

/* RFC 4648 section 4, with padding, of the 20 bytes of a SHA-1. */
static void
ws_accept(char out[29], const char *key)
{
	static const char	 set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "abcdefghijklmnopqrstuvwxyz0123456789+/";
	char			 text[WS_KEY_LEN + sizeof(WS_GUID)];
	uint8_t			 d[21] = { 0 };
	uint32_t		 v;
	int			 i;

	snprintf(text, sizeof(text), "%s%s", key, WS_GUID);
	sha1(text, strlen(text), d);
	for (i = 0; i < 7; i++) {
		v = (uint32_t)d[3 * i] << 16 | (uint32_t)d[3 * i + 1] << 8 |
		    d[3 * i + 2];
		out[4 * i] = set[v >> 18];
		out[4 * i + 1] = set[v >> 12 & 63];
		out[4 * i + 2] = set[v >> 6 & 63];
		out[4 * i + 3] = set[v & 63];
	}
	out[27] = '=';
	out[28] = '\0';
}

/*
 * A browser wants one of the protocols that it offered: ours, or else the
 * first, which then is the API key that it could not put anywhere else.
 */
static const char *
ws_protocol(struct exchange *x)
{
	static const char	*const ours[] = { "marionette.v1",
				    "marionette" };
	const char		*list = x->req.header[H_SEC_WEBSOCKET_PROTOCOL];
	size_t			 i;

	if (list == NULL)
		return (NULL);
	for (i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		if (list_has(list, ours[i]))
			return (ours[i]);
	return (exchange_copy(x, list, strcspn(list, ", \t")));
}

void
ws_open(struct exchange *x)
{
	char		 accept[29];
	struct ws	*ws;

	if ((ws = calloc(1, sizeof(*ws))) == NULL ||
	    wslay_event_context_server_init(&ws->ctx, &ws_callbacks, ws) != 0)
		fatalx("websocket: no memory");
	wslay_event_config_set_max_recv_msg_length(ws->ctx, WS_MESSAGE_MAX);
	ws->x = x;
	x->ws = ws;
	ws_accept(accept, x->req.header[H_SEC_WEBSOCKET_KEY]);
	http1_switch(x, accept, ws_protocol(x));
}

void
ws_free(struct exchange *x)
{
	if (x->ws == NULL)
		return;
	wslay_event_context_free(x->ws->ctx);
	free(x->ws);
	x->ws = NULL;
}

/* -1: it is closed. */
int
ws_input(struct exchange *x, const uint8_t *p, size_t n)
{
	struct ws	*ws = x->ws;

	ws->in = p;
	ws->in_len = n;
	if (wslay_event_recv(ws->ctx) != 0 || wslay_event_send(ws->ctx) != 0)
		return (-1);
	return (wslay_event_get_close_received(ws->ctx) ||
	    !wslay_event_get_read_enabled(ws->ctx) ? -1 : 0);
}

void
ws_send(struct exchange *x, const char *p, size_t n)
{
	struct wslay_event_msg	 m = { WSLAY_TEXT_FRAME, (const uint8_t *)p, n };

	if (wslay_event_queue_msg(x->ws->ctx, &m) == 0)
		wslay_event_send(x->ws->ctx);
}

void
ws_ping(struct exchange *x)
{
	struct wslay_event_msg	 m = { WSLAY_PING, NULL, 0 };

	if (wslay_event_queue_msg(x->ws->ctx, &m) == 0)
		wslay_event_send(x->ws->ctx);
}

/* RFC 6455 7.4.1; after a normal closure there are clients that stay away. */
void
ws_end(struct exchange *x, int over)
{
	if (wslay_event_queue_close(x->ws->ctx, over ?
	    WSLAY_CODE_NORMAL_CLOSURE : WSLAY_CODE_GOING_AWAY, NULL, 0) == 0)
		wslay_event_send(x->ws->ctx);
}
