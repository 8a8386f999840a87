/*
 * hub_world.c - see hub_world.h.  What a follower hears is checked as it comes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hub_world.h"

#define BODY		60000	/* the ring runs over */
#define LABELS		"{\"a\": \"b\", \"team\": \"web\"}"

static struct sessiond	 self;
struct sessiond		*env = &self;

struct peer		 web = { .proc = PROC_API };
static struct peer	 db = { .proc = PROC_STORAGED };
int			 full, pages_of_nobody;
uint64_t		 refs, now = 1;
int			 feed, horizon_due;

struct viewer		 viewers[FOLLOWERS];

/* Pages under way. */
static struct {
	struct ask	*a;
	char		 after[65], tenant[2];
	uint32_t	 limit;
}			 pages[FOLLOWERS * 4];
unsigned int		 npages;

unsigned int		 committed;
static unsigned int	 pushed;

static const char *
tenant_of(unsigned int i)
{
	return (i % 3 == 1 ? "b" : "a");
}

static const char *
type_of(unsigned int i)
{
	return (i % 5 == 0 ? "task.created" : "session.active");
}

static void
position_of(unsigned int i, char out[64])
{
	snprintf(out, 64, "%u.%u", XID + i / 3, i + 1);
}

struct peer *
peer_of(enum proc proc)
{
	return (proc == PROC_STORAGED ? &db : &web);
}

uint64_t
worker_mono_ms(void)
{
	return (now);
}

int
peer_is_up(const struct peer *p)
{
	(void)p;
	return (1);
}

int
peer_is_full(const struct peer *p)
{
	(void)p;
	return (full);
}

int
authorised(struct peer *p, uint64_t ref, const uint8_t *ticket, size_t len,
    uint64_t scopes, struct ticket *t)
{
	(void)p;
	(void)ref;
	(void)len;
	(void)scopes;
	memset(t, 0, sizeof(*t));
	strlcpy(t->tenant, (const char *)ticket, sizeof(t->tenant));
	return (1);
}

static struct viewer *
viewer_of(uint64_t ref)
{
	int	 i;

	for (i = 0; i < FOLLOWERS; i++)
		if (viewers[i].ref == ref)
			return (&viewers[i]);
	fail_msg("a line for nobody");
	return (NULL);
}

void
refuse(struct peer *p, uint64_t ref, const char *code, const char *text)
{
	(void)p;
	(void)code;
	(void)text;
	viewer_of(ref)->refused++;
}

void
refuse_answer(struct peer *p, uint64_t ref, const struct answer *ans)
{
	static const char	 head[] = "{\"oldest\":\"";
	struct position		 at;
	char			 pos[POSITION_SIZE];
	size_t			 n = sizeof(head) - 1;

	assert_string_equal(ans->code, "gone");
	/* A position that this tenant can follow from, and no other reads. */
	assert_true(ans->doc_len > n + 2 && ans->doc_len < n + 2 + sizeof(pos));
	assert_memory_equal(ans->doc, head, n);
	strlcpy(pos, (const char *)ans->doc + n, ans->doc_len - n - 1);
	assert_int_equal(position_show(&at, viewer_of(ref)->tenant, pos), 0);
	assert_int_equal(at.xid, XID + 1);
	refuse(p, ref, ans->code, ans->text);
}

struct ask *
ask(enum proc to, enum msg_type type, const void *m, unsigned int seconds,
    ask_done done, void *arg)
{
	const struct msg_event_page	*q = m;

	(void)seconds;
	assert_int_equal(to, PROC_STORAGED);
	assert_int_equal(type, MSG_EVENT_PAGE);
	/* What mn.event_page() takes. */
	assert_true(strcspn(q->after, ".") <= 18);
	assert_true(strlen(strchr(q->after, '.') + 1) <= 18);
	if (rand() % 10 == 0)
		return (NULL);
	assert_non_null(pages[npages].a = calloc(1, sizeof(struct ask)));
	pages[npages].a->ref = ++refs;
	pages[npages].a->done = done;
	pages[npages].a->arg = arg;
	strlcpy(pages[npages].after, q->after, sizeof(pages[npages].after));
	strlcpy(pages[npages].tenant, q->tenant, 2);
	pages[npages].limit = q->limit;
	assert_true(q->limit > 0);
	return (pages[npages++].a);
}

struct ask *
ask_find(const struct peer *p, uint64_t ref)
{
	unsigned int	 i;

	(void)p;
	for (i = 0; i < npages; i++)
		if (pages[i].a->ref == ref)
			return (pages[i].a);
	return (NULL);
}

int
wanted(const struct viewer *v, unsigned int i)
{
	return (strcmp(tenant_of(i), v->tenant) == 0 && (*v->types == '\0' ||
	    strncmp(type_of(i), "task.", 5) == 0));
}

static int
is_before(unsigned int i, const struct position *at)
{
	return (XID + i / 3 < at->xid ||
	    (XID + i / 3 == at->xid && i + 1 <= at->seq));
}

