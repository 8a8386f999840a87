/*
 * follow.c - people who watch a task's log.  A follower is a position.  It
 * reads from storage (LOG_READ) until it has caught up, then gets what is
 * committed as it is committed; when it has no credit left it is simply not
 * sent to, and goes on when it has: from the tail that all who watch the task
 * share (watch.c), or from storage when it is further behind.  So there is no
 * gap, no line twice and nothing is buffered for one that is slow.  It ends with
 * LOG_END when storage says that the task has ended and the position is its last.
 */
#include <stdlib.h>
#include <string.h>

#include "journal.h"
#include "log.h"
#include "runnerd.h"
#include "share.h"
#include "watch.h"
#include "web.h"

#define FOLLOWERS_MAX	4096
#define READ_MIN	4096	/* storage answers whole batches anyway */

enum stage { FOLLOW_READING, FOLLOW_WAITING, FOLLOW_LIVE };

struct follower {			/* until LOG_UNFOLLOW or LOG_END */
	RB_ENTRY(follower) entry;
	TAILQ_ENTRY(follower) watching;
	struct watch	*watch;		/* of its task */
	enum proc	 proc;
	uint64_t	 ref;
	enum stage	 stage;
	char		 tenant[TENANT_SIZE];
	uint32_t	 attempt;	/* position: the last line sent */
	uint64_t	 line;
	int64_t		 credit;	/* one line may overdraw it */
	/* Of the LOG_READ under way. */
	uint64_t	 read_ref;	/* 0: none, or its last row has come */
	uint32_t	 end_attempt;
	uint64_t	 end_line;
	unsigned int	 told:1;	/* LOG_LINES were sent */
	unsigned int	 again:1;	/* the task has ended, storage may know */
	unsigned int	 ended:1, moved:1, cut_short:1;
};
RB_HEAD(followers, follower);

static struct followers	 followers = RB_INITIALIZER(&followers);
static struct shares	 shares = SHARES_INITIALIZER(FOLLOWERS_MAX);

static int
follower_cmp(struct follower *a, struct follower *b)
{
	if (a->proc != b->proc)
		return (a->proc < b->proc ? -1 : 1);
	return (a->ref < b->ref ? -1 : a->ref > b->ref);
}

RB_PROTOTYPE(followers, follower, entry, follower_cmp);
RB_GENERATE(followers, follower, entry, follower_cmp)

static struct follower *
follower_find(enum proc proc, uint64_t ref)
{
	struct follower	 key;

	key.proc = proc;
	key.ref = ref;
	return (RB_FIND(followers, &followers, &key));
}

static void
follower_free(struct follower *f)
{
	RB_REMOVE(followers, &followers, f);
	TAILQ_REMOVE(&f->watch->followers, f, watching);
	share_give(&shares, f->tenant);
	free(f);
}

unsigned int
followers_count(void)
{
	return (shares.count);
}

/* 0, or -1: the follower is gone. */
static int
send_lines(struct follower *f, uint32_t attempt, uint64_t first, uint32_t n,
    const uint8_t *p, size_t len)
{
	struct msg_log_lines	 m;

	m.attempt = attempt;
	m.first = first;
	m.count = n;
	m.lines = p;
	m.lines_len = len;
	if (send_log_lines(peer_of(f->proc), f->ref, &m) == -1) {
		refuse(peer_of(f->proc), f->ref, "unavailable",
		    "the log cannot be sent");
		follower_free(f);
		return (-1);
	}
	f->told = 1;
	if (n > 0) {
		f->attempt = attempt;
		f->line = first + n - 1;
		f->credit -= (int64_t)len;
		f->moved = 1;
	}
	return (0);
}

/* What credit allows: 0 all of it, 1 a part, -1 gone. */
static int
deliver(struct follower *f, uint32_t attempt, uint64_t first, uint32_t n,
    const uint8_t *p, size_t len)
{
	uint64_t	 seen = 0;
	size_t		 part, max;
	uint32_t	 lines;

	if (attempt < f->attempt)
		return (0);
	if (attempt == f->attempt && first <= f->line)
		seen = f->line + 1 - first;
	if (seen >= n)
		return (0);
	len = lines_skip(&p, len, seen);
	first += seen;
	while (len > 0) {
		if (f->credit <= 0 || peer_is_full(peer_of(f->proc)))
			return (1);
		max = f->credit < LINES_MAX ? (size_t)f->credit : LINES_MAX;
		if ((part = lines_fit(p, len, max, &lines)) == 0)
			return (0);
		if (send_lines(f, attempt, first, lines, p, part) == -1)
			return (-1);
		p += part;
		len -= part;
		first += lines;
	}
	return (0);
}

