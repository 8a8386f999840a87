/*
 * One stream of events over as many connections as it takes.  After a cut it
 * asks for what comes after the last event it has seen whole, waiting longer
 * each time nothing came; it gives up FOLLOW_PATIENCE after the cut.  Somebody
 * must be there at first.
 */

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "http.h"
#include "stream.h"

#define TICK		250
#define DEAF_SECONDS	90L	/* the server says something every 30 */
#define REFUSAL_MAX	65536

static size_t
on_header(char *p, size_t size, size_t n, void *arg)
{
	static const char	 name[] = "content-type:";
	static const char	 type[] = "text/event-stream";
	struct stream		*s = arg;
	size_t			 at = sizeof(name) - 1;

	n *= size;
	if (n < at || strncasecmp(p, name, at) != 0)
		return (n);
	while (at < n && p[at] == ' ')
		at++;
	s->streams = n - at >= sizeof(type) - 1 &&
	    strncasecmp(p + at, type, sizeof(type) - 1) == 0;
	return (n);
}

static size_t
on_data(char *p, size_t size, size_t n, void *arg)
{
	struct stream	*s = arg;
	long		 status = 0;
	int		 rc;

	n *= size;
	curl_easy_getinfo(s->curl, CURLINFO_RESPONSE_CODE, &status);
	if (status != 200 || !s->streams) {
		if (s->body.len + n > REFUSAL_MAX)
			return (0);
		str_add(&s->body, p, n);
		return (n);
	}
	s->failures = 0;
	rc = sse_feed(&s->sse, p, n, s->on_event, s->arg, &s->last);
	if (rc != 0)
		s->stop = 1;
	s->broken = rc == -1;
	return (rc == 0 ? n : 0);
}

/* Drive one connection to its end, ticking. */
static CURLcode
drive(struct stream *s, CURLM *multi)
{
	CURLMsg	*msg;
	int64_t	 ticked = 0;
	int	 running = 1, left;

	while (running && !s->stop) {
		if (curl_multi_perform(multi, &running) != CURLM_OK)
			return (CURLE_RECV_ERROR);
		if (!s->stop && s->on_tick != NULL &&
		    when_ticks() - ticked >= TICK) {
			if (s->on_tick(s->arg) != 0)
				s->stop = 1;
			ticked = when_ticks();
		}
		if (running && !s->stop)
			curl_multi_poll(multi, NULL, 0, TICK, NULL);
	}
	while ((msg = curl_multi_info_read(multi, &left)) != NULL)
		if (msg->msg == CURLMSG_DONE)
			return (msg->data.result);
	return (CURLE_OK);
}

static CURLcode
connect_once(struct mctl *m, struct stream *s, long *status)
{
	struct curl_slist	*headers = NULL;
	CURLcode		 rc;
	CURLM			*multi;

	if ((multi = curl_multi_init()) == NULL)
		abort();
	s->curl = http_open(m, s->path, 0, &headers);
	headers = http_header(headers, "Accept", "text/event-stream");
	if (s->last.len > 0)
		headers = http_header(headers, "Last-Event-ID", s->last.data);
	curl_easy_setopt(s->curl, CURLOPT_HTTPHEADER, headers);
	s->streams = 0;
	curl_easy_setopt(s->curl, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(s->curl, CURLOPT_HEADERDATA, s);
	curl_easy_setopt(s->curl, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(s->curl, CURLOPT_WRITEDATA, s);
	curl_easy_setopt(s->curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(s->curl, CURLOPT_LOW_SPEED_TIME, DEAF_SECONDS);
	curl_multi_add_handle(multi, s->curl);
	rc = drive(s, multi);
	*status = 0;
	curl_easy_getinfo(s->curl, CURLINFO_RESPONSE_CODE, status);
	curl_multi_remove_handle(multi, s->curl);
	curl_easy_cleanup(s->curl);
	curl_multi_cleanup(multi);
	http_headers_free(headers);
	s->curl = NULL;
	sse_reset(&s->sse);
	return (rc);
}

static int
refuse(struct mctl *m, struct stream *s, long status)
{
	struct reply	 r = { 0 };

	r.status = status;
	if (s->body.len > 0)
		r.doc = json_loadb(s->body.data, s->body.len, 0, NULL);
	api_refused(m, &r);
	reply_clear(&r);
	return (-1);
}

static int
is_passing(long status)
{
	return (status == 0 || status == 200 || status == 429 ||
	    (status >= 502 && status <= 504));
}

/* Wait before the next connection; 1: a tick said stop. */
static int
pause_for(struct mctl *m, struct stream *s)
{
	int64_t	 until;
	long	 ms;

	ms = s->sse.retry != 0 ? s->sse.retry : 200;
	ms <<= s->failures > 6 ? 6 : s->failures;
	if (ms > 15000)
		ms = 15000;
	ms += (long)arc4random_uniform((uint32_t)ms / 2 + 1);
	if (m->progress && s->failures > 0)
		fprintf(stderr, "mctl: the connection is lost; trying again "
		    "in %ld.%lds\n", ms / 1000, ms / 100 % 10);
	until = when_ticks() + ms;
	while (when_ticks() < until) {
		if (s->on_tick != NULL && s->on_tick(s->arg) != 0)
			return (1);
		usleep(TICK / 5 * 1000);
	}
	return (0);
}

int
stream_run(struct mctl *m, struct stream *s)
{
	CURLcode	 rc;
	long		 status;

	for (;;) {
		s->body.len = 0;
		rc = connect_once(m, s, &status);
		if (s->failures == 0)
			s->lost = when_ticks();
		if (s->broken) {
			fputs("mctl: the server sent an event without end\n",
			    stderr);
			m->rc = EX_ERROR;
			return (-1);
		}
		if (s->stop)
			return (0);
		if (status == 204)
			return (1);
		if (!is_passing(status) ||
		    (status == 200 && !s->streams && !m->met))
			return (refuse(m, s, status));
		if ((!m->met && status == 0) ||
		    when_ticks() - s->lost > FOLLOW_PATIENCE * 1000) {
			http_unreachable(m, 0, curl_easy_strerror(rc));
			return (-1);
		}
		m->met = 1;
		if (pause_for(m, s) != 0)
			return (0);
		s->failures++;
	}
}
