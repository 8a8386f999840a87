/*
 * http.c - the least of HTTP/1.1 that an honest client needs: the head of a
 * request with the API key, and what matters of an answer's head.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "client.h"
#include "log.h"

/* The value of a field, without the space before it; NULL: another field. */
static const char *
http_field(const char *line, const char *name)
{
	size_t	 n = strlen(name);

	if (strncasecmp(line, name, n) != 0)
		return (NULL);
	return (line + n + strspn(line + n, " "));
}

size_t
http_head(const char *p, size_t len, struct head *h)
{
	const char	*end, *line, *v;

	if ((end = memmem(p, len, "\r\n\r\n", 4)) == NULL)
		return (0);
	memset(h, 0, sizeof(*h));
	if (sscanf(p, "HTTP/1.1 %d", &h->status) != 1)
		fatalx("REST: not HTTP/1.1: %.60s", p);
	for (line = p; line < end; line = strstr(line, "\r\n") + 2) {
		if ((v = http_field(line, "content-length:")) != NULL)
			h->body = strtoul(v, NULL, 10);
		else if ((v = http_field(line, "transfer-encoding:")) != NULL)
			h->chunked = strncasecmp(v, "chunked", 7) == 0;
		else if ((v = http_field(line, "connection:")) != NULL)
			h->close = strncasecmp(v, "close", 5) == 0;
		else if ((v = http_field(line, "retry-after:")) != NULL)
			h->retry_after = (unsigned int)strtoul(v, NULL, 10);
	}
	return ((size_t)(end - p) + 4);
}

size_t
http_request(char *buf, size_t size, const char *method, const char *path)
{
	int	 n;

	n = snprintf(buf, size, "%s %s HTTP/1.1\r\nHost: %s:%s\r\n"
	    "Authorization: Bearer %s\r\n", method, path, fleet->api_host,
	    fleet->api_port, fleet->key);
	if (n < 0 || (size_t)n >= size)
		fatalx("REST: a request of %d bytes", n);
	return ((size_t)n);
}
