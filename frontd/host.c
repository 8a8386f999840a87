/*
 * host.c - is the request meant for us, and did a page of ours send it?  The
 * Host check keeps DNS rebinding out, on loopback too; the Origin check keeps
 * other sites' pages from using a browser's credentials or opening WebSockets.
 * localhost, 127.0.0.1 and ::1 always pass, others are configured.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "engine.h"
#include "log.h"

#define NAMES_MAX	64

static char	*names[NAMES_MAX], *origins[NAMES_MAX];
static size_t	 nnames, norigins;

static void
list_add(char **list, size_t *n, const char *s)
{
	if (*n == NAMES_MAX)
		fatalx("more than %d names or origins", NAMES_MAX);
	if ((list[*n] = strdup(s)) == NULL)
		fatal("strdup");
	(*n)++;
}

/* A further name by which clients may call us. */
void
host_allow(const char *name)
{
	list_add(names, &nnames, name);
}

/* An origin (scheme://host:port) whose pages may use the API. */
void
host_origin_allow(const char *origin)
{
	list_add(origins, &norigins, origin);
}

/* Before a reload. */
void
host_clear(void)
{
	while (nnames > 0)
		free(names[--nnames]);
	while (norigins > 0)
		free(origins[--norigins]);
}

/*
 * Length of the host part of host[:port] (RFC 9110 7.2), or 0 when it is none:
 * letters, digits, `-', `.', `_', or an address in brackets; a port of digits.
 */
static size_t
host_length(const char *h)
{
	size_t	 n, port;

	if (*h == '[') {
		n = strspn(h + 1, "0123456789abcdefABCDEF:.");
		if (n == 0 || h[n + 1] != ']')
			return (0);
		n += 2;
	} else
		n = strspn(h, "0123456789abcdefghijklmnopqrstuvwxyz"
		    "ABCDEFGHIJKLMNOPQRSTUVWXYZ-._");
	if (h[n] == '\0')
		return (n);
	if (h[n] != ':')
		return (0);
	port = strspn(h + n + 1, "0123456789");
	return (port <= 5 && h[n + 1 + port] == '\0' ? n : 0);
}

static int
host_is(const char *h, size_t n, const char *name)
{
	return (strlen(name) == n && strncasecmp(h, name, n) == 0);
}

static int
host_known(const char *h, size_t n)
{
	static const char	*const always[] = { "localhost", "127.0.0.1",
				    "[::1]", "localhost." };
	size_t			 i;

	for (i = 0; i < sizeof(always) / sizeof(always[0]); i++)
		if (host_is(h, n, always[i]))
			return (1);
	for (i = 0; i < nnames; i++)
		if (host_is(h, n, names[i]))
			return (1);
	return (0);
}

/*
 * An absolute target (RFC 9112 3.2.2) must name the host that Host names; it is
 * cut down to its path.
 */
static int
absolute_target(struct exchange *x)
{
	const char	*t = x->target, *host = x->req.header[H_HOST];
	size_t		 n;

	if (strncasecmp(t, "http://", 7) == 0)
		t += 7;
	else if (strncasecmp(t, "https://", 8) == 0)
		t += 8;
	else {
		exchange_bad(x, 400, "the request target is not a path");
		return (-1);
	}
	n = strcspn(t, "/?");
	if (host == NULL || strlen(host) != n || strncasecmp(t, host, n) != 0) {
		exchange_bad(x, 400, "Host is not the host of the request"
		    " target");
		return (-1);
	}
	if (t[n] == '/')
		x->target = t + n;
	else {
		char	*path = exchange_alloc(x, strlen(t + n) + 2);

		path[0] = '/';
		memcpy(path + 1, t + n, strlen(t + n) + 1);
		x->target = path;
	}
	return (0);
}

/* The form of Host and target; whether the name is ours comes with the row. */
int
host_check(struct exchange *x)
{
	const char	*host = x->req.header[H_HOST];

	if (host == NULL) {
		if (x->http10)
			return (x->target[0] == '/' ? 0 : absolute_target(x));
		exchange_bad(x, 400, "the Host header is missing");
		return (-1);
	}
	if (host_length(host) == 0) {
		exchange_bad(x, 400, "the Host header is not host[:port]");
		return (-1);
	}
	if (x->target[0] != '/' && strcmp(x->target, "*") != 0)
		return (absolute_target(x));
	return (0);
}

int
host_is_ours(const struct request *req)
{
	const char	*host = req->header[H_HOST];

	if (req->kind == LISTEN_LOCAL || host == NULL)
		return (1);
	return (host_known(host, host_length(host)));
}

/* Configured to use the API from a browser (CORS). */
int
host_origin(const struct request *req)
{
	const char	*origin = req->header[H_ORIGIN];
	size_t		 i;

	for (i = 0; origin != NULL && i < norigins; i++)
		if (strcasecmp(origin, origins[i]) == 0)
			return (1);
	return (0);
}

/*
 * Same origin is scheme and Host; https may be a proxy's before a plaintext
 * listener, http before TLS is not.
 */
int
host_is_origin(const struct request *req)
{
	const char	*origin = req->header[H_ORIGIN];
	const char	*host = req->header[H_HOST];
	size_t		 n;

	if (origin == NULL || host == NULL)
		return (0);
	if (strncasecmp(origin, "https://", 8) == 0)
		n = 8;
	else if (strncasecmp(origin, "http://", 7) == 0 && !req->secure)
		n = 7;
	else
		return (0);
	return (strcasecmp(origin + n, host) == 0);
}

/*
 * May the page that sent this (if it was a page) change something or open a
 * WebSocket?  Programs send neither header.
 */
int
host_page_may(const struct request *req)
{
	const char	*site = req->header[H_SEC_FETCH_SITE];

	if (req->kind == LISTEN_LOCAL || host_origin(req))
		return (1);
	if (req->header[H_ORIGIN] != NULL)
		return (host_is_origin(req));
	return (site == NULL || strcmp(site, "same-origin") == 0 ||
	    strcmp(site, "none") == 0);
}
