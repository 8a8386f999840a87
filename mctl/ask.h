/*
 * Permission requests at the terminal: ask.c.
 */

#ifndef ASK_H
#define ASK_H

#include "doc.h"

enum answer { ANSWER_NONE, ANSWER_YES, ANSWER_NO, ANSWER_QUIT };

/* Asked while the question stands: no longer? then ANSWER_NONE. */
typedef int (*ask_check)(struct mctl *, const char *);

void	 ask_input(FILE *, json_t *, size_t);
/* The last says whether SIGINT has come, which ends it with ANSWER_NONE. */
enum answer ask_person(struct mctl *, json_t *, ask_check, int (*)(void));

#endif
