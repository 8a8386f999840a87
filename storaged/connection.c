/*
 * connection.c - one connection to PostgreSQL: made without blocking, its
 * statements prepared, lost, and made again, 0.1 s doubling to 5 s, for ever.
 * Whoever uses it is told by its functions; see struct conn.
 */
#include <stdio.h>
#include <string.h>

#include "connection.h"
#include "log.h"
#include "worker.h"

#define BACKOFF_MIN	100
#define BACKOFF_MAX	5000
#define CONNECT_MAX	10000	/* ms for one attempt */
#define STRAY_MAX	4	/* empty answers in a row before waiting */

static const char	 tenant_name[] = "tenant";

static void	 conn_event(evutil_socket_t, short, void *);
static void	 conn_dial(struct conn *);

static void
events_off(struct conn *c)
{
	if (c->ev_read != NULL)
		event_free(c->ev_read);
	if (c->ev_write != NULL)
		event_free(c->ev_write);
	c->ev_read = c->ev_write = NULL;
}

/* libpq may use another socket after each step of connecting. */
static void
events_on(struct conn *c, int reading, int writing)
{
	int	 fd = PQsocket(c->pg);

	events_off(c);
	c->ev_read = event_new(worker_base(), fd, EV_READ | EV_PERSIST,
	    conn_event, c);
	c->ev_write = event_new(worker_base(), fd, EV_WRITE, conn_event, c);
	if (c->ev_read == NULL || c->ev_write == NULL)
		fatalx("connection %s: no event", c->name);
	if (reading)
		event_add(c->ev_read, NULL);
	if (writing)
		event_add(c->ev_write, NULL);
}

static void
timer_fired(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	conn_dial(arg);
}

void
conn_lost(struct conn *c, const char *why)
{
	struct timeval	 tv;
	int		 was = c->state == CONN_READY;
	char		 line[256];

	strlcpy(line, why, sizeof(line));
	line[strcspn(line, "\n")] = '\0';
	if (was || c->failures++ % 20 == 0)
		log_warnx("connection %s: %s", c->name, line);
	events_off(c);
	PQfinish(c->pg);
	c->pg = NULL;
	c->state = CONN_DOWN;
	c->outstanding = 0;
	c->broken = 0;
	if (c->down != NULL)
		c->down(c);
	tv.tv_sec = c->backoff_ms / 1000;
	tv.tv_usec = (c->backoff_ms % 1000) * 1000;
	event_add(c->ev_timer, &tv);
	if ((c->backoff_ms *= 2) > BACKOFF_MAX)
		c->backoff_ms = BACKOFF_MAX;
}

void
conn_flush(struct conn *c)
{
	int	 rc;

	if (c->pg == NULL || c->state < CONN_PREPARING)
		return;
	if (c->broken) {
		conn_lost(c, PQerrorMessage(c->pg));
		return;
	}
	if ((rc = PQflush(c->pg)) == 1)
		event_add(c->ev_write, NULL);
	else if (rc == -1)
		conn_lost(c, PQerrorMessage(c->pg));
}

/* What libpq would not take is no question with an answer to wait for. */
void
conn_sent(struct conn *c, int rc)
{
	if (rc == 1)
		c->outstanding++;
	else
		c->broken = 1;
}

void
conn_sync(struct conn *c)
{
	conn_sent(c, PQpipelineSync(c->pg));
	conn_flush(c);
}

void
conn_query(struct conn *c, const char *sql, int n, const char *const *values)
{
	conn_sent(c, PQsendQueryParams(c->pg, sql, n, NULL, values, NULL, NULL,
	    0));
}

/* Whose the statements behind it are. */
void
conn_tenant(struct conn *c, const char *tenant)
{
	const char	*value[1];

	value[0] = tenant;
	conn_sent(c, PQsendQueryPrepared(c->pg, tenant_name, 1, value, NULL,
	    NULL, 0));
}

/* Every statement that may travel here, whose they are, and one Sync. */
static void
prepare_all(struct conn *c)
{
	char	 sql[256];
	int	 t;

	c->prepared = 0;
	for (t = MSG_NONE + 1; t < MSG_MAX; t++) {
		if ((msg_descs[t].flags & MSG_F_SQL) == 0 ||
		    (msg_descs[t].flags & c->prepare) == 0)
			continue;
		conn_sent(c, PQsendPrepare(c->pg, msg_descs[t].lower,
		    statement_text((enum msg_type)t, sql, sizeof(sql)), 0,
		    NULL));
		conn_sent(c, PQsendDescribePrepared(c->pg,
		    msg_descs[t].lower));
	}
	conn_sent(c, PQsendPrepare(c->pg, tenant_name,
	    "SELECT set_config('mn.tenant', $1, true)", 0, NULL));
	conn_sync(c);
}

