/*
 * answer.c - what the owner is told: a message a row, then STORED; or
 * REFUSED.  A row that carries a code and no record (its first id but the
 * tenant's is empty) is not sent: STORED tells the code.
 */
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "storaged.h"
#include "storaged_msg.h"

#define OID_BYTEA	17

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
send_row(const struct stmt *s, const PGresult *res, int row)
{
	const struct msg_desc	*d = &msg_descs[msg_descs[s->type].rows];
	union {
		uint8_t		 bytes[MSG_STRUCT_MAX];
		uint64_t	 align;
	}			 m;
	struct decoded		 tmp = { .n = 0 };
	unsigned int		 i;
	int			 rc = 0;

	memset(&m, 0, sizeof(m));
	for (i = 0; i < d->nfields && rc == 0; i++)
		if (set_column(&d->fields[i], &m, res, row,
		    PQfnumber(res, d->fields[i].name), &tmp) == -1) {
			log_warnx("%s: %s of a row does not fit",
			    msg_descs[s->type].name, d->fields[i].name);
			rc = -1;
		}
	if (rc == 0)
		rc = peer_send(peer_of(s->from), s->ref,
		    msg_descs[s->type].rows, &m, -1);
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
has_record(const struct stmt *s, const PGresult *res, int row)
{
	const struct msg_desc	*d = &msg_descs[msg_descs[s->type].rows];
	unsigned int		 i;

	if (column(res, row, "code")[0] == '\0')
		return (1);
	for (i = 0; i < d->nfields; i++)
		if (d->fields[i].type == FIELD_ID)
			return (column(res, row, d->fields[i].name)[0] !=
			    '\0');
	return (0);
}

void
answer_rows(struct stmt *s, const PGresult *res, int first, int n)
{
	struct msg_stored	 m = { 0 };
	int			 i, last = n > 0 ? first + n - 1 : -1;
	int			 lost = 0;

	if (s->orphan || s->ref == 0)
		return;
	if (msg_descs[s->type].rows == MSG_NONE)
		m.rows = (uint32_t)strtoul(column(res, last, "rows"), NULL,
		    10);
	else
		for (i = first; i < first + n; i++) {
			if (!has_record(s, res, i))
				continue;
			if (send_row(s, res, i) == -1)
				lost = 1;
			else
				m.rows++;
		}
	m.code = lost ? "internal_error" : column(res, last, "code");
	m.text = lost ? "a stored value is too long to be told" :
	    column(res, last, "text");
	m.doc = (const uint8_t *)column(res, last, "doc");
	m.doc_len = strlen((const char *)m.doc);
	send_stored(peer_of(s->from), s->ref, &m);
}

void
answer_refuse(const struct stmt *s, const char *code, const char *text,
    unsigned int retry_after)
{
	struct msg_refused	 m = { 0 };

	stats.refused++;
	if (s->orphan || s->ref == 0)
		return;
	m.code = code;
	m.text = text;
	m.retry_after = retry_after;
	send_refused(peer_of(s->from), s->ref, &m);
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
