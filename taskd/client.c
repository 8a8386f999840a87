/*
 * client.c - what every answer to the web has in common: the document that
 * storaged made, relayed as it is.
 */
#include <errno.h>
#include <string.h>

#include "client.h"

#define WRITE_SECONDS	10	/* a client waits so long for the database */

/*
 * Answers the client of a question.  code, text, doc: the row's, for what the
 * answer itself does not say.  0: it was done; 1: it was not, or was before;
 * -1: that will be known later, when done is called again.
 */
int
reply(const struct ask *a, const struct answer *ans, const char *code,
    const char *text, const uint8_t *doc, size_t doc_len)
{
	const struct op		*o = a->arg;
	struct peer		*p = ask_client(a);
	struct msg_document	 d;
	struct msg_refused	 r;
	int			 result;

	if (ans->code[0] != '\0') {
		code = ans->code;
		text = ans->text;
	}
	if (doc_len == 0) {
		doc = ans->doc;
		doc_len = ans->doc_len;
	}
	result = strcmp(code, "outcome_unknown") == 0 ? -1 : code[0] != '\0';
	if (o != NULL && o->deed != NULL)
		deed_tell(o->deed, code);
	if (p == NULL)
		return (result);
	if (code[0] == '\0' || strcmp(code, "replayed") == 0) {
		d.status = o != NULL ? o->status : 200;
		d.etag = "";
		d.replayed = code[0] != '\0';
		d.body = doc;
		d.body_len = doc_len;
		send_document(p, a->client_ref, &d);
		return (result);
	}
	r.code = code;
	r.text = text;
	r.retry_after = ans->retry_after;
	r.body = doc;
	r.body_len = doc_len;
	send_refused(p, a->client_ref, &r);
	return (result);
}

/*
 * A client's write.  The commit is what memory follows, also when the client
 * could not wait for it.  0, or -1: it was refused and `o' is freed.
 */
int
write_for(struct peer *p, uint64_t ref, enum msg_type type, const void *m,
    ask_done done, struct op *o)
{
	struct ask	*a;
	unsigned int	 n;
	size_t		 bytes;

	ask_count(&n, &bytes);
	/* Half of the room is for what cannot be refused. */
	if (bytes > ASK_BYTES_MAX / 2 || (a = ask_for(p, ref, PROC_STORAGED,
	    type, m, WRITE_SECONDS, done, o)) == NULL) {
		op_free(o);
		refuse(p, ref, "unavailable", "the database is waited for");
		return (-1);
	}
	a->late = 1;
	return (0);
}

static void
relay_done(struct ask *a, const struct answer *ans)
{
	struct peer	*p = ask_client(a);

	if (p == NULL || !web_is_behind(p, a->client_ref))
		(void)reply(a, ans, "", "", NULL, 0);
}

/* A read on behalf of a client; its document is the answer. */
int
relay(struct peer *p, uint64_t ref, enum msg_type type, const void *m)
{
	if (ask_for(p, ref, PROC_STORAGED, type, m, WRITE_SECONDS, relay_done,
	    NULL) != NULL)
		return (0);
	refuse(p, ref, errno == ENOBUFS ? "unavailable" : "validation_error",
	    errno == ENOBUFS ? "the database is waited for" :
	    "the request is not fit to be sent on");
	return (-1);
}
