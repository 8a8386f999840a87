/*
 * session.c - the sessions that the tasks go to: made at the beginning, ended in
 * the end, so that the runners are free for the next fleet.  A request that may
 * carry a key has a connection of its own, which ends with it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "log.h"
#include "util.h"

#define SESSION_CONNECTIONS	16

static char	(*ids)[FLEET_ID];
static size_t	 asked, done;

static void	 create_next(struct rest *);
static void	 end_next(struct rest *);

const char *
session_id(size_t i)
{
	return (ids[i]);
}

/* A connection and which session it is for. */
struct making {
	struct rest	*rest;
	size_t		 i;
};

static void
created(const struct answer *a, void *arg)
{
	struct making	*m = arg;

	if (a->status != 201 || peek(a->body, a->len, "id", ids[m->i],
	    FLEET_ID) == -1)
		fatalx("POST /sessions: %d: %.300s", a->status, a->body);
	book("session %s", ids[m->i]);
	done++;
	create_next(m->rest);
	free(m);
}

static void
create_next(struct rest *r)
{
	struct making	*m;
	char		 idem[64], body[128];

	if (asked == fleet->nsessions)
		return;
	m = xcalloc(1, sizeof(*m));
	m->rest = r;
	m->i = asked++;
	snprintf(idem, sizeof(idem), "%s-session-%zu", fleet->mark, m->i);
	snprintf(body, sizeof(body), "{\"agent\":\"%s\"}", fleet->agent);
	will_post(r, "/api/v1/sessions", idem, body, created, m);
}

static void
terminated(const struct answer *a, void *arg)
{
	struct making	*m = arg;

	if (a->status != 202 && a->status != 200)
		fatalx("terminate: %d: %.300s", a->status, a->body);
	done++;
	end_next(m->rest);
	free(m);
}

static void
end_next(struct rest *r)
{
	struct making	*m;
	char		 idem[64], path[64 + FLEET_ID];

	if (asked == fleet->nsessions)
		return;
	m = xcalloc(1, sizeof(*m));
	m->rest = r;
	m->i = asked++;
	snprintf(idem, sizeof(idem), "%s-end-%zu", fleet->mark, m->i);
	snprintf(path, sizeof(path), "/api/v1/sessions/%s/terminate?wait=10",
	    ids[m->i]);
	will_post(r, path, idem, "{}", terminated, m);
}

static void
sessions_all(void (*next)(struct rest *), const char *what)
{
	struct rest	*r[SESSION_CONNECTIONS];
	size_t		 i;

	asked = done = 0;
	fleet->patient = 1;
	for (i = 0; i < SESSION_CONNECTIONS; i++) {
		r[i] = rest_open();
		next(r[i]);
	}
	wait_for(&done, fleet->nsessions, what);
	fleet->patient = 0;
	for (i = 0; i < SESSION_CONNECTIONS; i++)
		rest_close(r[i]);
}

/* Those that a runner can have are attached, too. */
void
sessions_create(void)
{
	ids = xcalloc(fleet->nsessions, sizeof(*ids));
	sessions_all(create_next, "sessions");
	wait_for(&fleet->attached, fleet->nsessions < fleet->nrunners ?
	    fleet->nsessions : fleet->nrunners, "sessions to be attached");
}

void
sessions_end(void)
{
	fleet->stopping = 1;
	sessions_all(end_next, "sessions to be ended");
}