int
peer_send(struct peer *p, uint64_t ref, enum msg_type type, const void *m,
    int fd)
{
	const struct msg_event_line	*l = m;
	struct viewer			*v;
	struct position			 at;
	char				 text[128];

	(void)p;
	(void)fd;
	if (type == MSG_EVENT_FEED) {
		assert_int_not_equal(feed, *(const uint8_t *)m);
		horizon_due = feed = !feed;
		return (0);
	}
	v = viewer_of(ref);
	assert_int_equal(type, MSG_EVENT_LINE);
	assert_int_equal(position_show(&at, v->tenant, l->position), 0);
	if (*l->type == '\0' && v->greeted) {
		/* On the way: nothing that it wants was passed by. */
		for (; v->next < committed && is_before(v->next, &at); v->next++)
			assert_false(wanted(v, v->next));
		strlcpy(v->last, l->position, sizeof(v->last));
		return (0);
	}
	if (*l->type == '\0') {
		v->greeted = 1;
		/* The first of all that stands behind its position. */
		if (v->next == UINT32_MAX)
			for (v->next = 0; v->next < committed &&
			    is_before(v->next, &at); v->next++)
				;
		strlcpy(v->last, l->position, sizeof(v->last));
		return (0);
	}
	assert_int_equal(v->greeted, 1);
	assert_true(v->credit-- > 0);
	while (!wanted(v, v->next))
		v->next++;
	assert_int_equal(at.xid, XID + v->next / 3);
	assert_int_equal(at.seq, v->next + 1);
	snprintf(text, sizeof(text), "{\"position\":\"%s\",\"id\":%u,",
	    l->position, v->next);
	assert_true(l->body_len > strlen(text));
	assert_memory_equal(l->body, text, strlen(text));
	assert_int_equal(l->body[l->body_len - 1], '}');
	v->next++;
	strlcpy(v->last, l->position, sizeof(v->last));
	return (0);
}

static size_t
body_of(char *out, unsigned int i)
{
	size_t	 n = (size_t)sprintf(out, "{\"id\":%u,\"pad\":\"", i);

	memset(out + n, 'x', BODY);
	memcpy(out + n + BODY, "\"}", 3);
	return (n + BODY + 2);
}

void
push(unsigned int n)
{
	static char			 body[BODY + 64];
	struct msg_event_committed	 m = { 0 };
	char				 at[64];

	if (!feed || horizon_due)
		return;
	for (; n > 0 && pushed < committed; n--, pushed++) {
		position_of(pushed, at);
		m.position = at;
		m.tenant = tenant_of(pushed);
		m.type = type_of(pushed);
		m.labels = (const uint8_t *)LABELS;
		m.labels_len = sizeof(LABELS) - 1;
		m.body_len = body_of(body, pushed);
		m.body = (const uint8_t *)body;
		on_event_committed(&db, 0, &m);
	}
	followers_turn();
}

void
restart(void)
{
	struct msg_event_horizon	 m;
	char				 at[64];

	if (!feed)
		return;
	horizon_due = 0;
	pushed = committed;
	snprintf(at, sizeof(at), "%u.0", XID + committed / 3);
	m.position = at;
	on_event_horizon(&db, 0, &m);
	followers_turn();
}

void
answer(unsigned int i, const char *code)
{
	static char			 body[BODY + 64];
	struct msg_event_row		 row = { 0 };
	struct answer			 ans = { 0 };
	struct ask			*then = pages[i].a;
	struct position			 after, at;
	unsigned int			 k, n = 0;
	char				 text[64];

	assert_int_equal(position_parse(&after, pages[i].after), 0);
	for (k = 0; *code == '\0' && k < committed && n < pages[i].limit; k++) {
		position_of(k, text);
		assert_int_equal(position_parse(&at, text), 0);
		if (position_cmp(&at, &after) <= 0 ||
		    strcmp(tenant_of(k), pages[i].tenant) != 0)
			continue;
		row.tenant = tenant_of(k);
		row.position = text;
		row.type = type_of(k);
		row.labels = (const uint8_t *)LABELS;
		row.labels_len = sizeof(LABELS) - 1;
		row.body_len = body_of(body, k);
		row.body = (const uint8_t *)body;
		on_event_row(&db, then->ref, &row);
		n++;
	}
	/* The follower may be gone since. */
	pages_of_nobody += then->arg == NULL;
	pages[i] = pages[--npages];
	ans.code = code;
	ans.text = "";
	ans.rows = n;
	if (*code != '\0') {
		snprintf(text, sizeof(text), "%u.0", XID + 1);
		ans.doc = (const uint8_t *)text;
		ans.doc_len = strlen(text);
	}
	then->done(then, &ans);
	free(then);
}

void
follow(struct viewer *v, const char *after)
{
	struct msg_event_follow	 m = { 0 };

	v->ref = ++refs;
	v->greeted = v->refused = 0;
	if (*after == '\0')
		v->next = UINT32_MAX;
	v->credit = rand() % 3;
	m.ticket = (const uint8_t *)v->tenant;
	m.ticket_len = 2;
	m.after = after;
	m.types = v->types;
	m.labels = (const uint8_t *)"{\"team\":\"web\"}";
	m.labels_len = 14;
	m.credit = (uint32_t)v->credit;
	on_event_follow(&web, v->ref, &m);
}

void
unfollow(const struct viewer *v)
{
	struct msg_event_unfollow	 m = { 0 };

	on_event_unfollow(&web, v->ref, &m);
}

void
credit(struct viewer *v, uint32_t n)
{
	struct msg_event_credit	 m = { n };

	v->credit += n;
	on_event_credit(&web, v->ref, &m);
}
