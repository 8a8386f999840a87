/*
 * deed.c - see deed.h.
 */
#include <stdlib.h>
#include <string.h>

#include "ask.h"
#include "deed.h"
#include "log.h"

struct deed *
deed_new(const struct ticket *who, const char *action, const char *resource,
    const char *request_id, const char *detail)
{
	struct deed	*d;

	if ((d = calloc(1, sizeof(*d))) == NULL)
		fatal("deed");
	id_make(d->id, "alog");
	d->who = *who;
	strlcpy(d->action, action, sizeof(d->action));
	strlcpy(d->resource, resource, sizeof(d->resource));
	strlcpy(d->request_id, request_id, sizeof(d->request_id));
	/* A part of a character at the end would not be UTF-8. */
	if (strlcpy(d->detail, detail, sizeof(d->detail)) >=
	    sizeof(d->detail))
		d->detail[0] = '\0';
	return (d);
}

void
deed_tell(const struct deed *d, const char *code)
{
	struct msg_audit_put	 m;
	int			 success = code[0] == '\0';

	if ((success && d->stored) || strcmp(code, "replayed") == 0 ||
	    strcmp(code, "unavailable") == 0 ||
	    strcmp(code, "rate_limited") == 0 ||
	    strcmp(code, "outcome_unknown") == 0)
		return;
	m.tenant = d->who.tenant;
	m.action_log = d->id;
	m.actor = d->who.name;
	m.action = d->action;
	m.resource = d->resource;
	m.request_id = d->request_id;
	m.success = (uint8_t)success;
	m.detail = d->detail;
	if (ask(PROC_STORAGED, MSG_AUDIT_PUT, &m, 0, NULL, NULL) == NULL)
		log_warn("audit: %s %s by %s", d->action, d->resource,
		    d->who.name);
}
