/*
 * Calls of the API: what is worth trying again is tried again, what the
 * server refuses is told in its own words.  Every POST carries an
 * Idempotency-Key, so that trying again does nothing twice.  NULL is failure,
 * told on stderr, with m->rc set.
 */

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "http.h"

#define TRIES		6
#define PATIENCE	60	/* seconds, in all */
#define LONGEST_PAUSE	15
#define CALL_SECONDS	120L

/* 128 random bits. */
void
api_key_make(char *buf, size_t size)
{
	uint32_t	 r[4];

	arc4random_buf(r, sizeof(r));
	snprintf(buf, size, "mctl-%08x%08x%08x%08x", r[0], r[1], r[2], r[3]);
}

/* head + id + tail; the id comes from the command line.  To free. */
char *
api_path(struct mctl *m, const char *head, const char *id, const char *tail)
{
	size_t	 i, len = strlen(id);

	for (i = 0; i < len; i++)
		if (!isalnum((unsigned char)id[i]) && id[i] != '_' &&
		    id[i] != '-')
			break;
	if (len == 0 || len > 64 || i < len) {
		m->rc = usage_error(m, "`%s' is no id; one looks like "
		    "task_01h2xcejqtf2nbrexx3vqjhp41", id);
		return (NULL);
	}
	return (xasprintf("%s%s%s", head, id, tail));
}

/* Tell a refusal; the exit code. */
int
api_refused(struct mctl *m, const struct reply *r)
{
	const char	*code = doc_str(r->doc, "code"), *id;
	json_t		*details;

	fputs("mctl: ", stderr);
	if (*code == '\0')
		fprintf(stderr, "the server answered %ld%s", r->status,
		    r->doc == NULL ? " and no JSON; is this Marionette?" : "");
	else {
		text_puts(stderr, code);
		fputs(": ", stderr);
		text_puts(stderr, doc_str(r->doc, "message"));
	}
	id = *doc_str(r->doc, "request_id") != '\0' ?
	    doc_str(r->doc, "request_id") : r->request_id;
	if (*id != '\0') {
		fputs(" (request ", stderr);
		text_puts(stderr, id);
		fputc(')', stderr);
	}
	fputc('\n', stderr);
	if ((details = doc_find(r->doc, "details")) != NULL &&
	    m->progress)
		out_json(stderr, details, JSON_INDENT(2));
	if (r->status == 401 && m->ep.key == NULL && m->ep.socket == NULL)
		fputs("No API key: set MARIONETTE_API_KEY, or use "
		    "--api-key-file or --socket.\n", stderr);
	m->rc = r->status == 401 || r->status == 403 ? EX_DENIED : EX_ERROR;
	return (m->rc);
}

/*
 * Seconds to wait before another try; -1: the answer stands.  Where nobody is
 * and nobody was, nobody is waited for.
 */
static long
pause_for(struct mctl *m, const struct request *q, const struct reply *r,
    int sent, int try)
{
	long	 pause = 1L << (try > 3 ? 3 : try);

	if (sent == -1 && m->met)
		return (pause);
	if (sent != 0)		/* nobody answered */
		return (sent == 1 && (q->idem != NULL ||
		    strcmp(q->method, "GET") == 0) ? pause : -1);
	if (r->status != 503 && r->status != 429 && (r->status != 504 ||
	    strcmp(doc_str(r->doc, "code"), "outcome_unknown") != 0))
		return (-1);
	if (q->idem == NULL && strcmp(q->method, "GET") != 0 &&
	    r->status == 504)
		return (-1);
	if (r->retry_after > 0)
		pause = r->retry_after;
	return (pause > LONGEST_PAUSE ? LONGEST_PAUSE : pause);
}

/* Try, and try again while it makes sense. */
static int
api_try(struct mctl *m, const struct request *q, struct reply *r)
{
	int64_t	 until = when_ticks() + 1000 *
		    (q->patience == 0 ? PATIENCE : q->patience);
	long	 pause;
	int	 try, sent;

	m->unknown = 0;
	for (try = 0;; try++) {
		sent = http_do(m, q, r);
		m->unknown |= sent == 1 || r->status == 504;
		pause = pause_for(m, q, r, sent, try);
		if (pause == -1 || (q->patience == 0 && try + 1 == TRIES) ||
		    when_ticks() + pause * 1000 > until || http_left(m))
			break;
		if (m->progress)
			fprintf(stderr, "mctl: the server is %s; trying "
			    "again in %lds\n", sent == 0 ? "busy" : "away",
			    pause);
		sleep((unsigned int)pause);
		if (http_left(m))
			break;
		reply_clear(r);
	}
	m->settled = sent == 0 && r->status != 429 && r->status < 500;
	if (sent == 0)
		return (0);
	if (http_left(m)) {
		fputs("mctl: interrupted\n", stderr);
		m->rc = EX_ERROR;
	} else
		http_unreachable(m, q->admin, r->why);
	return (-1);
}

static json_t *
api_call(struct mctl *m, const struct request *q)
{
	struct reply	 r;
	json_t		*doc = NULL;

	if (api_try(m, q, &r) == 0) {
		if (r.status < 200 || r.status > 299)
			api_refused(m, &r);
		else if (r.status == 204)
			doc = json_object();
		else if (r.doc == NULL || !(json_is_object(r.doc) ||
		    json_is_array(r.doc)))
			api_refused(m, &r);
		else
			doc = json_incref(r.doc);
	}
	if (doc == NULL && q->idem != NULL && m->unknown) {
		fputs("It may have been done. To repeat it safely: "
		    "Idempotency-Key ", stderr);
		text_puts(stderr, q->idem);
		fputc('\n', stderr);
	}
	reply_clear(&r);
	return (doc);
}

static int
is_admin(const char *path)
{
	return (strncmp(path, "/admin/", 7) == 0);
}

json_t *
api_get(struct mctl *m, const char *path)
{
	struct request	 q = { "GET", path, NULL, NULL, CALL_SECONDS,
	    is_admin(path), 0 };

	return (api_call(m, &q));
}

/* The same for what is waited for: across a restart, as a follower does. */
json_t *
api_wait(struct mctl *m, const char *path)
{
	struct request	 q = { "GET", path, NULL, NULL, CALL_SECONDS,
	    is_admin(path), FOLLOW_PATIENCE };

	return (api_call(m, &q));
}

/* The object at head + id + tail; the id comes from the command line. */
json_t *
api_get_of(struct mctl *m, const char *head, const char *id, const char *tail)
{
	json_t	*doc = NULL;
	char	*path;

	if ((path = api_path(m, head, id, tail)) != NULL)
		doc = api_get(m, path);
	free(path);
	return (doc);
}

/*
 * Any method but GET; body is lent, or NULL; idem is the user's key or NULL
 * for one of our own making.
 */
json_t *
api_send(struct mctl *m, const char *method, const char *path, json_t *body,
    const char *idem)
{
	struct request	 q = { method, path, idem, NULL, CALL_SECONDS,
	    is_admin(path), 0 };
	json_t		*doc;
	char		 key[64], *text = NULL;

	if (idem == NULL && strcmp(method, "POST") == 0) {
		api_key_make(key, sizeof(key));
		q.idem = key;
	}
	if (body != NULL &&
	    (text = json_dumps(body, JSON_COMPACT)) == NULL) {
		m->rc = usage_error(m, "what was given is not UTF-8");
		return (NULL);
	}
	q.body = text;
	doc = api_call(m, &q);
	secret_free(text);
	return (doc);
}
