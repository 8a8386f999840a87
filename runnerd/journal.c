/*
 * journal.c - a run's lines on their way to storage (promise 10).  Numbers
 * follow on without a gap; what overlaps is cut; lines are rendered once,
 * gathered while an append is under way, and one append of a run is under way
 * at a time.  Only the commit acknowledges, returns credit, and feeds
 * followers, so that a slow database slows the agents' spools.
 *
 * A run that this process has not met is looked up first (RUN_FIND), unless
 * nobody else can have met it either.  Its batches wait on their streams
 * meanwhile, and a runner has only so many looked up at a time: it may name as
 * many as it likes.  One that nobody has is forgotten at once.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "journal.h"
#include "log.h"
#include "run.h"
#include "runnerd.h"

#define IDLE_MS		600000	/* then it is forgotten */

struct chunk {				/* until it is committed */
	TAILQ_ENTRY(chunk) entry;
	uint64_t	 first;
	uint32_t	 count;
	size_t		 len, size;
	char		*lines;
};
TAILQ_HEAD(chunks, chunk);

struct receipt {			/* a batch that is to be acknowledged */
	TAILQ_ENTRY(receipt) entry;
	uint64_t	 stream;
	uint64_t	 up_to;
	size_t		 bytes;
};
TAILQ_HEAD(receipts, receipt);

enum stage { JOURNAL_FINDING, JOURNAL_OPEN, JOURNAL_UNKNOWN };

struct journal {			/* while lines come, and a while after */
	RB_ENTRY(journal) entry;
	enum stage	 stage;
	char		 run[ID_SIZE], task[ID_SIZE], runner[ID_SIZE];
	char		 tenant[TENANT_SIZE];
	uint32_t	 attempt;
	uint64_t	 last;		/* committed */
	uint64_t	 next;		/* the number expected */
	uint64_t	 lost;		/* this and later lines never come */
	uint64_t	 used;		/* monotonic ms */
	unsigned int	 asked:1;	/* the first chunk is under way */
	unsigned int	 found:1;	/* RUN_FOUND came */
	unsigned int	 unheard:1;	/* no line, since it is known here */
	unsigned int	*finds;		/* FINDING: those of who asked */
	struct chunks	 chunks;
	struct receipts	 receipts;
};
RB_HEAD(journals, journal);

static struct journals	 journals = RB_INITIALIZER(&journals);

static void	 append(struct journal *);

static int
journal_cmp(struct journal *a, struct journal *b)
{
	return (strcmp(a->run, b->run));
}

RB_PROTOTYPE(journals, journal, entry, journal_cmp);
RB_GENERATE(journals, journal, entry, journal_cmp)

static struct journal *
journal_find(const char *run)
{
	static struct journal	 key;

	if (strlcpy(key.run, run, sizeof(key.run)) >= sizeof(key.run))
		return (NULL);
	return (RB_FIND(journals, &journals, &key));
}

/* Forgets what is not committed; the agents have it still. */
static void
journal_reset(struct journal *j, int status, const char *why)
{
	struct receipt	*r;
	struct chunk	*c;

	while ((r = TAILQ_FIRST(&j->receipts)) != NULL) {
		TAILQ_REMOVE(&j->receipts, r, entry);
		logs_end(r->stream, status, why);
		free(r);
	}
	while ((c = TAILQ_FIRST(&j->chunks)) != NULL) {
		TAILQ_REMOVE(&j->chunks, c, entry);
		free(c->lines);
		free(c);
	}
}

static void
journal_free(struct journal *j)
{
	journal_reset(j, GRPC_UNAVAILABLE, "try again");
	RB_REMOVE(journals, &journals, j);
	free(j);
}

void
on_run_found(struct peer *p, uint64_t ref, const struct msg_run_found *m)
{
	struct journal	*j;
	struct ask	*a;

	if ((a = ask_find(p, ref)) == NULL || a->told)
		return;
	j = a->arg;
	j->found = 1;
	strlcpy(j->tenant, m->tenant, sizeof(j->tenant));
	strlcpy(j->task, m->task, sizeof(j->task));
	/* Assigned meanwhile, it is known better. */
	if (j->runner[0] == '\0')
		strlcpy(j->runner, m->runner, sizeof(j->runner));
	j->attempt = m->attempt;
	j->last = m->log_last;
	j->next = m->log_last + 1;
	j->unheard = 1;
}

