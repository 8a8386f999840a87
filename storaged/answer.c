/*
 * answer.c - what the owner is told: a message a row, then STORED; or
 * REFUSED.  A row that carries a code and no record (its first id but the
 * tenant's is empty) is not sent: STORED tells the code.
 *
 * An owner whose queue is full hears the rest in later turns, in order with
 * every other answer, so that no result of any size fills its queue and ends
 * the channel (promise 21).  Meanwhile nothing more is asked for it (read.c,
 * write.c), so that what waits here is bounded by what was under way.
 */
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "storaged.h"
#include "storaged_msg.h"

#define OID_BYTEA	17

/*
 * An answer that is being given.  One that waits is on its owner's list until
 * it is told or the owner is gone.
 */
struct reply {
	TAILQ_ENTRY(reply)	 entry;
	enum proc		 to;
	enum msg_type		 type;		/* what was asked */
	uint64_t		 ref;
	PGresult		*res;		/* may be others' too; NULL: refused */
	int			 next, last;	/* of its rows; last -1: none */
	int			 lost;
	uint32_t		 told;
	const char		*code, *text;	/* refused; both literals */
	unsigned int		 retry_after;
};
TAILQ_HEAD(replies, reply);

static struct replies	 waiting[PROC_MAX];

/* bytea columns of one row, decoded; freed when the row is sent. */
struct decoded {
	unsigned char	*p[PARAM_MAX];
	unsigned int	 n;
};

static int
set_column(const struct msg_field *f, void *m, const PGresult *res, int row,
    int col, struct decoded *tmp)
{
	unsigned char	*bytes;
	const char	*value = PQgetvalue(res, row, col);
	size_t		 len = (size_t)PQgetlength(res, row, col);

	if (PQftype(res, col) == OID_BYTEA) {
		bytes = PQunescapeBytea((const unsigned char *)value, &len);
		if (bytes == NULL)
			fatal("bytea");
		tmp->p[tmp->n++] = bytes;
		value = (const char *)bytes;
	} else if (len == 0 && f->type <= FIELD_U64)
		value = "0";
	return (msg_set_field(f, m, value, len));
}

/* Row messages of at most MSG_STRUCT_MAX bytes; 0 or -1: it does not fit. */
static int
send_row(const struct reply *r, int row)
{
	const struct msg_desc	*d = &msg_descs[msg_descs[r->type].rows];
	union {
		uint8_t		 bytes[MSG_STRUCT_MAX];
		uint64_t	 align;
	}			 m;
	struct decoded		 tmp = { .n = 0 };
	unsigned int		 i;
	int			 rc = 0;

	memset(&m, 0, sizeof(m));
	for (i = 0; i < d->nfields && rc == 0; i++)
		if (set_column(&d->fields[i], &m, r->res, row,
		    PQfnumber(r->res, d->fields[i].name), &tmp) == -1) {
			log_warnx("%s: %s of a row does not fit",
			    msg_descs[r->type].name, d->fields[i].name);
			rc = -1;
		}
	if (rc == 0)
		rc = peer_send(peer_of(r->to), r->ref,
		    msg_descs[r->type].rows, &m, -1);
	while (tmp.n > 0)
		PQfreemem(tmp.p[--tmp.n]);
	return (rc);
}

static const char *
column(const PGresult *res, int row, const char *name)
{
	int	 col = row < 0 ? -1 : PQfnumber(res, name);

	return (col == -1 ? "" : PQgetvalue(res, row, col));
}

/* Does the row tell of a record, and not only a code? */
static int
has_record(const struct reply *r, int row)
{
	const struct msg_desc	*d = &msg_descs[msg_descs[r->type].rows];
	unsigned int		 i;

	if (column(r->res, row, "code")[0] == '\0')
		return (1);
	for (i = 0; i < d->nfields; i++)
		if (d->fields[i].type == FIELD_ID)
			return (column(r->res, row, d->fields[i].name)[0] !=
			    '\0');
	return (0);
}

static void
tell_stored(const struct reply *r)
{
	struct msg_stored	 m = { 0 };

	m.rows = msg_descs[r->type].rows != MSG_NONE ? r->told :
	    (uint32_t)strtoul(column(r->res, r->last, "rows"), NULL, 10);
	m.code = r->lost ? "internal_error" : column(r->res, r->last, "code");
	m.text = r->lost ? "a stored value is too long to be told" :
	    column(r->res, r->last, "text");
	m.doc = (const uint8_t *)column(r->res, r->last, "doc");
	m.doc_len = strlen((const char *)m.doc);
	send_stored(peer_of(r->to), r->ref, &m);
}

static void
tell_refused(const struct reply *r)
{
	struct msg_refused	 m = { 0 };

	m.code = r->code;
	m.text = r->text;
	m.retry_after = r->retry_after;
	send_refused(peer_of(r->to), r->ref, &m);
}

