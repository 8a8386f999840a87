/*
 * What is known of a process of the server: privsep.c.
 */

#ifndef PRIVSEP_H
#define PRIVSEP_H

#include "http.h"

void	 process_tidy(json_t *);
void	 process_walls(struct mctl *, json_t *);

#endif
