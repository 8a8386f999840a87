/*
 * outage.c - a worker is killed, and what needs it is tried without rest until
 * it succeeds again.  What is tried: a read (get), a task (post), a read of
 * lines (logs), or a runner that connects (welcome).
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "client.h"
#include "log.h"
#include "runner.h"

#define TRY_MS		1	/* between two tries */

static size_t	 answered;
static int	 status;

static void
tried(struct rest *r, const struct answer *a, void *arg)
{
	(void)r;
	(void)arg;
	status = a->status;
	answered++;
}

/* Once a request needs no retry: the time of its answer. */
static uint64_t
try_request(struct rest *r, const char *what)
{
	char	 path[64 + FLEET_ID], body[128];
	int	 is_post = strcmp(what, "post") == 0;

	snprintf(body, sizeof(body), "{\"session_id\":\"%s\",\"prompt\":\"p\"}",
	    session_id(0));
	if (strcmp(what, "logs") == 0)
		snprintf(path, sizeof(path), "/api/v1/tasks/%s/logs",
		    task_get(0)->id);
	else if (is_post)
		strlcpy(path, "/api/v1/tasks", sizeof(path));
	else
		snprintf(path, sizeof(path), "/api/v1/sessions/%s",
		    session_id(0));
	for (;;) {
		rest_send(r, is_post ? "POST" : "GET", path, NULL, is_post ?
		    body : NULL, tried, NULL);
		wait_for(&answered, answered + 1, "an answer");
		if (status == 200 || status == 201)
			return (now_ns());
		if (status != 0 && status < 500)
			fatalx("%s %s: %d", what, path, status);
		wait_ms(TRY_MS);
	}
}

static uint64_t
try_welcome(void)
{
	runners_cut(100);
	wait_for(&fleet->connected, 1, "the welcome");
	return (now_ns());
}

void
outage(const char *what, pid_t pid)
{
	struct rest	*r = rest_open();
	uint64_t	 begun;
	int		 welcome = strcmp(what, "welcome") == 0;

	fleet->eager = 1;
	if (strcmp(what, "logs") == 0)
		load_post(1);
	if (!welcome)
		try_request(r, what);
	if (kill(pid, SIGKILL) == -1)
		fatal("kill %ld", (long)pid);
	begun = now_ns();
	printf("outage %.1f\n", (double)((welcome ? try_welcome() :
	    try_request(r, what)) - begun) / 1e6);
	rest_close(r);
}
