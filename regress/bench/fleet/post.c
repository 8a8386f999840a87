/*
 * post.c - connections that post tasks, one at a time each.  Whoever is free
 * asks what is due: in a closed loop the next one at once, in an open one what
 * the clock says, however late it has become.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "log.h"
#include "util.h"

struct poster {
	struct rest	*rest;
	size_t		 task;
};

static struct poster	*posters;
static struct poster	**idle;
static size_t		 nposters, nidle;
static int		(*next)(uint64_t *);

static void	 posted(const struct answer *, void *);

static void
post(struct poster *p, uint64_t due)
{
	struct task	*t;
	char		 mark[MARK_SIZE], prompt[256], body[512];

	p->task = task_new(due);
	t = task_get(p->task);
	task_mark(mark, p->task);
	task_prompt(prompt, sizeof(prompt), p->task);
	snprintf(body, sizeof(body),
	    "{\"session_id\":\"%s\",\"prompt\":\"%s\"}",
	    session_id(t->session), prompt);
	book("post %s %s", session_id(t->session), prompt + 6);
	t->posted = now_ns();
	will_post(p->rest, "/api/v1/tasks", mark, body, posted, p);
}

void
post_more(void)
{
	uint64_t	 due;

	while (nidle > 0 && next(&due))
		post(idle[--nidle], due);
}

static void
posted(const struct answer *a, void *arg)
{
	struct poster	*p = arg;
	struct task	*t = task_get(p->task);
	char		 id[FLEET_ID] = "-";

	t->status = (uint16_t)a->status;
	t->answered = now_ns();
	if (a->status == 201) {
		if (peek(a->body, a->len, "id", id, sizeof(id)) == -1)
			fatalx("POST /tasks: no id: %.300s", a->body);
		task_is(p->task, id);
	}
	book("answer %s-%zu %d %s", fleet->mark, p->task, a->status, id);
	if (a->status != 201)
		wrong("POST /tasks: %d: %.300s", a->status, a->body);
	fleet->answered++;
	idle[nidle++] = p;
	if (fleet->log_every != 0 && a->status == 201 &&
	    p->task % fleet->log_every == 0)
		log_follow(p->task, NULL);
	post_more();
}

/* Waits until all of them are connected: that is not part of a latency. */
void
posters_open(size_t n, int (*due)(uint64_t *))
{
	size_t	 i;

	posters = xcalloc(n, sizeof(*posters));
	idle = xcalloc(n, sizeof(struct poster *));
	nposters = n;
	next = due;
	for (i = 0; i < n; i++) {
		posters[i].rest = rest_open();
		rest_wait(posters[i].rest);
		idle[nidle++] = &posters[i];
	}
}
