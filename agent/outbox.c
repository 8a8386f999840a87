/*
 * outbox.c - messages up that change anything: numbered 1, 2, 3 ..., in the
 * journal before they are sent, kept until the server has acknowledged them,
 * sent again in order on each new stream; a server that does not acknowledge
 * gets no more than a part of what it would take.  Nothing is dropped: when
 * much waits, has_room() is false and the program that says it is not read.
 */
#include <stdlib.h>
#include <string.h>

#include "agent.h"
#include "log.h"
#include "run.h"
#include "spool.h"
#include "util.h"

#define OUTBOX_AHEAD	1024	/* of the 4096 that a server takes */
#define OUTBOX_MAX	(8 * 1024 * 1024)	/* twice what a server keeps */

/* From outbox_put() (or the journal) until acknowledged. */
struct letter {
	TAILQ_ENTRY(letter)	 entry;
	uint64_t		 number;
	size_t			 len;
	int			 sent;
	char			*run_id;	/* whose end it is, or NULL */
	uint64_t		 log_last;	/* and its last line */
	char			*unwound;	/* which run was not begun, or NULL */
	uint8_t			 data[];
};

static TAILQ_HEAD(, letter)	outbox = TAILQ_HEAD_INITIALIZER(outbox);
static uint64_t			outbox_last;	/* highest number used */
static uint64_t			outbox_acked;
static size_t			outbox_bytes;

static void
outbox_add(const Marionette__V1__RunnerMessage *m, const uint8_t *data,
    size_t len)
{
	struct letter	*l;

	l = xmalloc(sizeof(*l) + len);
	l->number = m->number;
	l->run_id = l->unwound = NULL;
	if (m->body_case ==
	    MARIONETTE__V1__RUNNER_MESSAGE__BODY_RUN_COMPLETED) {
		l->run_id = xstrdup(m->run_completed->run_id);
		l->log_last = m->run_completed->log_last;
	} else if (m->body_case ==
	    MARIONETTE__V1__RUNNER_MESSAGE__BODY_RUN_UNWOUND)
		l->unwound = xstrdup(m->run_unwound->run_id);
	l->len = len;
	l->sent = 0;
	memcpy(l->data, data, len);
	TAILQ_INSERT_TAIL(&outbox, l, entry);
	outbox_bytes += sizeof(*l) + len;
	if (m->number > outbox_last)
		outbox_last = m->number;
}

void
outbox_load(const uint8_t *data, size_t len)
{
	Marionette__V1__RunnerMessage	*m;

	m = marionette__v1__runner_message__unpack(NULL, len, data);
	if (m == NULL)
		return;
	/* A rewritten journal may hold a letter twice. */
	if (m->number > outbox_last)
		outbox_add(m, data, len);
	marionette__v1__runner_message__free_unpacked(m, NULL);
}

static void
outbox_forget(uint64_t up_to)
{
	struct letter	*l;

	while ((l = TAILQ_FIRST(&outbox)) != NULL && l->number <= up_to) {
		TAILQ_REMOVE(&outbox, l, entry);
		outbox_bytes -= sizeof(*l) + l->len;
		free(l->run_id);
		free(l->unwound);
		free(l);
	}
	if (up_to > outbox_acked)
		outbox_acked = up_to;
	if (up_to > outbox_last)
		outbox_last = up_to;
}

void
outbox_load_ack(const uint8_t *data, size_t len)
{
	uint64_t	 up_to;

	if (len == sizeof(up_to)) {
		memcpy(&up_to, data, sizeof(up_to));
		outbox_forget(up_to);
	}
}

int
outbox_has_room(void)
{
	return (outbox_bytes < OUTBOX_MAX);
}

int
outbox_waits(uint64_t number)
{
	return (number > outbox_acked);
}

uint64_t
outbox_put(Marionette__V1__RunnerMessage *m)
{
	uint8_t	*buf;
	size_t	 len;
	int	 room = outbox_has_room();

	m->number = outbox_last + 1;
	len = marionette__v1__runner_message__get_packed_size(m);
	buf = xmalloc(len);
	marionette__v1__runner_message__pack(m, buf);
	outbox_add(m, buf, len);
	journal_put('M', buf, len);
	freezero(buf, len);
	if (room && !outbox_has_room())
		log_debug("outbox: no program is read until the server has "
		    "acknowledged some of it");
	return (m->number);
}

void
outbox_ack(uint64_t up_to)
{
	int	 full = !outbox_has_room();

	if (up_to <= outbox_acked)
		return;
	outbox_forget(up_to);
	journal_put('A', &up_to, sizeof(up_to));
	if (full && outbox_has_room() && env->run != NULL)
		run_resume(env->run);
}

void
outbox_flush(void)
{
	struct letter	*l;

	if (!link_is_up())
		return;
	TAILQ_FOREACH(l, &outbox, entry) {
		if (l->number >= outbox_first() + OUTBOX_AHEAD)
			return;
		if (!l->sent) {
			if (link_send(l->data, l->len) == -1)
				return;
			l->sent = 1;
			if (l->run_id != NULL)
				spool_passed(l->run_id, l->log_last);
		}
	}
}

void
outbox_rewind(void)
{
	struct letter	*l;

	TAILQ_FOREACH(l, &outbox, entry)
		l->sent = 0;
}

uint64_t
outbox_first(void)
{
	struct letter	*l = TAILQ_FIRST(&outbox);

	return (l == NULL ? 0 : l->number);
}

int
outbox_holds(const char *run_id)
{
	struct letter	*l;

	TAILQ_FOREACH(l, &outbox, entry)
		if (l->run_id != NULL && strcmp(l->run_id, run_id) == 0)
			return (1);
	return (0);
}

int
outbox_unwinds(const char *run_id)
{
	struct letter	*l;

	TAILQ_FOREACH(l, &outbox, entry)
		if (l->unwound != NULL && strcmp(l->unwound, run_id) == 0)
			return (1);
	return (0);
}

void
outbox_puts(void)
{
	struct letter	*l;

	journal_put('A', &outbox_acked, sizeof(outbox_acked));
	TAILQ_FOREACH(l, &outbox, entry)
		journal_put('M', l->data, l->len);
}
