/* links: runnerd/follow.c runnerd/watch.c runnerd/line.c imsg/runner.proto -lprotobuf-c */
/*
 * Followers of a log against a database that is simulated: whatever the order
 * of commits, reads and credit, a follower gets every line once, in order, then
 * the end; and never more than one line beyond its credit.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "web.h"
#include "journal.h"
#include "runnerd.h"
#include "watch.h"

#define ATTEMPTS	3
#define LINES		200
#define ROUNDS		300
#define OLDEST		"{\"oldest\":\"1.3\"}"

static struct peer	 web = { .proc = PROC_API };
static struct peer	 db = { .proc = PROC_STORAGED };
static struct ask	 question;
static int		 asked, full;
static uint32_t		 from_attempt, at_attempt;
static uint64_t		 from_line, at_line;
static unsigned int	 attempts, lines[ATTEMPTS + 1], ended;
/* As LOG_READ saw it, which may be long before its answer is here. */
static unsigned int	 seen_attempts, seen[ATTEMPTS + 1], looked;
static int		 ends, refusals, gone;
static const char	*tenant = "a";
static int64_t		 credit;

struct peer *
peer_of(enum proc proc)
{
	return (proc == PROC_API ? &web : &db);
}

int
peer_is_full(const struct peer *p)
{
	(void)p;
	return (full);
}

uint64_t
worker_now_ms(void)
{
	return (1);
}

int
authorised(struct peer *p, uint64_t ref, const uint8_t *ticket, size_t len,
    uint64_t scopes, struct ticket *who)
{
	(void)p;
	(void)ref;
	(void)ticket;
	(void)len;
	(void)scopes;
	memset(who, 0, sizeof(*who));
	strlcpy(who->tenant, tenant, sizeof(who->tenant));
	return (1);
}

void
refuse(struct peer *p, uint64_t ref, const char *code, const char *text)
{
	(void)p;
	(void)ref;
	(void)code;
	(void)text;
	refusals++;
}

/* Gone: from where on it may be followed is told. */
void
refuse_answer(struct peer *p, uint64_t ref, const struct answer *ans)
{
	assert_ptr_equal(p, &web);
	assert_int_equal(ref, 9);
	assert_string_equal(ans->code, "gone");
	assert_int_equal(ans->doc_len, sizeof(OLDEST) - 1);
	assert_memory_equal(ans->doc, OLDEST, ans->doc_len);
	gone++;
}

struct peer *
ask_client(const struct ask *a)
{
	(void)a;
	return (&web);
}

struct ask *
ask_for(struct peer *client, uint64_t ref, enum proc to, enum msg_type type,
    const void *m, unsigned int seconds, ask_done done, void *arg)
{
	const struct msg_log_read	*r = m;

	(void)seconds;
	assert_int_equal(to, PROC_STORAGED);
	assert_int_equal(type, MSG_LOG_READ);
	assert_int_equal(asked, 0);	/* one at a time */
	asked = 1;
	question.ref++;
	question.client = client->proc;
	question.client_ref = ref;
	question.done = done;
	question.arg = arg;
	from_attempt = r->attempt;
	from_line = r->after;
	return (&question);
}

/* Every line names itself, so that what arrives can be checked. */
static size_t
text_of(char *out, uint32_t attempt, uint64_t line)
{
	return ((size_t)sprintf(out, "%u.%llu%*s\n", attempt,
	    (unsigned long long)line, (int)(line * 7 % 40), ""));
}

static void
got_lines(const struct msg_log_lines *m)
{
	char	 expected[96];
	size_t	 off = 0, n;
	uint32_t i;

	if (m->count == 0)
		return;
	assert_true(credit > 0);
	credit -= (int64_t)m->lines_len;
	/* The next attempt begins at its first line, and only then. */
	if (m->attempt != at_attempt) {
		assert_int_equal(m->first, 1);
		while (++at_attempt < m->attempt)
			assert_int_equal(lines[at_attempt], 0);
		at_line = 0;
	}
	assert_int_equal(m->first, at_line + 1);
	for (i = 0; i < m->count; i++) {
		n = text_of(expected, at_attempt, ++at_line);
		assert_memory_equal(m->lines + off, expected, n);
		off += n;
	}
	assert_int_equal(off, m->lines_len);
}

