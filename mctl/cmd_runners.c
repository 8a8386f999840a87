/*
 * mctl runners: the places where runs happen.
 */

#include <stdlib.h>

#include "doc.h"

static const struct col cols[] = {
	{ "ID", "id", COL_TEXT, 0, 0 },
	{ "NAME", "name", COL_TEXT, 0, 32 },
	{ "STATUS", "status", COL_TEXT, 0, 0 },
	{ "TAINTED", "tainted", COL_TEXT, 0, 0 },
	{ "AGENTS", "capabilities", COL_TEXT, 0, 40 },
	{ "POOL", "pool", COL_TEXT, 0, 24 },
	{ "SESSION", "session_id", COL_TEXT, 1, 0 },
	{ "HOST", "hostname", COL_TEXT, 1, 32 },
	{ "SANDBOX", "sandbox_mode", COL_TEXT, 1, 0 },
	{ "VERSION", "version", COL_TEXT, 1, 24 },
	{ "LABELS", "labels", COL_LABELS, 1, 48 },
	{ "SEEN", "last_seen_at", COL_AGE, 0, 0 },
	{ "AGE", "created_at", COL_AGE, 1, 0 },
	{ NULL, NULL, COL_TEXT, 0, 0 }
};

static const struct opt list_opts[] = {
	{ "status", "STATUS", "offline, idle, busy, paused; repeatable", 0 },
	{ "pool", "POOL", "of this pool; repeatable", 0 },
	{ "label", "K=V", "with this label; repeatable, all must be there", 0 },
	LIST_OPTS,
	{ NULL, NULL, NULL, 0 }
};

static int
do_list(struct mctl *m, const struct args *a)
{
	struct str	 s = { 0 };

	str_puts(&s, "/api/v1/runners");
	return (list_all(m, a, "status\0pool\0label\0", &s, cols));
}

static int
do_get(struct mctl *m, const struct args *a)
{
	json_t	*doc = api_get_of(m, "/api/v1/runners/", a->operand[0], "");

	if (doc == NULL)
		return (m->rc);
	out_one(m, doc);
	json_decref(doc);
	return (EX_DONE);
}

const struct cmd_entry cmd_runners[] = {
	{ "runners", "list", NULL, list_opts, 0, 0, 0,
	    "List runners", do_list },
	{ "runners", "get", "RUNNER", NULL, 1, 1, 0,
	    "Show all of a runner", do_get },
	{ NULL, NULL, NULL, NULL, 0, 0, 0, NULL, NULL }
};
