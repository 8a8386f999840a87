/*
 * letter.c - messages up that change anything: numbered, kept until they are
 * acknowledged, sent again in order on each new stream.  The agent has them in
 * a journal on disk; here the disk that is measured is the server's alone.
 */
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "runner.h"
#include "util.h"

void
runner_put(struct runner *r, RunnerMessage *m)
{
	static uint8_t	 buf[65536];
	size_t		 len;

	len = marionette__v1__runner_message__get_packed_size(m);
	if (len > sizeof(buf))
		fatalx("runner %s: a message of %zu bytes", r->id, len);
	marionette__v1__runner_message__pack(m, buf);
	if (r->control != NULL && grpc_send(r->control, buf, len) == -1)
		runner_drop(r, "cannot send");
}

static void
letter_send(struct runner *r, struct letter *l)
{
	if (!r->up || l->sent)
		return;
	l->sent = 1;
	if (grpc_send(r->control, l->data, l->len) == -1)
		runner_drop(r, "cannot send");
}

void
letter_put(struct runner *r, RunnerMessage *m, struct run *run)
{
	struct letter	*l;
	size_t		 len;

	m->number = ++r->number;
	len = marionette__v1__runner_message__get_packed_size(m);
	l = xmalloc(sizeof(*l) + len);
	l->number = m->number;
	l->run = run;
	l->len = len;
	l->sent = 0;
	l->unwound[0] = '\0';
	if (m->body_case == MARIONETTE__V1__RUNNER_MESSAGE__BODY_RUN_UNWOUND)
		strlcpy(l->unwound, m->run_unwound->run_id,
		    sizeof(l->unwound));
	marionette__v1__runner_message__pack(m, l->data);
	TAILQ_INSERT_TAIL(&r->letters, l, entry);
	letter_send(r, l);
}

void
letters_ack(struct runner *r, uint64_t up_to)
{
	struct letter	*l;

	if (up_to > r->number)
		wrong("runner %s: %llu is acknowledged, %llu was the last",
		    r->id, (unsigned long long)up_to,
		    (unsigned long long)r->number);
	while ((l = TAILQ_FIRST(&r->letters)) != NULL && l->number <= up_to) {
		TAILQ_REMOVE(&r->letters, l, entry);
		if (l->run != NULL)
			run_closed(l->run);
		free(l);
	}
}

int
letters_unwind(const struct runner *r, const char *run)
{
	struct letter	*l;

	TAILQ_FOREACH(l, &r->letters, entry)
		if (strcmp(l->unwound, run) == 0)
			return (1);
	return (0);
}

void
letters_again(struct runner *r)
{
	struct letter	*l;

	TAILQ_FOREACH(l, &r->letters, entry)
		l->sent = 0;
	TAILQ_FOREACH(l, &r->letters, entry)
		letter_send(r, l);
}
