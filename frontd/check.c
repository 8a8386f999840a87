/*
 * check.c - is this head a request that we take?  In this order: well-formed,
 * a known method, a path that there is, a name and an Origin that are ours, a
 * body that the row allows.  What is wrong first is answered, in the envelope
 * of errors, and the request is over.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "engine.h"
#include "text.h"

/* X-Request-ID, when it is 1 to 64 printable characters; else one of ours. */
static void
request_name(struct exchange *x)
{
	static char	 prefix[9];
	const char	*id = x->req.header[H_X_REQUEST_ID];

	if (id != NULL && strlen(id) <= REQUEST_ID_MAX && text_is_token(id)) {
		strlcpy(x->req.request_id, id, sizeof(x->req.request_id));
		return;
	}
	if (prefix[0] == '\0')
		snprintf(prefix, sizeof(prefix), "%08x", arc4random());
	snprintf(x->req.request_id, sizeof(x->req.request_id), "req-%s-%llx",
	    prefix, (unsigned long long)x->req.id);
}

static int
request_method(struct exchange *x)
{
	static const char	*const verbs[METHOD_MAX] = { "GET", "HEAD",
				    "POST", "PUT", "PATCH", "DELETE",
				    "OPTIONS" };
	int			 m;

	for (m = 0; m < METHOD_MAX; m++)
		if (strcmp(verbs[m], x->verb) == 0)
			break;
	if (m == METHOD_MAX)
		return (-1);
	x->req.method = (enum method)m;
	if (m == M_HEAD) {
		x->req.method = M_GET;
		x->is_head = 1;
	}
	return (0);
}

static int
refuse(struct exchange *x, int status, const char *code, const char *text)
{
	reply_error(&x->req, status, code, text, NULL);
	return (-1);
}

static const char *
bad_code(int status)
{
	switch (status) {
	case 408:
		return ("timeout");
	case 414:
		return ("uri_too_long");
	case 415:
		return ("unsupported_media_type");
	case 417:
		return ("expectation_failed");
	case 431:
		return ("headers_too_large");
	case 501:
		return ("not_implemented");
	case 505:
		return ("http_version_not_supported");
	}
	return ("bad_request");
}

/* Answers what could not even be read as a request. */
void
exchange_refuse(struct exchange *x, int status, const char *text)
{
	exchange_bad(x, status, text);
	if (x->req.request_id[0] == '\0')
		request_name(x);
	refuse(x, x->bad, bad_code(x->bad), x->bad_text);
}

static int
request_route(struct exchange *x)
{
	struct request	*req = &x->req;
	char		*allow;
	int		 status;

	req->route = route_find(req, &allow, &status);
	if ((req->route == NULL || (req->route->flags & R_ANYHOST) == 0) &&
	    !host_is_ours(req))
		return (refuse(x, 421, "misdirected", "this server is not"
		    " known by the name in Host; add it to the configuration"));
	if (req->route != NULL)
		return (0);
	if (status == 404)
		return (refuse(x, 404, "not_found", "there is no such path"));
	reply_header(req, "Allow", "%s", allow);
	if (req->method == M_OPTIONS) {
		respond_cors(req);
		reply_empty(req, 204);
		return (-1);
	}
	return (refuse(x, 405, "method_not_allowed",
	    "the path has other methods, see Allow"));
}

/*
 * JSON, or what curl -d calls whatever it sends when nobody said otherwise: the
 * parser decides then, and pages of other origins were refused before.
 */
static int
type_is_json(const char *type)
{
	size_t	 n;

	if (type == NULL)
		return (1);
	n = strcspn(type, "; \t");
	return ((n == 16 && strncasecmp(type, "application/json", n) == 0) ||
	    (n > 5 && strncasecmp(type + n - 5, "+json", 5) == 0) ||
	    (n == 33 && strncasecmp(type,
	    "application/x-www-form-urlencoded", n) == 0));
}

/* -1: refused, with an answer.  length -1: unknown. */
int
exchange_body_wanted(struct exchange *x, int has_body, int64_t length)
{
	const struct route	*r = x->req.route;
	char			 text[96];

	if (!has_body || length == 0)
		return (0);
	if (r->body_max == 0)
		return (refuse(x, 400, "bad_request",
		    "this request takes no body"));
	if (length > 0 && (uint64_t)length > r->body_max) {
		snprintf(text, sizeof(text), "the body may have %zu bytes at"
		    " most", r->body_max);
		return (refuse(x, 413, "payload_too_large", text));
	}
	if ((r->flags & R_JSON) && !type_is_json(x->req.header[H_CONTENT_TYPE]))
		return (refuse(x, 415, "unsupported_media_type",
		    "send JSON, with Content-Type: application/json"));
	if (limit_full(x->c)) {
		reply_header(&x->req, "Retry-After", "1");
		return (refuse(x, 503, "unavailable",
		    "too many requests are being received, try again"));
	}
	return (0);
}

/*
 * The body is waited for: 1 when the client waits to be told so (100), -1 when
 * it expects what nobody here knows, with an answer.
 */
int
exchange_expects(struct exchange *x)
{
	const char	*s = x->req.header[H_EXPECT];

	if (s == NULL || x->http10)
		return (0);
	if (strcasecmp(s, "100-continue") == 0)
		return (1);
	exchange_refuse(x, 417, "the only expectation here is 100-continue");
	return (-1);
}

/* The head is there.  has_body: with its length, or -1 when that is unknown. */
int
exchange_head(struct exchange *x, int has_body, int64_t length)
{
	request_name(x);
	http_stats.requests++;
	/* Bad or not: the answer to a HEAD has no body. */
	if (request_method(x) == -1)
		exchange_bad(x, 501, "the method is not known here");
	if (x->bad == 0 && host_check(x) == 0 && x->target[0] == '/')
		query_target(x);
	if (x->bad != 0) {
		exchange_refuse(x, x->bad, x->bad_text);
		return (-1);
	}
	if (strcmp(x->target, "*") == 0) {
		if (x->req.method != M_OPTIONS)
			return (refuse(x, 400, "bad_request",
			    "only OPTIONS has the target *"));
		reply_empty(&x->req, 204);
		return (-1);
	}
	if (request_route(x) == -1)
		return (-1);
	if ((x->req.method != M_GET || x->req.header[H_UPGRADE] != NULL) &&
	    !host_page_may(&x->req))
		return (refuse(x, 403, "forbidden", "pages of this Origin may"
		    " not do this; add it to the configured origins"));
	if ((x->req.route->flags & R_WEBSOCKET) && ws_wanted(x) == -1)
		return (-1);
	if (exchange_body_wanted(x, has_body, length) == -1)
		return (-1);
	x->state = X_BODY;
	return (0);
}
