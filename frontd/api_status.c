/*
 * api_status.c - the process table that the parent reports every second, as
 * /admin/api/v1/status and, with the counters of every worker, as /metrics
 * (Prometheus text 0.0.4).  Only the admin instance hears reports.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api_tables.h"
#include "body.h"
#include "families.h"
#include "frontd_msg.h"
#include "log.h"
#include "text.h"
#include "worker.h"

#define REPORTS_MAX	32
#define STALE_MS	10000		/* not reported: it is no more */

struct report {
	char		 name[17], root[257];
	uint32_t	 pid, uid, restarts, queued, ping_us;
	uint8_t		 jail, ready;
	uint64_t	 started_ms, rss_bytes, heard;
	char		*metrics;
};

static struct report	 reports[REPORTS_MAX];
static size_t		 nreports;

static struct report *
report_of(const char *name)
{
	size_t	 i;

	for (i = 0; i < nreports; i++)
		if (strcmp(reports[i].name, name) == 0)
			return (&reports[i]);
	if (nreports == REPORTS_MAX)
		return (NULL);
	strlcpy(reports[nreports].name, name, sizeof(reports[0].name));
	return (&reports[nreports++]);
}

void
on_proc_report(struct peer *p, uint64_t ref, const struct msg_proc_report *m)
{
	struct report	*r;

	(void)p;
	(void)ref;
	if ((r = report_of(m->name)) == NULL)
		return;
	strlcpy(r->root, m->root, sizeof(r->root));
	r->pid = m->pid;
	r->uid = m->uid;
	r->restarts = m->restarts;
	r->queued = m->queued;
	r->ping_us = m->ping_us;
	r->jail = m->jail;
	r->ready = m->ready;
	r->started_ms = m->started_ms;
	r->rss_bytes = m->rss_bytes;
	r->heard = worker_mono_ms();
	free(r->metrics);
	if ((r->metrics = strndup((const char *)m->metrics,
	    m->metrics_len)) == NULL)
		fatal("report");
}

static int
is_fresh(const struct report *r)
{
	return (worker_mono_ms() - r->heard < STALE_MS);
}

static uint64_t
uptime_ms(const struct report *r)
{
	return (worker_now_ms() > r->started_ms ?
	    worker_now_ms() - r->started_ms : 0);
}

static json_t *
report_object(const struct report *r)
{
	static const char *const	 jails[] = { "none", "seccomp",
					    "full" };
	char				 when[TEXT_TIME_SIZE];
	json_t				*o = json_object();

	text_time(when, r->started_ms);
	json_object_set_new(o, "name", json_string(r->name));
	json_object_set_new(o, "pid", json_integer(r->pid));
	json_object_set_new(o, "uid", json_integer(r->uid));
	json_object_set_new(o, "root", json_string(r->root));
	json_object_set_new(o, "jail", json_string(jails[r->jail % 3]));
	json_object_set_new(o, "ready", json_boolean(r->ready));
	json_object_set_new(o, "started_at", json_string(when));
	json_object_set_new(o, "uptime_seconds",
	    json_integer((json_int_t)(uptime_ms(r) / 1000)));
	json_object_set_new(o, "restarts", json_integer(r->restarts));
	json_object_set_new(o, "rss_bytes",
	    json_integer((json_int_t)r->rss_bytes));
	json_object_set_new(o, "queue", json_integer(r->queued));
	json_object_set_new(o, "ping_us", json_integer(r->ping_us));
	return (o);
}

static void
status(struct request *req)
{
	static const char *const	 no_params[] = { NULL };
	json_t				*doc, *items;
	char				*text;
	size_t				 i, len;

	if (auth(req) == NULL || query_only(req, no_params) == -1)
		return;
	items = json_array();
	for (i = 0; i < nreports; i++)
		if (is_fresh(&reports[i]))
			json_array_append_new(items,
			    report_object(&reports[i]));
	doc = json_object();
	json_object_set_new(doc, "version", json_string(MN_VERSION));
	json_object_set_new(doc, "items", items);
	text = json_text(doc, &len);
	json_decref(doc);
	reply_json(req, 200, text, len);
	json_text_free(text);
}

/* What the table says of every process, in the same text as their own. */
static void
report_families(struct families *f, const struct report *r)
{
	char	 text[512];

	snprintf(text, sizeof(text),
	    "# TYPE marionette_process_ready gauge\n"
	    "marionette_process_ready %u\n"
	    "# TYPE marionette_process_uptime_seconds gauge\n"
	    "marionette_process_uptime_seconds %" PRIu64 "\n"
	    "# TYPE marionette_process_restarts_total counter\n"
	    "marionette_process_restarts_total %" PRIu32 "\n"
	    "# TYPE marionette_process_resident_bytes gauge\n"
	    "marionette_process_resident_bytes %" PRIu64 "\n"
	    "# TYPE marionette_process_queue_bytes gauge\n"
	    "marionette_process_queue_bytes %" PRIu32 "\n"
	    "# TYPE marionette_process_ping_seconds gauge\n"
	    "marionette_process_ping_seconds %.6f\n",
	    r->ready, uptime_ms(r) / 1000, r->restarts, r->rss_bytes,
	    r->queued, r->ping_us / 1e6);
	families_add(f, r->name, text);
	families_add(f, r->name, r->metrics);
}

static void
metrics(struct request *req)
{
	struct families	 f = { 0 };
	char		*text;
	size_t		 i, len;

	if (auth(req) == NULL)
		return;
	for (i = 0; i < nreports; i++)
		if (is_fresh(&reports[i]))
			report_families(&f, &reports[i]);
	text = families_text(&f, &len);
	reply_body(req, 200, "text/plain; version=0.0.4; charset=utf-8", text,
	    len);
	free(text);
}

const struct route	 status_routes[] = {
	{ M_GET, ADMIN, "/admin/api/v1/status", "admin:*", 0, 0, status },
	{ M_GET, ADMIN, "/metrics", "admin:*", 0, R_ANYHOST, metrics },
	{ 0 }
};
