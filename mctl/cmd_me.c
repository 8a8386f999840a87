/*
 * mctl me, mctl agents: who the caller is, and what runners offer.
 */

#include "doc.h"

static const struct col agent_cols[] = {
	{ "AGENT", "agent|kind|name|id", COL_TEXT, 0, 40 },
	{ "VERSIONS", "versions|version", COL_TEXT, 0, 40 },
	{ "RUNNERS", "runners|runner_count", COL_TEXT, 0, 0 },
	{ "IDLE", "idle", COL_TEXT, 0, 0 },
	{ NULL, NULL, COL_TEXT, 0, 0 }
};

static int
do_me(struct mctl *m, const struct args *a)
{
	json_t	*doc;

	(void)a;
	if ((doc = api_get(m, "/api/v1/me")) == NULL)
		return (m->rc);
	out_one(m, doc);
	json_decref(doc);
	return (EX_DONE);
}

static int
do_agents(struct mctl *m, const struct args *a)
{
	json_t	*doc;

	(void)a;
	if ((doc = api_get(m, "/api/v1/agents")) == NULL)
		return (m->rc);
	out_list(m, doc, agent_cols);
	json_decref(doc);
	return (EX_DONE);
}

const struct cmd_entry cmd_me[] = {
	{ "me", NULL, NULL, NULL, 0, 0, 0,
	    "Show whose key this is and what it may do", do_me },
	{ "agents", "list", NULL, NULL, 0, 0, 0,
	    "List the agents that runners offer", do_agents },
	{ "agents", NULL, NULL, NULL, 0, 0, 0,
	    "List the agents that runners offer", do_agents },
	{ NULL, NULL, NULL, NULL, 0, 0, 0, NULL, NULL }
};
