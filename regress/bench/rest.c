/*
 * rest.c - the least HTTP/1.1 client that is honest: TLS with a verified
 * certificate, keep-alive, one request at a time, Content-Length.  Whatever is
 * not as expected ends the benchmark with a line that says what came.
 */
#include <sys/socket.h>

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>
#include <tls.h>

#include "bench.h"
#include "log.h"
#include "util.h"

#define REST_ANSWER_MAX	(1 << 20)
#define REST_REQUEST_MAX	4096

/* From rest_open() to rest_close(). */
struct rest {
	struct tls	*tls;
	struct event	*rd;
	rest_done	 done;
	void		*arg;
	char		*in;
	size_t		 len;
	int		 fd;
};

static struct tls_config *
rest_config(void)
{
	struct tls_config	*c;

	if ((c = tls_config_new()) == NULL ||
	    tls_config_set_ca_file(c, bench->ca) == -1 ||
	    tls_config_set_alpn(c, "http/1.1") == -1)
		fatalx("TLS: %s", c == NULL ? "memory" : tls_config_error(c));
	return (c);
}

static int
rest_connect(void)
{
	struct addrinfo	 hints = { .ai_socktype = SOCK_STREAM }, *list, *ai;
	int		 e, fd = -1, on = 1;

	if ((e = getaddrinfo(bench->api_host, bench->api_port, &hints,
	    &list)) != 0)
		fatalx("%s: %s", bench->api_host, gai_strerror(e));
	for (ai = list; ai != NULL; ai = ai->ai_next) {
		fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (fd != -1 && connect(fd, ai->ai_addr, ai->ai_addrlen) == 0)
			break;
		close(fd);
		fd = -1;
	}
	freeaddrinfo(list);
	if (fd == -1)
		fatal("%s:%s", bench->api_host, bench->api_port);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return (fd);
}

/* The length of the head, or 0: not there yet. */
static size_t
rest_head(const struct rest *r, int *status, size_t *body)
{
	const char	*end, *p;

	if ((end = memmem(r->in, r->len, "\r\n\r\n", 4)) == NULL)
		return (0);
	if (sscanf(r->in, "HTTP/1.1 %d", status) != 1)
		fatalx("REST: not HTTP/1.1: %.60s", r->in);
	p = strcasestr(r->in, "\r\ncontent-length:");
	*body = p != NULL && p < end ? strtoul(p + 17, NULL, 10) : 0;
	if (p == NULL && *status != 204)
		fatalx("REST: an answer without Content-Length: %.200s",
		    r->in);
	return ((size_t)(end - r->in) + 4);
}

static void
rest_answer(struct rest *r)
{
	rest_done	 done = r->done;
	size_t		 body, head;
	char		*text;
	int		 status;

	r->in[r->len] = '\0';
	head = rest_head(r, &status, &body);
	if (head == 0 || r->len < head + body)
		return;
	if (done == NULL || r->len > head + body)
		fatalx("REST: an answer that nobody asked for");
	text = xstrndup(r->in + head, body);
	r->len = 0;
	r->done = NULL;
	done(r, status, text, body, r->arg);
	free(text);
}

static void
rest_event(int fd, short what, void *arg)
{
	struct rest	*r = arg;
	ssize_t		 n;

	(void)fd;
	while (r->done != NULL || what != 0) {
		what = 0;
		if (r->len == REST_ANSWER_MAX)
			fatalx("REST: an answer of more than %d bytes",
			    REST_ANSWER_MAX);
		n = tls_read(r->tls, r->in + r->len, REST_ANSWER_MAX - r->len);
		if (n == TLS_WANT_POLLIN)
			return;
		if (n <= 0)
			fatalx("REST: the server closed a connection%s%s",
			    n == -1 ? ": " : "", n == -1 ? tls_error(r->tls) :
			    "");
		r->len += (size_t)n;
		rest_answer(r);
	}
}

struct rest *
rest_open(void)
{
	struct tls_config	*c = rest_config();
	struct rest		*r;

	r = xcalloc(1, sizeof(*r));
	r->in = xmalloc(REST_ANSWER_MAX + 1);
	r->fd = rest_connect();
	if ((r->tls = tls_client()) == NULL ||
	    tls_configure(r->tls, c) == -1 ||
	    tls_connect_socket(r->tls, r->fd, bench->api_host) == -1 ||
	    tls_handshake(r->tls) == -1)
		fatalx("REST: TLS: %s", r->tls == NULL ? "memory" :
		    tls_error(r->tls));
	tls_config_free(c);
	if (fcntl(r->fd, F_SETFL, O_NONBLOCK) == -1)
		fatal("REST: fcntl");
	r->rd = event_new(bench->base, r->fd, EV_READ | EV_PERSIST, rest_event,
	    r);
	event_add(r->rd, NULL);
	return (r);
}

const char *
rest_tls(const struct rest *r)
{
	return (tls_conn_version(r->tls));
}

int
rest_is_idle(const struct rest *r)
{
	return (r->done == NULL);
}

void
rest_close(struct rest *r)
{
	event_free(r->rd);
	tls_close(r->tls);
	tls_free(r->tls);
	close(r->fd);
	free(r->in);
	free(r);
}

uint64_t
rest_send(struct rest *r, const char *method, const char *path,
    const char *body, rest_done done, void *arg)
{
	char		 buf[REST_REQUEST_MAX];
	uint64_t	 at;
	ssize_t		 n;
	size_t		 off;
	int		 len;

	if (r->done != NULL)
		fatalx("REST: one request at a time");
	len = snprintf(buf, sizeof(buf), "%s %s HTTP/1.1\r\n"
	    "Host: %s:%s\r\nAuthorization: Bearer %s\r\n%s", method, path,
	    bench->api_host, bench->api_port, bench->key, body == NULL ? "\r\n" : "");
	if (body != NULL)
		len += snprintf(buf + len, sizeof(buf) - (size_t)len,
		    "Content-Type: application/json\r\n"
		    "Content-Length: %zu\r\n\r\n%s", strlen(body), body);
	if ((size_t)len >= sizeof(buf))
		fatalx("REST: a request of %d bytes", len);
	r->done = done;
	r->arg = arg;
	at = now_ns();
	for (off = 0; off < (size_t)len; off += (size_t)n) {
		n = tls_write(r->tls, buf + off, (size_t)len - off);
		if (n == TLS_WANT_POLLIN || n == TLS_WANT_POLLOUT)
			n = 0;	/* Small requests fit the socket's buffer. */
		else if (n == -1)
			fatalx("REST: %s", tls_error(r->tls));
	}
	return (at);
}
