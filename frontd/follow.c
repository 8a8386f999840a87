/*
 * follow.c - streams to clients, and the credit behind them: an owner sends
 * only as much as it has credit for, and credit goes back when the client's
 * queue is short, so a slow reader holds up nobody else and is never buffered
 * without bound.  When an owner dies its streams stay open and are asked for
 * again, from the last position sent, at its successor; so is what has not
 * begun, or comes meanwhile, and if none comes while the head is held back that
 * is 503.
 */
#include <sys/queue.h>
#include <sys/tree.h>

#include <stdlib.h>
#include <string.h>

#include "follow.h"
#include "frontd_msg.h"
#include "log.h"
#include "worker.h"

RB_HEAD(follows, follow);

static struct follows	 follows = RB_INITIALIZER(&follows);
static size_t		 nfollows;

static int
follow_cmp(struct follow *a, struct follow *b)
{
	return (a->ref < b->ref ? -1 : a->ref > b->ref);
}

RB_PROTOTYPE(follows, follow, entry, follow_cmp)
RB_GENERATE(follows, follow, entry, follow_cmp)

size_t
follow_count(void)
{
	return (nfollows);
}

static struct follow *
follow_by_ref(uint64_t ref)
{
	struct follow	 key;

	key.ref = ref;
	return (RB_FIND(follows, &follows, &key));
}

struct follow *
follow_find(const struct peer *p, uint64_t ref)
{
	struct follow	*f = follow_by_ref(ref);

	return (f != NULL && f->kind->owner == p->proc ? f : NULL);
}

struct request *
follow_request(struct follow *f)
{
	return (request_find(f->request));
}

static void
follow_free(struct follow *f)
{
	RB_REMOVE(follows, &follows, f);
	nfollows--;
	lease_end(&f->lease);
	freezero(f, sizeof(*f));
}

/* The owner need not go on. */
static void
follow_stop(struct follow *f)
{
	if (!f->away && peer_is_up(peer_of(f->kind->owner)))
		f->kind->stop(f);
}

static void
follow_closed(struct request *req)
{
	struct follow	*f = req->data;

	follow_stop(f);
	follow_free(f);
}

static void
follow_drained(struct request *req)
{
	struct follow	*f = req->data;
	uint32_t	 n = (uint32_t)f->owed;

	if (n == 0 || f->away)
		return;
	f->owed = 0;
	f->kind->credit(f, n);
}

/* It was asked for, and whoever it is to come from did not come. */
static void
follow_unavailable(struct follow *f)
{
	struct request	*req = follow_request(f);

	follow_forget(f);
	if (req != NULL)
		refuse(req, "unavailable",
		    "a part of the server is restarting or busy, try again");
}

/*
 * Nothing was said yet, and the tickets are of no use any more, though the key
 * may be: all begins anew with it (retry.c).
 */
static void
follow_again(struct follow *f)
{
	struct request	*req = follow_request(f);

	if (req != NULL)
		auth_forget(req);
	follow_unavailable(f);
}

/*
 * The key was revoked, or its tickets were not renewed in time: the clock was
 * set, say.  Which of these nobody can say while sessiond, for one, is away.
 */
static void
follow_lease_over(struct lease *l)
{
	struct follow	*f = (struct follow *)((char *)l -
			    offsetof(struct follow, lease));
	struct request	*req = follow_request(f);

	if (f->begun)
		follow_end(f, 0);
	else if (l->who.expires <= worker_now_ms() / 1000)
		follow_again(f);
	else if (f->away)
		follow_unavailable(f);
	else {
		follow_forget(f);
		if (req != NULL)
			refuse(req, "token_expired", "the credential is not"
			    " valid any more");
	}
}

struct follow *
follow_new(struct request *req, const struct identity *who,
    const struct follow_kind *kind)
{
	struct follow	*f;

	if ((f = calloc(1, sizeof(*f))) == NULL)
		fatal("stream");
	f->kind = kind;
	f->ref = ref_new();
	f->request = req->id;
	f->begin_at = worker_mono_ms() + PENDING_MS;
	lease_begin(&f->lease, who, follow_lease_over);
	RB_INSERT(follows, &follows, f);
	nfollows++;
	req->data = f;
	req->on_closed = follow_closed;
	req->on_drained = follow_drained;
	return (f);
}

void
follow_begin(struct follow *f)
{
	if (f->begun)
		return;
	f->begun = 1;
	stream_begin(follow_request(f));
}

