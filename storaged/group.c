/*
 * group.c - a batch as calls: statements of one type and tenant that may go
 * together (MSG_F_MANY) are one, which costs PostgreSQL a fraction of as many.
 *
 * Two statements that name the same id keep their order, so that what was asked
 * first happens first; only such may be told apart by their order, since every
 * statement names what it is about, and one of a run its task too.  In one call
 * all happen at once, so there nothing is named that another of the call is
 * itself about (its first id): tasks of one session may be made together, a run
 * cannot end and be taken.
 */
#include <stdlib.h>
#include <string.h>

#include "group.h"
#include "log.h"

#define SLOTS		4096	/* of ids by their hash; a power of two */

static struct group	 groups[BATCH_COUNT];
static struct stmt	*members[BATCH_COUNT];
static unsigned int	 ngroups;
/* The last group, counted from 1, that names this id, or is about it. */
static uint16_t		 named[SLOTS], about[SLOTS];

struct group *
group_at(unsigned int i)
{
	return (i < ngroups ? &groups[i] : NULL);
}

static unsigned int
slot(const char *id)
{
	uint32_t	 h = 2166136261U;

	for (; *id != '\0'; id++)
		h = (h ^ (uint8_t)*id) * 16777619U;
	return ((h ^ h >> 16) & (SLOTS - 1));
}

enum name { NAME_NONE, NAME_OTHER, NAME_OWN };

/*
 * Does field i name something, and is the statement about that?  An
 * Idempotency-Key counts: of two statements with the same, one is first.
 */
static enum name
name_of(const struct stmt *s, unsigned int i, int first)
{
	const struct msg_field	*f = &msg_descs[s->type].fields[i];

	if (s->lengths[i] == 0)
		return (NAME_NONE);
	if (strcmp(f->name, "idem_key") == 0)
		return (NAME_OWN);
	if (f->type != FIELD_ID)
		return (NAME_NONE);
	return (first ? NAME_OWN : NAME_OTHER);
}

/* The first group that s may belong to, counted from 1. */
static unsigned int
not_before(const struct stmt *s)
{
	enum name	 is;
	unsigned int	 i, at, own, least = 1, first = 1;

	for (i = 0; i < msg_descs[s->type].nfields; i++) {
		if ((is = name_of(s, i, first)) == NAME_NONE)
			continue;
		first = 0;
		at = slot(s->values[i]);
		own = is == NAME_OWN;
		if (about[at] + 1U > least)
			least = about[at] + 1U;
		if (named[at] + own > least)
			least = named[at] + own;
	}
	return (least);
}

static void
note(const struct stmt *s, uint16_t group)
{
	enum name	 is;
	unsigned int	 i, at, first = 1;

	for (i = 0; i < msg_descs[s->type].nfields; i++) {
		if ((is = name_of(s, i, first)) == NAME_NONE)
			continue;
		first = 0;
		at = slot(s->values[i]);
		if (is == NAME_OWN && about[at] < group)
			about[at] = group;
		if (named[at] < group)
			named[at] = group;
	}
}

/* The newest group of its kind, if s may join it; or a new one. */
static struct group *
place(const struct stmt *s)
{
	unsigned int	 i, least = not_before(s);
	struct group	*g;

	if ((msg_descs[s->type].flags & MSG_F_MANY) != 0)
		for (i = ngroups; i >= least; i--) {
			g = &groups[i - 1];
			if (g->type == s->type &&
			    strcmp(g->tenant, s->tenant) == 0)
				return (g);
		}
	g = &groups[ngroups++];
	g->type = s->type;
	g->tenant = s->tenant;
	g->n = 0;
	g->res = NULL;
	return (g);
}

unsigned int
groups_make(const struct stmts *batch)
{
	struct stmt	*s, **to = members;
	struct group	*g;
	unsigned int	 i;

	memset(named, 0, sizeof(named));
	memset(about, 0, sizeof(about));
	ngroups = 0;
	TAILQ_FOREACH(s, batch, entry) {
		g = place(s);
		s->group = g;
		s->place = g->n++;
		s->row = -1;
		note(s, (uint16_t)(g - groups + 1));
	}
	for (i = 0; i < ngroups; i++) {
		groups[i].stmt = to;
		to += groups[i].n;
	}
	TAILQ_FOREACH(s, batch, entry)
		s->group->stmt[s->place] = s;
	return (ngroups);
}

void
group_rows(struct group *g)
{
	unsigned long	 n;
	int		 i, col = PQfnumber(g->res, "n");

	if (col == -1)
		fatalx("mn.%s has no column n", msg_descs[g->type].lower);
	for (i = 0; i < PQntuples(g->res); i++) {
		n = strtoul(PQgetvalue(g->res, i, col), NULL, 10);
		if (n >= 1 && n <= g->n)
			g->stmt[n - 1]->row = i;
	}
}

void
groups_clear(void)
{
	unsigned int	 i;

	for (i = 0; i < ngroups; i++)
		answer_clear(groups[i].res);
	ngroups = 0;
}
