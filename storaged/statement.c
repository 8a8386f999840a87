/*
 * statement.c - a message as the parameters of its statement: integers and
 * text as text, blobs as bytea or as text, as the function's parameter is.
 * What PostgreSQL could not take at all (a number above bigint, a blob that is
 * to be text and is no UTF-8) is refused here, and no batch fails for it
 * (promise 4).
 */
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connection.h"
#include "group.h"
#include "log.h"
#include "text.h"
#include "worker.h"

#define OID_BYTEA	17
#define OID_INT8	20
#define OID_TEXT	25
#define OID_BYTEA_ARRAY	1001
#define INT_TEXT	21	/* of a u64, with the NUL */
#define ARRAY_HEAD	20	/* of an array in binary, see array_open() */

/* Is parameter i (an element) bytea?  Learnt when it is prepared. */
static uint32_t	 binary_params[MSG_MAX];

const char *
statement_text(enum msg_type type, char *buf, size_t size)
{
	const struct msg_desc	*d = &msg_descs[type];
	unsigned int		 i;
	size_t			 n;

	n = (size_t)snprintf(buf, size, "SELECT * FROM mn.%s(", d->lower);
	for (i = 0; i < d->nfields && n < size; i++)
		n += (size_t)snprintf(buf + n, size - n, "%s$%u",
		    i == 0 ? "" : ",", i + 1);
	if (n + 2 > size || d->nfields > PARAM_MAX)
		fatalx("%s has too many fields", d->name);
	buf[n++] = ')';
	buf[n] = '\0';
	return (buf);
}

/* The description of a prepared statement, checked against the table. */
void
statement_describe(enum msg_type type, const PGresult *res)
{
	const struct msg_desc	*d = &msg_descs[type];
	const struct msg_desc	*row = &msg_descs[d->rows];
	unsigned int		 i;

	if ((unsigned int)PQnparams(res) != d->nfields)
		fatalx("mn.%s has %d parameters, %s %u fields", d->lower,
		    PQnparams(res), d->name, d->nfields);
	binary_params[type] = 0;
	for (i = 0; i < d->nfields; i++)
		if (PQparamtype(res, (int)i) == OID_BYTEA ||
		    PQparamtype(res, (int)i) == OID_BYTEA_ARRAY)
			binary_params[type] |= 1U << i;
	if (d->rows == MSG_NONE)
		return;
	for (i = 0; i < row->nfields; i++)
		if (PQfnumber(res, row->fields[i].name) == -1)
			fatalx("mn.%s has no column %s for %s", d->lower,
			    row->fields[i].name, row->name);
}

static uint64_t
int_value(const struct msg_field *f, const void *m)
{
	uint64_t	 v = 0;
	size_t		 n = 0;

	switch (f->type) {
	case FIELD_U8:
		n = 1;
		break;
	case FIELD_U16:
		n = 2;
		break;
	case FIELD_U32:
		n = 4;
		break;
	case FIELD_U64:
		n = 8;
		break;
	case FIELD_ID:
	case FIELD_STR:
	case FIELD_BLOB:
	case FIELD_SECRET:
		break;
	}
	/* Little-endian, which imsg/message.c asserts. */
	memcpy(&v, (const uint8_t *)m + f->off, n);
	return (v);
}

/* The bytes of a field that has some; *len without a NUL. */
static const uint8_t *
bytes_of(const struct msg_field *f, const void *m, size_t *len)
{
	const uint8_t	*p;

	memcpy(&p, (const uint8_t *)m + f->off, sizeof(p));
	if (f->type == FIELD_ID || f->type == FIELD_STR)
		*len = strlen((const char *)p);
	else
		memcpy(len, (const uint8_t *)m + f->len_off, sizeof(*len));
	return (p);
}

static int
is_int(const struct msg_field *f)
{
	return (f->type <= FIELD_U64);
}

/* Room for all fields as parameters, or 0 and why it cannot be. */
static size_t
params_size(const struct msg_desc *d, enum msg_type type, const void *m,
    const char **why)
{
	static char	 text[128];
	const uint8_t	*p;
	size_t		 len, total = 1;
	unsigned int	 i;

	for (i = 0; i < d->nfields; i++) {
		const struct msg_field	*f = &d->fields[i];

		if (is_int(f)) {
			total += INT_TEXT;
			if (int_value(f, m) <= INT64_MAX)
				continue;
			snprintf(text, sizeof(text), "%s: the number is too "
			    "large", f->name);
			*why = text;
			return (0);
		}
		p = bytes_of(f, m, &len);
		total += len + 1;
		if (f->type == FIELD_ID || f->type == FIELD_STR ||
		    (binary_params[type] & 1U << i) != 0 ||
		    text_is_utf8((const char *)p, len))
			continue;
		snprintf(text, sizeof(text), "%s: expected UTF-8 without NUL",
		    f->name);
		*why = text;
		return (0);
	}
	return (total);
}

