/*
 * spec.h - what the agent tells a holder: strings `kXvalue', NUL after each, in
 * locked memory, since the environment holds a key.
 */
#ifndef AGENT_SPEC_H
#define AGENT_SPEC_H

#include <stddef.h>

#define SPEC_MAX	(512 * 1024)

enum spec_field {
	SPEC_ARG = 'a', SPEC_ENV = 'e', SPEC_PATH = 'p', SPEC_DIR = 'd',
	SPEC_HIDE = 'x', SPEC_KEY = 'k', SPEC_UID = 'u', SPEC_MODE = 'm',
	SPEC_TMP = 't', SPEC_VAR_TMP = 'v', SPEC_END = '.'
};

struct spec {
	char	*buf;		/* sodium_malloc, SPEC_MAX */
	size_t	 len;
	int	 full;
};

void	 spec_init(struct spec *);
void	 spec_put(struct spec *, enum spec_field, const char *);
void	 spec_env(struct spec *, const char *name, const char *value);
void	 spec_free(struct spec *);
/* The holder's side: walks the fields; NULL at the end. */
const char *spec_next(const struct spec *, const char *at);

#endif
