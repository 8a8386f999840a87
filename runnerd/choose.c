/*
 * choose.c - which runner a session is to sit on: the one that has its
 * workspace, or any that is free; or why none.
 */
#include <stdio.h>
#include <string.h>

#include "session.h"

#define REFUSED_MS	300000	/* others are tried first for so long */

static int
runner_serves(const struct runner *r, const char *tenant, const char *agent)
{
	return ((r->shared || strcmp(r->tenant, tenant) == 0) &&
	    runner_offers(r, agent));
}

static int
runner_is_free(const struct runner *r)
{
	return (r->stream != NULL && r->state == RUNNER_IDLE && !r->claiming);
}

/* The runner that its workspace is on, or why not that one. */
static struct runner *
choose_home(const struct msg_session_place *m, char *why, size_t size)
{
	struct runner	*r = runner_find(m->runner);

	if (r == NULL || !runner_serves(r, m->tenant, m->agent))
		snprintf(why, size, "the runner that has its workspace is not "
		    "known any more or does not offer %s", m->agent);
	else if (r->stream == NULL)
		snprintf(why, size, "the runner that has its workspace (%s) "
		    "is offline", r->name);
	else if (!runner_is_free(r))
		snprintf(why, size, "the runner that has its workspace (%s) "
		    "is busy", r->name);
	else
		return (r);
	return (NULL);
}

/* What we do not know of it keeps the database from giving it away. */
static int
runner_is_refused(const struct runner *r)
{
	return (r->refused != 0 &&
	    worker_mono_ms() - r->refused < REFUSED_MS);
}

/* The tenant's own before a shared one, then whoever was idle longest. */
static int
runner_is_better(const struct runner *r, const struct runner *than)
{
	int	 refused = runner_is_refused(r);

	if (refused != runner_is_refused(than))
		return (!refused);
	if (r->shared != than->shared)
		return (!r->shared);
	return (r->freed < than->freed);
}

static struct runner *
choose_any(const struct msg_session_place *m, char *why, size_t size)
{
	struct runner	*r, *best = NULL;
	unsigned int	 offer = 0, online = 0;

	for (r = runner_next(NULL); r != NULL; r = runner_next(r)) {
		if (!runner_serves(r, m->tenant, m->agent))
			continue;
		offer++;
		online += r->stream != NULL;
		if (!runner_is_free(r))
			continue;
		if (best == NULL || runner_is_better(r, best))
			best = r;
	}
	if (offer == 0)
		snprintf(why, size, "no runner offers %s", m->agent);
	else if (online == 0)
		snprintf(why, size, "no runner that offers %s is online",
		    m->agent);
	else
		snprintf(why, size, "every runner online that offers %s is "
		    "busy (%u)", m->agent, online);
	return (best);
}

struct runner *
choose(const struct msg_session_place *m, char *why, size_t size)
{
	return (m->runner[0] != '\0' ? choose_home(m, why, size) :
	    choose_any(m, why, size));
}
