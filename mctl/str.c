/*
 * Memory that is there or the program is not, and strings that grow.
 * Running out of memory ends mctl with code 1.
 */

#include <err.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "doc.h"

void *
xcalloc(size_t n, size_t size)
{
	void	*p;

	if ((p = calloc(n, size)) == NULL)
		err(EX_ERROR, NULL);
	return (p);
}

char *
xstrdup(const char *s)
{
	char	*p;

	if ((p = strdup(s)) == NULL)
		err(EX_ERROR, NULL);
	return (p);
}

char *
xasprintf(const char *fmt, ...)
{
	va_list	 ap;
	char	*p;

	va_start(ap, fmt);
	if (vasprintf(&p, fmt, ap) == -1)
		err(EX_ERROR, NULL);
	va_end(ap);
	return (p);
}

void
str_add(struct str *s, const void *p, size_t len)
{
	size_t	 size;

	if (len > SIZE_MAX / 4 - s->len)
		errx(EX_ERROR, "out of memory");
	if (s->len + len + 1 > s->size) {
		size = (s->len + len + 1) * 2;
		if ((s->data = realloc(s->data, size)) == NULL)
			err(EX_ERROR, NULL);
		s->size = size;
	}
	if (len != 0)
		memcpy(s->data + s->len, p, len);
	s->len += len;
	s->data[s->len] = '\0';
}

void
str_puts(struct str *s, const char *p)
{
	str_add(s, p, strlen(p));
}

void
str_printf(struct str *s, const char *fmt, ...)
{
	va_list	 ap;
	char	*p;
	int	 n;

	va_start(ap, fmt);
	if ((n = vasprintf(&p, fmt, ap)) == -1)
		err(EX_ERROR, NULL);
	va_end(ap);
	str_add(s, p, (size_t)n);
	free(p);
}

/* Percent-encode all but RFC 3986's unreserved characters. */
void
str_escape(struct str *s, const char *p)
{
	static const char	 plain[] = "abcdefghijklmnopqrstuvwxyz"
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";

	for (; *p != '\0'; p++) {
		if (strchr(plain, *p) != NULL)
			str_add(s, p, 1);
		else
			str_printf(s, "%%%02X", (unsigned char)*p);
	}
}

/* Append a query parameter to a path. */
void
str_query(struct str *s, const char *key, const char *value)
{
	if (s->data != NULL && strchr(s->data, '?') != NULL)
		str_puts(s, "&");
	else
		str_puts(s, "?");
	str_puts(s, key);
	str_puts(s, "=");
	str_escape(s, value);
}

void
str_free(struct str *s)
{
	free(s->data);
	memset(s, 0, sizeof(*s));
}
