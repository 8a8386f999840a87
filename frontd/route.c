/*
 * route.c - finds the row of a request in the tables that the api_*.c files
 * export.  A path that exists with another method is 405 and says which ones
 * it has; the caller answers.
 */
#include <stdio.h>
#include <string.h>

#include "engine.h"

#define ALLOW_SIZE	64

static const char *const method_names[METHOD_MAX] = { "GET", "HEAD", "POST",
	"PUT", "PATCH", "DELETE", "OPTIONS" };

/*
 * Compares; arg and len get the places of the parameters inside path.  Number
 * of arguments, or -1.
 */
static int
route_match(const char *pattern, const char *path, const char **arg,
    size_t *len)
{
	size_t	 n, m;
	int	 args = 0;

	for (;;) {
		if (*pattern != '/' || *path != '/')
			return (*pattern == '\0' && *path == '\0' ? args : -1);
		pattern++;
		path++;
		n = strcspn(pattern, "/");
		m = strcspn(path, "/");
		if (n == 1 && *pattern == '*') {
			arg[args] = path;
			len[args++] = strlen(path);
			return (args);
		}
		if (*pattern == '{') {
			if (m == 0)
				return (-1);
			arg[args] = path;
			len[args++] = m;
		} else if (n != m || memcmp(pattern, path, n) != 0)
			return (-1);
		pattern += n;
		path += m;
	}
}

/* The Allow header of a path: its methods, OPTIONS always. */
static char *
route_allow(struct request *req, unsigned int methods)
{
	char	 allow[ALLOW_SIZE] = "";
	int	 i;

	methods |= 1U << M_OPTIONS;
	if (methods & 1U << M_GET)
		methods |= 1U << M_HEAD;
	for (i = 0; i < METHOD_MAX; i++) {
		if ((methods & 1U << i) == 0)
			continue;
		if (allow[0] != '\0')
			strlcat(allow, ", ", sizeof(allow));
		strlcat(allow, method_names[i], sizeof(allow));
	}
	return (exchange_copy(req->x, allow, strlen(allow)));
}

/*
 * The row, or NULL with status 404, or 405 and the methods that there are.
 * flags of any row of that path go to *flags, for OPTIONS.
 */
const struct route *
route_find(struct request *req, char **allow, int *status)
{
	const struct route	*const *table, *r;
	const char		*arg[REQUEST_ARGS];
	size_t			 len[REQUEST_ARGS];
	unsigned int		 methods = 0;
	int			 i, n;

	*allow = NULL;
	*status = 404;
	for (table = route_tables; *table != NULL; table++)
		for (r = *table; r->path != NULL; r++) {
			if ((r->listeners & (int)req->kind) == 0 ||
			    (n = route_match(r->path, req->path, arg, len)) ==
			    -1)
				continue;
			if (r->method != req->method) {
				methods |= 1U << r->method;
				continue;
			}
			for (i = 0; i < n; i++)
				req->arg[i] = exchange_copy(req->x, arg[i],
				    len[i]);
			return (r);
		}
	if (methods != 0) {
		*status = 405;
		*allow = route_allow(req, methods);
	}
	return (NULL);
}
