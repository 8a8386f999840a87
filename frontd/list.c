/*
 * list.c - the query part of a request: what lists take, `wait', and that
 * nothing unknown is there.  A misspelt filter that was ignored would answer
 * another question than the one that was asked.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "body.h"
#include "worker.h"

#define TEXT_MAX	256
#define CURSOR_MAX	512

/* Is s one of the words of "a|b|c"? */
int
word_is(const char *words, const char *s)
{
	size_t	 n, len = strlen(s);

	for (; *words != '\0'; words += n + (words[n] == '|')) {
		n = strcspn(words, "|");
		if (n == len && memcmp(words, s, n) == 0)
			return (1);
	}
	return (0);
}

/* Bytes of s to show, at most max and no half character. */
int
text_cut(const char *s, size_t max)
{
	size_t	 n = strnlen(s, max);

	if (n == max)
		while (n > 0 && ((unsigned char)s[n] & 0xc0) == 0x80)
			n--;
	return ((int)n);
}

/* `attempt.line', both decimal. */
int
position_is(const char *s)
{
	size_t	 a, b;

	a = strspn(s, "0123456789");
	if (a == 0 || a > 10 || s[a] != '.')
		return (0);
	b = strspn(s + a + 1, "0123456789");
	return (b > 0 && b <= 18 && s[a + 1 + b] == '\0');
}

/* What a listener adds to every query. */
static int
is_common(const struct request *req, const char *name)
{
	if (strcmp(name, "tenant") == 0)
		return ((req->kind & (LISTEN_ADMIN | LISTEN_LOCAL)) != 0);
	if (strcmp(name, "ticket") == 0)
		return ((req->route->flags & R_WEBSOCKET) != 0);
	return (0);
}

static int
refuse_unknown(struct request *req, const char *name, const char *known)
{
	refuse(req, "validation_error", "%.*s: unknown query parameter; known"
	    " are: %s", text_cut(name, NAME_SHOWN), name,
	    *known != '\0' ? known : "none");
	return (-1);
}

int
query_only(struct request *req, const char *const *names)
{
	char	 known[384] = "";
	size_t	 i, k;

	for (i = 0; i < req->nparams; i++) {
		if (is_common(req, req->params[i].name))
			continue;
		for (k = 0; names[k] != NULL; k++)
			if (strcmp(names[k], req->params[i].name) == 0)
				break;
		if (names[k] != NULL)
			continue;
		for (k = 0; names[k] != NULL; k++) {
			strlcat(known, k > 0 ? ", " : "", sizeof(known));
			strlcat(known, names[k], sizeof(known));
		}
		return (refuse_unknown(req, req->params[i].name, known));
	}
	return (0);
}

static int
query_number(struct request *req, const char *name, const char *value,
    long long min, long long max, unsigned int *out)
{
	const char	*errstr;
	long long	 n;

	n = strtonum(value, min, max, &errstr);
	if (errstr != NULL || strspn(value, "0123456789") != strlen(value)) {
		refuse(req, "validation_error", "%s: expected an integer from"
		    " %lld to %lld", name, min, max);
		return (-1);
	}
	*out = (unsigned int)n;
	return (0);
}

/* ?wait=seconds, 0 when it is not there, or a stop would wait, too. */
int
query_wait(struct request *req, unsigned int *wait)
{
	const char	*v;

	*wait = 0;
	if ((v = request_param(req, "wait")) == NULL)
		return (0);
	if (query_number(req, "wait", v, 0, WAIT_MAX, wait) == -1)
		return (-1);
	if (worker_draining())
		*wait = 0;
	return (0);
}

static int
add_label(struct request *req, json_t *labels, const char *value)
{
	const char	*eq;
	char		 key[129];

	eq = strchr(value, '=');
	if (eq == NULL || eq == value || (size_t)(eq - value) >= sizeof(key)) {
		refuse(req, "validation_error", "label: expected key=value,"
		    " as in label=team=web");
		return (-1);
	}
	memcpy(key, value, (size_t)(eq - value));
	key[eq - value] = '\0';
	if (json_object_get(labels, key) != NULL) {
		refuse(req, "validation_error", "label: %.*s is there twice,"
		    " and all of them must hold",
		    text_cut(key, NAME_SHOWN), key);
		return (-1);
	}
	json_object_set_new(labels, key, json_string(eq + 1));
	return (0);
}

/* The object of all label=key=value; NULL: answered. */
json_t *
query_labels(struct request *req)
{
	json_t	*labels = json_object();
	size_t	 i;

	for (i = 0; i < req->nparams; i++)
		if (strcmp(req->params[i].name, "label") == 0 &&
		    add_label(req, labels, req->params[i].value) == -1) {
			json_decref(labels);
			return (NULL);
		}
	return (labels);
}