/* As much as there is room for: 1 all of it, 0 there is more. */
static int
tell(struct reply *r)
{
	struct peer	*p = peer_of(r->to);

	if (r->res != NULL && msg_descs[r->type].rows != MSG_NONE)
		for (; r->next <= r->last; r->next++) {
			if (peer_is_full(p))
				return (0);
			if (!has_record(r, r->next))
				continue;
			if (send_row(r, r->next) == -1)
				r->lost = 1;
			else
				r->told++;
		}
	if (peer_is_full(p))
		return (0);
	if (r->res == NULL)
		tell_refused(r);
	else
		tell_stored(r);
	return (1);
}

/* Now, or behind what waits. */
static void
give(const struct reply *new)
{
	struct reply	 now = *new, *r;

	if (TAILQ_EMPTY(&waiting[now.to]) && tell(&now))
		return;
	if ((r = malloc(sizeof(*r))) == NULL)
		fatal("answer");
	*r = now;
	TAILQ_INSERT_TAIL(&waiting[r->to], r, entry);
}

static int
is_lent(const PGresult *res)
{
	const struct reply	*r;
	int			 i;

	for (i = 0; i < PROC_MAX; i++)
		TAILQ_FOREACH(r, &waiting[i], entry)
			if (r->res == res)
				return (1);
	return (0);
}

void
answer_clear(PGresult *res)
{
	if (res != NULL && !is_lent(res))
		PQclear(res);
}

static void
reply_free(struct reply *r)
{
	TAILQ_REMOVE(&waiting[r->to], r, entry);
	answer_clear(r->res);
	free(r);
}

void
answers_init(void)
{
	int	 i;

	for (i = 0; i < PROC_MAX; i++)
		TAILQ_INIT(&waiting[i]);
}

int
answers_wait(enum proc to)
{
	return (!TAILQ_EMPTY(&waiting[to]));
}

/* The socket's having room again, or the tick, makes the next turn. */
void
answers_turn(void)
{
	struct reply	*r;
	int		 i;

	for (i = 0; i < PROC_MAX; i++)
		while ((r = TAILQ_FIRST(&waiting[i])) != NULL && tell(r))
			reply_free(r);
}

void
answers_forget(enum proc to)
{
	struct reply	*r;

	while ((r = TAILQ_FIRST(&waiting[to])) != NULL)
		reply_free(r);
}

void
answer_rows(const struct stmt *s, PGresult *res, int first, int n)
{
	struct reply	 r = { 0 };

	if (s->orphan || s->ref == 0)
		return;
	r.to = s->from;
	r.type = s->type;
	r.ref = s->ref;
	r.res = res;
	r.next = n > 0 ? first : 0;
	r.last = r.next + n - 1;
	give(&r);
}

void
answer_refuse(const struct stmt *s, const char *code, const char *text,
    unsigned int retry_after)
{
	struct reply	 r = { 0 };

	stats.refused++;
	if (s->orphan || s->ref == 0)
		return;
	r.to = s->from;
	r.type = s->type;
	r.ref = s->ref;
	r.code = code;
	r.text = text;
	r.retry_after = retry_after;
	give(&r);
}

int
answer_may_pass(const char *state)
{
	return (strncmp(state, "40", 2) == 0 || strncmp(state, "53", 2) == 0 ||
	    strcmp(state, "55P03") == 0 || strcmp(state, "57014") == 0 ||
	    strcmp(state, "25006") == 0);
}

/*
 * Messages of the database may show values; of an error of ours (class 42,
 * XX ...) they name only what is in the program.
 */
void
answer_failed(const struct stmt *s, const PGresult *res)
{
	const char	*state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	const char	*constraint, *text;

	if (state == NULL)
		state = "XX000";
	if (answer_may_pass(state)) {
		log_warnx("%s: given up, SQLSTATE %s", msg_descs[s->type].name,
		    state);
		answer_refuse(s, "unavailable", "the database is too busy "
		    "with other work; try again", 2);
		return;
	}
	if (strncmp(state, "22", 2) == 0 || strncmp(state, "23", 2) == 0) {
		constraint = PQresultErrorField(res,
		    PG_DIAG_CONSTRAINT_NAME);
		log_warnx("%s from %s: a value was refused, SQLSTATE %s%s%s",
		    msg_descs[s->type].name, proc_names[s->from], state,
		    constraint != NULL ? ", " : "",
		    constraint != NULL ? constraint : "");
		answer_refuse(s, "validation_error", "a value cannot be "
		    "stored", 0);
		return;
	}
	text = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
	log_warnx("%s: SQLSTATE %s: %s", msg_descs[s->type].name, state,
	    (strncmp(state, "42", 2) == 0 || strncmp(state, "XX", 2) == 0) &&
	    text != NULL ? text : "(message not shown)");
	answer_refuse(s, "internal_error", "the database could not do it", 0);
}
