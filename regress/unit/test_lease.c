/* links: frontd/lease.c regress/unit/own_time.c */
/*
 * Leases of very many streams: each is renewed every 30 seconds, and one that has
 * ended meanwhile is nobody's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "frontd_msg.h"
#include "own_time.h"

#define MANY	26000		/* streams that there may be */

static struct {
	pending_done	 done;
	void		*arg;
}			 asked[MANY];
static size_t		 nasked;
static struct lease	*leases[MANY];
static unsigned int	 nended;

void
pending_ask(struct request *req, enum proc to, enum msg_type type,
    const void *m, const struct expect *expect)
{
	(void)req;
	(void)m;
	assert_int_equal(to, PROC_SESSIOND);
	assert_int_equal(type, MSG_AUTH_RENEW);
	assert_true(nasked < MANY);
	asked[nasked].done = expect->done;
	asked[nasked++].arg = expect->arg;
}

void
identity_set(struct identity *who, const struct msg_authenticated *m)
{
	who->expires = m->expires;
}

int
refusal_status(const char *code)
{
	return (strcmp(code, "unavailable") == 0 ? 503 : 401);
}

static void
ended(struct lease *l)
{
	assert_true(l->over);
	nended++;
}

static void
answer(size_t i, const char *code)
{
	struct msg_authenticated	 yes = { .expires = wall_ms / 1000 + 60 };
	struct msg_refused		 no = { .code = code };

	if (code == NULL)
		asked[i].done(NULL, MSG_AUTHENTICATED, &yes, asked[i].arg);
	else
		asked[i].done(NULL, MSG_REFUSED, &no, asked[i].arg);
	free(asked[i].arg);
}

static int
begin(void **state)
{
	struct identity	 who = { .expires = wall_ms / 1000 + 60 };
	size_t		 i;

	(void)state;
	for (i = 0; i < MANY; i++) {
		leases[i] = malloc(sizeof(*leases[i]));
		assert_non_null(leases[i]);
		lease_begin(leases[i], &who, ended);
	}
	return (0);
}

static int
end(void **state)
{
	size_t	 i;

	(void)state;
	for (i = 0; i < MANY; i++)
		if (leases[i] != NULL) {
			lease_end(leases[i]);
			free(leases[i]);
		}
	return (0);
}

static void
test_renewed(void **state)
{
	size_t	 i;

	(void)state;
	lease_janitor();
	assert_int_equal(nasked, 0);
	time_passes(30000);
	lease_janitor();
	assert_int_equal(nasked, MANY);
	for (i = 0; i < MANY; i++)
		answer(i, NULL);
	for (i = 0; i < MANY; i++)
		assert_int_equal(leases[i]->who.expires, wall_ms / 1000 + 60);
	assert_int_equal(nended, 0);
}

static void
test_refused(void **state)
{
	size_t	 i;

	(void)state;
	nasked = 0;
	time_passes(30000);
	lease_janitor();
	assert_int_equal(nasked, MANY);
	lease_end(leases[7]);
	free(leases[7]);
	leases[7] = NULL;
	for (i = 0; i < MANY; i++)
		answer(i, i < 10 ? "token_revoked" : i < 20 ? "unavailable" :
		    NULL);
	for (i = 0; i < 20; i++)
		if (leases[i] != NULL)
			assert_int_equal(leases[i]->over, i < 10);
	assert_int_equal(nended, 9);
}

int
main(void)
{
	const struct CMUnitTest	 tests[] = {
		cmocka_unit_test(test_renewed),
		cmocka_unit_test(test_refused),
	};

	return (cmocka_run_group_tests(tests, begin, end));
}
