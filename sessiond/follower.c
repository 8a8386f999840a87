/*
 * follower.c - who follows events.  A follower is a position: below the ring's
 * low mark it is read from storage, page by page; from there on it is served
 * from the ring.  It has credit for so many events and gets no more; a slow one
 * falls behind into storage by itself.  None missed, none repeated.
 *
 * All of them are looked at only in a turn that has something for them.
 */
#include <ctype.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hub.h"
#include "log.h"
#include "sessiond.h"
#include "share.h"

#define FOLLOWERS_MAX	10000
#define PAGE		200
#define PASSED_MS	60000	/* who gets nothing is told how far he is */

struct follower {
	RB_ENTRY(follower)	 entry;
	enum proc		 client;
	uint64_t		 ref;
	char			 tenant[33];
	char			*types;		/* globs, spaces between */
	char			*labels;	/* {"k":"v",...} */
	struct position		 at;
	uint32_t		 credit;
	uint64_t		 ask_ref;	/* of the page under way, or 0 */
	struct position		 low_then;	/* hub_low() as it was asked */
	uint64_t		 told_ms;	/* mono ms of the last line */
	unsigned int		 at_now:1;	/* begins at the end */
	unsigned int		 given:1;	/* where, and nobody asked yet */
	unsigned int		 greeted:1;
	unsigned int		 passed:1;	/* by events not for it, since */
};

RB_HEAD(followers, follower);

static struct followers	 all = RB_INITIALIZER(&all);
static struct shares	 shares = SHARES_INITIALIZER(FOLLOWERS_MAX);
static int		 due;

static int
follower_cmp(struct follower *a, struct follower *b)
{
	if (a->client != b->client)
		return (a->client < b->client ? -1 : 1);
	return (a->ref < b->ref ? -1 : a->ref > b->ref);
}

RB_PROTOTYPE(followers, follower, entry, follower_cmp);
RB_GENERATE(followers, follower, entry, follower_cmp)

unsigned int
followers_count(void)
{
	return (shares.count);
}

void
followers_due(void)
{
	due = 1;
}

static void
follower_free(struct follower *f)
{
	struct ask	*a;

	/* Its page, when it comes, is for nobody. */
	if (f->ask_ref != 0 && (a = ask_find(peer_of(PROC_STORAGED),
	    f->ask_ref)) != NULL)
		a->arg = NULL;
	RB_REMOVE(followers, &all, f);
	share_give(&shares, f->tenant);
	free(f->types);
	free(f->labels);
	free(f);
}

static struct follower *
follower_find(const struct peer *p, uint64_t ref)
{
	struct follower	 key;

	key.client = p->proc;
	key.ref = ref;
	return (RB_FIND(followers, &all, &key));
}

static int
wants_type(const struct follower *f, const char *type)
{
	char	 glob[65];
	const char *s = f->types;
	size_t	 n;

	if (*s == '\0')
		return (1);
	for (; *s != '\0'; s += n, s += strspn(s, " ")) {
		n = strcspn(s, " ");
		if (n >= sizeof(glob))
			continue;
		memcpy(glob, s, n);
		glob[n] = '\0';
		if (fnmatch(glob, type, 0) == 0)
			return (1);
	}
	return (0);
}

/* The end of a JSON string that begins at s, behind its closing quote. */
static const char *
string_end(const char *s)
{
	for (s++; *s != '"' && *s != '\0'; s++)
		if (*s == '\\' && s[1] != '\0')
			s++;
	return (*s == '"' ? s + 1 : NULL);
}

/*
 * A string of the filter as PostgreSQL writes it: \u001f, where frontd's JSON
 * library has \u001F.
 */
static void
copy_string(char *to, const char *s, size_t n)
{
	size_t	 i, hex = 0;

	for (i = 0; i < n; i++) {
		to[i] = s[i];
		if (hex > 0) {
			to[i] = (char)tolower((unsigned char)s[i]);
			hex--;
		} else if (s[i] == '\\' && i + 1 < n) {
			i++;
			to[i] = s[i];
			hex = s[i] == 'u' ? 4 : 0;
		}
	}
}

/* Is `"key": "value"' a member of these labels, as PostgreSQL wrote them? */
static int
has_member(const char *labels, const char *want, size_t len)
{
	const char	*k, *end;

	for (k = labels + 1; *k == '"'; k = end + 2) {
		if ((end = string_end(k)) == NULL || end[0] != ':' ||
		    end[1] != ' ' || end[2] != '"' ||
		    (end = string_end(end + 2)) == NULL)
			return (0);
		if ((size_t)(end - k) == len && memcmp(k, want, len) == 0)
			return (1);
		if (end[0] != ',' || end[1] != ' ')
			return (0);
	}
	return (0);
}

