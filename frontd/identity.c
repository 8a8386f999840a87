/*
 * identity.c - who somebody is, as sessiond said it: copied out of the message
 * that said so.  The tickets in it are worth nothing to any process but the
 * owner that each was made for.
 */
#include <string.h>

#include "api.h"
#include "frontd_msg.h"
#include "log.h"
#include "ticket.h"

static void
ticket_copy(struct identity *who, enum proc owner, const uint8_t *p, size_t n)
{
	memcpy(who->ticket[owner - PROC_SESSIOND], p, n);
	who->ticket_len[owner - PROC_SESSIOND] = n;
}

static void
identity_names(struct identity *who, const char *key, const char *name,
    const char *tenant, const char *scopes, uint64_t expires)
{
	strlcpy(who->key, key, sizeof(who->key));
	strlcpy(who->name, name, sizeof(who->name));
	strlcpy(who->tenant, tenant, sizeof(who->tenant));
	strlcpy(who->scopes, scopes, sizeof(who->scopes));
	who->expires = expires;
	if (scopes_parse(scopes, &who->bits) == -1)
		log_warnx("credential %s: unknown scope in \"%s\"", key,
		    scopes);
}

void
identity_set(struct identity *who, const struct msg_authenticated *m)
{
	identity_names(who, m->key, m->name, m->tenant, m->scopes, m->expires);
	ticket_copy(who, PROC_SESSIOND, m->sessiond, m->sessiond_len);
	ticket_copy(who, PROC_TASKD, m->taskd, m->taskd_len);
	ticket_copy(who, PROC_RUNNERD, m->runnerd, m->runnerd_len);
	ticket_copy(who, PROC_TUNNELD, m->tunneld, m->tunneld_len);
	ticket_copy(who, PROC_PROVIDERD, m->providerd, m->providerd_len);
}

void
identity_set_local(struct identity *who, const struct msg_local_client *m)
{
	identity_names(who, m->key, m->name, m->tenant, m->scopes, m->expires);
	ticket_copy(who, PROC_SESSIOND, m->sessiond, m->sessiond_len);
	ticket_copy(who, PROC_TASKD, m->taskd, m->taskd_len);
	ticket_copy(who, PROC_RUNNERD, m->runnerd, m->runnerd_len);
	ticket_copy(who, PROC_TUNNELD, m->tunneld, m->tunneld_len);
	ticket_copy(who, PROC_PROVIDERD, m->providerd, m->providerd_len);
}
