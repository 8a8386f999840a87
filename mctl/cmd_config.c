/*
 * mctl config: contexts, named ways to a server.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "doc.h"

static const struct col cols[] = {
	{ "CURRENT", "current", COL_TEXT, 0, 0 },
	{ "NAME", "name", COL_TEXT, 0, 32 },
	{ "SERVER", "server|socket", COL_TEXT, 0, 64 },
	{ "ADMIN", "admin_url", COL_TEXT, 1, 64 },
	{ "KEY", "api_key", COL_TEXT, 0, 48 },
	{ "CA", "ca", COL_TEXT, 1, 48 },
	{ NULL, NULL, COL_TEXT, 0, 0 }
};

static const struct opt set_opts[] = {
	{ "api-key-env", "VAR", "store the key out of this variable,", 0 },
	{ "api-key-fd", "N", "or what this descriptor gives,", 0 },
	{ "api-key-file", "FILE", "or note the file, and store no key", 0 },
	{ "use", NULL, "make it the current one", 0 },
	{ NULL, NULL, NULL, 0 }
};

static void
field_set(json_t *c, const char *name, const char *value)
{
	if (value != NULL)
		json_object_set_new(c, name, json_string(value));
}

/* The key as it is to be kept: itself, or the file's full name. */
static int
key_set(struct mctl *m, const struct args *a, json_t *c)
{
	const char	*file = args_str(a, "api-key-file");
	char		*key = NULL, *full;
	int		 rc = 0;

	if (secret_read(m, a, &key) != 0)
		return (EX_USE);
	if (key == NULL)
		return (0);
	json_object_del(c, "api_key");
	json_object_del(c, "api_key_file");
	if (file == NULL)
		field_set(c, "api_key", key);
	else if ((full = realpath(file, NULL)) != NULL) {
		field_set(c, "api_key_file", full);
		free(full);
	} else
		rc = usage_error(m, "--api-key-file %s: it has no name to be "
		    "kept; --api-key-fd keeps the key", file);
	secret_free(key);
	return (rc);
}

static int
do_set(struct mctl *m, const struct args *a)
{
	const struct args	*g = &m->global;
	const char		*name = a->operand[0];
	json_t			*conf, *all, *c;
	int			 rc = EX_ERROR;

	if ((conf = conf_load()) == NULL)
		return (EX_ERROR);
	all = json_object_get(conf, "contexts");
	if (!json_is_object(all))
		json_object_set_new(conf, "contexts", all = json_object());
	c = json_object_get(all, name);
	if (!json_is_object(c))
		json_object_set_new(all, name, c = json_object());
	if (args_has(g, "server"))
		json_object_del(c, "socket");
	if (args_has(g, "socket"))
		json_object_del(c, "server");
	field_set(c, "server", args_str(g, "server"));
	field_set(c, "socket", args_str(g, "socket"));
	field_set(c, "admin_url", args_str(g, "admin-url"));
	field_set(c, "ca", args_str(g, "ca"));
	if (doc_find(c, "server|socket") == NULL)
		rc = usage_error(m, "--server URL or --socket PATH is needed");
	else if ((rc = key_set(m, a, c)) == 0) {
		if (args_has(a, "use") || !json_is_string(json_object_get(conf,
		    "current")))
			field_set(conf, "current", name);
		rc = conf_save(conf) == 0 ? EX_DONE : EX_ERROR;
	}
	json_decref(conf);
	return (rc);
}

static int
do_use(struct mctl *m, const struct args *a)
{
	json_t	*conf;
	int	 rc;

	if ((conf = conf_load()) == NULL)
		return (EX_ERROR);
	if (json_object_get(json_object_get(conf, "contexts"),
	    a->operand[0]) == NULL)
		rc = usage_error(m, "there is no context `%s'; `mctl config "
		    "list' shows them", a->operand[0]);
	else {
		field_set(conf, "current", a->operand[0]);
		rc = conf_save(conf) == 0 ? EX_DONE : EX_ERROR;
	}
	json_decref(conf);
	return (rc);
}

/* Keys themselves are not shown. */
static int
do_list(struct mctl *m, const struct args *a)
{
	const char	*name, *current, *file;
	json_t		*conf, *doc, *items, *c, *row;

	(void)a;
	if ((conf = conf_load()) == NULL)
		return (EX_ERROR);
	items = json_array();
	current = doc_str(conf, "current");
	json_object_foreach(json_object_get(conf, "contexts"), name, c) {
		row = json_copy(c);
		field_set(row, "name", name);
		json_object_set_new(row, "current", json_string(
		    strcmp(name, current) == 0 ? "*" : ""));
		file = doc_str(c, "api_key_file");
		if (*file != '\0')
			field_set(row, "api_key", file);
		else if (doc_find(c, "api_key") != NULL)
			field_set(row, "api_key", "(stored)");
		json_array_append_new(items, row);
	}
	doc = json_pack("{s:o}", "items", items);
	out_list(m, doc, cols);
	json_decref(doc);
	json_decref(conf);
	return (EX_DONE);
}

const struct cmd_entry cmd_config[] = {
	{ "config", "set-context", "NAME", set_opts, 1, 1, CMD_LOCAL,
	    "Keep --server, --socket, --admin-url, --ca and a key by a name",
	    do_set },
	{ "config", "use-context", "NAME", NULL, 1, 1, CMD_LOCAL,
	    "Make a context the current one", do_use },
	{ "config", "list", NULL, NULL, 0, 0, CMD_LOCAL,
	    "List contexts, without their keys", do_list },
	{ NULL, NULL, NULL, NULL, 0, 0, 0, NULL, NULL }
};
