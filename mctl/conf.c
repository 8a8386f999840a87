/*
 * The file of contexts, $XDG_CONFIG_HOME/marionette/config.json:
 *	{"current": NAME, "contexts": {NAME: {server, socket, admin_url,
 *	api_key, api_key_file, ca}}}
 * Written whole, mode 0600, by rename.  One that others may read is read
 * with a warning.
 */

#include <sys/stat.h>

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "doc.h"

/* The file's name, to free; the folders are made if wanted. */
static char *
conf_path(int make)
{
	const char	*xdg = getenv("XDG_CONFIG_HOME"), *home;
	char		*base, *dir, *path;

	if (xdg != NULL && *xdg == '/')
		base = xstrdup(xdg);
	else {
		if ((home = getenv("HOME")) == NULL || *home == '\0')
			return (NULL);
		base = xasprintf("%s/.config", home);
	}
	dir = xasprintf("%s/marionette", base);
	if (make) {
		(void)mkdir(base, 0700);
		(void)mkdir(dir, 0700);
	}
	path = xasprintf("%s/config.json", dir);
	free(base);
	free(dir);
	return (path);
}

/* The file, an empty object if there is none, or NULL and an error told. */
json_t *
conf_load(void)
{
	json_error_t	 error;
	struct stat	 st;
	json_t		*doc;
	FILE		*f;
	char		*path;

	if ((path = conf_path(0)) == NULL)
		return (json_object());
	if ((f = fopen(path, "re")) == NULL) {
		doc = NULL;
		if (errno == ENOENT || errno == ENOTDIR)
			doc = json_object();
		else
			warn("%s", path);
		free(path);
		return (doc);
	}
	if (fstat(fileno(f), &st) == 0 && (st.st_mode & 077) != 0)
		warnx("%s: others may read it; chmod 600 it", path);
	doc = json_loadf(f, 0, &error);
	fclose(f);
	if (doc == NULL)
		warnx("%s:%d: %s", path, error.line, error.text);
	else if (!json_is_object(doc)) {
		warnx("%s: expected a JSON object", path);
		json_decref(doc);
		doc = NULL;
	}
	free(path);
	return (doc);
}

int
conf_save(json_t *doc)
{
	char	*path, *temp;
	int	 fd, rc = -1;

	if ((path = conf_path(1)) == NULL) {
		warnx("neither XDG_CONFIG_HOME nor HOME is set");
		return (-1);
	}
	temp = xasprintf("%s.XXXXXXXX", path);
	if ((fd = mkostemp(temp, O_CLOEXEC)) == -1) {
		warn("%s", temp);
		goto done;
	}
	if (json_dumpfd(doc, fd, JSON_INDENT(2)) == -1 ||
	    write(fd, "\n", 1) != 1 || fsync(fd) == -1 ||
	    rename(temp, path) == -1) {
		warn("%s", path);
		(void)unlink(temp);
	} else
		rc = 0;
	close(fd);
done:
	free(temp);
	free(path);
	return (rc);
}
