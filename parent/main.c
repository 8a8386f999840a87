/*
 * main.c - marionetted: options, start, signals.
 */
#include <err.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "parent.h"
#include "parent_msg.h"
#include "text.h"

struct parent	*env;

static void __attribute__((noreturn))
usage(void)
{
	fprintf(stderr, "usage: marionetted [-dnv] [-f file]\n"
	    "  -d       stay in the foreground (it always does), log debugging\n"
	    "  -f file  configuration, default " CONF_FILE "\n"
	    "  -n       check the configuration and exit; with -v print it\n"
	    "  -v       log more\n");
	exit(2);
}

/* The files that a configuration names; -1, having said what is wrong. */
static int
files_check(const struct conf *c)
{
	if (c->password_file != NULL && secret_check("database password file",
	    c->password_file) == -1)
		return (-1);
	if (keys_make(c) == -1 || tls_check(c) == -1)
		return (-1);
	return (keys_load(c, &env->keys));
}

static void
reload(void)
{
	struct conf	*fresh;
	int		 i;

	log_info("reload: %s", env->conf_path);
	if ((fresh = conf_parse(env->conf_path)) == NULL) {
		log_warnx("reload: the configuration has errors, see above; "
		    "the old one stays");
		return;
	}
	if (files_check(fresh) == -1) {
		log_warnx("reload: a file cannot be used, see above; the old "
		    "configuration stays");
		conf_free(fresh);
		return;
	}
	/*
	 * Directories, listeners and the kind of database are fixed for the
	 * life of the process; a restart takes them.
	 */
	conf_keep(fresh, env->conf);
	conf_free(env->conf);
	env->conf = fresh;
	log_init("marionetted", env->verbose, env->conf->json);
	for (i = 0; i < PROC_MAX; i++)
		child_reload(&env->child[i]);
}

static void
on_signal(evutil_socket_t sig, short what, void *arg)
{
	(void)what;
	(void)arg;
	switch (sig) {
	case SIGCHLD:
		children_reap();
		break;
	case SIGHUP:
		if (env->stopping == 0)
			reload();
		break;
	case SIGTERM:
	case SIGINT:
		if (env->stopping == 0) {
			log_info("stopping: requests under way are finished");
			env->stopping = 1;
			children_stop();
		} else
			env->stopping = 2;
		break;
	}
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	children_tick();
	renew_tick();
}

static void
watch(int sig)
{
	struct event	*ev;

	if ((ev = evsignal_new(env->base, sig, on_signal, NULL)) == NULL ||
	    event_add(ev, NULL) == -1)
		fatalx("no event");
}

static void
loop(void)
{
	struct timeval	 tenth = { 0, 100000 };
	struct event	*ev;

	watch(SIGTERM);
	watch(SIGINT);
	if ((ev = event_new(env->base, -1, EV_PERSIST, on_tick, NULL)) ==
	    NULL || event_add(ev, &tenth) == -1)
		fatalx("no event");
	while (!event_base_got_break(env->base)) {
		peers_flush();
		if (event_base_loop(env->base, EVLOOP_ONCE) == -1)
			fatalx("event loop");
	}
}

static void
start(void)
{
	static const struct peer_ops	 ops = { channel_closed };
	uint8_t				 instance[INSTANCE_SIZE / 2];
	int				 i;

	arc4random_buf(instance, sizeof(instance));
	text_hex(env->instance, instance, sizeof(instance));
	if ((env->base = event_base_new()) == NULL)
		fatalx("event base");
	signal(SIGPIPE, SIG_IGN);
	/* Unheard it would end us: what it asks for is done behind the start. */
	watch(SIGHUP);
	/* Who dies while others are started is missed behind it, too. */
	watch(SIGCHLD);
	state_open(env->conf);
	if (files_check(env->conf) == -1)
		exit(1);
	peer_init(env->base, PROC_PARENT, &ops);
	listeners_open(env->conf);
	postgres_init(env->conf);
	children_init();
	postgres_tick();
	for (i = 0; i < PROC_MAX; i++)
		if (env->child[i].program != NULL)
			child_start(&env->child[i]);
	if (env->jail != JAIL_FULL)
		log_warnx("not started by root: the workers have no users and "
		    "roots of their own, seccomp alone confines them");
	listeners_log(env->conf);
}

int
main(int argc, char **argv)
{
	static struct parent	 parent;
	int			 ch, check = 0;

	env = &parent;
	env->conf_path = CONF_FILE;
	while ((ch = getopt(argc, argv, "df:nv")) != -1) {
		switch (ch) {
		case 'd':
		case 'v':
			env->verbose = 1;
			break;
		case 'f':
			env->conf_path = optarg;
			break;
		case 'n':
			check = 1;
			break;
		default:
			usage();
		}
	}
	if (optind != argc)
		usage();
	if ((env->conf = conf_parse(env->conf_path)) == NULL)
		return (1);
	if (check) {
		if (env->verbose)
			conf_print(env->conf, stdout);
		else
			fprintf(stderr, "%s: configuration OK\n",
			    env->conf_path);
		return (0);
	}
	log_init("marionetted", env->verbose, env->conf->json);
	conf_complains_to_log();
	env->jail = geteuid() == 0 ? JAIL_FULL : JAIL_SECCOMP;
	start();
	loop();
	log_info("stopped");
	return (env->hopeless);
}
