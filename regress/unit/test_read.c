/* links: storaged/read.c storaged/group.c regress/unit/own_conn.c regress/unit/own_time.c -lpq */
/*
 * Reads of several tenants on few connections: this program is the connections, and
 * says when a read is over.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "connection.h"
#include "group.h"
#include "own_conn.h"
#include "worker.h"		/* own_time.c has it */

#define CONNS	3

static struct conn	*conns[CONNS];
static unsigned int	 nconns, answers, refusals;

void
conn_start(struct conn *c)
{
	conns[nconns++] = c;
	c->state = CONN_READY;
}

int
write_is_ours(void)
{
	return (1);
}

int
write_is_settling(enum proc from)
{
	(void)from;
	return (0);
}

void
answer_rows(const struct stmt *s, PGresult *res, int first, int n)
{
	(void)s;
	(void)res;
	(void)first;
	(void)n;
	answers++;
}

void
answer_refuse(const struct stmt *s, const char *code, const char *text,
    unsigned int retry_after)
{
	assert_string_equal(s->tenant, "a");
	assert_string_equal(code, "unavailable");
	assert_int_equal(retry_after, 2);
	(void)text;
	refusals++;
}

void
answer_failed(const struct stmt *s, const PGresult *res)
{
	(void)res;
	fail_msg("%s failed", s->tenant);
}

/* A list, of which each is a statement of its own. */
static void
asks(const char *tenant)
{
	struct stmt	*s = calloc(1, sizeof(*s));

	assert_non_null(s);
	s->type = MSG_TASK_PAGE;
	s->from = PROC_TASKD;
	s->tenant = tenant;
	s->since = worker_mono_ms();
	read_add(s);
}

/* Connection i works for this tenant, or for nobody (NULL). */
static void
is_of(unsigned int i, const char *tenant)
{
	if (tenant == NULL)
		assert_null(conns[i]->group);
	else {
		assert_non_null(conns[i]->group);
		assert_string_equal(conns[i]->group->tenant, tenant);
	}
}

static void
over(unsigned int i)
{
	struct conn	*c = conns[i];

	c->result(c, PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK));
	c->done(c);
	c->sync(c);
	read_turn();
}

static void
fair(void **state)
{
	unsigned int	 i;

	(void)state;
	read_start();
	/* Whoever is alone has all of it. */
	for (i = 0; i < 6; i++)
		asks("a");
	read_turn();
	is_of(0, "a");
	is_of(1, "a");
	/* Who comes later waits for one that is under way, not for all. */
	asks("b");
	asks("b");
	read_turn();
	over(1);
	is_of(0, "a");
	is_of(1, "b");
	over(0);
	is_of(0, "a");
	/* Nor behind two who have many each. */
	asks("c");
	over(0);
	is_of(0, "c");
	is_of(1, "b");
	over(1);
	is_of(1, "b");
	over(0);
	is_of(0, "a");
	/* In order, all of them, in the end. */
	for (i = 0; i < 4; i++) {
		over(0);
		if (conns[1]->group != NULL)
			over(1);
		if (conns[0]->group == NULL)
			break;
	}
	is_of(0, NULL);
	is_of(1, NULL);
	assert_int_equal(answers, 9);
	assert_int_equal(read_count(), 0);
}

/* One tenant's flood leaves room for others. */
static void
flood(void **state)
{
	unsigned int	 i;

	(void)state;
	for (i = 0; i < 20000; i++)
		asks("a");
	assert_int_equal(refusals, 15000);
	for (i = 0; i < 2000; i++)
		asks("b");
	read_turn();
	is_of(0, "b");
	is_of(1, "a");
	assert_int_equal(refusals, 15000);
	while (conns[0]->group != NULL)
		over(0);
	over(1);
	assert_int_equal(read_count(), 0);
}

int
main(void)
{
	const struct CMUnitTest	 tests[] = {
		cmocka_unit_test(fair),
		cmocka_unit_test(flood),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
