/*
 * line.c - log lines as text: rendered once, as the JSON object that clients
 * get, and counted by their newlines everywhere else.  Pure functions.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "journal.h"
#include "log.h"
#include "text.h"

#define ROOM_AFTER	128	/* what follows the last text */

/* plain: control bytes become `?', so that a line always fits. */
static ssize_t
put_text(char *out, size_t size, const char *s, int plain)
{
	static char	 copy[65536 + 1];
	size_t		 i, n = strlen(s);

	if (!plain)
		return (text_json(out, size, s, n));
	if (n >= sizeof(copy))
		return (-1);
	for (i = 0; i < n; i++)
		copy[i] = (unsigned char)s[i] < 0x20 || s[i] == 0x7f ? '?' :
		    s[i];
	return (text_json(out, size, copy, n));
}

static size_t
render(char *out, const char *run, uint32_t attempt, uint64_t number,
    const Marionette__V1__LogLine *l, int plain)
{
	static const char	 data[] = "\",\"data\":{\"text\":\"";
	char			 time[TEXT_TIME_SIZE];
	size_t			 used, size = LINES_MAX - ROOM_AFTER;
	ssize_t			 n;

	used = (size_t)snprintf(out, size, "{\"position\":\"%u.%llu\","
	    "\"sequence\":%llu,\"run_id\":\"%s\",\"stream\":\"%s\","
	    "\"level\":\"%s\",\"kind\":\"%s\",\"content\":\"", attempt,
	    (unsigned long long)number, (unsigned long long)number, run,
	    l->stream, l->level, l->kind);
	if ((n = put_text(out + used, size - used, l->content, plain)) == -1)
		return (0);
	used += (size_t)n;
	if (l->text[0] != '\0') {
		if (size - used < sizeof(data))
			return (0);
		memcpy(out + used, data, sizeof(data) - 1);
		used += sizeof(data) - 1;
		if ((n = put_text(out + used, size - used, l->text,
		    plain)) == -1)
			return (0);
		used += (size_t)n;
	}
	text_time(time, l->time_ms);
	used += (size_t)snprintf(out + used, LINES_MAX - used,
	    "\"%s,\"time\":\"%s\"%s}\n", l->text[0] != '\0' ? "}" : "", time,
	    l->partial ? ",\"partial\":true" : "");
	return (used);
}

size_t
line_render(char out[LINES_MAX], const char *run, uint32_t attempt,
    uint64_t number, const Marionette__V1__LogLine *l)
{
	size_t	 n;

	/* Escapes grow a byte to six at most, and only control bytes so. */
	if ((n = render(out, run, attempt, number, l, 0)) == 0 &&
	    (n = render(out, run, attempt, number, l, 1)) == 0)
		fatalx("line: longer than its message");
	return (n);
}

size_t
lines_skip(const uint8_t **p, size_t len, uint64_t n)
{
	const uint8_t	*nl;

	for (; n > 0 && len > 0; n--) {
		if ((nl = memchr(*p, '\n', len)) == NULL)
			return (0);
		nl++;
		len -= (size_t)(nl - *p);
		*p = nl;
	}
	return (len);
}

size_t
lines_fit(const uint8_t *p, size_t len, size_t max, uint32_t *n)
{
	const uint8_t	*nl;
	size_t		 used = 0, line;

	for (*n = 0; used < len; (*n)++) {
		if ((nl = memchr(p + used, '\n', len - used)) == NULL)
			break;
		line = (size_t)(nl + 1 - (p + used));
		if (*n > 0 && used + line > max)
			break;
		used += line;
	}
	return (used);
}

int
position_parse(const char *s, uint32_t *attempt, uint64_t *line)
{
	unsigned long long	 a, l;
	char			*end;

	*attempt = 0;
	*line = 0;
	if (*s == '\0')
		return (0);
	if (*s < '0' || *s > '9')
		return (-1);
	a = strtoull(s, &end, 10);
	if (*end != '.' || end[1] < '0' || end[1] > '9')
		return (-1);
	l = strtoull(end + 1, &end, 10);
	if (*end != '\0' || a > INT32_MAX || l > WIRE_NUMBER_MAX)
		return (-1);
	*attempt = (uint32_t)a;
	*line = l;
	return (0);
}

int64_t
lines_overlap(uint64_t first, uint64_t count, uint64_t next)
{
	if (first > next)
		return (-1);
	return ((int64_t)(next - first < count ? next - first : count));
}
