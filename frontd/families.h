/*
 * families.h - Prometheus text of several processes made into one.
 */
#ifndef FAMILIES_H
#define FAMILIES_H

#include <stddef.h>

struct family {
	char	*name;
	char	*head;		/* # HELP, # TYPE */
	char	*samples;
};

struct families {
	struct family	*list;
	size_t		 n;
};

/* Every sample gets the label process="..."; what is malformed is left out. */
void	 families_add(struct families *, const char *, const char *);
/* The text, to be freed; the families are freed too. */
char	*families_text(struct families *, size_t *);

#endif
