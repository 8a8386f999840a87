/*
 * utf8.c - what a program printed, made safe for the wire: well-formed UTF-8
 * (RFC 3629) without NUL, cut only between characters.
 */
#include <stdlib.h>
#include <string.h>

#include "util.h"

static const char	utf8_bad[] = "\xef\xbf\xbd";	/* U+FFFD */

/* Length of the well-formed character at p, or 0. */
static size_t
utf8_len(const unsigned char *p, size_t left)
{
	unsigned char	 lo = 0x80, hi = 0xbf;
	size_t		 i, n;

	if (p[0] == 0)
		return (0);
	if (p[0] < 0x80)
		return (1);
	if (p[0] >= 0xc2 && p[0] <= 0xdf)
		n = 2;
	else if (p[0] >= 0xe0 && p[0] <= 0xef)
		n = 3;
	else if (p[0] >= 0xf0 && p[0] <= 0xf4)
		n = 4;
	else
		return (0);
	if (n > left)
		return (0);
	if (p[0] == 0xe0)
		lo = 0xa0;	/* Overlong below. */
	else if (p[0] == 0xed)
		hi = 0x9f;	/* Surrogates above. */
	else if (p[0] == 0xf0)
		lo = 0x90;
	else if (p[0] == 0xf4)
		hi = 0x8f;	/* Above U+10FFFF. */
	if (p[1] < lo || p[1] > hi)
		return (0);
	for (i = 2; i < n; i++)
		if (p[i] < 0x80 || p[i] > 0xbf)
			return (0);
	return (n);
}

char *
utf8_scrub(const char *s, size_t len, size_t *outlen)
{
	const unsigned char	*p = (const unsigned char *)s;
	char			*out;
	size_t			 i, n, o = 0, bad = 0;

	for (i = 0; i < len; i += n)
		if ((n = utf8_len(p + i, len - i)) == 0) {
			n = 1;
			bad++;
		}
	out = xmalloc(len + bad * 2 + 1);
	if (bad == 0) {
		memcpy(out, s, len);
		o = len;
	} else {
		for (i = 0; i < len; i += n) {
			if ((n = utf8_len(p + i, len - i)) == 0) {
				memcpy(out + o, utf8_bad, 3);
				o += 3;
				n = 1;
			} else {
				memcpy(out + o, p + i, n);
				o += n;
			}
		}
	}
	out[o] = '\0';
	if (outlen != NULL)
		*outlen = o;
	return (out);
}

void
utf8_mend(char *s)
{
	size_t	 left = strlen(s), n;

	for (; left > 0; s += n, left -= n)
		if ((n = utf8_len((const unsigned char *)s, left)) == 0) {
			*s = '?';
			n = 1;
		}
}

size_t
utf8_cut(const char *s, size_t len, size_t max)
{
	size_t	 n = max;

	if (len <= max)
		return (len);
	while (n > 0 && ((unsigned char)s[n] & 0xc0) == 0x80)
		n--;
	return (n);
}

char *
utf8_limit(const char *s, size_t max)
{
	return (xstrndup(s, utf8_cut(s, strlen(s), max)));
}

char *
utf8_line(const char *s, size_t max)
{
	char	*p, *q;
	size_t	 len;

	/* What is cut away anyway need not be looked at. */
	p = utf8_scrub(s, strnlen(s, max + 4), &len);
	p[utf8_cut(p, len, max)] = '\0';
	for (q = p; *q != '\0'; q++)
		if ((unsigned char)*q < 0x20 || *q == 0x7f)
			*q = ' ';
	return (p);
}
