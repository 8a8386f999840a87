/*
 * Where the server is, and with which key to speak to it.  First of:
 *	--server or --socket
 *	--context NAME
 *	MARIONETTE_API_URL
 *	the context of MARIONETTE_CONTEXT, or the current one of the file
 *	the local socket (MARIONETTE_SOCKET), if no key is configured, or for
 *	the admin surface, and it is there and may be used
 *	http://localhost:8080
 * A context's key goes to that context's server and to no other.
 */

#include <sys/stat.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "doc.h"

#define DEFAULT_URL	"http://localhost:8080"
#define DEFAULT_SOCKET	"/run/marionette/control.sock"
#define ADMIN_PORT	"8081"

static char *
dup_or_null(const char *s)
{
	return (s == NULL || *s == '\0' ? NULL : xstrdup(s));
}

static const char *
env_get(const char *name)
{
	const char	*s = getenv(name);

	return (s == NULL || *s == '\0' ? NULL : s);
}

static int
is_url(const char *s)
{
	return (strncmp(s, "http://", 7) == 0 ||
	    strncmp(s, "https://", 8) == 0);
}

static int
url_set(struct mctl *m, char **to, const char *url)
{
	size_t	 len = strlen(url);

	if (!is_url(url) || strpbrk(url, " \t\r\n@?#") != NULL)
		return (m->rc = usage_error(m, "%s: expected http://host:port "
		    "or https://host:port", url));
	free(*to);
	*to = xstrdup(url);
	while (len > 0 && (*to)[len - 1] == '/')
		(*to)[--len] = '\0';
	return (0);
}

/* The same host, the admin listener's port. */
static char *
admin_of(const char *url)
{
	const char	*host = strstr(url, "://") + 3;
	size_t		 len;

	len = *host == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":/");
	return (xasprintf("%.*s:" ADMIN_PORT, (int)(host - url + len), url));
}

static int
socket_usable(const char *path)
{
	struct stat	 st;

	return (stat(path, &st) == 0 && S_ISSOCK(st.st_mode) &&
	    access(path, R_OK | W_OK) == 0);
}

/* Take what a context says.  named: asked for on the command line. */
static int
context_use(struct mctl *m, json_t *conf, const char *name, int named)
{
	struct endpoint	*ep = &m->ep;
	const char	*s;
	json_t		*c;

	c = json_object_get(json_object_get(conf, "contexts"), name);
	if (!json_is_object(c))
		return (m->rc = usage_error(m, "there is no context `%s'; "
		    "`mctl config list' shows them", name));
	ep->origin = named ? "--context" : "the configuration's context";
	ep->ca = dup_or_null(doc_str(c, "ca"));
	ep->socket = dup_or_null(doc_str(c, "socket"));
	if (*(s = doc_str(c, "server")) != '\0' &&
	    url_set(m, &ep->url, s) != 0)
		return (-1);
	if (*(s = doc_str(c, "admin_url")) != '\0' &&
	    url_set(m, &ep->admin_url, s) != 0)
		return (-1);
	if (!named && env_get("MARIONETTE_API_KEY") != NULL)
		return (0);
	if (*(s = doc_str(c, "api_key_file")) != '\0') {
		if (secret_file(s, &ep->key) == -1)
			return (m->rc = usage_error(m, "%s: no key to be read "
			    "there", s));
	} else
		ep->key = dup_or_null(doc_str(c, "api_key"));
	return (0);
}

static int
context_find(struct mctl *m)
{
	const char	*name;
	json_t		*conf;
	int		 rc = 0, named;

	name = args_str(&m->global, "context");
	named = name != NULL;
	if (!named && env_get("MARIONETTE_API_URL") != NULL)
		return (0);
	if ((conf = conf_load()) == NULL)
		return (m->rc = EX_ERROR);
	if (name == NULL)
		name = env_get("MARIONETTE_CONTEXT");
	if (name == NULL)
		name = json_string_value(json_object_get(conf, "current"));
	if (name != NULL)
		rc = context_use(m, conf, name, named);
	json_decref(conf);
	return (rc);
}