static void
found(struct ask *a, const struct answer *ans)
{
	struct journal	*j = a->arg;

	if (j->finds != NULL)
		(*j->finds)--;
	j->finds = NULL;
	if (ans->code[0] != '\0' && strcmp(ans->code, "not_found") != 0) {
		log_warnx("run %s: not looked up: %s", j->run, ans->text);
		logs_found(j->run, -1);
		journal_free(j);
		return;
	}
	j->stage = j->found ? JOURNAL_OPEN : JOURNAL_UNKNOWN;
	logs_found(j->run, 0);
	upward_log_committed(j->run);
	/* Named again, it is looked up again; kept, it would cost memory. */
	if (j->stage == JOURNAL_UNKNOWN)
		journal_free(j);
}

static struct journal *
journal_new(const char *run, enum stage stage)
{
	struct journal	*j;

	if ((j = calloc(1, sizeof(*j))) == NULL)
		fatal("journal");
	strlcpy(j->run, run, sizeof(j->run));
	j->stage = stage;
	j->used = worker_mono_ms();
	TAILQ_INIT(&j->chunks);
	TAILQ_INIT(&j->receipts);
	RB_INSERT(journals, &journals, j);
	return (j);
}

/* Looks it up; finds: a count of whoever named it, or NULL: it is ours. */
static struct journal *
journal_ask(const char *run, unsigned int *finds)
{
	struct msg_run_find	 m;
	struct journal		*j;

	j = journal_new(run, JOURNAL_FINDING);
	m.run = run;
	if (ask(PROC_STORAGED, MSG_RUN_FIND, &m, 0, found, j) == NULL) {
		log_warn("run %s", run);
		journal_free(j);
		return (NULL);
	}
	if ((j->finds = finds) != NULL)
		(*finds)++;
	return (j);
}

void
journal_fresh(const char *run, const char *task, const char *tenant,
    const char *runner, uint32_t attempt)
{
	struct journal	*j;

	if ((j = journal_find(run)) == NULL) {
		j = journal_new(run, JOURNAL_OPEN);
		strlcpy(j->task, task, sizeof(j->task));
		strlcpy(j->tenant, tenant, sizeof(j->tenant));
		j->attempt = attempt;
		j->next = 1;
		j->unheard = 1;
	}
	strlcpy(j->runner, runner, sizeof(j->runner));
}

void
journal_runner(const char *run, const char *runner)
{
	struct journal	*j = journal_find(run);

	if (j != NULL)
		strlcpy(j->runner, runner, sizeof(j->runner));
}

void
journal_over(const char *run)
{
	struct journal	*j = journal_find(run);

	if (j != NULL && j->stage != JOURNAL_FINDING && !j->asked &&
	    TAILQ_EMPTY(&j->chunks))
		journal_free(j);
}

int
journal_has(const char *run, uint64_t up_to)
{
	struct journal	*j;

	if (up_to == 0)
		return (1);
	if ((j = journal_find(run)) == NULL &&
	    (j = journal_ask(run, NULL)) == NULL)
		return (0);
	j->used = worker_mono_ms();
	switch (j->stage) {
	case JOURNAL_FINDING:
		return (0);
	case JOURNAL_UNKNOWN:
		return (1);	/* taskd will not know it either */
	case JOURNAL_OPEN:
		break;
	}
	return (j->last >= up_to || (j->lost != 0 && j->last >= j->lost));
}

/* Everything up to `last' is committed: acknowledges and returns credit. */
static void
acknowledge(struct journal *j)
{
	struct receipt	*r, *next;
	uint64_t	 up_to = j->last;

	/* Nobody waits for lines that never come: all there were are settled. */
	if (j->lost != 0 && j->last >= j->lost)
		up_to = WIRE_NUMBER_MAX;

	while ((r = TAILQ_FIRST(&j->receipts)) != NULL &&
	    r->up_to <= j->last) {
		TAILQ_REMOVE(&j->receipts, r, entry);
		next = TAILQ_FIRST(&j->receipts);
		if (next == NULL || next->up_to > j->last ||
		    next->stream != r->stream)
			logs_ack(r->stream, j->run, up_to);
		logs_credit(r->stream, r->bytes);
		free(r);
	}
}

