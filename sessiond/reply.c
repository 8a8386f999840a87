/*
 * reply.c - documents for the web.
 */
#include <string.h>

#include "sessiond.h"

/*
 * A session's document ends with its updated_at, which is its ETag; other
 * documents have none.
 */
static void
find_etag(const uint8_t *body, size_t len, char *etag, size_t size)
{
	static const char	 key[] = "\"updated_at\":\"";
	const char		*s = (const char *)body, *p;
	size_t			 n;

	etag[0] = '\0';
	if (len < sizeof(key) + 26)
		return;
	p = s + len - (sizeof(key) - 1) - 24 - 2;
	if (memcmp(p, key, sizeof(key) - 1) != 0)
		return;
	p += sizeof(key) - 1;
	n = (size_t)(s + len - p) - 2;
	if (n < size) {
		memcpy(etag, p, n);
		etag[n] = '\0';
	}
}

void
document(struct peer *p, uint64_t ref, uint16_t status, int replayed,
    const uint8_t *body, size_t len)
{
	struct msg_document	 m;
	char			 etag[64];

	find_etag(body, len, etag, sizeof(etag));
	m.status = status;
	m.etag = etag;
	m.replayed = (uint8_t)replayed;
	m.body = body;
	m.body_len = len;
	send_document(p, ref, &m);
}

static void
relay_answer(struct ask *a, const struct answer *ans, uint16_t status)
{
	struct peer	*p;

	if ((p = ask_client(a)) == NULL || web_is_behind(p, a->client_ref))
		return;
	if (*ans->code != '\0')
		refuse_answer(p, a->client_ref, ans);
	else
		document(p, a->client_ref, status, 0, ans->doc, ans->doc_len);
}

static void
relay_done(struct ask *a, const struct answer *ans)
{
	relay_answer(a, ans, 200);
}

static void
relay_accepted(struct ask *a, const struct answer *ans)
{
	relay_answer(a, ans, 202);
}

/* A read whose document goes to the client as it is, with this status. */
int
relay_as(struct peer *p, uint64_t ref, uint16_t status, enum msg_type type,
    const void *m)
{
	if (ask_for(p, ref, PROC_STORAGED, type, m, ASK_SECONDS, status == 202 ?
	    relay_accepted : relay_done, NULL) == NULL) {
		refuse(p, ref, "unavailable", "too much is waiting for the "
		    "database; try again");
		return (-1);
	}
	return (0);
}

int
relay(struct peer *p, uint64_t ref, enum msg_type type, const void *m)
{
	return (relay_as(p, ref, 200, type, m));
}
