/*
 * api.c - the API half as main.c sees it, the table of its rows, and what
 * owners answer.  Each answer finds its question in pending.c or its stream in
 * follow.c; what nobody waits for any more is dropped there.
 */
#include <sodium.h>
#include <stdio.h>

#include "api_tables.h"
#include "body.h"
#include "follow.h"
#include "frontd_msg.h"
#include "grpc_runner.h"
#include "log.h"

const struct route *const	 route_tables[] = { session_routes,
	task_routes, log_routes, permission_routes, runner_routes,
	event_routes, key_routes, agent_config_routes, meta_routes,
	status_routes, NULL };

void
api_init(void)
{
	if (sodium_init() == -1)
		fatalx("sodium");
	json_init();
}

void
api_peer_up(struct peer *p)
{
	pending_up(p);
	follow_up(p);
	/* It may have been reloaded while there was nobody to tell us. */
	if (p->proc == PROC_SESSIOND) {
		auth_revoked("admin");
		auth_revoked("master");
	}
}

void
api_peer_down(struct peer *p)
{
	follow_down(p);
	pending_down(p);
	if (p->proc == PROC_RUNNERD)
		grpc_runner_down();
}

void
api_janitor(void)
{
	retry_janitor();
	auth_janitor();
	lease_janitor();
	pending_janitor();
	follow_janitor();
}

void
api_drain(void)
{
	pending_drain();
}

int
api_is_idle(void)
{
	return (pending_count() == 0);
}

size_t
api_metrics(char *buf, size_t size)
{
	int	 n;

	n = snprintf(buf, size,
	    "# TYPE marionette_api_pending gauge\n"
	    "marionette_api_pending %zu\n"
	    "# TYPE marionette_api_followers gauge\n"
	    "marionette_api_followers %zu\n"
	    "# TYPE marionette_api_identities gauge\n"
	    "marionette_api_identities %zu\n",
	    pending_count(), follow_count(), auth_count());
	return (n < 0 || (size_t)n >= size ? 0 : (size_t)n);
}

void
on_document(struct peer *p, uint64_t ref, const struct msg_document *m)
{
	pending_answer(p, ref, MSG_DOCUMENT, m);
}

void
on_refused(struct peer *p, uint64_t ref, const struct msg_refused *m)
{
	if (!follow_refused(p, ref, m))
		pending_answer(p, ref, MSG_REFUSED, m);
}

void
on_authenticated(struct peer *p, uint64_t ref,
    const struct msg_authenticated *m)
{
	pending_answer(p, ref, MSG_AUTHENTICATED, m);
}

void
on_auth_revoked(struct peer *p, uint64_t ref, const struct msg_auth_revoked *m)
{
	(void)p;
	(void)ref;
	auth_revoked(m->key);
	lease_revoked(m->key);
}

void
on_stream_ticket_created(struct peer *p, uint64_t ref,
    const struct msg_stream_ticket_created *m)
{
	pending_answer(p, ref, MSG_STREAM_TICKET_CREATED, m);
}

void
on_key_created(struct peer *p, uint64_t ref, const struct msg_key_created *m)
{
	pending_answer(p, ref, MSG_KEY_CREATED, m);
}

void
on_runner_token_created(struct peer *p, uint64_t ref,
    const struct msg_runner_token_created *m)
{
	pending_answer(p, ref, MSG_RUNNER_TOKEN_CREATED, m);
}

void
on_key_held(struct peer *p, uint64_t ref, const struct msg_key_held *m)
{
	pending_answer(p, ref, MSG_KEY_HELD, m);
}
