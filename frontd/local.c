/*
 * local.c - clients of the local control socket: sessiond accepted and checked
 * them, and passed us the descriptor with the tickets.  The identity is that
 * of the connection and ends with it.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api.h"
#include "frontd_msg.h"
#include "log.h"
#include "worker.h"

static void
local_free(void *arg)
{
	struct lease	*l = arg;

	lease_end(l);
	freezero(l, sizeof(*l));
}

void
on_local_client(struct peer *p, uint64_t ref, const struct msg_local_client *m,
    int fd)
{
	struct identity	 who = { 0 };
	struct lease	*l;

	(void)p;
	(void)ref;
	if (worker_draining()) {
		close(fd);
		return;
	}
	if ((l = calloc(1, sizeof(*l))) == NULL)
		fatal("local client");
	identity_set_local(&who, m);
	lease_begin(l, &who, NULL);
	explicit_bzero(&who, sizeof(who));
	if (conn_adopt(fd, l, local_free) == -1)
		log_debug("a local client could not be served");
}