int
follow_flush(struct follow *f)
{
	uint64_t	 ref = f->ref;

	if (stream_flush(follow_request(f)) != 0)
		return (0);
	log_debug("a stream was cut: its client is too slow");
	if ((f = follow_by_ref(ref)) != NULL && follow_request(f) == NULL) {
		follow_stop(f);
		follow_free(f);
	}
	return (-1);
}

int
follow_send(struct follow *f, const char *id, const char *event,
    const char *data, size_t len)
{
	follow_begin(f);
	stream_put(follow_request(f), id, event, data, len);
	return (follow_flush(f));
}

void
follow_used(struct follow *f, uint32_t n)
{
	f->owed += n;
	if (f->owed < f->kind->batch || f->away ||
	    stream_queued(follow_request(f)) > STREAM_LOW)
		return;
	n = (uint32_t)f->owed;
	f->owed = 0;
	f->kind->credit(f, n);
}

void
follow_forget(struct follow *f)
{
	struct request	*req = follow_request(f);

	if (req != NULL) {
		req->on_closed = NULL;
		req->on_drained = NULL;
		req->data = NULL;
	}
	follow_stop(f);
	follow_free(f);
}

void
follow_end(struct follow *f, int over)
{
	struct request	*req = follow_request(f);

	follow_forget(f);
	if (req != NULL)
		stream_end(req, over);
}

int
follow_refused(struct peer *p, uint64_t ref, const struct msg_refused *m)
{
	struct follow	*f = follow_find(p, ref);
	struct request	*req;

	if (f == NULL)
		return (0);
	f->away = 1;		/* the owner has forgotten it already */
	if (f->begun && refusal_may_pass(m)) {
		follow_wait(f);
		return (1);
	}
	if (f->begun) {
		log_debug("a stream ends: %s: %s", m->code, m->text);
		follow_end(f, 0);
		return (1);
	}
	if (strcmp(m->code, "token_expired") == 0) {
		f->lease.who.expires = 0;	/* over at the next tick */
		return (1);
	}
	req = follow_request(f);
	follow_forget(f);
	if (req != NULL)
		refusal_reply(req, m);
	return (1);
}

int
follow_position(struct request *req, char *out, size_t size,
    int (*is_position)(const char *))
{
	const char	*s = req->header[H_LAST_EVENT_ID], *name;

	name = "Last-Event-ID";
	if (s == NULL || *s == '\0') {
		s = request_param(req, "after");
		name = "after";
	}
	out[0] = '\0';
	if (s == NULL)
		return (0);
	if (strlen(s) >= size || !is_position(s)) {
		refuse(req, "validation_error", "%s: expected a position that"
		    " this stream gave", name);
		return (-1);
	}
	strlcpy(out, s, size);
	return (0);
}

/* Not beyond what its queue holds: given up, it would be the end of all here. */
static int
follow_may_resume(const struct follow *f)
{
	struct peer	*p = peer_of(f->kind->owner);

	return (f->lost && peer_is_up(p) && !peer_is_full(p));
}

static void
follow_resume(struct follow *f)
{
	f->lost = 0;
	f->away = 0;
	f->owed = 0;
	f->begin_at = worker_mono_ms() + PENDING_MS;
	/* Who was told nothing yet misses nothing. */
	if (!f->begun || f->kind->resumable(f))
		f->kind->start(f);
	else
		follow_end(f, 0);
}

void
follow_up(struct peer *p)
{
	struct follow	*f, *next;

	RB_FOREACH_SAFE(f, follows, &follows, next)
		if (f->kind->owner == p->proc && follow_may_resume(f))
			follow_resume(f);
}

void
follow_wait(struct follow *f)
{
	f->away = 1;
	f->lost = 1;
	f->begin_at = worker_mono_ms() + AWAY_MS;
}

void
follow_ask(struct follow *f)
{
	follow_wait(f);
	if (follow_may_resume(f))
		follow_resume(f);
}

void
follow_down(struct peer *p)
{
	struct follow	*f;

	RB_FOREACH(f, follows, &follows)
		if (f->kind->owner == p->proc)
			follow_wait(f);
}

/* Its head is held back no longer: a stop waits for no owner. */
static int
is_due(const struct follow *f)
{
	return (worker_mono_ms() >= f->begin_at || worker_draining());
}

/*
 * There is room for more to be resumed.  Nothing to send yet, nobody refused:
 * the client gets its head.
 */
void
follow_janitor(void)
{
	struct follow	*f, *next;

	RB_FOREACH_SAFE(f, follows, &follows, next) {
		if (follow_may_resume(f))
			follow_resume(f);
		else if (f->begun || !is_due(f))
			continue;
		else if (f->away)
			follow_unavailable(f);
		else
			follow_begin(f);
	}
}
