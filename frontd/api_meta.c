/*
 * api_meta.c - what the server says of itself and of its caller: health,
 * version, the contract (openapi.yaml) and its page, /me.  None of it but /me
 * asks for a credential.
 */
#include <stdlib.h>
#include <string.h>

#include "api_tables.h"
#include "body.h"
#include "frontd_msg.h"
#include "log.h"
#include "worker.h"

#define READY_MS	1000		/* a good answer is good for so long */
#define PROBE_MS	2000		/* who checks does not wait for long */

static uint64_t	 ready_until;		/* monotonic ms */
static uint64_t	*probing;		/* ids of who waits for the answer */
static size_t	 nprobing;

static void
reply_object(struct request *req, json_t *doc)
{
	char	*text;
	size_t	 len;

	text = json_text(doc, &len);
	json_decref(doc);
	reply_json(req, 200, text, len);
	json_text_free(text);
}

static void
health_live(struct request *req)
{
	static const char	 doc[] = "{\"status\":\"live\"}";

	reply_json(req, 200, doc, sizeof(doc) - 1);
}

/* r: why it is not; NULL: it is. */
static void
ready_reply(struct request *req, const struct msg_refused *r)
{
	static const char	 doc[] = "{\"status\":\"ready\"}";

	if (r != NULL)
		refuse(req, "unavailable", "%s", r->text);
	else
		reply_json(req, 200, doc, sizeof(doc) - 1);
}

/* sessiond looked for a key that nobody has: the database answers. */
static void
health_probed(struct request *none, enum msg_type type, const void *m,
    void *arg)
{
	const struct msg_refused	*r = type == MSG_REFUSED ? m : NULL;
	struct request			*req;
	uint64_t			*ids = probing;
	size_t				 i, n = nprobing;

	(void)none;
	(void)arg;
	if (r != NULL && refusal_status(r->code) == 401)
		r = NULL;
	ready_until = r == NULL ? worker_mono_ms() + READY_MS : 0;
	probing = NULL;
	nprobing = 0;
	for (i = 0; i < n; i++)
		if ((req = request_find(ids[i])) != NULL)
			ready_reply(req, r);
	free(ids);
}

/*
 * Ready when everybody that answers requests is there, to the database.  That
 * is asked once for all who check meanwhile: none of them says who he is.
 */
static void
health_ready(struct request *req)
{
	static const enum proc		 needed[] = { PROC_SESSIOND,
					    PROC_TASKD, PROC_RUNNERD,
					    PROC_PROVIDERD };
	static const struct expect	 expect = {
					    .want = MSG_AUTHENTICATED,
					    .limit = PROBE_MS,
					    .done = health_probed };
	static const uint8_t		 nobody[32];
	const struct msg_auth_key	 m = { .hash = nobody,
					    .hash_len = sizeof(nobody),
					    .address = req->address,
					    .request_id = req->request_id };
	size_t				 i;

	for (i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
		if (!peer_is_up(peer_of(needed[i]))) {
			refuse(req, "unavailable", "%s is not there yet",
			    peer_of(needed[i])->name);
			return;
		}
	if (worker_mono_ms() < ready_until) {
		ready_reply(req, NULL);
		return;
	}
	if ((probing = reallocarray(probing, nprobing + 1,
	    sizeof(*probing))) == NULL)
		fatal("health");
	probing[nprobing++] = req->id;
	if (nprobing == 1)
		pending_ask(NULL, PROC_SESSIOND, MSG_AUTH_KEY, &m, &expect);
}

static void
version(struct request *req)
{
	static const char	 doc[] = "{\"name\":\"marionette\","
				    "\"version\":\"" MN_VERSION "\","
				    "\"api\":\"v1\"}";

	reply_json(req, 200, doc, sizeof(doc) - 1);
}

static void
openapi(struct request *req)
{
	reply_header(req, "Cache-Control", "no-cache");
	reply_body(req, 200, "application/yaml", openapi_yaml,
	    openapi_yaml_len);
}

/* One page without scripts, fonts or anything from elsewhere. */
static void
docs(struct request *req)
{
	reply_header(req, "Cache-Control", "no-cache");
	reply_header(req, "Content-Security-Policy", "default-src 'none';"
	    " style-src 'unsafe-inline'; base-uri 'none'; form-action 'none';"
	    " frame-ancestors 'none'");
	reply_body(req, 200, "text/html; charset=utf-8", docs_html,
	    docs_html_len);
}

static void
me(struct request *req)
{
	static const char *const	 no_params[] = { NULL };
	const struct identity		*who;
	const char			*s;
	json_t				*doc, *scopes;
	size_t				 n;

	if ((who = auth(req)) == NULL || query_only(req, no_params) == -1)
		return;
	scopes = json_array();
	for (s = who->scopes; *s != '\0'; s += n + strspn(s + n, " ")) {
		n = strcspn(s, " ");
		json_array_append_new(scopes, json_stringn(s, n));
	}
	doc = json_object();
	if (id_is(who->key, "key"))
		json_object_set_new(doc, "key_id", json_string(who->key));
	json_object_set_new(doc, "name", json_string(who->name));
	json_object_set_new(doc, "tenant", json_string(who->tenant));
	json_object_set_new(doc, "scopes", scopes);
	reply_object(req, doc);
}

#define OPEN	(R_NOAUTH | R_ANYHOST)

const struct route	 meta_routes[] = {
	{ M_GET, LISTEN_REST, "/api/v1/me", NULL, 0, 0, me },
	{ M_GET, LISTEN_REST, "/health/live", NULL, 0, OPEN, health_live },
	{ M_GET, LISTEN_REST, "/health/ready", NULL, 0, OPEN, health_ready },
	{ M_GET, LISTEN_REST, "/version", NULL, 0, R_NOAUTH, version },
	{ M_GET, LISTEN_REST, "/openapi.yaml", NULL, 0, R_NOAUTH, openapi },
	{ M_GET, LISTEN_REST, "/docs", NULL, 0, R_NOAUTH, docs },
	{ 0 }
};
