/*
 * ask.c - see ask.h.  Refs grow from 1 and start at a random high part, so that
 * an answer to a question of an earlier life of this process finds nothing.
 */
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "ask.h"
#include "log.h"
#include "worker.h"

RB_HEAD(asks, ask);

static struct asks	 all = RB_INITIALIZER(&all);
static size_t		 all_bytes;
static unsigned int	 all_count;
static unsigned int	 held[PROC_MAX];	/* writes that are asked again */
static uint64_t		 next_ref;

static int
ask_cmp(struct ask *a, struct ask *b)
{
	return (a->ref < b->ref ? -1 : a->ref > b->ref);
}

RB_PROTOTYPE(asks, ask, entry, ask_cmp);
RB_GENERATE(asks, ask, entry, ask_cmp)

static int
is_write(const struct ask *a)
{
	return ((msg_descs[a->type].flags & MSG_F_WRITE) != 0);
}

static void
ask_free(struct ask *a)
{
	RB_REMOVE(asks, &all, a);
	held[a->to] -= a->again && is_write(a);
	all_bytes -= a->len;
	all_count--;
	freezero(a, sizeof(*a) + a->len);
}

static void
ask_send(struct ask *a)
{
	struct peer	*p = peer_of(a->to);

	if (peer_is_up(p) &&
	    peer_send_packed(p, a->ref, a->type, a->body, a->len) == 0)
		a->sent = 1;
}

/* Until the next second, in the order in which all of them were asked. */
static void
hold(struct ask *a)
{
	held[a->to] += !a->again && is_write(a);
	a->again = 1;
}

struct ask *
ask(enum proc to, enum msg_type type, const void *m, unsigned int seconds,
    ask_done done, void *arg)
{
	const struct msg_desc	*d = &msg_descs[type];
	struct ask		*a;
	ssize_t			 len;

	if ((len = msg_size(d, m)) == -1)
		return (NULL);
	if (all_bytes + (size_t)len > ASK_BYTES_MAX) {
		errno = ENOBUFS;
		return (NULL);
	}
	if ((a = calloc(1, sizeof(*a) + (size_t)len)) == NULL)
		fatal("ask");
	if (next_ref == 0)
		next_ref = (uint64_t)randombytes_random() << 32;
	a->ref = ++next_ref;
	a->to = to;
	a->type = type;
	a->deadline = seconds == 0 ? 0 : worker_mono_ms() + seconds * 1000ULL;
	a->done = done;
	a->arg = arg;
	a->len = (size_t)len;
	msg_pack(d, m, a->body);
	RB_INSERT(asks, &all, a);
	all_bytes += a->len;
	all_count++;
	/* Not before what was refused for now: they may be about one thing. */
	if (held[to] > 0 && is_write(a))
		hold(a);
	else
		ask_send(a);
	return (a);
}

struct ask *
ask_for(struct peer *client, uint64_t client_ref, enum proc to,
    enum msg_type type, const void *m, unsigned int seconds, ask_done done,
    void *arg)
{
	struct ask	*a;

	if ((a = ask(to, type, m, seconds, done, arg)) != NULL) {
		a->client = client->proc;
		a->client_ref = client_ref;
		a->client_generation = client->ctl.generation;
	}
	return (a);
}

struct peer *
ask_client(const struct ask *a)
{
	struct peer	*p = peer_of(a->client);

	/* A new life of the client chooses its refs anew. */
	return (a->client != PROC_PARENT && peer_is_up(p) &&
	    p->ctl.generation == a->client_generation ? p : NULL);
}

struct ask *
ask_find(const struct peer *p, uint64_t ref)
{
	struct ask	 key, *a;

	key.ref = ref;
	a = RB_FIND(asks, &all, &key);
	return (a != NULL && a->to == p->proc ? a : NULL);
}

void
ask_answer(const struct peer *p, uint64_t ref, const struct answer *ans)
{
	struct ask	*a;

	if ((a = ask_find(p, ref)) == NULL)
		return;
	/* Out of reach of whatever done() asks next, but still whole. */
	if (a->done != NULL && (!a->told || a->late))
		a->done(a, ans);
	ask_free(a);
}

void
ask_stored(const struct peer *p, uint64_t ref, const struct msg_stored *m)
{
	struct answer	 ans;

	ans.rows = m->rows;
	ans.retry_after = 0;
	ans.code = m->code;
	ans.text = m->text;
	ans.doc = m->doc;
	ans.doc_len = m->doc_len;
	ask_answer(p, ref, &ans);
}

void
ask_refused(const struct peer *p, uint64_t ref, const struct msg_refused *m)
{
	struct answer	 ans;
	struct ask	*a;

	/*
	 * What waits for ever waits out a full queue or a lost database too;
	 * and a write of which storaged does not know itself what became, or
	 * that the one before it may have done, is asked again: every write
	 * may be (promise 3).
	 */
	if ((a = ask_find(p, ref)) != NULL && ((strcmp(m->code,
	    "unavailable") == 0 && (a->deadline == 0 || a->doubtful ||
	    (a->told && a->late))) ||
	    (strcmp(m->code, "outcome_unknown") == 0 &&
	    (msg_descs[a->type].flags & MSG_F_WRITE) != 0))) {
		hold(a);
		return;
	}
	ans.rows = 0;
	ans.retry_after = m->retry_after;
	ans.code = m->code;
	ans.text = m->text;
	ans.doc = m->body;
	ans.doc_len = m->body_len;
	ask_answer(p, ref, &ans);
}

void
ask_peer_up(struct peer *p)
{
	struct ask	*a;

	RB_FOREACH(a, asks, &all) {
		if (a->to != p->proc)
			continue;
		if (a->sent && is_write(a))
			a->doubtful = 1;
		held[a->to] -= a->again && is_write(a);
		a->again = 0;
		ask_send(a);
	}
}

static void
ask_late(struct ask *a)
{
	struct answer	 ans;
	int		 write = (msg_descs[a->type].flags & MSG_F_WRITE) != 0;

	memset(&ans, 0, sizeof(ans));
	ans.retry_after = 2;
	if (write && a->sent) {
		ans.code = "outcome_unknown";
		ans.text = "the database did not answer in time; repeat with "
		    "the same Idempotency-Key";
	} else {
		ans.code = "unavailable";
		ans.text = "the database does not answer; try again";
	}
	a->told = 1;
	if (a->done != NULL)
		a->done(a, &ans);
	a->client = PROC_PARENT;	/* it is answered */
	/*
	 * A write that may have been seen is sent until it is answered; one
	 * that never left is dropped, as 503 says.
	 */
	if (!write || !a->sent)
		ask_free(a);
}

void
ask_janitor(void)
{
	struct ask	*a, *next;
	uint64_t	 now = worker_mono_ms();

	RB_FOREACH(a, asks, &all)
		if (a->again) {
			a->again = 0;
			held[a->to] -= is_write(a);
			ask_send(a);
		}
	RB_FOREACH_SAFE(a, asks, &all, next)
		if (!a->told && a->deadline != 0 && a->deadline <= now)
			ask_late(a);
}

void
ask_count(unsigned int *n, size_t *bytes)
{
	*n = all_count;
	*bytes = all_bytes;
}
