/*
 * lock.c - one server at work on a database (promise 2): the writing
 * connection takes an advisory lock before anything else, and asks for it ten
 * times a second while another has it.
 *
 * A killed storaged's backend may still commit what it had received.  One
 * that is of this very server is ended after two seconds.  One of another
 * server is left at work while it lives, and this server stands by; a server
 * that hangs, or whose machine is gone, does not touch its connection any
 * more, and is ended when so many looks in a row found it as it was: ten
 * seconds, half a minute when PostgreSQL is at work for it, whose disk may be
 * slow.  Looks are counted, not time: while PostgreSQL itself stands still
 * nobody is seen, and nobody is dead.  What ends the backend fences the
 * server: PostgreSQL takes nothing more of it.  Where PostgreSQL does not tell
 * when another was heard, nobody is ended: who hangs must be ended by hand.
 *
 * Who has been at work is written down (mn.server_take).  A server that was,
 * and finds that another is or has been since, has a memory that is old: it
 * ends.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connection.h"
#include "log.h"
#include "worker.h"

#define AGAIN		100	/* ms between two tries */
#define PATIENCE	2000	/* ms until one looks who has it, each time */
#define SILENCE		5	/* looks: who is not heard in so many is dead */
#define SILENCE_BUSY	15	/* the same, in the midst of a statement */

#define KEY		"1835937377, 2"
#define HOLDER								\
	"SELECT l.pid, a.backend_start::text, a.state_change::text, "	\
	"a.application_name, coalesce(host(a.client_addr), 'here'), "	\
	"mn.server_known($1), a.state = 'active' FROM pg_locks l "	\
	"JOIN pg_stat_activity a ON a.pid = l.pid "			\
	"WHERE l.locktype = 'advisory' AND l.granted "			\
	"AND l.classid = 1835937377::oid AND l.objid = 2::oid "		\
	"AND l.objsubid = 2 AND l.pid <> pg_backend_pid() "		\
	"AND l.database = (SELECT oid "		\
	"FROM pg_database WHERE datname = current_database())"

static enum { LOCK_NONE, LOCK_TRIED, LOCK_LOOKED, LOCK_ENDING, LOCK_TAKING,
    LOCK_TAKEN, LOCK_WAITS, LOCK_HELD } state;
static uint64_t			 since;		/* we wait, or have looked */
static struct {
	char	 name[64];	/* the name of its connection */
	char	 change[64];	/* when it was last heard, says PostgreSQL */
	int	 missed;	/* looks since that one */
}				 other;
static struct event		*ev_again;

static void
ask(struct conn *c, int as, const char *sql, int n, const char *const *values)
{
	state = as;
	conn_query(c, sql, n, values);
	conn_sync(c);
}

static void
try(struct conn *c)
{
	const char	*value[1] = { config_instance() };

	if (worker_mono_ms() - since < PATIENCE) {
		ask(c, LOCK_TRIED, "SELECT pg_try_advisory_lock(" KEY ")", 0,
		    NULL);
		return;
	}
	ask(c, LOCK_LOOKED, HOLDER, 1, value);
}

static void
again(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	if (state == LOCK_WAITS)
		try(arg);
}

void
lock_begin(struct conn *c)
{
	if (ev_again == NULL &&
	    (ev_again = event_new(worker_base(), -1, 0, again, c)) == NULL)
		fatalx("lock: no event");
	since = worker_mono_ms();
	try(c);
}

static void
later(void)
{
	struct timeval	 tv = { 0, AGAIN * 1000 };

	state = LOCK_WAITS;
	event_add(ev_again, &tv);
}

static void
overtaken(void)
{
	log_warnx("lock: another server has been at work on this database "
	    "since this one was");
	exit(WORKER_OVERTAKEN);
}

static void
end(struct conn *c, const PGresult *res)
{
	const char	*value[2];

	log_warnx("lock: ending the backend %s (%s, from %s), which holds it",
	    PQgetvalue(res, 0, 0), PQgetvalue(res, 0, 3),
	    PQgetvalue(res, 0, 4));
	value[0] = PQgetvalue(res, 0, 0);
	value[1] = PQgetvalue(res, 0, 1);
	ask(c, LOCK_ENDING, "SELECT pg_terminate_backend(pid) "
	    "FROM pg_stat_activity WHERE pid = $1::integer "
	    "AND backend_start::text = $2", 2, value);
}

/* Looks at another server: how often it has not been heard since the last. */
static int
missed(const PGresult *res)
{
	const char	*change = PQgetvalue(res, 0, 2);
	const char	*name = PQgetvalue(res, 0, 3);
	int		 seen = change[0] != '\0';

	if (seen && strcmp(other.name, name) == 0 &&
	    strcmp(other.change, change) == 0)
		return (++other.missed);
	if (strcmp(other.name, name) != 0)
		log_warnx("another server (%s, from %s) is at work on this "
		    "database; standing by%s", name, PQgetvalue(res, 0, 4),
		    seen ? "" : ", also if it hangs: PostgreSQL does not tell "
		    "(track_activities is off, or it is of another role)");
	strlcpy(other.name, name, sizeof(other.name));
	strlcpy(other.change, change, sizeof(other.change));
	return (other.missed = 0);
}

static void
looked(struct conn *c, const PGresult *res)
{
	int	 busy;

	since = worker_mono_ms();
	if (PQntuples(res) == 0)
		later();		/* it has just gone */
	else if (strstr(PQgetvalue(res, 0, 3), config_instance()) != NULL)
		end(c, res);
	else if (*PQgetvalue(res, 0, 5) == 't')
		overtaken();
	else {
		busy = *PQgetvalue(res, 0, 6) == 't';
		if (missed(res) >= (busy ? SILENCE_BUSY : SILENCE))
			end(c, res);
		else
			later();
	}
}

static void
take(struct conn *c)
{
	const char	*value[2];
	char		 id[16];

	snprintf(id, sizeof(id), "%d", config_server_id());
	value[0] = config_instance();
	value[1] = id;
	ask(c, LOCK_TAKING, "SELECT mn.server_take($1, $2::integer)", 2, value);
}

void
lock_result(struct conn *c, PGresult *res)
{
	int	 ok = PQresultStatus(res) == PGRES_TUPLES_OK;
	int	 yes = ok && PQntuples(res) > 0 && *PQgetvalue(res, 0, 0) == 't';

	if (!ok) {
		log_warnx("lock: %s", PQresultErrorMessage(res));
		later();
	} else if (state == LOCK_TRIED && yes)
		take(c);
	else if (state == LOCK_LOOKED)
		looked(c, res);
	else if (state == LOCK_TAKING && yes)
		state = LOCK_TAKEN;
	else if (state == LOCK_TAKING)
		overtaken();
	else
		later();
	PQclear(res);
}

/* Only the commit says that it is written down who is at work. */
int
lock_synced(void)
{
	if (state != LOCK_TAKEN)
		return (0);
	state = LOCK_HELD;
	other.name[0] = '\0';
	log_debug("lock: held");
	return (1);
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
	other.missed = 0;
}