int
peer_send(struct peer *p, uint64_t ref, enum msg_type type, const void *m,
    int fd)
{
	(void)p;
	(void)fd;
	assert_int_equal(ref, 9);
	if (type == MSG_LOG_LINES)
		got_lines(m);
	else {
		assert_int_equal(type, MSG_LOG_END);
		ends++;
	}
	return (0);
}

/* One batch of storage that holds line `first' and some more. */
static void
row(uint32_t attempt, uint64_t first, uint32_t n)
{
	static char		 text[64 * 96];
	struct msg_log_row	 m = { 0 };
	size_t			 len = 0;
	uint32_t		 i;

	for (i = 0; i < n; i++)
		len += text_of(text + len, attempt, first + i);
	m.attempt = attempt;
	m.first = first;
	m.count = n;
	m.lines = (const uint8_t *)text;
	m.lines_len = len;
	on_log_row(&db, question.ref, &m);
}

static void
look(void)
{
	if (looked)
		return;
	looked = 1;
	seen_attempts = attempts;
	memcpy(seen, lines, sizeof(seen));
}

/* Answers LOG_READ: whole batches of ten, three of them at most. */
static void
answer(void)
{
	struct msg_log_row	 end = { 0 };
	struct answer		 ans = { 0 };
	struct ask		 then;
	unsigned int		 a, rows = 0;
	uint64_t		 first;

	look();
	for (a = from_attempt == 0 ? 1 : from_attempt; a <= seen_attempts; a++)
		for (first = 1; first <= seen[a] && rows < 3; first += 10)
			if (a > from_attempt || first + 9 > from_line) {
				row(a, first, seen[a] - (unsigned int)first <
				    9 ? seen[a] - (unsigned int)first + 1 :
				    10);
				rows++;
			}
	end.attempt = seen_attempts;
	end.first = seen[seen_attempts];
	end.ended = (uint8_t)ended;
	/* STORED goes another way than the rows: before or behind the last. */
	ans.code = ans.text = "";
	ans.rows = rows + 1;
	then = question;
	if (rand() % 2 == 0)
		then.done(&then, &ans);
	asked = looked = 0;
	on_log_row(&db, question.ref, &end);
	then.done(&then, &ans);
}

/* Committed, and told to followers some time later. */
struct told {
	uint32_t	 attempt, count;
	uint64_t	 first;
};
static struct told	 queue[ROUNDS * 4];
static unsigned int	 q_head, q_tail;

static void
commit(void)
{
	struct told	*t = &queue[q_tail++];
	unsigned int	 n = 1 + (unsigned int)rand() % 5;

	if (lines[attempts] + n > LINES)
		n = LINES - lines[attempts];
	if (n == 0) {
		q_tail--;
		return;
	}
	t->attempt = attempts;
	t->first = lines[attempts] + 1;
	t->count = n;
	lines[attempts] += n;
}

static void
tell(void)
{
	struct told	*t;
	char		 text[5 * 96];
	size_t		 len = 0;
	uint32_t	 i;

	if (q_head == q_tail)
		return;
	t = &queue[q_head++];
	for (i = 0; i < t->count; i++)
		len += text_of(text + len, t->attempt, t->first + i);
	follow_lines("task_1", t->attempt, t->first, t->count,
	    (const uint8_t *)text, len);
}

static void
give(uint32_t n)
{
	struct msg_log_credit	 m;

	m.credit = n;
	credit += n;
	on_log_credit(&web, 9, &m);
}

static void
at_the_end(void)
{
	while (at_attempt < attempts && lines[at_attempt + 1] == 0) {
		at_attempt++;
		at_line = 0;
	}
	assert_int_equal(at_attempt, attempts);
	assert_int_equal(at_line, lines[attempts]);
}

