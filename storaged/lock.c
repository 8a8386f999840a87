/*
 * lock.c - the advisory lock of this server's id (promise 2).  A killed
 * storaged's backend may still commit what it had received; so the writing
 * connection takes the lock before anything, asks for it ten times a second,
 * and after two seconds ends the backend that holds it.
 */
#include <stdio.h>
#include <string.h>

#include "connection.h"
#include "log.h"
#include "worker.h"

#define PATIENCE	2000	/* ms */

static enum { LOCK_NONE, LOCK_ASKED, LOCK_WAITS, LOCK_HELD } state;
static uint64_t	 since;
static int	 ending;		/* the question was to end the holder */
static struct event *ev_again;

static void
lock_ask(struct conn *c)
{
	const char	*value[1];
	char		 id[24];

	snprintf(id, sizeof(id), "%lld", (long long)config_server_id());
	value[0] = id;
	ending = worker_mono_ms() - since >= PATIENCE;
	if (ending) {
		conn_query(c, "SELECT pid, pg_terminate_backend(pid) FROM "
		    "pg_locks WHERE locktype = 'advisory' AND granted AND "
		    "objsubid = 1 AND database = (SELECT oid FROM pg_database "
		    "WHERE datname = current_database()) AND ((classid::bigint "
		    "<< 32) | objid::bigint) = $1::bigint AND pid <> "
		    "pg_backend_pid()", 1, value);
		since = worker_mono_ms();
	} else
		conn_query(c, "SELECT pg_try_advisory_lock($1::bigint)", 1,
		    value);
	state = LOCK_ASKED;
	conn_sync(c);
}

static void
again(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	if (state == LOCK_WAITS)
		lock_ask(arg);
}

void
lock_begin(struct conn *c)
{
	if (ev_again == NULL &&
	    (ev_again = event_new(worker_base(), -1, 0, again, c)) == NULL)
		fatalx("lock: no event");
	since = worker_mono_ms();
	lock_ask(c);
}

void
lock_result(struct conn *c, PGresult *res)
{
	struct timeval	 tv = { 0, 100000 };
	int		 ok = PQresultStatus(res) == PGRES_TUPLES_OK;

	(void)c;
	if (ok && !ending && strcmp(PQgetvalue(res, 0, 0), "t") == 0) {
		state = LOCK_HELD;
		log_debug("lock: held");
	} else {
		if (ok && ending && PQntuples(res) > 0)
			log_warnx("lock: ended the backend %s that held it",
			    PQgetvalue(res, 0, 0));
		state = LOCK_WAITS;
		event_add(ev_again, &tv);
	}
	PQclear(res);
}

int
lock_is_held(void)
{
	return (state == LOCK_HELD);
}

void
lock_lost(void)
{
	state = LOCK_NONE;
}
