/*
 * kept.c - sessions that a runner has directories of and that are not attached
 * to it: those its Hello names and those detached since.  A session may be
 * terminated while nobody hears it (suspended, or its runner offline), so
 * storage is asked from time to time which of them are, and the runner is told
 * to remove these.  What is lost on the way is named by the next Hello.
 */
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "session.h"

#define BEATS		4	/* heartbeats between two questions */
#define ANSWER_MAX	50	/* rows of HOME_ENDED */

static size_t
kept_find(const struct runner *r, const char *id)
{
	size_t	 i;

	for (i = 0; i < r->nkept; i++)
		if (strcmp(r->kept[i], id) == 0)
			break;
	return (i);
}

void
kept_add(struct runner *r, const char *id)
{
	if (r->stream == NULL || r->nkept == WIRE_KEPT_MAX ||
	    kept_find(r, id) < r->nkept)
		return;
	if (r->kept == NULL && (r->kept = calloc(WIRE_KEPT_MAX,
	    sizeof(*r->kept))) == NULL)
		fatal("kept sessions");
	strlcpy(r->kept[r->nkept++], id, sizeof(*r->kept));
}

void
kept_forget(struct runner *r)
{
	free(r->kept);
	r->kept = NULL;
	r->nkept = 0;
}

void
kept_hello(struct runner *r, const Marionette__V1__Hello *h)
{
	size_t	 i;

	r->nkept = 0;
	r->kept_due = worker_mono_ms();
	for (i = 0; i < h->n_kept_sessions; i++)
		kept_add(r, h->kept_sessions[i]);
	/* It may believe to have one that it has not any more. */
	if (h->session_id[0] != '\0' && strcmp(h->session_id, r->session) != 0)
		kept_add(r, h->session_id);
}

void
on_home_ended_row(struct peer *p, uint64_t ref,
    const struct msg_home_ended_row *m)
{
	struct runner	*r;
	struct ask	*a;
	size_t		 i;

	if ((a = ask_find(p, ref)) == NULL || a->told)
		return;
	r = a->arg;
	if (r->stream == NULL || (i = kept_find(r, m->session)) == r->nkept)
		return;
	log_info("session %s: is over, removed on runner %s", m->session,
	    r->id);
	memmove(r->kept[i], r->kept[--r->nkept], sizeof(*r->kept));
	session_remove(r, m->session, m->epoch);
}

static void
answered(struct ask *a, const struct answer *ans)
{
	struct runner	*r = a->arg;

	r->kept_asked = 0;
	r->kept_due = worker_mono_ms();
	if (ans->code[0] != '\0' || ans->rows < ANSWER_MAX)
		r->kept_due += BEATS * 1000ULL * settings.heartbeat;
}

static void
kept_ask(struct runner *r)
{
	struct msg_home_ended	 m;
	char			*ids;
	size_t			 i, size = r->nkept * ID_SIZE + 1;

	if ((ids = calloc(1, size)) == NULL)
		fatal("kept sessions");
	for (i = 0; i < r->nkept; i++) {
		if (i > 0)
			strlcat(ids, " ", size);
		strlcat(ids, r->kept[i], size);
	}
	m.runner = r->id;
	m.sessions = ids;
	if (ask(PROC_STORAGED, MSG_HOME_ENDED, &m, READ_SECONDS, answered,
	    r) != NULL)
		r->kept_asked = 1;
	free(ids);
}

void
kept_janitor(void)
{
	struct runner	*r;
	uint64_t	 now = worker_mono_ms();

	for (r = runner_next(NULL); r != NULL; r = runner_next(r))
		if (r->stream != NULL && r->nkept > 0 && !r->kept_asked &&
		    r->kept_due <= now)
			kept_ask(r);
}