static void
committed(struct journal *j)
{
	struct chunk	*c = TAILQ_FIRST(&j->chunks);

	TAILQ_REMOVE(&j->chunks, c, entry);
	j->last = c->first + c->count - 1;
	j->used = worker_mono_ms();
	acknowledge(j);
	follow_lines(j->task, j->attempt, c->first, c->count,
	    (const uint8_t *)c->lines, c->len);
	free(c->lines);
	free(c);
	upward_log_committed(j->run);
}

/*
 * The database is elsewhere: what it has already is cut; 0, or -1.  What an earlier
 * life of ours had under way may have come in place of what was said to be lost.
 */
static int
cut(struct journal *j, struct chunk *c, uint64_t present)
{
	const uint8_t	*p = (const uint8_t *)c->lines;
	uint64_t	 n;
	size_t		 left;

	if (present + 1 < c->first || (j->lost != 0 && present > j->lost))
		return (-1);
	n = present + 1 - c->first;
	if (n >= c->count)
		return (0);
	left = lines_skip(&p, c->len, n);
	memmove(c->lines, p, left);
	c->len = left;
	c->first += n;
	c->count -= (uint32_t)n;
	j->last = present;
	return (1);
}

static void
appended(struct ask *a, const struct answer *ans)
{
	struct journal	*j = a->arg;
	struct chunk	*c = TAILQ_FIRST(&j->chunks);
	char		 number[24];
	int		 rc = 0;

	j->asked = 0;
	if (strcmp(ans->code, "not_found") == 0) {
		/* Removed meanwhile; what comes again is looked up again. */
		journal_free(j);
		return;
	}
	if (ans->code[0] != '\0') {
		log_warnx("run %s: lines from %llu not stored: %s", j->run,
		    (unsigned long long)c->first, ans->text);
		journal_reset(j, GRPC_INVALID_ARGUMENT,
		    "these lines cannot be stored");
		j->next = j->last + 1;
		/* The line that says so was among them. */
		if (j->lost > j->last)
			j->lost = 0;
		return;
	}
	if (ans->rows == 0) {
		snprintf(number, sizeof(number), "%.*s",
		    (int)(ans->doc_len < 20 ? ans->doc_len : 20),
		    (const char *)ans->doc);
		rc = cut(j, c, strtoull(number, NULL, 10));
	}
	if (rc == -1) {
		log_warnx("run %s: storage is not at line %llu", j->run,
		    (unsigned long long)c->first);
		journal_free(j);
		return;
	}
	if (rc == 0)
		committed(j);
	append(j);
}

static void
append(struct journal *j)
{
	struct msg_log_append	 m;
	struct chunk		*c;

	if (j->asked || (c = TAILQ_FIRST(&j->chunks)) == NULL ||
	    peer_is_full(peer_of(PROC_STORAGED)))
		return;
	m.tenant = j->tenant;
	m.run = j->run;
	m.task = j->task;
	m.attempt = j->attempt;
	m.first = c->first;
	m.count = c->count;
	m.lines = (const uint8_t *)c->lines;
	m.lines_len = c->len;
	/* When there is no room now, the janitor tries again. */
	if (ask(PROC_STORAGED, MSG_LOG_APPEND, &m, 0, appended, j) != NULL)
		j->asked = 1;
}

/* Behind the last line; not into a chunk that is under way. */
static void
add_line(struct journal *j, const Marionette__V1__LogLine *l)
{
	static char	 line[LINES_MAX];
	struct chunk	*c = TAILQ_LAST(&j->chunks, chunks);
	size_t		 n;

	j->unheard = 0;
	n = line_render(line, j->run, j->attempt, j->next, l);
	if (c == NULL || c->len + n > LINES_MAX ||
	    (j->asked && c == TAILQ_FIRST(&j->chunks))) {
		if ((c = calloc(1, sizeof(*c))) == NULL)
			fatal("chunk");
		c->first = j->next;
		TAILQ_INSERT_TAIL(&j->chunks, c, entry);
	}
	if (c->len + n > c->size) {
		c->size = c->size == 0 ? 4096 : c->size;
		while (c->size < c->len + n)
			c->size *= 2;
		if ((c->lines = realloc(c->lines, c->size)) == NULL)
			fatal("chunk");
	}
	memcpy(c->lines + c->len, line, n);
	c->len += n;
	c->count++;
	j->next++;
}

