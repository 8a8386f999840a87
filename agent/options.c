/*
 * options.c - the command line.  Tokens and keys come by file, descriptor or
 * environment, never by argument; each mistake is told with what would be
 * right, and status 2.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <jansson.h>

#include "agent.h"
#include "kind.h"
#include "log.h"
#include "text.h"
#include "util.h"

#define TOKEN_MAX	512
#define LABELS_MAX	4096
#define NAME_MAX_LEN	64

static void __attribute__((noreturn))
usage(void)
{
	fprintf(stderr, "usage: marionette-agent [-dnv] --server host:port "
	    "--state dir [--name name]\n"
	    "\t[--token-file file | --token-fd fd] [--ca-sha256 hex]\n"
	    "\t[--agent kind[=path]] ... [--label key=value] ...\n"
	    "\t[--workspace-root dir] [--uid-range first:count] "
	    "[--key-fd fd]\n"
	    "\t[--claude-mcp-config file] [--insecure]\n");
	exit(2);
}

static void __attribute__((noreturn, format(printf, 1, 2)))
wrong(const char *fmt, ...)
{
	va_list	 ap;

	fprintf(stderr, "marionette-agent: ");
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\n");
	exit(2);
}

/* A secret of one line from a descriptor, which is closed. */
static char *
option_secret(int fd, const char *what)
{
	char	 buf[TOKEN_MAX + 1];
	char	*p;
	size_t	 n = 0;
	ssize_t	 r;

	while (n < TOKEN_MAX && (r = read(fd, buf + n, TOKEN_MAX - n)) != 0) {
		if (r == -1) {
			if (errno == EINTR)
				continue;
			wrong("%s: %s", what, strerror(errno));
		}
		n += (size_t)r;
	}
	close(fd);
	buf[n] = '\0';
	buf[strcspn(buf, "\r\n")] = '\0';
	if (!text_is_token(buf))
		wrong("%s: expected one line of printable characters", what);
	p = keys_locked(buf);
	explicit_bzero(buf, sizeof(buf));
	return (p);
}

static int
option_fd(const char *s, const char *name)
{
	const char	*e;
	int		 fd;

	fd = (int)strtonum(s, 0, INT_MAX, &e);
	if (e != NULL)
		wrong("%s %s: expected the number of a descriptor", name, s);
	return (fd);
}

static void
option_server(struct agent *a, char *s)
{
	const char	*e;
	char		*colon;

	if ((colon = strrchr(s, ':')) == NULL || colon == s)
		wrong("--server %s: expected host:port, as in "
		    "marionette.example.org:9090", s);
	*colon = '\0';
	strtonum(colon + 1, 1, 65535, &e);
	if (e != NULL)
		wrong("--server: port %s is %s", colon + 1, e);
	if (s[0] == '[' && colon[-1] == ']') {
		colon[-1] = '\0';
		s++;
	}
	a->host = xstrdup(s);
	a->port = xstrdup(colon + 1);
}

static void
option_label(json_t *labels, char *s)
{
	char	*eq;

	if ((eq = strchr(s, '=')) == NULL || eq == s)
		wrong("--label %s: expected key=value", s);
	*eq = '\0';
	if (json_object_set_new(labels, s, json_string(eq + 1)) == -1)
		wrong("--label %s: not UTF-8", s);
}

static void
option_uids(struct agent *a, char *s)
{
	const char	*e1, *e2 = NULL;
	char		*colon;

	if ((colon = strchr(s, ':')) == NULL)
		wrong("--uid-range %s: expected first:count, as in "
		    "200000:1000", s);
	*colon = '\0';
	a->uid_low = (uid_t)strtonum(s, 1000, INT_MAX / 2, &e1);
	a->uid_count = (unsigned)strtonum(colon + 1, 1, 1000000, &e2);
	if (e1 != NULL || e2 != NULL)
		wrong("--uid-range %s:%s: expected first:count, from 1000 up",
		    s, colon + 1);
}

static void
option_token(struct agent *a, char *token)
{
	char	*dot, *p;

	if (strncmp(token, "rtok_", 5) != 0)
		wrong("runner token: expected rtok_..., as `mctl admin "
		    "runner-tokens create' prints it");
	if ((dot = strchr(token, '.')) != NULL && a->ca_pin == NULL)
		a->ca_pin = xstrdup(dot + 1);
	p = xstrdup(token);
	if (dot != NULL)
		p[dot - token] = '\0';
	a->token = p;
	keys_unlock(token);
}

static void
option_check(struct agent *a, json_t *labels)
{
	uint8_t	 md[32];
	char	 host[NAME_MAX_LEN + 1];
	char	*abs;

	if (a->host == NULL)
		wrong("--server host:port is missing");
	if (a->state_dir == NULL)
		wrong("--state directory is missing");
	if (a->ca_pin != NULL && text_unhex(md, sizeof(md), a->ca_pin) == -1)
		wrong("CA %s: expected 64 hexadecimal digits", a->ca_pin);
	if (a->name == NULL) {
		if (gethostname(host, sizeof(host)) == -1 || host[0] == '\0')
			strlcpy(host, "runner", sizeof(host));
		host[NAME_MAX_LEN] = '\0';
		a->name = xstrdup(host);
	}
	if (a->name[0] == '\0' || strlen(a->name) > NAME_MAX_LEN ||
	    !text_is_utf8(a->name, strlen(a->name)))
		wrong("--name: expected 1 to %d characters", NAME_MAX_LEN);
	if (a->insecure && strcmp(a->host, "localhost") != 0 &&
	    strcmp(a->host, "::1") != 0 && strncmp(a->host, "127.", 4) != 0)
		wrong("--insecure is for a server on this machine only, and "
		    "%s is not localhost", a->host);
	a->labels_json = json_dumps(labels, JSON_COMPACT);
	if (a->labels_json == NULL || strlen(a->labels_json) > LABELS_MAX)
		wrong("--label: together at most %d bytes", LABELS_MAX);
	if (a->state_dir[0] != '/') {
		if ((abs = getcwd(NULL, 0)) == NULL)
			wrong("--state %s: %s", a->state_dir, strerror(errno));
		a->state_dir = xasprintf("%s/%s", abs, a->state_dir);
		free(abs);
	}
	if (a->ws_root == NULL)
		a->ws_root = xasprintf("%s/sessions", a->state_dir);
}

