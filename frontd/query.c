/*
 * query.c - the request target (RFC 3986): path and query, percent-decoded
 * strictly.  What is not two hexadecimal digits after `%', not UTF-8, or holds
 * a NUL is refused with 400 and never guessed at; so is an encoded slash, which
 * would make two different paths look the same to a proxy and to us.
 */
#include <string.h>

#include "engine.h"
#include "text.h"

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return (c - '0');
	if (c >= 'a' && c <= 'f')
		return (c - 'a' + 10);
	if (c >= 'A' && c <= 'F')
		return (c - 'A' + 10);
	return (-1);
}

/*
 * Decodes s[0..len) into a copy of its own; NULL when it is malformed.  plus:
 * `+' is a space, as in forms.  slash: an encoded slash is refused.
 */
static const char *
decode(struct exchange *x, const char *s, size_t len, int plus, int slash)
{
	char	*out;
	size_t	 i, n = 0;
	int	 hi, lo;

	out = exchange_alloc(x, len + 1);
	for (i = 0; i < len; i++) {
		out[n] = s[i];
		if (s[i] == '+' && plus)
			out[n] = ' ';
		if (s[i] == '%') {
			if (i + 2 >= len || (hi = hex_digit(s[i + 1])) == -1 ||
			    (lo = hex_digit(s[i + 2])) == -1)
				return (NULL);
			out[n] = (char)(hi << 4 | lo);
			if (out[n] == '\0' || (slash && out[n] == '/'))
				return (NULL);
			i += 2;
		}
		n++;
	}
	out[n] = '\0';
	return (text_is_utf8(out, n) ? out : NULL);
}

static int
query_params(struct exchange *x, const char *s)
{
	struct request	*req = &x->req;
	struct param	*p;
	const char	*end, *eq, *c;
	size_t		 n = 1;

	for (c = s; *c != '\0'; c++)
		n += *c == '&';
	if (n > PARAMS_MAX) {
		exchange_bad(x, 400, "the query has too many parameters");
		return (-1);
	}
	req->params = exchange_alloc(x, n * sizeof(*req->params));
	for (; *s != '\0'; s = *end == '&' ? end + 1 : end) {
		end = s + strcspn(s, "&");
		if (end == s)
			continue;
		if ((eq = memchr(s, '=', (size_t)(end - s))) == NULL)
			eq = end;
		p = &req->params[req->nparams++];
		p->name = decode(x, s, (size_t)(eq - s), 1, 0);
		p->value = eq == end ? "" :
		    decode(x, eq + 1, (size_t)(end - eq - 1), 1, 0);
		if (p->name == NULL || p->value == NULL) {
			exchange_bad(x, 400, "the query is not percent-encoded"
			    " UTF-8");
			return (-1);
		}
	}
	return (0);
}

/* Sets path and params out of x->target, which begins with a slash. */
int
query_target(struct exchange *x)
{
	const char	*t = x->target, *q;
	size_t		 len;

	if (strchr(t, '#') != NULL) {
		exchange_bad(x, 400, "the request target has a fragment");
		return (-1);
	}
	len = strcspn(t, "?");
	q = t[len] == '?' ? t + len + 1 : t + len;
	x->req.path = decode(x, t, len, 0, 1);
	if (x->req.path == NULL) {
		exchange_bad(x, 400, "the path is not percent-encoded UTF-8, or"
		    " has an encoded slash");
		return (-1);
	}
	return (query_params(x, q));
}

const char *
request_param(const struct request *req, const char *name)
{
	size_t	 i;

	for (i = 0; i < req->nparams; i++)
		if (strcmp(req->params[i].name, name) == 0)
			return (req->params[i].value);
	return (NULL);
}