static int
add_filter(struct request *req, json_t *q, const struct filter *f,
    const char *value)
{
	json_t	*list;

	if (f->kind == NULL && (strlen(value) > TEXT_MAX || *value == '\0'))
		refuse(req, "validation_error", "%s: expected a text of 1 to"
		    " %d bytes", f->name, TEXT_MAX);
	else if (f->kind != NULL && strncmp(f->kind, "id:", 3) == 0 &&
	    !id_is(value, f->kind + 3))
		refuse(req, "invalid_id", "%s: expected an id: %s_ and 26"
		    " lower-case characters", f->name, f->kind + 3);
	else if (f->kind != NULL && strncmp(f->kind, "id:", 3) != 0 &&
	    !word_is(f->kind, value))
		refuse(req, "validation_error", "%s: expected one of %s",
		    f->name, f->kind);
	else {
		if ((list = json_object_get(q, f->name)) == NULL) {
			list = json_array();
			json_object_set_new(q, f->name, list);
		}
		json_array_append_new(list, json_string(value));
		return (0);
	}
	return (-1);
}

/* limit, cursor, count, after, tail: 1 taken, 0 not one of them, -1. */
static int
add_paging(struct request *req, json_t *q, int flags, const struct param *p)
{
	unsigned int	 n;

	if (strcmp(p->name, "limit") == 0 ||
	    ((flags & F_LOG) != 0 && strcmp(p->name, "tail") == 0)) {
		if (query_number(req, p->name, p->value, 1, LIST_LIMIT_MAX,
		    &n) == -1)
			return (-1);
		json_object_set_new(q, p->name, json_integer(n));
		return (1);
	}
	if ((flags & F_LOG) != 0 && (strcmp(p->name, "after") == 0 ||
	    strcmp(p->name, "cursor") == 0)) {
		if (!position_is(p->value)) {
			refuse(req, "validation_error", "%s: expected a"
			    " position, as in 1.42", p->name);
			return (-1);
		}
		json_object_set_new(q, "after", json_string(p->value));
		return (1);
	}
	if ((flags & F_LIST) != 0 && strcmp(p->name, "cursor") == 0) {
		if (*p->value == '\0' || strlen(p->value) > CURSOR_MAX) {
			refuse(req, "validation_error", "cursor: expected the"
			    " next_cursor of the page before");
			return (-1);
		}
		json_object_set_new(q, "cursor", json_string(p->value));
		return (1);
	}
	if ((flags & F_LIST) != 0 && strcmp(p->name, "count") == 0) {
		if (!word_is("true|false", p->value)) {
			refuse(req, "validation_error",
			    "count: expected true or false");
			return (-1);
		}
		json_object_set_new(q, "count",
		    json_boolean(*p->value == 't'));
		return (1);
	}
	return (0);
}

static int
add_param(struct request *req, json_t *q, const struct filter *filters,
    int flags, const struct param *p)
{
	const struct filter	*f;
	char			 known[384];
	int			 rc;

	if (is_common(req, p->name))
		return (0);
	if ((rc = add_paging(req, q, flags, p)) != 0)
		return (rc == 1 ? 0 : -1);
	if ((flags & F_LABELS) != 0 && strcmp(p->name, "label") == 0)
		return (add_label(req, json_object_get(q, "labels"),
		    p->value));
	for (f = filters; f->name != NULL; f++)
		if (strcmp(f->name, p->name) == 0)
			return (add_filter(req, q, f, p->value));
	snprintf(known, sizeof(known), "limit%s%s%s",
	    (flags & F_LIST) != 0 ? ", cursor, count" : "",
	    (flags & F_LOG) != 0 ? ", after, tail" : "",
	    (flags & F_LABELS) != 0 ? ", label" : "");
	for (f = filters; f->name != NULL; f++) {
		strlcat(known, ", ", sizeof(known));
		strlcat(known, f->name, sizeof(known));
	}
	return (refuse_unknown(req, p->name, known));
}

char *
list_query(struct request *req, const struct filter *filters, int flags,
    size_t *len)
{
	json_t	*q = json_object();
	char	*text = NULL;
	size_t	 i;

	json_object_set_new(q, "limit", json_integer(LIST_LIMIT));
	if ((flags & F_LABELS) != 0)
		json_object_set_new(q, "labels", json_object());
	for (i = 0; i < req->nparams; i++)
		if (add_param(req, q, filters, flags, &req->params[i]) == -1)
			goto done;
	if ((flags & F_LOG) != 0 && json_object_get(q, "tail") != NULL &&
	    json_object_get(q, "after") != NULL) {
		refuse(req, "validation_error",
		    "tail: expected without after");
		goto done;
	}
	text = json_text(q, len);
	if (*len > 8192) {
		json_text_free(text);
		text = NULL;
		refuse(req, "validation_error", "the query has too many"
		    " filters");
	}
done:
	json_decref(q);
	return (text);
}

/* The {x} of the path must be an id; what is none was never found. */
int
path_id(struct request *req, int i, const char *prefix)
{
	if (id_is(req->arg[i], prefix))
		return (0);
	refuse(req, "invalid_id", "the path: expected an id: %s_ and 26"
	    " lower-case characters", prefix);
	return (-1);
}
