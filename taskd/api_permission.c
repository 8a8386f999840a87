/*
 * api_permission.c - the permissions' half of what the web asks.  A decision
 * is stored before it is delivered; the same one again is the record, another
 * is refused with the record.
 */
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "permission.h"

void
on_permission_list(struct peer *p, uint64_t ref,
    const struct msg_permission_list *m)
{
	struct msg_permission_page	 page;
	struct ticket			 who;

	if (!authorised(p, ref, m->ticket, m->ticket_len,
	    SCOPE_R(SCOPE_PERMISSIONS), &who))
		return;
	page.tenant = who.tenant;
	page.query = m->query;
	page.query_len = m->query_len;
	relay(p, ref, MSG_PERMISSION_PAGE, &page);
}

void
on_permission_get(struct peer *p, uint64_t ref,
    const struct msg_permission_get *m)
{
	struct msg_permission_read	 read;
	struct ticket			 who;

	if (!authorised(p, ref, m->ticket, m->ticket_len,
	    SCOPE_R(SCOPE_PERMISSIONS), &who))
		return;
	read.tenant = who.tenant;
	read.permission = m->permission;
	relay(p, ref, MSG_PERMISSION_READ, &read);
}

static void
settle_done(struct ask *a, const struct answer *ans)
{
	struct op			*o = a->arg;
	struct msg_permission_row	 row;

	memset(&row, 0, sizeof(row));
	row.code = row.text = "";
	kept_get(&o->row, &row);
	if (reply(a, ans, row.code, row.text, row.doc, row.doc_len) == -1)
		return;
	if (row.permission != NULL && row.permission[0] != '\0')
		permission_row(&row);
	op_free(o);
}

void
on_permission_decide(struct peer *p, uint64_t ref,
    const struct msg_permission_decide *m)
{
	struct msg_permission_settle	 settle;
	struct ticket			 who;
	struct op			*o;

	if (early_keep(p, ref, MSG_PERMISSION_DECIDE, m))
		return;
	if (!authorised(p, ref, m->ticket, m->ticket_len,
	    SCOPE_W(SCOPE_PERMISSIONS), &who))
		return;
	settle.tenant = who.tenant;
	settle.permission = m->permission;
	settle.approved = m->approved;
	settle.reason = m->reason;
	settle.actor = who.name;
	settle.on_behalf_of = m->on_behalf_of;
	settle.input = m->input;
	settle.input_len = m->input_len;
	settle.answers = m->answers;
	settle.answers_len = m->answers_len;
	o = op_new(NULL);
	o->status = 200;
	o->deed = deed_new(&who, m->approved ? "permission.approve" :
	    "permission.deny", m->permission, m->request_id, m->on_behalf_of);
	write_for(p, ref, MSG_PERMISSION_SETTLE, &settle, settle_done, o);
}
