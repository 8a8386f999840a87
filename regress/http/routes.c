/*
 * routes.c - prints the rows of frontd's route table: METHOD PATH.  Linked with
 * all of frontd but main.c.
 */
#include <stdio.h>

#include "../../frontd/frontd.h"

int
main(void)
{
	static const char *const	 names[METHOD_MAX] = { "GET", "HEAD",
					    "POST", "PUT", "PATCH", "DELETE",
					    "OPTIONS" };
	const struct route *const	*t;
	const struct route		*r;

	for (t = route_tables; *t != NULL; t++)
		for (r = *t; r->path != NULL; r++)
			printf("%s %s\n", names[r->method], r->path);
	return (0);
}