/* A line of our own in place of those that will never come; what became of them. */
static void
add_loss(struct journal *j, const char *what)
{
	Marionette__V1__LogLine	 l;
	char			 text[96], system[] = "system", level[] = "warn",
				 kind[] = "text";

	marionette__v1__log_line__init(&l);
	snprintf(text, sizeof(text), "lines from %llu on %s",
	    (unsigned long long)j->next, what);
	l.stream = system;
	l.level = level;
	l.kind = kind;
	l.content = text;
	l.time_ms = worker_now_ms();
	j->lost = j->next;
	add_line(j, &l);
}

/*
 * The first that is heard of a run since it was looked up, or begun, begins behind
 * what is stored: its runner was told that there is more, so the database is one
 * that was put back.  The runner has those lines no more, and refused it would say the
 * same for ever, before all others.
 */
static void
put_back(struct journal *j, uint64_t first)
{
	log_warnx("run %s: its runner goes on at line %llu, the database has "
	    "lines up to %llu only: was it put back?", j->run,
	    (unsigned long long)first, (unsigned long long)j->last);
	add_loss(j, "are not in the database any more");
}

static void
take(struct journal *j, uint64_t stream, const Marionette__V1__LogBatch *b,
    size_t bytes)
{
	struct receipt	*r;
	char		 why[96];
	int64_t		 skip;
	size_t		 i;

	skip = lines_overlap(b->first, b->n_lines, j->next);
	if (skip == -1 && j->unheard)
		put_back(j, b->first);
	if (skip == -1 && j->lost == 0) {
		snprintf(why, sizeof(why), "first: expected %llu",
		    (unsigned long long)j->next);
		logs_end(stream, GRPC_INVALID_ARGUMENT, why);
		return;
	}
	if (b->lost && j->lost == 0)
		add_loss(j, "were lost on the runner");
	/* Behind what is lost nothing comes that could be numbered. */
	for (i = (size_t)skip; skip != -1 && i < b->n_lines; i++)
		add_line(j, b->lines[i]);
	if ((r = calloc(1, sizeof(*r))) == NULL)
		fatal("receipt");
	r->stream = stream;
	r->up_to = j->next - 1;
	r->bytes = bytes;
	TAILQ_INSERT_TAIL(&j->receipts, r, entry);
	append(j);
	acknowledge(j);
}

/*
 * Of a run that was removed, or that nobody has: nobody will read it, the spool
 * may go.  Refused, it would be said again for ever, before all others.
 */
static void
drop(uint64_t stream, const Marionette__V1__LogBatch *b, size_t len)
{
	logs_ack(stream, b->run_id, b->lost ? WIRE_NUMBER_MAX :
	    b->first + b->n_lines - (b->n_lines > 0));
	logs_credit(stream, len);
}

int
journal_batch(uint64_t stream, const Marionette__V1__LogBatch *b, size_t len)
{
	struct journal	*j;
	unsigned int	*finds;

	if ((j = journal_find(b->run_id)) == NULL &&
	    (finds = logs_finds(stream)) != NULL)
		j = journal_ask(b->run_id, finds);
	if (j == NULL || j->stage == JOURNAL_FINDING)
		return (-1);
	j->used = worker_mono_ms();
	if (j->stage == JOURNAL_UNKNOWN || j->runner[0] == '\0')
		drop(stream, b, len);
	else if (!logs_are_of(stream, j->runner))
		logs_end(stream, GRPC_PERMISSION_DENIED,
		    "run_id: not a run of this runner");
	else
		take(j, stream, b, len);
	return (0);
}

void
journals_janitor(void)
{
	struct journal	*j, *next;
	uint64_t	 now = worker_mono_ms();

	RB_FOREACH_SAFE(j, journals, &journals, next) {
		append(j);
		if (j->stage != JOURNAL_FINDING && !j->asked &&
		    TAILQ_EMPTY(&j->chunks) && now - j->used > IDLE_MS)
			journal_free(j);
	}
}
