/*
 * rest.c - requests, one at a time on a connection that is kept.  In the strict
 * mood a connection that breaks under a request is the end; in the enduring one
 * the answer then has status 0, and whoever asked may ask again.
 */
#include <sys/queue.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include "client.h"
#include "log.h"
#include "util.h"

#define REQUEST_MAX	8192
#define ANSWER_S	60	/* the server answers 504 before */

/* From rest_open() to rest_close(). */
struct rest {
	struct conn	*conn;
	struct event	 late;
	rest_done	 done;		/* NULL: idle */
	void		*arg;
	uint64_t	 sent;
	size_t		 nrequest;
	char		 request[REQUEST_MAX];
	int		 up;
};

static void
rest_finish(struct rest *r, const struct answer *a)
{
	rest_done	 done = r->done;

	evtimer_del(&r->late);
	r->done = NULL;
	done(r, a, r->arg);
}

static void
rest_write(struct rest *r)
{
	r->sent = now_ns();
	conn_write(r->conn, r->request, r->nrequest);
}

static void
rest_up(void *arg)
{
	struct rest	*r = arg;

	r->up = 1;
	if (r->done != NULL)
		rest_write(r);
}

static size_t
rest_data(const char *p, size_t len, void *arg)
{
	struct answer	 a;
	struct rest	*r = arg;
	struct head	 h;
	size_t		 head;
	char		*body;

	if ((head = http_head(p, len, &h)) == 0 || len < head + h.body)
		return (0);
	if (r->done == NULL || len > head + h.body || h.chunked) {
		wrong("REST: an answer that nobody asked for: %.200s", p);
		return (len);
	}
	body = xstrndup(p + head, h.body);
	a = (struct answer){ h.status, body, h.body, h.retry_after };
	if (h.close) {
		conn_close(r->conn);
		r->conn = NULL;
		r->up = 0;
	}
	rest_finish(r, &a);
	free(body);
	return (head + h.body);
}

static void
rest_down(const char *why, void *arg)
{
	static const struct answer	 none = { 0, "", 0, 0 };
	struct rest			*r = arg;

	r->conn = NULL;
	r->up = 0;
	if (r->done == NULL)
		return;		/* Kept for nothing: opened when needed. */
	if (!fleet->enduring)
		fatalx("REST: %s, after: %.100s", why, r->request);
	log_debug("REST: %s", why);
	rest_finish(r, &none);
}

static const struct conn_ops	rest_ops = { rest_up, rest_data, rest_down };

static void
rest_late(int fd, short what, void *arg)
{
	struct rest	*r = arg;

	(void)fd;
	(void)what;
	if (r->conn != NULL)
		conn_close(r->conn);
	rest_down("no answer in time", r);
}

struct rest *
rest_open(void)
{
	struct rest	*r;

	r = xcalloc(1, sizeof(*r));
	evtimer_assign(&r->late, fleet->base, rest_late, r);
	r->conn = conn_open(&rest_ops, r);
	return (r);
}

void
rest_close(struct rest *r)
{
	evtimer_del(&r->late);
	if (r->conn != NULL)
		conn_close(r->conn);
	free(r);
}

/* Until it is connected, or has tried. */
void
rest_wait(struct rest *r)
{
	while (r->conn != NULL && !r->up)
		event_base_loop(fleet->base, EVLOOP_ONCE);
}

void
rest_send(struct rest *r, const char *method, const char *path,
    const char *idem, const char *body, rest_done done, void *arg)
{
	struct timeval	 tv = { ANSWER_S, 0 };
	size_t		 n;

	if (r->done != NULL)
		fatalx("REST: one request at a time");
	n = http_request(r->request, sizeof(r->request), method, path);
	if (idem != NULL)
		n += (size_t)snprintf(r->request + n, sizeof(r->request) - n,
		    "Idempotency-Key: %s\r\n", idem);
	if (body != NULL)
		n += (size_t)snprintf(r->request + n, sizeof(r->request) - n,
		    "Content-Type: application/json\r\n"
		    "Content-Length: %zu\r\n\r\n%s", strlen(body), body);
	else
		n += strlcpy(r->request + n, "\r\n", sizeof(r->request) - n);
	if (n >= sizeof(r->request))
		fatalx("REST: a request of %zu bytes", n);
	r->nrequest = n;
	r->done = done;
	r->arg = arg;
	evtimer_add(&r->late, &tv);
	if (r->conn == NULL)
		r->conn = conn_open(&rest_ops, r);
	else if (r->up)
		rest_write(r);
}