/* The key: an option's, the named context's, the environment's. */
static int
key_find(struct mctl *m)
{
	const char	*s;

	if ((s = args_str(&m->global, "api-key-file")) != NULL) {
		secret_free(m->ep.key);
		m->ep.key = NULL;
		if (secret_file(s, &m->ep.key) == -1)
			return (m->rc = usage_error(m, "--api-key-file %s: %s",
			    s, errno == EINVAL ? "expected one line with the "
			    "key" : strerror(errno)));
	}
	if (m->ep.key == NULL)
		m->ep.key = dup_or_null(env_get("MARIONETTE_API_KEY"));
	return (0);
}

/* Nobody said where: the socket, or the usual port. */
static int
guess(struct mctl *m)
{
	struct endpoint	*ep = &m->ep;
	const char	*s, *path;

	if ((s = env_get("MARIONETTE_API_URL")) != NULL) {
		ep->origin = "MARIONETTE_API_URL";
		return (url_set(m, &ep->url, s));
	}
	if ((path = env_get("MARIONETTE_SOCKET")) == NULL)
		path = DEFAULT_SOCKET;
	if ((ep->key == NULL || ((m->cmd->flags & CMD_ADMIN) &&
	    ep->admin_url == NULL)) && socket_usable(path)) {
		ep->origin = "the local socket";
		ep->socket = xstrdup(path);
		return (0);
	}
	ep->origin = "the default";
	return (url_set(m, &ep->url, DEFAULT_URL));
}

/* This machine, by name or number. */
int
url_is_loopback(const char *url)
{
	const char	*host = strstr(url, "://") + 3;
	size_t		 len = strcspn(host, ":/");

	return ((len == 9 && strncmp(host, "localhost", 9) == 0) ||
	    (strncmp(host, "127.", 4) == 0 &&
	    strspn(host, "0123456789.") == len) ||
	    strncmp(host, "[::1]", 5) == 0);
}

static void
plaintext_warn(const struct endpoint *ep, const char *url)
{
	if (ep->key == NULL || strncmp(url, "http://", 7) != 0 ||
	    url_is_loopback(url))
		return;
	fputs("mctl: warning: the API key travels unencrypted to ", stderr);
	text_puts(stderr, url);
	fputc('\n', stderr);
}

/* 0, or -1 with m->rc set and the error told. */
int
endpoint_find(struct mctl *m)
{
	struct endpoint	*ep = &m->ep;
	const char	*s;
	int		 context;

	if ((s = args_str(&m->global, "socket")) != NULL)
		ep->socket = xstrdup(s);
	else if ((s = args_str(&m->global, "server")) != NULL) {
		if (url_set(m, &ep->url, s) != 0)
			return (-1);
	} else if (context_find(m) != 0)
		return (-1);
	else
		s = NULL;
	context = ep->origin != NULL;
	if (s != NULL)
		ep->origin = "an option";
	if (key_find(m) != 0)
		return (-1);
	/* A context has a server of its own, and a key for no other. */
	if ((s = args_str(&m->global, "admin-url")) == NULL && !context)
		s = env_get("MARIONETTE_ADMIN_URL");
	if (s != NULL && url_set(m, &ep->admin_url, s) != 0)
		return (-1);
	if (ep->url == NULL && ep->socket == NULL && guess(m) != 0)
		return (-1);
	if ((s = args_str(&m->global, "ca")) != NULL) {
		free(ep->ca);
		ep->ca = xstrdup(s);
	}
	if (ep->socket != NULL)
		return (0);
	if (ep->admin_url == NULL)
		ep->admin_url = admin_of(ep->url);
	plaintext_warn(ep, m->cmd->flags & CMD_ADMIN ? ep->admin_url : ep->url);
	return (0);
}
