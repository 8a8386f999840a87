/*
 * retry.c - streams that could not be had just now.  A browser does not ask
 * again for one that was answered 503, so that it is asked for anew here, once
 * a second, until it is there, refused for good, or AWAY_MS old.
 */
#include <string.h>

#include "api.h"
#include "worker.h"

#define RETRY_MAX	4096		/* beyond it is 503 at once */

static uint64_t	 waiting[RETRY_MAX];	/* ids of requests */
static size_t	 nwaiting;

int
request_retry(struct request *req)
{
	if ((req->route->flags & R_WEBSOCKET) == 0 || worker_draining() ||
	    worker_mono_ms() >= req->started + AWAY_MS ||
	    nwaiting == RETRY_MAX)
		return (0);
	waiting[nwaiting++] = req->id;
	return (1);
}

/* Whoever is refused for now once more has its turn the next time. */
void
retry_janitor(void)
{
	static uint64_t	 turn[RETRY_MAX];
	struct request	*req;
	size_t		 i, n = nwaiting;

	memcpy(turn, waiting, n * sizeof(turn[0]));
	nwaiting = 0;
	for (i = 0; i < n; i++)
		if ((req = request_find(turn[i])) != NULL)
			req->route->call(req);
}
