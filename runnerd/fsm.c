/*
 * fsm.c - the only place where a runner's state changes.  paused and tainted
 * are marks in the database and keep a claim from succeeding there.
 */
#include "log.h"
#include "runnerd.h"

static const char *const	 names[RUNNER_STATES] = {
	"offline", "idle", "busy"
};

/* What a Hello makes of a runner depends on its session: see below. */
static const enum runner_state	 table[RUNNER_STATES][RUNNER_EVENTS] = {
	/*			HELLO		AWAY	*/
	[RUNNER_OFFLINE] = {	RUNNER_IDLE,	RUNNER_OFFLINE,
	/*			CLAIM		FREE	*/
				RUNNER_OFFLINE,	RUNNER_OFFLINE },
	[RUNNER_IDLE] = {	RUNNER_IDLE,	RUNNER_OFFLINE,
				RUNNER_BUSY,	RUNNER_IDLE },
	[RUNNER_BUSY] = {	RUNNER_BUSY,	RUNNER_OFFLINE,
				RUNNER_BUSY,	RUNNER_IDLE },
};

void
runner_event(struct runner *r, enum runner_event ev)
{
	struct msg_runner_freed	 m;
	enum runner_state	 was = r->state;

	r->state = table[was][ev];
	if (r->state == RUNNER_IDLE && r->session[0] != '\0')
		r->state = RUNNER_BUSY;
	if (was != r->state)
		log_info("runner %s: %s, was %s", r->id, names[r->state],
		    names[was]);
	if (ev == RUNNER_HELLO || (ev == RUNNER_AWAY && was != r->state))
		runner_save(r);
	if (ev == RUNNER_FREE)
		r->freed = worker_mono_ms();
	/* Somebody may have been waiting for this. */
	if (r->state == RUNNER_IDLE && (ev == RUNNER_FREE ||
	    ev == RUNNER_HELLO)) {
		m.runner = r->id;
		send_runner_freed(peer_of(PROC_SESSIOND), 0, &m);
	}
}
