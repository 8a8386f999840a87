/*
 * mctl admin keys, mctl admin runner-tokens: credentials that the server
 * makes, shows once and can revoke.
 */

#include <stdlib.h>
#include <string.h>

#include "doc.h"

#define KEYS	"/admin/api/v1/keys"
#define TOKENS	"/admin/api/v1/runner-tokens"

static const struct col key_cols[] = {
	{ "ID", "id", COL_TEXT, 0, 0 },
	{ "NAME", "name", COL_TEXT, 0, 32 },
	{ "STATUS", "status", COL_TEXT, 0, 0 },
	{ "SCOPES", "scopes", COL_TEXT, 0, 48 },
	{ "TENANT", "tenant|tenant_id", COL_TEXT, 1, 0 },
	{ "EXPIRES", "expires_at", COL_TEXT, 1, 0 },
	{ "REVOKED", "revoked_at", COL_TEXT, 1, 0 },
	{ "AGE", "created_at", COL_AGE, 0, 0 },
	{ NULL, NULL, COL_TEXT, 0, 0 }
};

static const struct col token_cols[] = {
	{ "ID", "id", COL_TEXT, 0, 0 },
	{ "NAME", "name", COL_TEXT, 0, 32 },
	{ "POOL", "pool", COL_TEXT, 0, 24 },
	{ "STATUS", "status", COL_TEXT, 0, 0 },
	{ "USES", "uses", COL_TEXT, 0, 0 },
	{ "MAX", "max_uses", COL_TEXT, 0, 0 },
	{ "EXPIRES", "expires_at", COL_TEXT, 1, 0 },
	{ "AGE", "created_at", COL_AGE, 0, 0 },
	{ NULL, NULL, COL_TEXT, 0, 0 }
};

static const struct opt key_opts[] = {
	{ "name", "NAME", "who or what will use it", 0 },
	{ "scope", "SCOPE", "tasks:write ...; repeatable (default: *)", 0 },
	{ "tenant", "NAME", "of another tenant", 0 },
	{ "expires-in", "SPAN", "90d, 12h, 30m", 0 },
	{ "idempotency-key", "K", "the same key makes it once", 0 },
	{ NULL, NULL, NULL, 0 }
};

static const struct opt token_opts[] = {
	{ "name", "NAME", "what it is for", 0 },
	{ "pool", "POOL", "the pool its runners join (default)", 0 },
	{ "max-uses", "N", "runners that may enrol with it", 0 },
	{ "shared", NULL, "its runners serve every tenant", 0 },
	{ "expires-in", "SPAN", "90d, 12h, 30m", 0 },
	{ "idempotency-key", "K", "the same key makes it once", 0 },
	{ NULL, NULL, NULL, 0 }
};

static const struct opt list_opts[] = {
	LIST_OPTS,
	{ NULL, NULL, NULL, 0 }
};

static const struct opt revoke_opts[] = {
	{ "reason", "TEXT", "kept with it", 0 },
	{ NULL, NULL, NULL, 0 }
};

static int
is_keys(struct mctl *m)
{
	return (strcmp(m->cmd->noun, "admin keys") == 0);
}

static int
expires_add(struct mctl *m, const struct args *a, json_t *body)
{
	const char	*s;
	char		 when[40];
	int64_t		 span;

	if ((s = args_str(a, "expires-in")) == NULL)
		return (0);
	if (when_span(s, &span) != 0 || span == 0)
		return (usage_error(m, "--expires-in %s: expected 90d, 12h, "
		    "30m or seconds", s));
	when_format(when_now() + span * 1000, when, sizeof(when));
	json_object_set_new(body, "expires_at", json_string(when));
	return (0);
}

static int
send_and_show(struct mctl *m, const struct args *a, json_t *body)
{
	json_t	*doc;

	doc = api_send(m, "POST", is_keys(m) ? KEYS : TOKENS, body,
	    args_str(a, "idempotency-key"));
	json_decref(body);
	if (doc == NULL)
		return (m->rc);
	if (doc_find(doc, "key|token") == NULL) {
		fputs("mctl: it was made before, by the same request, and its "
		    "secret is not shown again; revoke it and make another: ",
		    stderr);
		text_puts(stderr, doc_str(doc, "id"));
		fputc('\n', stderr);
		json_decref(doc);
		return (EX_ERROR);
	}
	out_one(m, doc);
	if (m->progress)
		fputs("The secret is shown this once.\n", stderr);
	json_decref(doc);
	return (EX_DONE);
}

