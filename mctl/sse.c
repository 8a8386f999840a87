/*
 * text/event-stream, as the HTML standard reads it: fields data, event, id
 * and retry; lines end in LF, CR or both; what is cut before its empty line
 * never happened, and does not move the position.
 */

#include <stdlib.h>
#include <string.h>

#include "stream.h"

void
sse_reset(struct sse *s)
{
	str_free(&s->line);
	str_free(&s->data);
	str_free(&s->id);
	str_free(&s->type);
	s->after_cr = 0;
	s->has_data = 0;
}

static void
field(struct sse *s, const char *name, size_t len, const char *value)
{
	const char	*errstr;

	if (len == 4 && memcmp(name, "data", 4) == 0) {
		if (s->has_data)
			str_add(&s->data, "\n", 1);
		str_puts(&s->data, value);
		s->has_data = 1;
	} else if (len == 5 && memcmp(name, "event", 5) == 0) {
		s->type.len = 0;
		str_puts(&s->type, value);
	} else if (len == 2 && memcmp(name, "id", 2) == 0) {
		s->id.len = 0;
		str_puts(&s->id, value);
	} else if (len == 5 && memcmp(name, "retry", 5) == 0) {
		s->retry = (long)strtonum(value, 0, 15000, &errstr);
		if (errstr != NULL)
			s->retry = 0;
	}
}

/* An empty line: the event is whole. */
static int
dispatch(struct sse *s, sse_fn fn, void *arg, struct str *last)
{
	int	 rc = 0;

	if (s->id.len > 0) {
		last->len = 0;
		str_puts(last, s->id.data);
	}
	if (s->has_data)
		rc = fn(arg, s->type.len > 0 ? s->type.data : "message",
		    s->data.data, s->data.len);
	s->data.len = 0;
	s->type.len = 0;
	s->id.len = 0;
	s->has_data = 0;
	return (rc);
}

static int
line_end(struct sse *s, sse_fn fn, void *arg, struct str *last)
{
	char	*line, *value;
	size_t	 len;

	str_add(&s->line, "", 0);
	line = s->line.data;
	if (s->line.len == 0)
		return (dispatch(s, fn, arg, last));
	len = strcspn(line, ":");
	value = line + len;
	if (*value == ':')
		value++;
	if (*value == ' ')
		value++;
	if (len > 0)
		field(s, line, len, value);
	s->line.len = 0;
	return (0);
}

/* 0: go on; 1: fn said stop; -1: an event without end. */
int
sse_feed(struct sse *s, const char *p, size_t n, sse_fn fn, void *arg,
    struct str *last)
{
	const char	*end = p + n;
	size_t		 len;
	int		 rc;

	while (p < end) {
		if (s->after_cr && *p == '\n')
			p++;
		s->after_cr = 0;
		for (len = 0; p + len < end && p[len] != '\n' &&
		    p[len] != '\r'; len++)
			;
		str_add(&s->line, p, len);
		if (s->line.len + s->data.len > EVENT_MAX)
			return (-1);
		p += len;
		if (p == end)
			break;
		s->after_cr = *p++ == '\r';
		if ((rc = line_end(s, fn, arg, last)) != 0)
			return (rc);
	}
	return (0);
}
