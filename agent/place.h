/*
 * place.h - directories and users of sessions on this machine.
 */
#ifndef AGENT_PLACE_H
#define AGENT_PLACE_H

#include <sys/types.h>

#include <stddef.h>
#include <stdint.h>

/* The root of all sessions: made, checked; what a crash left is removed. */
void	 place_init(void);
/*
 * <dir>/{workspace,home,tmp,root}, 0700, of the session's user.  NULL, or why
 * it cannot be; to be tried again.
 */
const char *place_make(const char *id, const char *dir, uid_t *);
/* Ids of at most max sessions that have a directory here, without `but'. */
char	**place_kept(const char *but, size_t max, size_t *n);
void	 place_kept_free(char **, size_t);
/* Out of the way at once, deleted in the background. */
void	 place_remove(const char *id, const char *dir);
int	 place_write(const char *dir, const char *name, const char *text);
void	 place_random(uint8_t *, size_t);

#endif
