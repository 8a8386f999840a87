/*
 * tls.c - the operator's certificates and keys, tried before anything starts
 * and before a reload takes them.  Only frontd can read them: it is run once
 * for each listener, and says itself what is wrong.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "parent.h"

static int
tls_try(const struct listen_conf *l)
{
	char	*argv[6], cert[PATH_MAX], key[PATH_MAX];
	int	 rc;

	/* Beside ours an authority of the operator's is tried. */
	strlcpy(cert, state_path("keys/runner.crt"), sizeof(cert));
	strlcpy(key, state_path("keys/runner.key"), sizeof(key));
	argv[0] = strdup(program_path("frontd"));
	argv[1] = strdup("-C");
	argv[2] = l->cert != NULL ? l->cert : cert;
	argv[3] = l->key != NULL ? l->key : key;
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
		if (!l->tls || (l->cert == NULL && l->ca == NULL) ||
		    tls_try(l) == 0)
			continue;
		if (l->cert != NULL)
			log_warnx("%s:%d: the certificate or key cannot be "
			    "used (see above): %s, %s", env->conf_path,
			    l->line, l->cert, l->key);
		if (l->ca != NULL)
			log_warnx("%s:%d: client ca %s cannot be used (see "
			    "above)", env->conf_path, l->line, l->ca);
		return (-1);
	}
	return (0);
}
