/*
 * text.c - see text.h.  Pure functions, nothing allocated.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "text.h"

/* Length of the sequence at p (n bytes are there), or 0 when ill-formed. */
static size_t
utf8_sequence(const uint8_t *p, size_t n)
{
	uint8_t	 lo = 0x80, hi = 0xbf;
	size_t	 len, i;

	if (p[0] < 0x80)
		return (1);
	if (p[0] >= 0xc2 && p[0] <= 0xdf)
		len = 2;
	else if (p[0] >= 0xe0 && p[0] <= 0xef)
		len = 3;
	else if (p[0] >= 0xf0 && p[0] <= 0xf4)
		len = 4;
	else
		return (0);
	if (n < len)
		return (0);
	/* RFC 3629 section 4: the second byte's range depends on the first. */
	if (p[0] == 0xe0)
		lo = 0xa0;
	else if (p[0] == 0xed)
		hi = 0x9f;
	else if (p[0] == 0xf0)
		lo = 0x90;
	else if (p[0] == 0xf4)
		hi = 0x8f;
	if (p[1] < lo || p[1] > hi)
		return (0);
	for (i = 2; i < len; i++)
		if ((p[i] & 0xc0) != 0x80)
			return (0);
	return (len);
}

int
text_is_utf8(const char *s, size_t len)
{
	const uint8_t	*p = (const uint8_t *)s;
	uint64_t	 word;
	size_t		 n;

	while (len > 0) {
		/* Eight plain bytes at once, none of them NUL. */
		if (len >= 8) {
			memcpy(&word, p, 8);
			if ((word & 0x8080808080808080ULL) == 0 &&
			    ((word - 0x0101010101010101ULL) & ~word &
			    0x8080808080808080ULL) == 0) {
				p += 8;
				len -= 8;
				continue;
			}
		}
		if (p[0] == '\0' || (n = utf8_sequence(p, len)) == 0)
			return (0);
		p += n;
		len -= n;
	}
	return (1);
}

void
text_hex(char *out, const uint8_t *p, size_t n)
{
	static const char	 digit[] = "0123456789abcdef";
	size_t			 i;

	for (i = 0; i < n; i++) {
		*out++ = digit[p[i] >> 4];
		*out++ = digit[p[i] & 15];
	}
	*out = '\0';
}

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return (c - '0');
	if (c >= 'a' && c <= 'f')
		return (c - 'a' + 10);
	if (c >= 'A' && c <= 'F')
		return (c - 'A' + 10);
	return (-1);
}

int
text_unhex(uint8_t *out, size_t n, const char *s)
{
	size_t	 i;
	int	 hi, lo;

	if (strlen(s) != 2 * n)
		return (-1);
	for (i = 0; i < n; i++) {
		hi = hex_value(s[2 * i]);
		lo = hex_value(s[2 * i + 1]);
		if (hi == -1 || lo == -1)
			return (-1);
		out[i] = (uint8_t)(hi << 4 | lo);
	}
	return (0);
}

void
text_base64(char *out, const uint8_t *p, size_t n)
{
	static const char	 set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "abcdefghijklmnopqrstuvwxyz0123456789-_";
	uint32_t		 v;

	for (; n >= 3; n -= 3, p += 3) {
		v = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
		*out++ = set[v >> 18];
		*out++ = set[v >> 12 & 63];
		*out++ = set[v >> 6 & 63];
		*out++ = set[v & 63];
	}
	if (n > 0) {
		v = (uint32_t)p[0] << 16 | (n == 2 ? (uint32_t)p[1] << 8 : 0);
		*out++ = set[v >> 18];
		*out++ = set[v >> 12 & 63];
		if (n == 2)
			*out++ = set[v >> 6 & 63];
	}
	*out = '\0';
}

ssize_t
text_json(char *out, size_t size, const char *s, size_t len)
{
	static const char	 digit[] = "0123456789abcdef";
	const uint8_t		*p = (const uint8_t *)s, *end = p + len;
	char			*o = out, *stop = out + size;
	char			 esc;

	for (; p < end; p++) {
		if (*p >= 0x20 && *p != '"' && *p != '\\' && *p != 0x7f) {
			if (o == stop)
				return (-1);
			*o++ = (char)*p;
			continue;
		}
		if (stop - o < 6)
			return (-1);
		esc = *p == '"' ? '"' : *p == '\\' ? '\\' : *p == '\n' ? 'n' :
		    *p == '\t' ? 't' : *p == '\r' ? 'r' : '\0';
		*o++ = '\\';
		if (esc != '\0') {
			*o++ = esc;
			continue;
		}
		*o++ = 'u';
		*o++ = '0';
		*o++ = '0';
		*o++ = digit[*p >> 4];
		*o++ = digit[*p & 15];
	}
	return (o - out);
}

size_t
text_u64(char out[TEXT_U64_SIZE], uint64_t v)
{
	char	 digits[TEXT_U64_SIZE];
	size_t	 i = sizeof(digits), n;

	do
		digits[--i] = (char)('0' + v % 10);
	while ((v /= 10) > 0);
	n = sizeof(digits) - i;
	memcpy(out, digits + i, n);
	out[n] = '\0';
	return (n);
}

void
text_time(char out[TEXT_TIME_SIZE], uint64_t ms)
{
	struct tm	 tm;
	time_t		 t = (time_t)(ms / 1000);
	char		 buf[64];

	if (ms > 253402300799999ULL || gmtime_r(&t, &tm) == NULL)
		memset(&tm, 0, sizeof(tm));
	snprintf(buf, sizeof(buf), "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ",
	    tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour,
	    tm.tm_min, tm.tm_sec, (int)(ms % 1000));
	memcpy(out, buf, TEXT_TIME_SIZE - 1);
	out[TEXT_TIME_SIZE - 1] = '\0';
}

int
text_is_token(const char *s)
{
	if (*s == '\0')
		return (0);
	for (; *s != '\0'; s++)
		if (*s <= ' ' || *s >= 0x7f)
			return (0);
	return (1);
}
