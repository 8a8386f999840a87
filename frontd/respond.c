/*
 * respond.c - answers: status, fields that every answer has, the envelope of
 * errors.  The transport puts them on the wire.  After an answer the exchange
 * is gone; a late answer never gets here, because request_find() failed.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "engine.h"
#include "log.h"
#include "text.h"
#include "worker.h"

#define MESSAGE_MAX	2048

const char *
respond_reason(int status)
{
	static const struct {
		int		 status;
		const char	*text;
	} reasons[] = {
		{ 101, "Switching Protocols" }, { 200, "OK" },
		{ 201, "Created" }, { 202, "Accepted" }, { 204, "No Content" },
		{ 303, "See Other" }, { 304, "Not Modified" },
		{ 400, "Bad Request" }, { 401, "Unauthorized" },
		{ 403, "Forbidden" }, { 404, "Not Found" },
		{ 405, "Method Not Allowed" }, { 408, "Request Timeout" },
		{ 409, "Conflict" }, { 410, "Gone" },
		{ 412, "Precondition Failed" }, { 413, "Content Too Large" },
		{ 414, "URI Too Long" }, { 415, "Unsupported Media Type" },
		{ 417, "Expectation Failed" }, { 421, "Misdirected Request" },
		{ 426, "Upgrade Required" }, { 429, "Too Many Requests" },
		{ 431, "Request Header Fields Too Large" },
		{ 500, "Internal Server Error" }, { 501, "Not Implemented" },
		{ 502, "Bad Gateway" }, { 503, "Service Unavailable" },
		{ 504, "Gateway Timeout" },
		{ 505, "HTTP Version Not Supported" },
	};
	size_t	 i;

	for (i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i].status == status)
			return (reasons[i].text);
	return ("Unknown");
}

/* The Date field (RFC 9110 6.6.1), made once a second. */
const char *
respond_date(void)
{
	static const char	*const days[] = { "Sun", "Mon", "Tue", "Wed",
				    "Thu", "Fri", "Sat" };
	static const char	*const months[] = { "Jan", "Feb", "Mar", "Apr",
				    "May", "Jun", "Jul", "Aug", "Sep", "Oct",
				    "Nov", "Dec" };
	static char		 date[64];
	static time_t		 made;
	time_t			 now = (time_t)(worker_now_ms() / 1000);
	struct tm		 tm;

	if (now == made && date[0] != '\0')
		return (date);
	made = now;
	gmtime_r(&now, &tm);
	snprintf(date, sizeof(date), "%s, %02d %s %04d %02d:%02d:%02d GMT",
	    days[tm.tm_wday], tm.tm_mday, months[tm.tm_mon],
	    tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
	return (date);
}

static int
reply_has(const struct exchange *x, const char *name)
{
	size_t	 i;

	for (i = 0; i < x->nreply; i++)
		if (strcasecmp(x->reply[i].name, name) == 0)
			return (1);
	return (0);
}

/* name is a literal.  Control characters cannot get into a field. */
void
reply_header(struct request *req, const char *name, const char *fmt, ...)
{
	struct exchange	*x = req->x;
	char		*value;
	va_list		 ap;
	int		 n;

	if (x->nreply == REPLY_FIELDS)
		fatalx("answer: more than %d header fields", REPLY_FIELDS);
	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	value = exchange_alloc(x, (size_t)n + 1);
	va_start(ap, fmt);
	vsnprintf(value, (size_t)n + 1, fmt, ap);
	va_end(ap);
	x->reply[x->nreply].name = name;
	x->reply[x->nreply++].value = value;
	for (; *value != '\0'; value++)
		if ((unsigned char)*value < ' ' || *value == 0x7f)
			*value = ' ';
}

/* For pages of configured origins; a preflight (OPTIONS) hears more. */
void
respond_cors(struct request *req)
{
	if (!host_origin(req))
		return;
	reply_header(req, "Access-Control-Allow-Origin", "%s",
	    req->header[H_ORIGIN]);
	reply_header(req, "Vary", "Origin");
	if (req->header[H_CORS_METHOD] == NULL) {
		reply_header(req, "Access-Control-Expose-Headers",
		    "ETag, X-Request-ID, Retry-After, Idempotent-Replayed");
		return;
	}
	reply_header(req, "Access-Control-Allow-Methods",
	    "GET, POST, PUT, PATCH, DELETE");
	reply_header(req, "Access-Control-Allow-Headers", "Authorization, "
	    "Content-Type, Idempotency-Key, If-Match, If-None-Match, "
	    "Last-Event-ID, X-Request-ID");
	reply_header(req, "Access-Control-Max-Age", "600");
}

void
respond_head(struct exchange *x, int status, const char *type, int64_t length)
{
	struct request	*req = &x->req;

	x->status = status;
	if (type != NULL)
		reply_header(req, "Content-Type", "%s", type);
	reply_header(req, "X-Request-ID", "%s", req->request_id);
	if (!reply_has(x, "Cache-Control"))
		reply_header(req, "Cache-Control", "no-store");
	reply_header(req, "X-Content-Type-Options", "nosniff");
	if (!reply_has(x, "Access-Control-Allow-Origin"))
		respond_cors(req);
	x->t->head(x, status, x->reply, x->nreply, length);
}

/* The answer is whole: a line in the log when asked for, and it is over. */
void
respond_over(struct exchange *x)
{
	struct request	*req = &x->req;

	if (x->status >= 400)
		http_stats.errors++;
	if (log_getverbose())
		log_debug("%s %s %s %d %" PRIu64 "ms %s", req->address,
		    x->verb != NULL ? x->verb : "-",
		    req->path != NULL ? req->path : "-", x->status,
		    worker_mono_ms() - req->started, req->request_id);
	x->t->end(x);
	exchange_free(x);
}

void
reply_body(struct request *req, int status, const char *type,
    const void *body, size_t len)
{
	struct exchange	*x = req->x;

	if (limit_unread(x->c, x->is_head ? 0 : len)) {
		log_debug("%s: an answer was cut: too many are not read",
		    req->address);
		http_stats.refused++;
		x->t->cut(x);
		respond_over(x);
		return;
	}
	respond_head(x, status, type, (int64_t)len);
	if (!x->is_head && len > 0)
		x->t->body(x, body, len);
	respond_over(x);
}

void
reply_json(struct request *req, int status, const char *body, size_t len)
{
	reply_body(req, status, "application/json", body, len);
}

void
reply_empty(struct request *req, int status)
{
	respond_head(req->x, status, NULL, 0);
	respond_over(req->x);
}

void
reply_error(struct request *req, int status, const char *code,
    const char *message, const char *details)
{
	struct buf	 b = { 0 };
	char		 text[MESSAGE_MAX * 6];
	size_t		 len;
	ssize_t		 n;

	len = strnlen(message, MESSAGE_MAX);
	/* Not cut within a character. */
	if (len == MESSAGE_MAX)
		while (len > 0 && (message[len] & 0xc0) == 0x80)
			len--;
	n = text_json(text, sizeof(text), message, len);
	buf_printf(&b, "{\"code\":\"%s\",\"message\":\"%.*s\",\"request_id\":\"",
	    code, (int)n, text);
	n = text_json(text, sizeof(text), req->request_id,
	    strlen(req->request_id));
	buf_printf(&b, "%.*s\"", (int)n, text);
	if (details != NULL) {
		buf_add(&b, ",\"details\":", 11);
		buf_add(&b, details, strlen(details));
	}
	buf_add(&b, "}\n", 2);
	reply_json(req, status, (const char *)buf_head(&b), b.len);
	buf_free(&b);
}
