/*
 * One request, one answer, by libcurl: over TCP or the unix socket.  Nothing
 * is followed, nothing but HTTP is spoken, an answer is at most MAX_BODY.
 * Fails when the server cannot be reached or breaks off; says so and sets
 * m->rc to EX_UNREACHED.
 */

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "http.h"

#define CONNECT_SECONDS	10L

struct getting {
	struct str	 body;
	struct reply	*reply;
};

static size_t
on_body(char *p, size_t size, size_t n, void *arg)
{
	struct getting	*g = arg;

	if (g->body.len + size * n > MAX_BODY)
		return (0);
	str_add(&g->body, p, size * n);
	return (size * n);
}

/* A header's value, if the line is that header. */
static int
header_is(const char *line, size_t len, const char *name, char *value,
    size_t size)
{
	size_t	 n = strlen(name);

	if (len <= n || strncasecmp(line, name, n) != 0 || line[n] != ':')
		return (0);
	for (n++; n < len && (line[n] == ' ' || line[n] == '\t'); n++)
		;
	while (len > n && (line[len - 1] == '\r' || line[len - 1] == '\n'))
		len--;
	snprintf(value, size, "%.*s", (int)(len - n), line + n);
	return (1);
}

static size_t
on_header(char *p, size_t size, size_t n, void *arg)
{
	struct getting	*g = arg;
	const char	*errstr;
	char		 value[32];

	header_is(p, size * n, "x-request-id", g->reply->request_id,
	    sizeof(g->reply->request_id));
	if (header_is(p, size * n, "retry-after", value, sizeof(value))) {
		g->reply->retry_after = (long)strtonum(value, 0, 3600,
		    &errstr);
		if (errstr != NULL)
			g->reply->retry_after = 0;
	}
	return (size * n);
}

/* Does the person at the terminal want no more of it? */
int
http_left(struct mctl *m)
{
	return (m->left != NULL && m->left());
}

static int
on_progress(void *arg, curl_off_t down, curl_off_t downed, curl_off_t up,
    curl_off_t upped)
{
	(void)down;
	(void)downed;
	(void)up;
	(void)upped;
	return (http_left(arg));
}

struct curl_slist *
http_header(struct curl_slist *list, const char *name, const char *value)
{
	struct curl_slist	*l;
	char			*s;

	s = xasprintf("%s: %s", name, value);
	if ((l = curl_slist_append(list, s)) == NULL)
		abort();
	explicit_bzero(s, strlen(s));
	free(s);
	return (l);
}

/* The keys in them are wiped. */
void
http_headers_free(struct curl_slist *list)
{
	struct curl_slist	*l;

	for (l = list; l != NULL; l = l->next)
		explicit_bzero(l->data, strlen(l->data));
	curl_slist_free_all(list);
}

/* A handle that knows the server, and the headers of every request. */
CURL *
http_open(struct mctl *m, const char *path, int admin,
    struct curl_slist **headers)
{
	struct endpoint	*ep = &m->ep;
	CURL		*c;
	char		*s;

	if ((c = curl_easy_init()) == NULL)
		abort();
	s = xasprintf("%s%s", ep->socket != NULL ? "http://localhost" :
	    admin ? ep->admin_url : ep->url, path);
	curl_easy_setopt(c, CURLOPT_URL, s);
	free(s);
	if (ep->socket != NULL)
		curl_easy_setopt(c, CURLOPT_UNIX_SOCKET_PATH, ep->socket);
	if (ep->socket != NULL ||
	    url_is_loopback(admin ? ep->admin_url : ep->url))
		curl_easy_setopt(c, CURLOPT_PROXY, "");
	if (ep->ca != NULL)
		curl_easy_setopt(c, CURLOPT_CAINFO, ep->ca);
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, CONNECT_SECONDS);
	curl_easy_setopt(c, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(c, CURLOPT_USERAGENT, "mctl/" MN_VERSION);
	if (ep->key != NULL && ep->socket == NULL) {
		s = xasprintf("Bearer %s", ep->key);
		*headers = http_header(*headers, "Authorization", s);
		secret_free(s);
	}
	return (c);
}