static size_t
int_fill(char *to, uint64_t v, int binary)
{
	if (!binary)
		return ((size_t)snprintf(to, INT_TEXT, "%llu",
		    (unsigned long long)v));
	v = htobe64(v);
	memcpy(to, &v, sizeof(v));
	return (sizeof(v));
}

static void
params_fill(struct stmt *s, const struct msg_desc *d, const void *m)
{
	char		*to = s->data;
	const uint8_t	*p;
	size_t		 len;
	unsigned int	 i;
	int		 many = (d->flags & MSG_F_MANY) != 0;

	for (i = 0; i < d->nfields; i++) {
		const struct msg_field	*f = &d->fields[i];

		s->values[i] = to;
		if (is_int(f)) {
			len = int_fill(to, int_value(f, m), many);
		} else {
			p = bytes_of(f, m, &len);
			if (len > 0)
				memcpy(to, p, len);
			to[len] = '\0';
			s->formats[i] = (binary_params[s->type] & 1U << i) !=
			    0;
		}
		s->lengths[i] = (int)len;
		to += len + 1;
	}
}

struct stmt *
statement_new(const struct peer *p, uint64_t ref, enum msg_type type,
    const void *m, const char **why)
{
	const struct msg_desc	*d = &msg_descs[type];
	struct stmt		*s;
	size_t			 size;

	if ((size = params_size(d, type, m, why)) == 0)
		return (NULL);
	if ((s = calloc(1, sizeof(*s) + size)) == NULL)
		fatal("statement");
	s->type = type;
	s->from = p->proc;
	s->ref = ref;
	s->since = worker_mono_ms();
	s->nparams = (int)d->nfields;
	s->bytes = sizeof(*s) + size;
	params_fill(s, d, m);
	s->tenant = (d->flags & MSG_F_TENANT) != 0 ? s->values[0] : "*";
	/* The mark of system statements is no tenant. */
	if ((d->flags & MSG_F_TENANT) != 0 && strcmp(s->tenant, "*") == 0) {
		free(s);
		*why = "tenant: there is none of that name";
		return (NULL);
	}
	return (s);
}

void
statement_free(struct stmt *s)
{
	freezero(s, s->bytes);
}

void
statement_send(struct conn *c, struct stmt *s)
{
	s->sent = 1;
	conn_sent(c, PQsendQueryPrepared(c->pg, msg_descs[s->type].lower,
	    s->nparams, s->values, s->lengths, s->formats, 0));
}

/* ---- those that go together ------------------------------------------------- */

/* Every array of a call, one behind the other; grows to the largest call. */
static char	*arrays;
static size_t	 arrays_size;

static char *
put32(char *to, uint32_t v)
{
	v = htobe32(v);
	memcpy(to, &v, sizeof(v));
	return (to + sizeof(v));
}

/*
 * One dimension, in PostgreSQL's binary form (array_recv()): dimensions, are
 * there NULLs, element type, size, lower bound; then length and bytes of each.
 */
static char *
array_open(char *to, uint32_t type, unsigned int n)
{
	to = put32(to, 1);
	to = put32(to, 0);
	to = put32(to, type);
	to = put32(to, n);
	return (put32(to, 1));
}

static uint32_t
element_type(enum msg_type type, unsigned int field)
{
	if (is_int(&msg_descs[type].fields[field]))
		return (OID_INT8);
	return ((binary_params[type] & 1U << field) != 0 ? OID_BYTEA :
	    OID_TEXT);
}

static void
arrays_room(const struct group *g)
{
	size_t		 want = (size_t)ARRAY_HEAD * PARAM_MAX;
	unsigned int	 i;

	for (i = 0; i < g->n; i++)
		want += g->stmt[i]->bytes + 4 * PARAM_MAX;
	if (want <= arrays_size)
		return;
	if ((arrays = recallocarray(arrays, arrays_size, want, 1)) == NULL)
		fatal("statement");
	arrays_size = want;
}

void
statement_send_many(struct conn *c, const struct group *g)
{
	const struct msg_desc	*d = &msg_descs[g->type];
	const char		*values[PARAM_MAX];
	char			*to;
	int			 lengths[PARAM_MAX], formats[PARAM_MAX];
	unsigned int		 i, k;

	arrays_room(g);
	to = arrays;
	values[0] = g->tenant;
	lengths[0] = formats[0] = 0;
	for (k = 1; k < d->nfields; k++) {
		values[k] = to;
		formats[k] = 1;
		to = array_open(to, element_type(g->type, k), g->n);
		for (i = 0; i < g->n; i++) {
			const struct stmt	*s = g->stmt[i];

			to = put32(to, (uint32_t)s->lengths[k]);
			memcpy(to, s->values[k], (size_t)s->lengths[k]);
			to += s->lengths[k];
		}
		lengths[k] = (int)(to - values[k]);
	}
	for (i = 0; i < g->n; i++)
		g->stmt[i]->sent = 1;
	conn_sent(c, PQsendQueryPrepared(c->pg, d->lower, (int)d->nfields,
	    values, lengths, formats, 0));
	explicit_bzero(arrays, (size_t)(to - arrays));
}
