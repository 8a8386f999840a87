/*
 * http2_out.c - the way out of HTTP/2: answers, streams, trailers.  Each stream
 * has a queue of its own that nghttp2 takes from as the client's windows allow.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "http2.h"
#include "log.h"

static nghttp2_nv
h2_nv(const char *name, const char *value)
{
	/* nghttp2 copies and never writes, but wants plain pointers. */
	union {
		const char	*c;
		uint8_t		*u;
	} n = { name }, v = { value };
	nghttp2_nv	 nv = { n.u, v.u, strlen(name), strlen(value),
			    NGHTTP2_NV_FLAG_NONE };

	return (nv);
}

static void
h2_trailers(struct h2_stream *st)
{
	char		 status[16];
	nghttp2_nv	 nv[2];

	snprintf(status, sizeof(status), "%d", st->grpc_status);
	nv[0] = h2_nv("grpc-status", status);
	nv[1] = h2_nv("grpc-message", st->grpc_text != NULL ?
	    st->grpc_text : "");
	nghttp2_submit_trailer(st->h2->ng, st->id, nv,
	    st->grpc_text != NULL ? 2 : 1);
}

ssize_t
h2_read(nghttp2_session *ng, int32_t id, uint8_t *p, size_t n,
    uint32_t *flags, nghttp2_data_source *source, void *arg)
{
	struct h2_stream	*st = source->ptr;

	(void)ng;
	(void)id;
	(void)arg;
	if (n > st->out.len)
		n = st->out.len;
	if (n > 0) {
		memcpy(p, buf_head(&st->out), n);
		buf_drain(&st->out, n);
		st->stall_sent += n;
		limit_queued(st->h2->c, st->h2->c->unsent - n);
		st->h2->drained = 1;
	}
	if (st->out.len > 0)
		return ((ssize_t)n);
	if (st->out_end) {
		*flags |= NGHTTP2_DATA_FLAG_EOF;
		if (st->trailers) {
			*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
			h2_trailers(st);
		}
		return ((ssize_t)n);
	}
	if (n > 0)
		return ((ssize_t)n);
	st->deferred = 1;
	return (NGHTTP2_ERR_DEFERRED);
}

/* RFC 9110 15.2.1; the answer is still to come. */
void
h2_continue(struct h2_stream *st)
{
	nghttp2_nv	 nv = h2_nv(":status", "100");

	nghttp2_submit_headers(st->h2->ng, NGHTTP2_FLAG_NONE, st->id, NULL,
	    &nv, 1, NULL);
	conn_dirty(st->h2->c);
}

/* body: the queue follows, else this is all.  :status is the first field. */
void
h2_respond(struct h2_stream *st, const struct field *f, size_t n, int body)
{
	nghttp2_nv		 nv[REPLY_FIELDS + 4];
	nghttp2_data_provider	 provider = { .source = { .ptr = st },
				    .read_callback = h2_read };
	size_t			 i;

	for (i = 0; i < n && i < sizeof(nv) / sizeof(nv[0]); i++)
		nv[i] = h2_nv(f[i].name, f[i].value);
	nghttp2_submit_response(st->h2->ng, st->id, nv, i,
	    body ? &provider : NULL);
	st->replied = 1;
	conn_dirty(st->h2->c);
}

void
h2_out(struct h2_stream *st, const void *p, size_t n)
{
	buf_add(&st->out, p, n);
	limit_queued(st->h2->c, st->h2->c->unsent + n);
	if (st->deferred)
		nghttp2_session_resume_data(st->h2->ng, st->id);
	st->deferred = 0;
	conn_dirty(st->h2->c);
}

void
h2_out_end(struct h2_stream *st)
{
	st->out_end = 1;
	h2_out(st, NULL, 0);
}

void
h2_out_drop(struct h2_stream *st)
{
	limit_queued(st->h2->c, st->h2->c->unsent - st->out.len);
	buf_free(&st->out);
}

void
h2_cut(struct h2_stream *st, uint32_t error)
{
	nghttp2_submit_rst_stream(st->h2->ng, NGHTTP2_FLAG_NONE, st->id, error);
	conn_dirty(st->h2->c);
}

/* Gives n bytes of the stream's window back. */
void
h2_return(struct h2_stream *st, size_t n)
{
	if (n == 0)
		return;
	nghttp2_session_consume_stream(st->h2->ng, st->id, n);
	conn_dirty(st->h2->c);
}

/* NO_ERROR: after the streams that are open; else now. */
void
h2_end_session(struct http2 *h2, uint32_t error)
{
	if (error != NGHTTP2_NO_ERROR)
		nghttp2_session_terminate_session(h2->ng, error);
	else if (!h2->ending)
		nghttp2_submit_goaway(h2->ng, NGHTTP2_FLAG_NONE,
		    nghttp2_session_get_last_proc_stream_id(h2->ng), error,
		    NULL, 0);
	h2->ending = 1;
	conn_dirty(h2->c);
}

/* ---- transport ---- */

static const char *
lower(struct exchange *x, const char *name)
{
	char	*s, *p;

	s = exchange_copy(x, name, strlen(name));
	for (p = s; *p != '\0'; p++)
		*p = (char)tolower((unsigned char)*p);
	return (s);
}

static void
http2_head(struct exchange *x, int status, const struct field *f, size_t n,
    int64_t length)
{
	struct field	 out[REPLY_FIELDS + 4];
	char		 code[16], len[24];
	size_t		 i, k = 0;

	snprintf(code, sizeof(code), "%d", status);
	out[k++] = (struct field){ ":status", code };
	out[k++] = (struct field){ "date", respond_date() };
	for (i = 0; i < n; i++)
		out[k++] = (struct field){ lower(x, f[i].name), f[i].value };
	if (length >= 0 && status != 204 && status != 304) {
		snprintf(len, sizeof(len), "%lld", (long long)length);
		out[k++] = (struct field){ "content-length", len };
	}
	h2_respond(x->h2, out, k, length != 0 && !x->is_head);
}

static void
http2_body(struct exchange *x, const void *p, size_t n)
{
	h2_out(x->h2, p, n);
}

static void
http2_end(struct exchange *x)
{
	struct h2_stream	*st = x->h2;

	st->x = NULL;
	st->deadline = 0;
	h2_out_end(st);
	if (x->last)
		h2_end_session(st->h2, NGHTTP2_NO_ERROR);
}

/* The way out may be full: what was queued does not wait for it. */
static void
http2_cut(struct exchange *x)
{
	h2_out_drop(x->h2);
	h2_cut(x->h2, NGHTTP2_ENHANCE_YOUR_CALM);
}

static size_t
http2_queued(const struct exchange *x)
{
	return (x->h2->out.len);
}

const struct transport	 http2_transport = { http2_head, http2_body,
	http2_end, http2_cut, http2_queued };
