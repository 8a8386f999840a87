/*
 * keep.c - a message that outlives its handler: packed again, and lent out once
 * more when it is needed.  Used for rows that precede the answer and for frames
 * that came too early.
 */
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "store.h"

void
keep(struct kept *k, enum msg_type type, const void *m)
{
	ssize_t	 len;

	kept_free(k);
	if ((len = msg_size(&msg_descs[type], m)) == -1)
		fatal("keep %s", msg_descs[type].name);
	if ((k->body = malloc((size_t)len + 1)) == NULL)
		fatal("keep");
	k->type = type;
	k->len = (size_t)len;
	msg_pack(&msg_descs[type], m, k->body);
}

/* The message as views into what is kept; 0, or -1 when nothing is. */
int
kept_get(const struct kept *k, void *m)
{
	if (k->body == NULL)
		return (-1);
	return (msg_unpack(&msg_descs[k->type], k->body, k->len, m));
}

void
kept_free(struct kept *k)
{
	if (k->body != NULL)
		freezero(k->body, k->len);
	memset(k, 0, sizeof(*k));
}
