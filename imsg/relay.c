/*
 * relay.c - see relay.h.
 */
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "relay.h"
#include "web.h"

struct write {
	uint16_t	 status;	/* of success */
	struct deed	*deed;
};

void
relay_answer(const struct ask *a, const struct answer *ans, uint16_t status)
{
	struct msg_document	 d = { 0 };
	struct peer		*p;

	if ((p = ask_client(a)) == NULL)
		return;
	if (ans->code[0] != '\0' && strcmp(ans->code, "replayed") != 0) {
		refuse_answer(p, a->client_ref, ans);
		return;
	}
	d.status = status;
	d.replayed = ans->code[0] != '\0';
	d.body = ans->doc;
	d.body_len = status == 204 ? 0 : ans->doc_len;
	peer_send(p, a->client_ref, MSG_DOCUMENT, &d, -1);
}

static void
read_done(struct ask *a, const struct answer *ans)
{
	struct peer	*p = ask_client(a);

	if (p == NULL || !web_is_behind(p, a->client_ref))
		relay_answer(a, ans, 200);
}

static int
relay(struct peer *p, uint64_t ref, enum msg_type type, const void *m,
    ask_done done, struct write *w)
{
	struct ask	*a;

	if ((a = ask_for(p, ref, PROC_STORAGED, type, m, RELAY_SECONDS, done,
	    w)) == NULL) {
		refuse(p, ref, "unavailable", "too much is under way");
		return (-1);
	}
	a->late = w != NULL;
	return (0);
}

void
relay_read(struct peer *p, uint64_t ref, enum msg_type type, const void *m)
{
	(void)relay(p, ref, type, m, read_done, NULL);
}

static void
write_free(struct write *w)
{
	free(w->deed);
	free(w);
}

/* Also called late, when the client was told that nobody knows. */
static void
write_done(struct ask *a, const struct answer *ans)
{
	struct write	*w = a->arg;

	relay_answer(a, ans, w->status);
	if (strcmp(ans->code, "outcome_unknown") == 0)
		return;
	deed_tell(w->deed, ans->code);
	write_free(w);
}

void
relay_write(struct peer *p, uint64_t ref, uint16_t status,
    enum msg_type type, const void *m, struct deed *d)
{
	struct write	*w;

	if ((w = calloc(1, sizeof(*w))) == NULL)
		fatal("write");
	w->status = status;
	w->deed = d;
	if (relay(p, ref, type, m, write_done, w) == -1)
		write_free(w);
}
