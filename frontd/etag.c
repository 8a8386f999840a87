/*
 * etag.c - entity tags (RFC 9110 8.8.3).  Owners know them bare; quotes are put
 * on and taken off here.
 */
#include <string.h>

#include "body.h"

void
etag_reply(struct request *req, const char *etag)
{
	if (*etag != '\0' && strchr(etag, '"') == NULL)
		reply_header(req, "ETag", "\"%s\"", etag);
}

/* Does If-None-Match name it?  Weak comparison. */
int
etag_is_known(const struct request *req, const char *etag)
{
	const char	*p = req->header[H_IF_NONE_MATCH];
	size_t		 n;

	if (p == NULL || *etag == '\0' || req->method != M_GET)
		return (0);
	if (strcmp(p, "*") == 0)
		return (1);
	while ((p = strchr(p, '"')) != NULL) {
		n = strcspn(++p, "\"");
		if (n == strlen(etag) && memcmp(p, etag, n) == 0)
			return (1);
		p += n;
		if (*p == '"')
			p++;
	}
	return (0);
}

/* If-Match as one bare tag, "" without one or with `*'.  -1: answered. */
int
etag_if_match(struct request *req, char *out, size_t size)
{
	const char	*p = req->header[H_IF_MATCH];
	size_t		 n;

	out[0] = '\0';
	if (p == NULL || strcmp(p, "*") == 0)
		return (0);
	n = strlen(p);
	if (n < 3 || n - 2 >= size || p[0] != '"' || p[n - 1] != '"' ||
	    memchr(p + 1, '"', n - 2) != NULL) {
		refuse(req, "validation_error", "If-Match: expected the one"
		    " strong ETag of the object, in quotes, or *");
		return (-1);
	}
	memcpy(out, p + 1, n - 2);
	out[n - 2] = '\0';
	return (0);
}
