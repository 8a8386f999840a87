/*
 * token.c - answers that show a secret once: the owner's document, and one more
 * member.
 */
#include <stdlib.h>
#include <string.h>

#include "body.h"
#include "log.h"
#include "text.h"

/* A token is printable ASCII without quotes; replayed ones are empty. */
void
token_reply(struct request *req, const uint8_t *doc, size_t len,
    const char *name, const uint8_t *token, size_t token_len, int replayed)
{
	char	*out, *p;
	size_t	 size = len + strlen(name) + token_len + 8;
	ssize_t	 n;

	if (replayed)
		reply_header(req, "Idempotent-Replayed", "true");
	while (len > 0 && doc[len - 1] != '}')
		len--;
	if (token_len == 0 || len < 2) {
		reply_json(req, 201, (const char *)doc, len);
		return;
	}
	request_secret(req);
	size += 5 * token_len;		/* escaped at the worst */
	if ((out = malloc(size)) == NULL)
		fatal("answer");
	memcpy(out, doc, len - 1);
	p = out + len - 1;
	p += strlcpy(p, len > 2 ? ",\"" : "\"", 4);
	p += strlcpy(p, name, strlen(name) + 1);
	p += strlcpy(p, "\":\"", 4);
	n = text_json(p, 6 * token_len, (const char *)token, token_len);
	if (n == -1)
		fatalx("answer: token");
	p += n;
	*p++ = '"';
	*p++ = '}';
	reply_json(req, 201, out, (size_t)(p - out));
	freezero(out, size);
}