static void	 read_done(struct ask *, const struct answer *);

static void
read_more(struct follower *f, unsigned int seconds)
{
	struct msg_log_read	 m;
	struct ask		*a;

	f->again = f->ended = f->moved = f->cut_short = 0;
	m.tenant = f->tenant;
	m.task = f->watch->task;
	m.attempt = f->attempt;
	m.after = f->line;
	m.limit = f->credit < READ_MIN ? READ_MIN : f->credit > LINES_MAX ?
	    LINES_MAX : (uint32_t)f->credit;
	a = ask_for(peer_of(f->proc), f->ref, PROC_STORAGED, MSG_LOG_READ, &m,
	    seconds, read_done, NULL);
	f->read_ref = a != NULL ? a->ref : 0;
	/* Without room for a question the janitor tries again. */
	f->stage = a != NULL ? FOLLOW_READING : FOLLOW_WAITING;
}

/*
 * It may be behind: on from memory if that reaches back so far, or storage, which
 * alone knows whether there will be more.
 */
static void
go_on(struct follower *f)
{
	const struct piece	*p;
	int			 rc = 0;

	f->stage = FOLLOW_WAITING;
	if (f->credit <= 0 || peer_is_full(peer_of(f->proc)))
		return;
	p = watch_after(f->watch, f->attempt, f->line);
	if (p == NULL || f->again || f->ended) {
		read_more(f, 0);
		return;
	}
	for (; p != NULL && rc == 0; p = TAILQ_NEXT(p, entry))
		rc = deliver(f, p->attempt, p->first, p->count, p->lines,
		    p->len);
	if (rc == 0)
		f->stage = FOLLOW_LIVE;
}

static int
is_behind(const struct follower *f)
{
	return (f->attempt < f->end_attempt ||
	    (f->attempt == f->end_attempt && f->line < f->end_line));
}

static void
end(struct follower *f)
{
	struct msg_log_end	 m;

	m.task = f->watch->task;
	send_log_end(peer_of(f->proc), f->ref, &m);
	follower_free(f);
}

/* After a whole LOG_READ: read on, wait for credit, live, or the end. */
static void
settle(struct follower *f)
{
	if (!f->cut_short && is_behind(f) && !f->moved) {
		/* An attempt without lines, or from the first one: none kept. */
		f->attempt = f->end_attempt;
		f->line = f->end_line;
	}
	if (f->cut_short || is_behind(f) || f->again ||
	    watch_is_ahead(f->watch, f->attempt, f->line))
		go_on(f);
	else if (f->ended)
		end(f);
	else
		f->stage = FOLLOW_LIVE;
}

/*
 * Rows come by the bulk pair and STORED by the other, which may be faster: the
 * row with count 0 is what ends a read, STORED only tells what went wrong.
 */
void
on_log_row(struct peer *p, uint64_t ref, const struct msg_log_row *m)
{
	struct follower	*f;

	(void)p;
	RB_FOREACH(f, followers, &followers)
		if (f->read_ref == ref)
			break;
	if (f == NULL || ref == 0)
		return;
	if (m->count > 0) {
		if (!f->cut_short && deliver(f, m->attempt, m->first,
		    m->count, m->lines, m->lines_len) == 1)
			f->cut_short = 1;
		return;
	}
	f->read_ref = 0;
	f->ended = m->ended != 0;
	f->end_attempt = m->attempt;
	f->end_line = m->first;
	/* It is followed, whether there is a line yet or not. */
	if (!f->told && send_lines(f, f->end_attempt, f->end_line + 1, 0,
	    NULL, 0) == -1)
		return;
	settle(f);
}

