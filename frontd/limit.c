/*
 * limit.c - how many connections there may be, in all and from one address (an
 * IPv6 network of /64 is one address), and what the requests that are arriving
 * on them, their streams of HTTP/2, the answers that nobody has read, what
 * waits for runnerd and credentials that are being asked about may take.  An
 * address is remembered while it has one of these or a connection.
 */
#include <arpa/inet.h>

#include <stdlib.h>
#include <string.h>

#include "engine.h"
#include "log.h"

#define CONN_MAX		8192
#define CONN_MAX_ADDRESS	512

struct address {
	RB_ENTRY(address)	 entry;
	char			 key[INET6_ADDRSTRLEN];
	size_t			 count;
	size_t			 bodies;
	size_t			 streams;
	size_t			 unsent;
	size_t			 checks[CHECK_KINDS];
};

RB_HEAD(addresses, address);

static struct addresses	 addresses = RB_INITIALIZER(&addresses);
size_t			 conn_max = CONN_MAX;
size_t			 conn_max_address = CONN_MAX_ADDRESS;

static int
address_cmp(struct address *a, struct address *b)
{
	return (strcmp(a->key, b->key));
}

RB_PROTOTYPE(addresses, address, entry, address_cmp)
RB_GENERATE(addresses, address, entry, address_cmp)

static void
address_key(char key[INET6_ADDRSTRLEN], const char *name)
{
	struct in6_addr	 a;

	strlcpy(key, name, INET6_ADDRSTRLEN);
	if (strchr(name, ':') == NULL || inet_pton(AF_INET6, name, &a) != 1)
		return;
	memset(a.s6_addr + 8, 0, 8);
	inet_ntop(AF_INET6, &a, key, INET6_ADDRSTRLEN);
}

struct address *
address_get(const char *name)
{
	struct address	*a, new;

	if (http_stats.conns >= conn_max)
		return (NULL);
	address_key(new.key, name);
	if ((a = RB_FIND(addresses, &addresses, &new)) == NULL) {
		if ((a = calloc(1, sizeof(*a))) == NULL)
			fatal("address");
		memcpy(a->key, new.key, sizeof(a->key));
		RB_INSERT(addresses, &addresses, a);
	}
	if (a->count >= conn_max_address)
		return (NULL);
	a->count++;
	return (a);
}

static void
address_forget(struct address *a)
{
	if (a->count > 0 || a->checks[CHECK_KEY] > 0 ||
	    a->checks[CHECK_PASSWORD] > 0)
		return;
	RB_REMOVE(addresses, &addresses, a);
	free(a);
}

void
address_put(struct address *a)
{
	if (a == NULL)
		return;
	a->count--;
	address_forget(a);
}

void
limit_hold(struct conn *c, size_t n)
{
	http_stats.bodies += n;
	if (c->addr != NULL)
		c->addr->bodies += n;
}

void
limit_release(struct conn *c, size_t n)
{
	http_stats.bodies -= n;
	if (c->addr != NULL)
		c->addr->bodies -= n;
}

void
limit_stream_begin(struct conn *c)
{
	http_stats.open++;
	if (c->addr != NULL)
		c->addr->streams++;
}

void
limit_stream_end(struct conn *c)
{
	http_stats.open--;
	if (c->addr != NULL)
		c->addr->streams--;
}

/* One address alone does not take what all are to have. */
static int
share_is_taken(size_t all, size_t own, size_t max)
{
	return (all >= max / 2 && own >= max / 4);
}

int
limit_full(const struct conn *c)
{
	return (http_stats.bodies >= BODIES_MAX ||
	    share_is_taken(http_stats.bodies,
	    c->addr != NULL ? c->addr->bodies : 0, BODIES_MAX));
}

int
limit_streams_full(const struct conn *c)
{
	return (http_stats.open >= STREAMS_MAX ||
	    share_is_taken(http_stats.open,
	    c->addr != NULL ? c->addr->streams : 0, STREAMS_MAX));
}

void
limit_queued(struct conn *c, size_t n)
{
	http_stats.unsent = http_stats.unsent - c->unsent + n;
	if (c->addr != NULL)
		c->addr->unsent = c->addr->unsent - c->unsent + n;
	c->unsent = n;
}

/*
 * When answers pile up, who reads none of its own gets no more of them, and an
 * address that has its share no long ones on other connections either.
 */
int
limit_unread(const struct conn *c, size_t n)
{
	if (c->kind == LISTEN_RUNNER)
		return (0);
	if (share_is_taken(http_stats.unsent,
	    c->addr != NULL ? c->addr->unsent : 0, UNSENT_MAX))
		return (c->unsent + n > UNSENT_OWN);
	return (http_stats.unsent > UNSENT_MAX / 4 && c->unsent > UNSENT_OWN);
}

void
limit_wait(size_t n)
{
	http_stats.waiting += n;
}

void
limit_waited(size_t n)
{
	http_stats.waiting -= n;
}

int
limit_waiting_full(const struct conn *c)
{
	return (c->kind == LISTEN_RUNNER && http_stats.waiting >= WAITING_MAX);
}

int
limit_check_begin(const struct request *req, enum check_kind kind, size_t max,
    struct address **from)
{
	struct address	*a = req->x->c->addr;

	if (share_is_taken(http_stats.checks[kind],
	    a != NULL ? a->checks[kind] : 0, max))
		return (-1);
	http_stats.checks[kind]++;
	if (a != NULL)
		a->checks[kind]++;
	*from = a;
	return (0);
}

/* Its connections may be gone by now. */
void
limit_check_end(struct address *a, enum check_kind kind)
{
	http_stats.checks[kind]--;
	if (a == NULL)
		return;
	a->checks[kind]--;
	address_forget(a);
}
