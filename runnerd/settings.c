/*
 * settings.c - what the parent tells before the jail: options and the key of
 * our tickets.  An unknown name is fatal: parent and worker differ.
 */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "runnerd.h"
#include "web.h"

struct settings	 settings = { .heartbeat = 15, .lost_after = 600 };

void
settings_option(const char *name, const char *value)
{
	const char	*why;
	unsigned int	 n;

	n = (unsigned int)strtonum(value, strcmp(name, "skip-tls") == 0 ? 0 :
	    1, 86400, &why);
	if (why != NULL)
		fatalx("option %s: %s is %s", name, value, why);
	if (strcmp(name, "heartbeat-seconds") == 0)
		settings.heartbeat = n;
	else if (strcmp(name, "lost-after-seconds") == 0)
		settings.lost_after = n;
	else if (strcmp(name, "skip-tls") == 0) {
		if (n != 0 && !settings.skip_tls)
			log_warnx("skip tls: runners need no certificate, and "
			    "who sees the wire reads prompts and logs; for "
			    "development only");
		settings.skip_tls = n != 0;
	} else
		fatalx("option %s: unknown", name);
}

void
settings_secret(const char *name, const uint8_t *value, size_t len)
{
	if (strcmp(name, "ticket") != 0 || len != sizeof(settings.ticket))
		fatalx("secret %s: unknown or of %zu bytes", name, len);
	memcpy(settings.ticket, value, len);
	web_key(settings.ticket);
	settings.has_ticket = 1;
}

void
settings_check(void)
{
	if (!settings.has_ticket)
		fatalx("ticket was not given");
	if (sodium_init() == -1)
		fatalx("libsodium");
}