/* Is each "key":"value" of the filter, which frontd wrote, among them? */
static int
wants_labels(const struct follower *f, const char *labels)
{
	const char	*k, *kend, *v, *vend;
	char		 want[4096 + 2];	/* of a filter, and ": " */
	size_t		 klen, vlen;

	for (k = strchr(f->labels, '"'); k != NULL; k = strchr(vend, '"')) {
		if ((kend = string_end(k)) == NULL || *kend != ':' ||
		    (v = kend + 1)[0] != '"' || (vend = string_end(v)) == NULL)
			return (0);
		klen = (size_t)(kend - k);
		vlen = (size_t)(vend - v);
		if (klen + vlen + 2 > sizeof(want))
			return (0);
		copy_string(want, k, klen);
		memcpy(want + klen, ": ", 2);
		copy_string(want + klen + 2, v, vlen);
		if (!has_member(labels, want, klen + 2 + vlen))
			return (0);
	}
	return (1);
}

static void
send_line(struct follower *f, const struct position *at, const char *type,
    const uint8_t *body, size_t len)
{
	static const char	 head[] = "{\"position\":\"";
	struct msg_event_line	 m;
	char			 pos[POSITION_SIZE];
	uint8_t			*buf;
	size_t			 n;

	position_hide(at, f->tenant, pos);
	n = sizeof(head) - 1 + strlen(pos) + 2;
	if ((buf = malloc(n + len)) == NULL)
		fatal("event");
	memcpy(buf, head, sizeof(head) - 1);
	memcpy(buf + sizeof(head) - 1, pos, strlen(pos));
	memcpy(buf + n - 2, "\",", 2);
	/* The body is an object with members: its brace is replaced. */
	memcpy(buf + n, body + 1, len - 1);
	m.position = pos;
	m.type = type;
	m.body = buf;
	m.body_len = n + len - 1;
	send_event_line(peer_of(f->client), f->ref, &m);
	free(buf);
	f->told_ms = worker_mono_ms();
	f->passed = 0;
}

static void
send_position(struct follower *f)
{
	struct msg_event_line	 m = { 0 };
	char			 pos[POSITION_SIZE];

	position_hide(&f->at, f->tenant, pos);
	m.position = pos;
	m.type = "";
	send_event_line(peer_of(f->client), f->ref, &m);
	f->told_ms = worker_mono_ms();
	f->passed = 0;
}

/*
 * First of all: where it begins, so that it can be resumed from there.  Not before
 * it is known that nothing is missing there, which could be told no more.
 */
static void
greet(struct follower *f)
{
	if (f->greeted)
		return;
	f->greeted = 1;
	send_position(f);
}

/* So that it goes on from there, and not from where it once began. */
static void
tell_passed(struct follower *f)
{
	if (f->passed && worker_mono_ms() - f->told_ms >= PASSED_MS)
		send_position(f);
}

/* An event that is next for this follower, if it is one for it at all. */
static void
offer(struct follower *f, const struct position *at, const char *tenant,
    const char *type, const char *labels, const uint8_t *body, size_t len)
{
	if (position_cmp(at, &f->at) <= 0)
		return;
	f->at = *at;
	if (strcmp(tenant, f->tenant) != 0 || !wants_type(f, type) ||
	    !wants_labels(f, labels) || len < 2) {
		f->passed = 1;
		return;
	}
	send_line(f, at, type, body, len);
	f->credit--;
}

static void	 pump(struct follower *);

/* The oldest position that is kept, so that this tenant may follow from there. */
static size_t
oldest(const struct follower *f, const struct answer *ans, char *out,
    size_t size)
{
	struct position	 at;
	char		 pos[POSITION_SIZE];

	snprintf(out, size, "%.*s", (int)ans->doc_len, (const char *)ans->doc);
	if (position_parse(&at, out) == -1)
		return (0);
	position_hide(&at, f->tenant, pos);
	return ((size_t)snprintf(out, size, "{\"oldest\":\"%s\"}", pos));
}

static void
refused(struct follower *f, const struct answer *ans)
{
	struct answer	 told = *ans;
	char		 doc[POSITION_SIZE + 16];

	told.doc = (const uint8_t *)doc;
	told.doc_len = strcmp(ans->code, "gone") == 0 ?
	    oldest(f, ans, doc, sizeof(doc)) : 0;
	refuse_answer(peer_of(f->client), f->ref, &told);
	follower_free(f);
}

static void
page_done(struct ask *a, const struct answer *ans)
{
	struct follower	*f = a->arg;

	if (f == NULL)
		return;
	a->arg = NULL;
	f->ask_ref = 0;
	if (*ans->code != '\0') {
		refused(f, ans);
		return;
	}
	f->given = 0;
	/* Nothing more in storage up to what the ring held back then. */
	if (ans->rows == 0 && position_cmp(&f->low_then, &f->at) > 0)
		f->at = f->low_then;
	pump(f);
}

