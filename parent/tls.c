/*
 * tls.c - the operator's certificates and keys, tried before anything starts
 * and before a reload takes them.  Only frontd can read them: it is run once
 * for each listener, and says itself what is wrong.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "parent.h"

static int
tls_try(const struct listen_conf *l)
{
	char	*argv[6];
	int	 rc;

	argv[0] = strdup(program_path("frontd"));
	argv[1] = strdup("-C");
	argv[2] = l->cert;
	argv[3] = l->key;
	argv[4] = l->ca;
	argv[5] = NULL;
	rc = run_program(argv, NULL, -1);
	free(argv[0]);
	free(argv[1]);
	return (rc == 0 ? 0 : -1);
}

int
tls_check(const struct conf *c)
{
	const struct listen_conf	*l;

	TAILQ_FOREACH(l, &c->listens, entry) {
		if (l->tls && l->cert != NULL && tls_try(l) == -1) {
			log_warnx("%s:%d: the certificate or key cannot be "
			    "used (see above): %s, %s", env->conf_path,
			    l->line, l->cert, l->key);
			return (-1);
		}
		if (l->ca != NULL && access(l->ca, R_OK) == -1) {
			log_warn("%s:%d: client ca %s", env->conf_path,
			    l->line, l->ca);
			return (-1);
		}
	}
	return (0);
}
