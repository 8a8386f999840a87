/*
 * turn.c - a turn of the event loop ends with: spools to disk, the journal
 * durable, what it lets start is started, what it lets go is sent.  A disk that
 * refuses is asked again every second.
 */
#include <event2/event.h>

#include "agent.h"
#include "record.h"
#include "run.h"
#include "spool.h"

static struct event	*turn_ev;
static struct event	*turn_later;

static void
turn_puts(void)
{
	outbox_puts();
	record_puts();
	session_puts();
	spool_puts();
}

static void
turn_end(int fd, short what, void *arg)
{
	static const struct timeval	 second = { 1, 0 };
	int				 ok;

	(void)fd;
	(void)what;
	(void)arg;
	ok = spool_write_all() == 0;
	if (journal_sync(turn_puts) == -1) {
		evtimer_add(turn_later, &second);
		return;
	}
	spool_punch();
	if (!ok)
		evtimer_add(turn_later, &second);
	run_go();
	outbox_flush();
	if (spool_send_all() == -1)
		evtimer_add(turn_later, &second);
	journal_compact(turn_puts, !ok);
}

void
turn_init(void)
{
	turn_ev = evtimer_new(env->base, turn_end, NULL);
	turn_later = evtimer_new(env->base, turn_end, NULL);
}

void
turn_want(void)
{
	if (turn_ev != NULL)
		event_active(turn_ev, EV_TIMEOUT, 0);
}
