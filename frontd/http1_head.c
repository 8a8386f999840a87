/*
 * http1_head.c - the bytes of an HTTP/1 head (RFC 9112), stricter than llhttp:
 * lines end with CRLF, nothing is folded, there are no control characters, and
 * what says where the message ends is said once.
 */
#include <string.h>
#include <strings.h>

#include "engine.h"

/*
 * Walks on through the head.  Its length when it is complete, 0 when more is
 * needed, -1 when a byte may not be there.
 */
ssize_t
head_scan(struct head_scan *h, const uint8_t *p, size_t n)
{
	size_t	 i;
	uint8_t	 b;

	for (i = h->done; i < n; i++) {
		b = p[i];
		switch (h->state) {
		case SCAN_START:
		case SCAN_BOL:
			if (b == ' ' || b == '\t')
				return (-1);
			/* FALLTHROUGH */
		case SCAN_LINE:
			if (b == '\r') {
				h->state = h->state == SCAN_BOL ? SCAN_END :
				    SCAN_CR;
				break;
			}
			if ((b < ' ' && b != '\t') || b == 0x7f)
				return (-1);
			h->state = SCAN_LINE;
			break;
		case SCAN_CR:
			if (b != '\n')
				return (-1);
			h->state = SCAN_BOL;
			break;
		case SCAN_END:
			if (b != '\n')
				return (-1);
			return ((ssize_t)i + 1);
		}
	}
	h->done = n;
	return (0);
}

/* method SP target SP HTTP/d.d, with one space each (RFC 9112 3). */
int
head_line_is_good(const char *p, size_t n)
{
	const char	*end = memchr(p, '\r', n), *v;

	if ((p = memchr(p, ' ', n)) == NULL || end == NULL || p > end)
		return (0);
	p++;
	v = memchr(p, ' ', (size_t)(end - p));
	return (v != NULL && v > p && end - v == 9 &&
	    memcmp(v, " HTTP/", 6) == 0 && v[7] == '.');
}

/* The fields that say where the message ends are judged here too. */
void
head_framing(struct exchange *x, const char *name, size_t nlen, const char *v,
    size_t n)
{
	if (nlen == 17 && strncasecmp(name, "transfer-encoding", nlen) == 0) {
		if (x->te || x->length)
			exchange_bad(x, 400, "Transfer-Encoding beside another"
			    " framing header");
		else if (x->http10)
			exchange_bad(x, 400, "HTTP/1.0 has no"
			    " Transfer-Encoding");
		else if (n != 7 || strncasecmp(v, "chunked", n) != 0)
			exchange_bad(x, 501, "the only Transfer-Encoding here"
			    " is chunked");
		x->te = 1;
	} else if (nlen == 14 && strncasecmp(name, "content-length", nlen) ==
	    0) {
		if (x->te || x->length)
			exchange_bad(x, 400, "Content-Length beside another"
			    " framing header");
		x->length = 1;
	}
}
