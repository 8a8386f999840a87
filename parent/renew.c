/*
 * renew.c - the runner listener's certificate of our own, which lives shorter
 * than a server may: once a day what a start does for the keys is done again,
 * and the runners' frontd is told, as on a reload.  Nobody is started anew.
 *
 * Can fail: providerd -I, and it has said why; then the old one stays and the
 * next day tries again, with 30 days left at first.
 */
#include "log.h"
#include "parent.h"

#ifndef RENEW_MS
#define RENEW_MS	86400000	/* between two looks */
#endif

/* Does a listener show the certificate that we make? */
static int
is_ours(const struct conf *c)
{
	const struct listen_conf	*l;

	TAILQ_FOREACH(l, &c->listens, entry)
		if (l->proc == PROC_RUNNER && l->tls)
			return (l->cert == NULL);
	return (0);
}

static void
renew(void)
{
	int	 made;

	if ((made = keys_make(env->conf)) == -1) {
		log_warnx("renew: the runner listener's certificate stays");
		return;
	}
	if (made)
		log_info("renew: the runner listener's certificate was made "
		    "anew, and is shown from now on");
	/* What it cannot be told whole would have it started anew. */
	if (tls_check(env->conf) == -1)
		return;
	/* Always: a reload may have made one and failed behind that. */
	child_reload(&env->child[PROC_RUNNER]);
}

void
renew_tick(void)
{
	static uint64_t	 due;

	if (due == 0)
		due = mono_ms() + RENEW_MS;
	if (env->stopping || mono_ms() < due)
		return;
	due = mono_ms() + RENEW_MS;
	if (is_ours(env->conf))
		renew();
}