static char *
copy_bytes(const uint8_t *p, size_t len)
{
	char	*s;

	if ((s = malloc(len + 1)) == NULL)
		fatal("follower");
	memcpy(s, p, len);
	s[len] = '\0';
	return (s);
}

void
on_event_row(struct peer *p, uint64_t ref, const struct msg_event_row *m)
{
	struct ask	*a = ask_find(p, ref);
	struct position	 at;
	char		*labels;

	if (a == NULL || a->done != page_done || a->arg == NULL ||
	    position_parse(&at, m->position) == -1)
		return;
	greet(a->arg);
	labels = copy_bytes(m->labels, m->labels_len);
	offer(a->arg, &at, m->tenant, m->type, labels, m->body, m->body_len);
	free(labels);
}

static void
read_page(struct follower *f)
{
	struct msg_event_page	 m;
	struct ask		*a;
	char			 after[POSITION_SIZE];

	position_text(&f->at, after);
	m.tenant = f->tenant;
	m.after = after;
	m.limit = f->credit < PAGE ? f->credit : PAGE;
	f->low_then = *hub_low();
	/* No room for a question: the next turn, or the tick, tries again. */
	if ((a = ask(PROC_STORAGED, MSG_EVENT_PAGE, &m, 30, page_done,
	    f)) != NULL)
		f->ask_ref = a->ref;
}

/*
 * Before the ring, or after all that it knows of: storage may know more, or that
 * there is no such position, in a database that was put back.
 */
static int
is_of_storage(const struct follower *f)
{
	return (position_cmp(&f->at, hub_low()) < 0 ||
	    (f->given && position_cmp(&f->at, hub_high()) > 0));
}

static void
pump(struct follower *f)
{
	const struct event_item	*e;
	int			 reads;

	if (!hub_is_open() || f->ask_ref != 0)
		return;
	if (f->at_now) {
		f->at = *hub_high();
		f->at_now = 0;
	}
	reads = is_of_storage(f);
	if (!reads)
		greet(f);
	/* Who does not read is left where it is (promise 21). */
	if (f->credit == 0 || peer_is_full(peer_of(f->client)))
		return;
	tell_passed(f);
	if (reads) {
		read_page(f);
		return;
	}
	for (e = hub_after(&f->at); e != NULL && f->credit > 0;
	    e = TAILQ_NEXT(e, entry))
		offer(f, &e->at, e->tenant, e->type, e->labels, e->body,
		    e->body_len);
}

void
followers_turn(void)
{
	struct follower	*f, *next;

	if (!due)
		return;
	due = 0;
	RB_FOREACH_SAFE(f, followers, &all, next)
		pump(f);
}

void
on_event_follow(struct peer *p, uint64_t ref, const struct msg_event_follow *m)
{
	struct follower	*f;
	struct ticket	 t;
	struct position	 at = { 0, 0 };

	if (!authorised(p, ref, m->ticket, m->ticket_len,
	    SCOPE_R(SCOPE_EVENTS), &t))
		return;
	if (*m->after != '\0' && position_show(&at, t.tenant, m->after) == -1) {
		refuse(p, ref, "validation_error", "after: expected a position "
		    "that an event of yours had");
		return;
	}
	if ((f = follower_find(p, ref)) != NULL)
		follower_free(f);
	if (share_take(&shares, t.tenant) == -1) {
		refuse(p, ref, "rate_limited", "too many followers of events");
		return;
	}
	if ((f = calloc(1, sizeof(*f))) == NULL)
		fatal("follower");
	f->client = p->proc;
	f->ref = ref;
	strlcpy(f->tenant, t.tenant, sizeof(f->tenant));
	f->types = copy_bytes((const uint8_t *)m->types, strlen(m->types));
	f->labels = copy_bytes(m->labels, m->labels_len);
	f->at = at;
	f->given = *m->after != '\0';
	f->at_now = !f->given;
	f->credit = m->credit;
	RB_INSERT(followers, &all, f);
	hub_want();
	pump(f);
}

void
on_event_credit(struct peer *p, uint64_t ref, const struct msg_event_credit *m)
{
	struct follower	*f = follower_find(p, ref);

	if (f == NULL)
		return;
	if (m->credit > UINT32_MAX - f->credit)
		f->credit = UINT32_MAX;
	else
		f->credit += m->credit;
	pump(f);
}

void
on_event_unfollow(struct peer *p, uint64_t ref,
    const struct msg_event_unfollow *m)
{
	struct follower	*f = follower_find(p, ref);

	(void)m;
	if (f != NULL)
		follower_free(f);
}

void
followers_peer_down(const struct peer *p)
{
	struct follower	*f, *next;

	RB_FOREACH_SAFE(f, followers, &all, next)
		if (f->client == p->proc)
			follower_free(f);
}