/* The n-th statement of those that prepare_all() sent; the last is none. */
static enum msg_type
prepared_type(const struct conn *c, unsigned int n)
{
	int	 t;

	for (t = MSG_NONE + 1; t < MSG_MAX; t++)
		if ((msg_descs[t].flags & MSG_F_SQL) != 0 &&
		    (msg_descs[t].flags & c->prepare) != 0 && n-- == 0)
			return ((enum msg_type)t);
	return (MSG_NONE);
}

static void
prepare_result(struct conn *c, const PGresult *res)
{
	enum msg_type	 t = prepared_type(c, c->prepared / 2);

	if (PQresultStatus(res) != PGRES_COMMAND_OK) {
		if (PQresultStatus(res) == PGRES_FATAL_ERROR)
			log_warnx("connection %s: %s cannot be prepared: %s",
			    c->name, t == MSG_NONE ? tenant_name :
			    msg_descs[t].lower,
			    PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY));
		c->failures++;
		return;
	}
	if (c->prepared % 2 == 1)
		statement_describe(t, res);
}

static void
prepare_done(struct conn *c)
{
	c->state = CONN_READY;
	c->failures = 0;
	c->backoff_ms = BACKOFF_MIN;
	log_debug("connection %s is up", c->name);
	c->up(c);
}

static void
handle_result(struct conn *c, PGresult *res)
{
	if (c->state == CONN_PREPARING) {
		prepare_result(c, res);
		PQclear(res);
	} else
		c->result(c, res);
}

static void
handle_sync(struct conn *c)
{
	if (c->state != CONN_PREPARING)
		c->sync(c);
	else if (c->failures > 0)
		conn_lost(c, "its statements cannot be prepared");
	else
		prepare_done(c);
}

/* Takes what has arrived.  A Sync's answer has no empty one behind it. */
static void
take_results(struct conn *c)
{
	PGconn		*pg = c->pg;
	PGresult	*res;
	unsigned int	 strays = 0;

	while (c->outstanding > 0 && !PQisBusy(pg) && strays < STRAY_MAX) {
		if ((res = PQgetResult(pg)) == NULL) {
			if (c->outstanding == 1) {
				strays++;
				continue;
			}
			c->outstanding--;
			if (c->state == CONN_PREPARING)
				c->prepared++;
			else
				c->done(c);
		} else if (PQresultStatus(res) == PGRES_PIPELINE_SYNC) {
			PQclear(res);
			c->outstanding--;
			handle_sync(c);
		} else {
			strays = 0;
			handle_result(c, res);
		}
		if (c->pg != pg)
			return;
		if (PQstatus(pg) == CONNECTION_BAD) {
			conn_lost(c, PQerrorMessage(pg));
			return;
		}
	}
	conn_flush(c);
}

static void
connected(struct conn *c)
{
	if (PQsetnonblocking(c->pg, 1) == -1 ||
	    PQenterPipelineMode(c->pg) == 0) {
		conn_lost(c, PQerrorMessage(c->pg));
		return;
	}
	stats.reconnects++;
	c->failures = 0;
	c->state = CONN_PREPARING;
	events_on(c, 1, 0);
	prepare_all(c);
}

static void
conn_event(evutil_socket_t fd, short what, void *arg)
{
	struct conn	*c = arg;

	(void)fd;
	if (c->state == CONN_CONNECTING) {
		switch (PQconnectPoll(c->pg)) {
		case PGRES_POLLING_READING:
			events_on(c, 1, 0);
			break;
		case PGRES_POLLING_WRITING:
			events_on(c, 0, 1);
			break;
		case PGRES_POLLING_OK:
			connected(c);
			break;
		case PGRES_POLLING_FAILED:
		case PGRES_POLLING_ACTIVE:
			conn_lost(c, PQerrorMessage(c->pg));
			break;
		}
		return;
	}
	if ((what & EV_READ) != 0 && PQconsumeInput(c->pg) == 0) {
		conn_lost(c, PQerrorMessage(c->pg));
		return;
	}
	take_results(c);
}

static void
conn_dial(struct conn *c)
{
	c->since = worker_mono_ms();
	if ((c->pg = config_connect_start(c->application != NULL ?
	    c->application : c->name, c->options)) == NULL)
		fatalx("connection %s: no memory", c->name);
	c->state = CONN_CONNECTING;
	if (PQstatus(c->pg) == CONNECTION_BAD || PQsocket(c->pg) == -1) {
		conn_lost(c, PQerrorMessage(c->pg));
		return;
	}
	events_on(c, 0, 1);
}

void
conn_start(struct conn *c)
{
	c->backoff_ms = BACKOFF_MIN;
	if ((c->ev_timer = event_new(worker_base(), -1, 0, timer_fired, c)) ==
	    NULL)
		fatalx("connection %s: no event", c->name);
	conn_dial(c);
}

/* Once a second: an attempt that hangs is given up. */
void
conn_janitor(struct conn *c)
{
	if ((c->state == CONN_CONNECTING || c->state == CONN_PREPARING) &&
	    worker_mono_ms() - c->since > CONNECT_MAX)
		conn_lost(c, "no answer in 10 s");
}
