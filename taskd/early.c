/*
 * early.c - what came before tasks and permissions were loaded.  A fact about
 * a run that is not known yet must not be taken for a stale one, so everything
 * waits until the load is done and is then handled in the order it came.
 * Beyond the bound a request is refused and a fact is left unacknowledged: the
 * runner sends it again.
 */
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "log.h"
#include "worker.h"

#define EARLY_BYTES	(32U << 20)

struct early {
	STAILQ_ENTRY(early)	 entry;
	enum proc		 from;
	uint64_t		 ref;
	struct kept		 msg;
};

static STAILQ_HEAD(, early)	 all = STAILQ_HEAD_INITIALIZER(all);
static size_t			 bytes;

/* 1: it is kept, or refused; the handler is done with it. */
int
early_keep(struct peer *p, uint64_t ref, enum msg_type type, const void *m)
{
	struct early	*e;

	if (env->loaded)
		return (0);
	if (bytes > EARLY_BYTES) {
		log_warnx("%s from %s dropped: the database is waited for",
		    msg_descs[type].name, p->name);
		if (p->proc == PROC_API || p->proc == PROC_ADMIN)
			refuse(p, ref, "unavailable", "the server is starting");
		return (1);
	}
	if ((e = calloc(1, sizeof(*e))) == NULL)
		fatal("early");
	e->from = p->proc;
	e->ref = ref;
	keep(&e->msg, type, m);
	bytes += e->msg.len;
	STAILQ_INSERT_TAIL(&all, e, entry);
	return (1);
}

static void
early_drop(struct early *e)
{
	STAILQ_REMOVE(&all, e, early, entry);
	bytes -= e->msg.len;
	kept_free(&e->msg);
	free(e);
}

void
early_replay(void)
{
	_Alignas(8) uint8_t	 m[MSG_STRUCT_MAX];
	struct early		*e;

	while ((e = STAILQ_FIRST(&all)) != NULL) {
		if (kept_get(&e->msg, m) == 0 &&
		    proc_dispatch(peer_of(e->from), e->ref, e->msg.type, m,
		    -1) == -1)
			fatalx("early %s", msg_descs[e->msg.type].name);
		early_drop(e);
	}
}

void
early_forget(const struct peer *p)
{
	struct early	*e, *next;

	STAILQ_FOREACH_SAFE(e, &all, entry, next)
		if (e->from == p->proc)
			early_drop(e);
}
