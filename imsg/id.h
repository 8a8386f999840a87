/*
 * id.h - typed ids: `{prefix}_' and 26 lower-case base32 characters, 48 bits of
 * Unix milliseconds, 16 of the time within one and 64 random bits, so that ASCII
 * order is the order in which one process made them.
 */
#ifndef ID_H
#define ID_H

#include <stddef.h>

#define ID_SIZE		32	/* with the NUL: prefixes have at most 4 letters */
#define ID_PREFIX_MAX	4

/* Makes a new id; prefix without the underscore. */
void	 id_make(char out[ID_SIZE], const char *prefix);
/* Is it an id of this prefix, well-formed? */
int	 id_is(const char *, const char *prefix);
/*
 * A token shown once: prefix_ and base64url of 32 random bytes.  The caller
 * wipes it.  hash: the SHA-256 that is stored.
 */
#define TOKEN_SIZE	64
void	 token_make(char out[TOKEN_SIZE], const char *prefix,
	    unsigned char hash[32]);

#endif
