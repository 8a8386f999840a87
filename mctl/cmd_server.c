/*
 * mctl server: how the server does, and what walls stand in it.
 */

#include <stdlib.h>
#include <string.h>

#include "privsep.h"

static const struct col status_cols[] = {
	{ "PROCESS", "name", COL_TEXT, 0, 0 },
	{ "PID", "pid", COL_TEXT, 0, 0 },
	{ "READY", "ready", COL_TEXT, 0, 0 },
	{ "UPTIME", "uptime_seconds", COL_SECONDS, 0, 0 },
	{ "RESTARTS", "restarts", COL_TEXT, 0, 0 },
	{ "RSS", "rss_bytes", COL_BYTES, 0, 0 },
	{ "QUEUE", "queue", COL_TEXT, 0, 0 },
	{ "PING-US", "ping_us", COL_TEXT, 1, 0 },
	{ NULL, NULL, COL_TEXT, 0, 0 }
};

static const struct col privsep_cols[] = {
	{ "PROCESS", "name", COL_TEXT, 0, 0 },
	{ "PID", "pid", COL_TEXT, 0, 0 },
	{ "UID", "uid", COL_TEXT, 0, 0 },
	{ "ROOT", "root", COL_TEXT, 0, 32 },
	{ "SECCOMP", "seccomp", COL_TEXT, 0, 0 },
	{ "CAPABILITIES", "capabilities", COL_TEXT, 0, 0 },
	{ "NO-NEW-PRIVS", "no_new_privs", COL_TEXT, 1, 0 },
	{ "JAIL", "jail", COL_TEXT, 1, 0 },
	{ "UPTIME", "uptime_seconds", COL_SECONDS, 0, 0 },
	{ "RESTARTS", "restarts", COL_TEXT, 0, 0 },
	{ "RSS", "rss_bytes", COL_BYTES, 0, 0 },
	{ "QUEUE", "queue", COL_TEXT, 0, 0 },
	{ NULL, NULL, COL_TEXT, 0, 0 }
};

static const struct col health_cols[] = {
	{ "CHECK", "check", COL_TEXT, 0, 0 },
	{ "STATUS", "status", COL_TEXT, 0, 0 },
	{ "HTTP", "http", COL_TEXT, 0, 0 },
	{ "SAYS", "says", COL_TEXT, 0, 60 },
	{ NULL, NULL, COL_TEXT, 0, 0 }
};

/* status, privsep: the verb is the last word. */
static int
do_status(struct mctl *m, const struct args *a)
{
	json_t	*doc, *row;
	size_t	 i;
	int	 walls = strcmp(m->cmd->verb, "privsep") == 0;

	(void)a;
	if ((doc = api_get(m, "/admin/api/v1/status")) == NULL)
		return (m->rc);
	json_array_foreach(doc_items(doc), i, row) {
		process_tidy(row);
		if (walls)
			process_walls(m, row);
	}
	out_list(m, doc, walls ? privsep_cols : status_cols);
	json_decref(doc);
	return (EX_DONE);
}

/* One check; a refusal is an answer here. */
static int
health_ask(struct mctl *m, const char *check, json_t *items)
{
	struct request	 q = { "GET", NULL, NULL, NULL, 10, 0, 0 };
	struct reply	 r;
	json_t		*row;
	char		*path;
	int		 ok;

	path = xasprintf("/health/%s", check);
	q.path = path;
	if (http_do(m, &q, &r) != 0) {
		http_unreachable(m, 0, r.why);
		free(path);
		return (-1);
	}
	free(path);
	ok = r.status >= 200 && r.status <= 299;
	row = json_pack("{s:s, s:s, s:I}", "check", check, "status",
	    ok ? "ok" : "failing", "http", (json_int_t)r.status);
	if (r.doc != NULL)
		json_object_set(row, "says", json_is_object(r.doc) &&
		    doc_find(r.doc, "message|status") != NULL ?
		    doc_find(r.doc, "message|status") : r.doc);
	json_array_append_new(items, row);
	reply_clear(&r);
	return (ok);
}

static int
do_health(struct mctl *m, const struct args *a)
{
	json_t	*doc, *items;
	int	 live, ready = -1;

	(void)a;
	items = json_array();
	live = health_ask(m, "live", items);
	if (live != -1)
		ready = health_ask(m, "ready", items);
	doc = json_pack("{s:o}", "items", items);
	if (ready != -1)
		out_list(m, doc, health_cols);
	json_decref(doc);
	if (ready == -1)
		return (m->rc);
	return (live == 1 && ready == 1 ? EX_DONE : EX_ERROR);
}

static int
do_server_version(struct mctl *m, const struct args *a)
{
	json_t	*doc;

	(void)a;
	if ((doc = api_get(m, "/version")) == NULL)
		return (m->rc);
	out_one(m, doc);
	json_decref(doc);
	return (EX_DONE);
}

const struct cmd_entry cmd_server[] = {
	{ "server", "status", NULL, NULL, 0, 0, CMD_ADMIN,
	    "Show the server's processes", do_status },
	{ "server", "health", NULL, NULL, 0, 0, 0,
	    "Ask whether it is live and ready; exit 1 if not", do_health },
	{ "server", "privsep", NULL, NULL, 0, 0, CMD_ADMIN,
	    "Show what each process is confined to", do_status },
	{ "server", "version", NULL, NULL, 0, 0, 0,
	    "Print the server's version", do_server_version },
	{ NULL, NULL, NULL, NULL, 0, 0, 0, NULL, NULL }
};