enum { OPT_TOKEN_FILE = 256, OPT_TOKEN_FD, OPT_CA, OPT_INSECURE, OPT_KEY_FD,
	OPT_UIDS, OPT_MCP };

static const struct option	option_list[] = {
	{ "server", required_argument, NULL, 's' },
	{ "state", required_argument, NULL, 'S' },
	{ "name", required_argument, NULL, 'N' },
	{ "agent", required_argument, NULL, 'a' },
	{ "label", required_argument, NULL, 'l' },
	{ "workspace-root", required_argument, NULL, 'w' },
	{ "token-file", required_argument, NULL, OPT_TOKEN_FILE },
	{ "token-fd", required_argument, NULL, OPT_TOKEN_FD },
	{ "ca-sha256", required_argument, NULL, OPT_CA },
	{ "insecure", no_argument, NULL, OPT_INSECURE },
	{ "key-fd", required_argument, NULL, OPT_KEY_FD },
	{ "uid-range", required_argument, NULL, OPT_UIDS },
	{ "claude-mcp-config", required_argument, NULL, OPT_MCP },
	{ "debug", no_argument, NULL, 'd' },
	{ "check", no_argument, NULL, 'n' },
	{ "verbose", no_argument, NULL, 'v' },
	{ NULL, 0, NULL, 0 }
};

static void
option_one(struct agent *a, int c, json_t *labels, char **token)
{
	int	 fd;

	switch (c) {
	case 's': option_server(a, optarg); break;
	case 'S': a->state_dir = xstrdup(optarg); break;
	case 'N': a->name = xstrdup(optarg); break;
	case 'a': kind_add(a, optarg); break;
	case 'l': option_label(labels, optarg); break;
	case 'w': a->ws_root = xstrdup(optarg); break;
	case 'n': a->check_only = 1; break;
	case 'd':	/* It never leaves its terminal; so only this. */
	case 'v': a->verbose = 1; break;
	case OPT_TOKEN_FILE:
		if ((fd = open(optarg, O_RDONLY | O_CLOEXEC)) == -1)
			wrong("--token-file %s: %s", optarg, strerror(errno));
		*token = option_secret(fd, "--token-file");
		break;
	case OPT_TOKEN_FD:
		*token = option_secret(option_fd(optarg, "--token-fd"),
		    "--token-fd");
		break;
	case OPT_CA: a->ca_pin = xstrdup(optarg); break;
	case OPT_INSECURE: a->insecure = 1; break;
	case OPT_KEY_FD:
		a->local_key = option_secret(option_fd(optarg, "--key-fd"),
		    "--key-fd");
		break;
	case OPT_UIDS: option_uids(a, optarg); break;
	case OPT_MCP:
		if ((a->mcp_config = realpath(optarg, NULL)) == NULL)
			wrong("--claude-mcp-config %s: %s", optarg,
			    strerror(errno));
		if (strncmp(a->mcp_config, "/tmp/", 5) == 0)
			wrong("--claude-mcp-config %s: expected a file "
			    "elsewhere: every session has a /tmp of its own",
			    optarg);
		break;
	default: usage();
	}
}

void
options_parse(struct agent *a, int argc, char **argv)
{
	json_t	*labels;
	char	*token = NULL, *e;
	int	 c;

	labels = json_object();
	a->uid_low = 200000;
	a->uid_count = 1000;
	while ((c = getopt_long(argc, argv, "dnva:l:N:s:S:w:", option_list,
	    NULL)) != -1)
		option_one(a, c, labels, &token);
	if (optind != argc)
		wrong("%s: unexpected argument", argv[optind]);
	if ((e = getenv("MARIONETTE_RUNNER_TOKEN")) != NULL) {
		if (token == NULL && e[0] != '\0')
			token = keys_locked(e);
		/* Nor for our children, nor for who reads our environ. */
		explicit_bzero(e, strlen(e));
		unsetenv("MARIONETTE_RUNNER_TOKEN");
	}
	if (token != NULL)
		option_token(a, token);
	option_check(a, labels);
	json_decref(labels);
}

char *
resources_json(void)
{
	struct statvfs	 fs;
	struct sysinfo	 si;
	json_t		*j;
	char		*s;

	if (sysinfo(&si) == -1)
		memset(&si, 0, sizeof(si));
	if (statvfs(env->ws_root, &fs) == -1)
		memset(&fs, 0, sizeof(fs));
	j = json_pack("{s:I, s:I, s:I}", "cpus",
	    (json_int_t)sysconf(_SC_NPROCESSORS_ONLN), "memory_mb",
	    (json_int_t)((uint64_t)si.totalram * si.mem_unit >> 20),
	    "disk_mb", (json_int_t)((uint64_t)fs.f_bavail * fs.f_frsize >> 20));
	s = json_dumps(j, JSON_COMPACT);
	json_decref(j);
	return (s != NULL ? s : xstrdup("{}"));
}