/* Said once: where we knocked, why nobody answered, what to try. */
void
http_unreachable(struct mctl *m, int admin, const char *why)
{
	struct endpoint	*ep = &m->ep;
	const char	*where;

	where = ep->socket != NULL ? ep->socket :
	    admin ? ep->admin_url : ep->url;
	fputs("mctl: cannot reach the server at ", stderr);
	text_puts(stderr, where);
	fprintf(stderr, " (from %s): ", ep->origin);
	text_puts(stderr, why);
	fputc('\n', stderr);
	if (ep->socket != NULL)
		fputs("Is marionetted running, and may you use its socket "
		    "(root or the operator group)?\n", stderr);
	else if (strncmp(where, "https://", 8) == 0 && ep->ca == NULL &&
	    strstr(why, "certificate") != NULL)
		fputs("If its certificate is of a CA of your own, say which "
		    "with --ca FILE.\n", stderr);
	else
		fprintf(stderr, "Is marionetted running there? Say where with "
		    "--server%s or a context, or use --socket.\n",
		    admin ? ", --admin-url" : " URL, MARIONETTE_API_URL");
	m->rc = EX_UNREACHED;
}

static void
body_set(CURL *c, const struct request *q)
{
	if (strcmp(q->method, "GET") == 0)
		return;
	if (q->body != NULL || strcmp(q->method, "POST") == 0) {
		curl_easy_setopt(c, CURLOPT_POST, 1L);
		curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE,
		    q->body == NULL ? 0L : (long)strlen(q->body));
		curl_easy_setopt(c, CURLOPT_POSTFIELDS,
		    q->body == NULL ? "" : q->body);
	}
	curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, q->method);
}

void
reply_clear(struct reply *r)
{
	json_decref(r->doc);
	memset(r, 0, sizeof(*r));
}

/*
 * 0: there is an answer.  1: nobody knows whether it was done.  -1: it was not
 * sent.  -2: trying again would not help, the answer is not to be understood.
 * r->why says why.
 */
int
http_do(struct mctl *m, const struct request *q, struct reply *r)
{
	struct getting		 g = { { 0 }, r };
	struct curl_slist	*headers = NULL;
	CURLcode		 rc;
	CURL			*c;
	long			 sent = 0;

	memset(r, 0, sizeof(*r));
	c = http_open(m, q->path, q->admin, &headers);
	headers = http_header(headers, "Content-Type", q->body != NULL ?
	    "application/json" : "");
	if (q->idem != NULL)
		headers = http_header(headers, "Idempotency-Key", q->idem);
	headers = http_header(headers, "Expect", "");
	body_set(c, q);
	curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(c, CURLOPT_TIMEOUT, q->timeout);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, &g);
	curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(c, CURLOPT_HEADERDATA, &g);
	curl_easy_setopt(c, CURLOPT_ERRORBUFFER, r->why);
	curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl_easy_setopt(c, CURLOPT_XFERINFODATA, m);
	rc = curl_easy_perform(c);
	curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &r->status);
	curl_easy_getinfo(c, CURLINFO_REQUEST_SIZE, &sent);
	if (rc != CURLE_OK && r->why[0] == '\0')
		snprintf(r->why, sizeof(r->why), "%s", curl_easy_strerror(rc));
	curl_easy_cleanup(c);
	http_headers_free(headers);
	if (rc == CURLE_OK && g.body.len > 0)
		r->doc = json_loadb(g.body.data, g.body.len,
		    JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	if (g.body.data != NULL)
		explicit_bzero(g.body.data, g.body.len);
	str_free(&g.body);
	m->met |= sent > 0;
	if (rc == CURLE_OK)
		return (0);
	if (rc == CURLE_WRITE_ERROR) {
		snprintf(r->why, sizeof(r->why), "its answer is larger than "
		    "%lu MiB", MAX_BODY >> 20);
		return (-2);
	}
	return (sent > 0 ? 1 : -1);
}