static int
do_key_create(struct mctl *m, const struct args *a)
{
	const char	*s;
	json_t		*body, *scopes;
	int		 i = 0;

	if ((s = args_str(a, "name")) == NULL)
		return (usage_error(m, "--name is needed"));
	body = json_object();
	scopes = json_array();
	json_object_set_new(body, "name", json_string(s));
	while ((s = args_next(a, "scope", &i)) != NULL)
		json_array_append_new(scopes, json_string(s));
	if (json_array_size(scopes) == 0)
		json_array_append_new(scopes, json_string("*"));
	json_object_set_new(body, "scopes", scopes);
	if ((s = args_str(a, "tenant")) != NULL)
		json_object_set_new(body, "tenant", json_string(s));
	if (expires_add(m, a, body) != 0) {
		json_decref(body);
		return (EX_USE);
	}
	return (send_and_show(m, a, body));
}

static int
do_token_create(struct mctl *m, const struct args *a)
{
	const char	*s;
	json_t		*body;
	long long	 uses = 0;

	body = json_object();
	s = args_str(a, "pool");
	json_object_set_new(body, "pool", json_string(s == NULL ? "default" :
	    s));
	if ((s = args_str(a, "name")) != NULL)
		json_object_set_new(body, "name", json_string(s));
	if (args_has(a, "shared"))
		json_object_set_new(body, "shared", json_true());
	if (args_num(m, a, "max-uses", 1, 1000000, &uses) != 0 ||
	    expires_add(m, a, body) != 0) {
		json_decref(body);
		return (EX_USE);
	}
	if (uses != 0)
		json_object_set_new(body, "max_uses", json_integer(uses));
	return (send_and_show(m, a, body));
}

static int
do_list(struct mctl *m, const struct args *a)
{
	struct str	 s = { 0 };

	str_puts(&s, is_keys(m) ? KEYS : TOKENS);
	return (list_all(m, a, NULL, &s, is_keys(m) ? key_cols : token_cols));
}

static int
do_revoke(struct mctl *m, const struct args *a)
{
	const char	*reason;
	json_t		*body, *doc;
	char		*path;

	path = api_path(m, is_keys(m) ? KEYS "/" : TOKENS "/", a->operand[0],
	    "/revoke");
	if (path == NULL)
		return (EX_USE);
	body = json_object();
	if ((reason = args_str(a, "reason")) != NULL)
		json_object_set_new(body, "reason", json_string(reason));
	doc = api_send(m, "POST", path, body, NULL);
	json_decref(body);
	free(path);
	if (doc == NULL)
		return (m->rc);
	if (json_object_size(doc) > 0)
		out_record(m, doc, is_keys(m) ? key_cols : token_cols);
	json_decref(doc);
	return (EX_DONE);
}

const struct cmd_entry cmd_keys[] = {
	{ "admin keys", "create", NULL, key_opts, 0, 0, CMD_ADMIN,
	    "Make an API key; it is shown once", do_key_create },
	{ "admin keys", "list", NULL, list_opts, 0, 0, CMD_ADMIN,
	    "List API keys", do_list },
	{ "admin keys", "revoke", "KEY", revoke_opts, 1, 1, CMD_ADMIN,
	    "End an API key at once", do_revoke },
	{ "admin runner-tokens", "create", NULL, token_opts, 0, 0, CMD_ADMIN,
	    "Make a token for runners to enrol with; it is shown once",
	    do_token_create },
	{ "admin runner-tokens", "list", NULL, list_opts, 0, 0, CMD_ADMIN,
	    "List runner tokens", do_list },
	{ "admin runner-tokens", "revoke", "TOKEN-ID", revoke_opts, 1, 1,
	    CMD_ADMIN, "End a runner token", do_revoke },
	{ NULL, NULL, NULL, NULL, 0, 0, 0, NULL, NULL }
};
