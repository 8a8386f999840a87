/*
 * admin.c - the administrators of the configuration and the master key, the
 * bootstrap credential.  Told by the parent, again on each reload.
 */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "sessiond.h"
#include "text.h"

#define ADMINS_MAX	64
#define DIGEST_SHOWN	8		/* bytes, of a credential's hash */

static struct {
	char	 name[65];
	char	 hash[161];
}		 admins[ADMINS_MAX];
static unsigned int nadmins;
static uint8_t	 master[32];
static int	 has_master;
static uint8_t	 told[32];		/* digest of all of it */

void
admin_reset(void)
{
	explicit_bzero(admins, sizeof(admins));
	nadmins = 0;
	has_master = 0;
}

/*
 * The frontends remember for a minute who was let in: after a reload that
 * changed something they ask again.
 */
void
admin_configured(int reload)
{
	static const enum proc		 web[] = { PROC_API, PROC_ADMIN };
	static const char *const	 keys[] = { "admin", "master" };
	struct msg_auth_revoked		 m;
	crypto_generichash_state	 st;
	uint8_t				 now[32];
	size_t				 i, k;

	crypto_generichash_init(&st, NULL, 0, sizeof(now));
	crypto_generichash_update(&st, (const uint8_t *)admins,
	    sizeof(admins));
	if (has_master)
		crypto_generichash_update(&st, master, sizeof(master));
	crypto_generichash_final(&st, now, sizeof(now));
	if (reload && memcmp(now, told, sizeof(now)) != 0)
		for (i = 0; i < 2; i++)
			for (k = 0; k < 2; k++) {
				m.key = keys[k];
				send_auth_revoked(peer_of(web[i]), 0, &m);
			}
	memcpy(told, now, sizeof(told));
}

/* `name hash'. */
void
admin_add(const uint8_t *text, size_t len)
{
	const uint8_t	*space;
	size_t		 n;

	if ((space = memchr(text, ' ', len)) == NULL)
		fatalx("admin-user: name and hash are expected");
	n = (size_t)(space - text);
	len -= n + 1;
	if (nadmins == ADMINS_MAX || n >= sizeof(admins[0].name) ||
	    len >= sizeof(admins[0].hash))
		fatalx("admin user: more than %d of them, or too long",
		    ADMINS_MAX);
	memcpy(admins[nadmins].name, text, n);
	admins[nadmins].name[n] = '\0';
	memcpy(admins[nadmins].hash, space + 1, len);
	admins[nadmins].hash[len] = '\0';
	nadmins++;
}

void
admin_master(const uint8_t *hex, size_t len)
{
	char	 buf[65];

	if (len != 64)
		fatalx("master-key: 64 digits are expected");
	memcpy(buf, hex, 64);
	buf[64] = '\0';
	if (text_unhex(master, sizeof(master), buf) == -1)
		fatalx("master-key: 64 digits are expected");
	has_master = 1;
}

int
admin_is_master(const uint8_t hash[32])
{
	return (has_master && sodium_memcmp(hash, master, 32) == 0);
}

const char *
admin_hash(const char *name)
{
	unsigned int	 i;

	for (i = 0; i < nadmins; i++)
		if (strcmp(admins[i].name, name) == 0)
			return (admins[i].hash);
	return (NULL);
}

/*
 * A credential with another hash is another one to tickets.  Keyed, since
 * whoever has a stream ticket can read it.
 */
int
admin_ticket_key(char out[ID_SIZE], const char *key, const char *name)
{
	const char	*hash;
	uint8_t		 digest[32];
	size_t		 n;

	if (strcmp(key, "master") == 0) {
		hash = has_master ? (const char *)master : NULL;
		n = sizeof(master);
	} else {
		hash = admin_hash(name);
		n = hash != NULL ? strlen(hash) : 0;
	}
	if (hash == NULL)
		return (-1);
	crypto_generichash(digest, sizeof(digest), (const uint8_t *)hash, n,
	    env->ticket_key[PROC_SESSIOND], TICKET_KEY_SIZE);
	_Static_assert(sizeof("master.") + 2 * DIGEST_SHOWN <= ID_SIZE,
	    "a ticket's key");
	n = strlcpy(out, key, ID_SIZE);
	out[n++] = '.';
	text_hex(out + n, digest, DIGEST_SHOWN);
	return (0);
}
