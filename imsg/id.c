/*
 * id.c - makes and checks ids and tokens.
 */
#include <sodium.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "id.h"
#include "text.h"

/* Crockford's alphabet in lower case: no i, l, o, u. */
static const char	 id_set[] = "0123456789abcdefghjkmnpqrstvwxyz";

void
id_make(char out[ID_SIZE], const char *prefix)
{
	struct timespec	 ts;
	uint8_t		 b[17];
	uint64_t	 ms;
	unsigned int	 bit, v, part;
	int		 i;
	size_t		 n = strlen(prefix);

	clock_gettime(CLOCK_REALTIME, &ts);
	ms = (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
	for (i = 0; i < 6; i++)
		b[i] = (uint8_t)(ms >> (40 - 8 * i));
	/* Where in the millisecond, in 16 ns: what came together has an order. */
	part = (unsigned int)(ts.tv_nsec % 1000000) / 16;
	b[6] = (uint8_t)(part >> 8);
	b[7] = (uint8_t)part;
	arc4random_buf(b + 8, 8);
	b[16] = 0;
	memcpy(out, prefix, n);
	out[n++] = '_';
	/* 128 bits behind two zero bits make 26 characters of five. */
	for (i = 0; i < 26; i++) {
		if (i == 0)
			v = b[0] >> 5;
		else {
			bit = (unsigned int)i * 5 - 2;
			v = ((unsigned int)b[bit / 8] << 8 | b[bit / 8 + 1]) >>
			    (11 - bit % 8) & 31;
		}
		out[n++] = id_set[v];
	}
	out[n] = '\0';
}

int
id_is(const char *id, const char *prefix)
{
	size_t	 n = strlen(prefix);
	int	 i;

	if (strncmp(id, prefix, n) != 0 || id[n] != '_')
		return (0);
	id += n + 1;
	for (i = 0; i < 26; i++)
		if (id[i] == '\0' || strchr(id_set, id[i]) == NULL)
			return (0);
	return (id[26] == '\0');
}

void
token_make(char out[TOKEN_SIZE], const char *prefix, unsigned char hash[32])
{
	uint8_t	 b[32];
	size_t	 n;

	arc4random_buf(b, sizeof(b));
	n = strlcpy(out, prefix, TOKEN_SIZE);
	out[n++] = '_';
	text_base64(out + n, b, sizeof(b));
	crypto_hash_sha256(hash, (const unsigned char *)out, strlen(out));
	explicit_bzero(b, sizeof(b));
}
