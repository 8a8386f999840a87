/*
 * peers.c - who came and who went (architecture 9): a peer that comes back is
 * told what it may not know, what waited for one that went is put back.
 */
#include "journal.h"
#include "run.h"
#include "session.h"

#define DRAIN_SECONDS	10	/* what a stop takes at most */

static int	 drain_untold;		/* the parent does not know it yet */

void
peers_up(struct peer *p)
{
	ask_peer_up(p);
	if (p->proc == PROC_STORAGED)
		runners_load();
	else if (p->proc == PROC_PROVIDERD)
		streams_verify();
}

void
peers_down(struct peer *p)
{
	if (p->proc == PROC_RUNNER) {
		streams_drop();
		logs_drop();
	} else if (p->proc == PROC_TASKD) {
		runs_peer_down();
		upward_unsent();
	} else if (p->proc == PROC_SESSIOND)
		sessions_peer_down();
	else
		followers_drop(p);
}

/*
 * frontd(runner) is drained when the parent hears this, and ends the streams:
 * all that runners were told is on its way then.
 */
static void
drain_tell(void)
{
	if (!drain_untold || peer_queued(peer_of(PROC_RUNNER)) > 0)
		return;
	drain_untold = 0;
	worker_drained();
}

/* Once a second, everybody's. */
void
peers_janitor(void)
{
	ask_janitor();
	streams_janitor();
	runners_janitor();
	sessions_janitor();
	kept_janitor();
	runs_janitor();
	journals_janitor();
	logs_janitor();
	followers_janitor();
	upward_resend();
	drain_tell();
}

/* Nothing new is begun from here on: see worker_draining(). */
void
peers_drain(void)
{
	runners_drain(DRAIN_SECONDS);
	peers_flush();
	drain_untold = 1;
	drain_tell();
}