static void
read_done(struct ask *a, const struct answer *ans)
{
	struct follower	*f;
	struct peer	*p;

	if ((p = ask_client(a)) == NULL || (f = follower_find(a->client,
	    a->client_ref)) == NULL || f->read_ref != a->ref)
		return;
	if (ans->code[0] == '\0' && ans->rows > 0)
		return;
	/* Gone: what comes next is past its retention, and where all is kept. */
	if (ans->code[0] != '\0')
		refuse_answer(p, f->ref, ans);
	else
		refuse(p, f->ref, "not_found", "no such task");
	follower_free(f);
}

void
follow_lines(const char *task, uint32_t attempt, uint64_t first, uint32_t n,
    const uint8_t *p, size_t len)
{
	struct watch	*w;
	struct follower	*f, *next;

	if ((w = watch_find(task)) == NULL)
		return;
	watch_keep(w, attempt, first, n, p, len);
	TAILQ_FOREACH_SAFE(f, &w->followers, watching, next) {
		if (f->stage != FOLLOW_LIVE || attempt < f->attempt ||
		    (attempt == f->attempt && first + n - 1 <= f->line))
			continue;
		if ((attempt == f->attempt && first > f->line + 1) ||
		    (attempt > f->attempt && first > 1))
			go_on(f);	/* something lies between */
		else if (deliver(f, attempt, first, n, p, len) == 1)
			f->stage = FOLLOW_WAITING;
	}
}

/* Its task has ended, or may have: storage knows. */
static void
look_again(struct follower *f)
{
	f->again = 1;
	if (f->stage == FOLLOW_LIVE)
		go_on(f);
}

void
on_task_ended(struct peer *p, uint64_t ref, const struct msg_task_ended *m)
{
	struct watch	*w;
	struct follower	*f;

	(void)p;
	(void)ref;
	if ((w = watch_find(m->task)) == NULL)
		return;
	TAILQ_FOREACH(f, &w->followers, watching)
		look_again(f);
}

void
followers_again(void)
{
	struct follower	*f;

	RB_FOREACH(f, followers, &followers)
		look_again(f);
}

void
on_log_follow(struct peer *p, uint64_t ref, const struct msg_log_follow *m)
{
	struct follower	*f;
	struct ticket	 t;
	uint64_t	 line;
	uint32_t	 attempt;

	if (!authorised(p, ref, m->ticket, m->ticket_len,
	    SCOPE_R(SCOPE_TASKS), &t))
		return;
	if (position_parse(m->after, &attempt, &line) == -1) {
		refuse(p, ref, "validation_error",
		    "after: expected a position, attempt.line");
		return;
	}
	if (follower_find(p->proc, ref) != NULL ||
	    share_take(&shares, t.tenant) == -1) {
		refuse(p, ref, "unavailable", "too many log streams");
		return;
	}
	if ((f = calloc(1, sizeof(*f))) == NULL)
		fatal("follower");
	f->proc = p->proc;
	f->ref = ref;
	f->attempt = attempt;
	f->line = line;
	f->credit = m->credit;
	strlcpy(f->tenant, t.tenant, sizeof(f->tenant));
	f->watch = watch_get(m->task);
	TAILQ_INSERT_TAIL(&f->watch->followers, f, watching);
	RB_INSERT(followers, &followers, f);
	read_more(f, READ_SECONDS);
}

void
on_log_credit(struct peer *p, uint64_t ref, const struct msg_log_credit *m)
{
	struct follower	*f;

	if ((f = follower_find(p->proc, ref)) == NULL)
		return;
	f->credit += m->credit;
	if (f->stage == FOLLOW_WAITING)
		go_on(f);
}

void
on_log_unfollow(struct peer *p, uint64_t ref, const struct msg_log_unfollow *m)
{
	struct follower	*f;

	(void)m;
	if ((f = follower_find(p->proc, ref)) != NULL)
		follower_free(f);
}

void
followers_drop(const struct peer *p)
{
	struct follower	*f, *next;

	RB_FOREACH_SAFE(f, followers, &followers, next)
		if (f->proc == p->proc)
			follower_free(f);
}

void
followers_janitor(void)
{
	struct follower	*f, *next;

	RB_FOREACH_SAFE(f, followers, &followers, next)
		if (f->stage == FOLLOW_WAITING)
			go_on(f);
	watches_janitor();
}