/* Everybody has spoken and nobody owes an answer: nothing may be missing. */
static void
caught_up(void)
{
	int	 i;

	give(100000);
	for (i = 0; i < 1000 && (asked || q_head < q_tail); i++) {
		tell();
		if (asked)
			answer();
	}
	assert_int_equal(asked, 0);
	at_the_end();
}

static void
one_life(unsigned int seed)
{
	struct msg_log_follow	 f = { 0 };
	struct msg_task_ended	 e = { "task_1" };
	int			 i;

	srand(seed);
	watch_tail_max = seed % 3 == 0 ? 0 : seed % 3 == 1 ? 300 : 1000000;
	watch_tails_max = seed % 6 == 1 ? 100 : 1000000;
	memset(lines, 0, sizeof(lines));
	attempts = 1;
	asked = ends = refusals = full = 0;
	ended = q_head = q_tail = at_attempt = looked = 0;
	at_line = 0;
	credit = f.credit = (uint32_t)rand() % 300;
	f.task = "task_1";
	f.after = "";
	on_log_follow(&web, 9, &f);
	for (i = 0; i < ROUNDS; i++)
		switch (rand() % 8) {
		case 0:
		case 1:
			commit();
			break;
		case 2:
		case 3:
			tell();
			break;
		case 4:
			if (asked)
				look();
			break;
		case 5:
			if (asked)
				answer();
			break;
		case 6:
			full = rand() % 4 == 0;
			give((uint32_t)rand() % 400);
			break;
		case 7:
			followers_janitor();
			if (rand() % 4 == 0)
				followers_again();
			if (attempts < ATTEMPTS && rand() % 20 == 0)
				attempts++;
			break;
		}
	full = 0;
	if (seed % 2 == 0)
		caught_up();
	ended = 1;
	if (seed % 5 == 0)
		followers_again();
	else
		on_task_ended(&db, 0, &e);
	for (i = 0; i < 1000 && ends == 0; i++) {
		tell();
		if (asked)
			answer();
		give(100);
		followers_janitor();
	}
	assert_int_equal(refusals, 0);
	assert_int_equal(ends, 1);
	at_the_end();
	assert_int_equal(followers_count(), 0);
	followers_janitor();
	assert_null(watch_find("task_1"));
}

static void
every_line_once(void **state)
{
	unsigned int	 seed;

	(void)state;
	for (seed = 1; seed <= 2000; seed++)
		one_life(seed);
}

/* What comes next was removed: it is told so, and nothing else. */
static void
told_what_is_gone(void **state)
{
	struct msg_log_follow	 f = { .task = "task_1", .after = "1.1",
				    .credit = 1000 };
	struct answer		 ans = { .code = "gone", .text = "",
				    .doc = (const uint8_t *)OLDEST,
				    .doc_len = sizeof(OLDEST) - 1 };
	struct ask		 then;

	(void)state;
	asked = ends = refusals = gone = 0;
	on_log_follow(&web, 9, &f);
	assert_int_equal(from_attempt, 1);
	assert_int_equal(from_line, 1);
	then = question;
	then.done(&then, &ans);
	assert_int_equal(gone, 1);
	assert_int_equal(refusals + ends, 0);
	assert_int_equal(followers_count(), 0);
}

static void
begins(const char *whose, uint64_t ref)
{
	struct msg_log_follow	 f = { .task = "task_1", .after = "" };

	asked = 0;
	tenant = whose;
	on_log_follow(&web, ref, &f);
}

/* One tenant's streams leave room for those of others. */
static void
not_all_for_one(void **state)
{
	uint64_t	 ref = 100;

	(void)state;
	refusals = 0;
	while (refusals == 0)
		begins("a", ref++);
	assert_true(followers_count() > 1000);
	begins("b", ref);
	assert_int_equal(refusals, 1);
	followers_drop(&web);
	assert_int_equal(followers_count(), 0);
	begins("a", ref);
	assert_int_equal(refusals, 1);
	followers_drop(&web);
}

int
main(void)
{
	const struct CMUnitTest	 tests[] = {
		cmocka_unit_test(every_line_once),
		cmocka_unit_test(told_what_is_gone),
		cmocka_unit_test(not_all_for_one),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
