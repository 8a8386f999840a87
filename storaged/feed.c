/*
 * feed.c - every event to sessiond while it wants them, in commit order, none
 * missed and none twice (promise 14): rows after the last one sent and below the
 * oldest transaction still at work.  Asked after each commit that may have made
 * one, and each second for those of other servers.  The same connection, which
 * has the system mark, does the database's housekeeping once a minute.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connection.h"
#include "log.h"
#include "storaged_msg.h"
#include "worker.h"

#define PAGE		256	/* rows of mn.event_feed() */
#define HOUSEKEEPING	60	/* seconds */
#define HOUSEKEEPING_ON	1	/* while there is more to do */

static enum { ASK_NONE, ASK_HORIZON, ASK_EVENTS, ASK_JANITOR } asking;
static uint64_t		 xid, seq;	/* of the last event sent */
static int		 placed;	/* sessiond knows the horizon */
static int		 fresh;		/* it wants them anew since the question */
static int		 wanted;	/* somebody follows events */
static int		 kicked;
static unsigned int	 housekeeping;	/* seconds until */
static uint64_t		 housekept;	/* monotonic ms; 0: not yet */

static void	 feed_up(struct conn *);
static void	 feed_down(struct conn *);
static void	 feed_result(struct conn *, PGresult *);
static void	 feed_done(struct conn *);
static void	 feed_sync(struct conn *);

static struct conn	 conn = {
	.name = "marionette feed",
	.options = CONN_OPTIONS "-c mn.tenant=*",
	.prepare = 0,
	.up = feed_up, .down = feed_down, .result = feed_result,
	.done = feed_done, .sync = feed_sync,
};

void
feed_start(void)
{
	conn_start(&conn);
}

/* sessiond is new, and says so when it wants events. */
void
feed_reset(void)
{
	wanted = placed = 0;
}

/* It learns a horizon before any event. */
void
on_event_feed(struct peer *p, uint64_t ref, const struct msg_event_feed *m)
{
	(void)p;
	(void)ref;
	wanted = m->wanted;
	placed = 0;
	fresh = 1;
}

void
feed_kick(void)
{
	kicked = 1;
}

static void
ask_events(void)
{
	const char	*values[2];
	char		 x[24], s[24];

	snprintf(x, sizeof(x), "%llu", (unsigned long long)xid);
	snprintf(s, sizeof(s), "%llu", (unsigned long long)seq);
	values[0] = x;
	values[1] = s;
	kicked = 0;
	asking = ASK_EVENTS;
	conn_query(&conn, "SELECT * FROM mn.event_feed($1::bigint, "
	    "$2::bigint)", 2, values);
}

static void
ask_janitor_work(void)
{
	const char	*values[2];
	char		 days[16], passed[24];
	uint64_t	 now = worker_mono_ms();

	snprintf(days, sizeof(days), "%d", config_log_days());
	snprintf(passed, sizeof(passed), "%llu", housekept == 0 ? 0 :
	    (unsigned long long)(now - housekept) / 1000);
	values[0] = days;
	values[1] = passed;
	housekept = now;
	housekeeping = HOUSEKEEPING;
	asking = ASK_JANITOR;
	conn_query(&conn, "SELECT mn.janitor($1::integer, $2::integer)", 2,
	    values);
}

void
feed_housekeep(void)
{
	if (worker_mono_ms() - housekept >= HOUSEKEEPING_ON * 1000)
		housekeeping = 0;
}

void
feed_turn(void)
{
	struct peer	*p = peer_of(PROC_SESSIOND);

	if (conn.state != CONN_READY || asking != ASK_NONE)
		return;
	if (wanted && !placed && peer_is_up(p)) {
		asking = ASK_HORIZON;
		fresh = 0;
		conn_query(&conn, "SELECT "
		    "pg_snapshot_xmin(pg_current_snapshot())::text", 0, NULL);
	} else if (placed && kicked && peer_is_up(p) && !peer_is_full(p) &&
	    !answers_wait(p->proc))
		ask_events();
	else if (housekeeping == 0 && write_is_ours())
		ask_janitor_work();
	else
		return;
	conn_sync(&conn);
}

static void
feed_up(struct conn *c)
{
	(void)c;
	kicked = 1;
}

static void
feed_down(struct conn *c)
{
	(void)c;
	asking = ASK_NONE;
}

/* Everything that begins from now on has this transaction or a later one. */
static void
take_horizon(const PGresult *res)
{
	struct msg_event_horizon m;
	char			 position[32];

	if (fresh || !wanted || !peer_is_up(peer_of(PROC_SESSIOND)))
		return;
	xid = strtoull(PQgetvalue(res, 0, 0), NULL, 10);
	seq = 0;
	snprintf(position, sizeof(position), "%llu.0",
	    (unsigned long long)xid);
	m.position = position;
	if (send_event_horizon(peer_of(PROC_SESSIOND), 0, &m) == 0) {
		placed = 1;
		kicked = 1;
	}
}

static void
take_events(const PGresult *res)
{
	struct msg_event_committed m;
	char			*end;
	int			 i, n = PQntuples(res);

	for (i = 0; i < n && placed && !fresh; i++) {
		m.tenant = PQgetvalue(res, i, 0);
		m.position = PQgetvalue(res, i, 1);
		m.type = PQgetvalue(res, i, 2);
		m.labels = (const uint8_t *)PQgetvalue(res, i, 3);
		m.labels_len = (size_t)PQgetlength(res, i, 3);
		m.body = (const uint8_t *)PQgetvalue(res, i, 4);
		m.body_len = (size_t)PQgetlength(res, i, 4);
		if (send_event_committed(peer_of(PROC_SESSIOND), 0, &m) == -1)
			log_warnx("feed: event %s cannot be sent", m.position);
		xid = strtoull(m.position, &end, 10);
		seq = strtoull(*end == '.' ? end + 1 : "0", NULL, 10);
		stats.events++;
	}
	if (n == PAGE)
		kicked = 1;
}

static void
feed_result(struct conn *c, PGresult *res)
{
	const char	*state;

	(void)c;
	if (PQresultStatus(res) == PGRES_TUPLES_OK) {
		switch (asking) {
		case ASK_HORIZON:
			take_horizon(res);
			break;
		case ASK_EVENTS:
			take_events(res);
			break;
		case ASK_JANITOR:
			if (PQgetvalue(res, 0, 0)[0] == 't')
				housekeeping = HOUSEKEEPING_ON;
			break;
		case ASK_NONE:
			break;
		}
	} else {
		state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
		log_warnx("feed: SQLSTATE %s in %s", state != NULL ? state :
		    "(none)", asking == ASK_JANITOR ? "mn.janitor" :
		    "mn.event_feed");
	}
	PQclear(res);
}

static void
feed_done(struct conn *c)
{
	(void)c;
}

static void
feed_sync(struct conn *c)
{
	(void)c;
	asking = ASK_NONE;
}

void
feed_janitor(void)
{
	conn_janitor(&conn);
	kicked = 1;
	if (housekeeping > 0)
		housekeeping--;
}
