/* links: sessiond/follower.c sessiond/hub.c sessiond/position.c regress/unit/hub_world.c */
/*
 * Followers of events against a database that is simulated: whatever the order
 * of commits, pushes, pages, credit and restarts of storaged, each gets every
 * event of its tenant and type once, in order, and never more than its credit;
 * also when nobody followed for a while and nothing was pushed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "hub_world.h"

#define LIVES		20
#define STEPS		3000

/* All go and come back, before storaged hears that nobody follows or after. */
static void
night(unsigned int ms)
{
	char	 last[POSITION_SIZE];
	int	 i;

	for (i = 0; i < FOLLOWERS; i++)
		if (!viewers[i].greeted)
			return;
	for (i = 0; i < FOLLOWERS; i++)
		unfollow(&viewers[i]);
	hub_tick();
	now += ms;
	hub_tick();
	assert_int_equal(feed, ms < 60000);
	committed += 3;
	push(1);
	for (i = 0; i < FOLLOWERS; i++) {
		strlcpy(last, viewers[i].last, sizeof(last));
		follow(&viewers[i], last);
	}
	assert_int_equal(feed, 1);
}

static void
step(void)
{
	struct viewer	*v = &viewers[rand() % FOLLOWERS];
	char		 last[POSITION_SIZE];

	switch (rand() % 13) {
	case 0:
	case 1:
		committed += 3;
		break;
	case 2:
	case 3:
		push((unsigned int)rand() % 8);
		break;
	case 4:
	case 5:
		credit(v, (uint32_t)rand() % 40);
		break;
	case 6:
		if (v->greeted) {
			unfollow(v);
			strlcpy(last, v->last, sizeof(last));
			follow(v, last);
		}
		break;
	case 7:
		if (horizon_due || rand() % 20 == 0)
			restart();
		break;
	case 8:
		full = rand() % 4 == 0;
		followers_due();
		followers_turn();
		break;
	case 9:
		if (rand() % 20 == 0)
			committed += 300;
		break;
	case 10:
		if (rand() % 10 == 0)
			night(rand() % 2 ? 30000 : 60000);
		break;
	default:
		if (npages > 0)
			answer((unsigned int)rand() % npages, "");
		break;
	}
}

/* Everybody reads to the end. */
static void
finish(void)
{
	int	 i, n;

	full = 0;
	if (horizon_due)
		restart();
	push(UINT32_MAX);
	for (i = 0; i < FOLLOWERS; i++)
		credit(&viewers[i], 1000000);
	for (n = 0; n < 1000; n++) {
		while (npages > 0)
			answer(0, "");
		followers_due();
		followers_turn();
	}
	for (i = 0; i < FOLLOWERS; i++) {
		assert_int_equal(viewers[i].greeted, 1);
		for (; viewers[i].next < committed; viewers[i].next++)
			assert_false(wanted(&viewers[i], viewers[i].next));
	}
}

static void
lives(void **state)
{
	int	 life, i;

	(void)state;
	for (i = 0; i < FOLLOWERS; i++) {
		viewers[i].tenant[0] = i % 2 == 0 ? 'a' : 'b';
		viewers[i].types = i < 3 ? "" : "task.* nothing";
		follow(&viewers[i], "");
		assert_int_equal(viewers[i].greeted, 0);
	}
	restart();
	for (life = 0; life < LIVES; life++) {
		srand((unsigned int)life + 1);
		for (i = 0; i < STEPS / LIVES; i++)
			step();
		finish();
		assert_int_equal(followers_count(), FOLLOWERS);
	}
	assert_true(pages_of_nobody > 0);
}

/*
 * Who gets nothing, as none of it is for him, is told now and then how far he is:
 * from there he goes on, and not from where he once began.
 */
static void
passed(void **state)
{
	struct viewer	*v = &viewers[5];	/* b, task.* */
	char		 last[POSITION_SIZE];
	struct position	 at;

	(void)state;
	while (wanted(v, committed) || wanted(v, committed + 1) ||
	    wanted(v, committed + 2))
		committed += 3;
	push(UINT32_MAX);
	strlcpy(last, v->last, sizeof(last));
	committed += 3;
	push(UINT32_MAX);
	assert_string_equal(v->last, last);
	now += 60000;
	followers_due();
	followers_turn();
	assert_string_not_equal(v->last, last);
	assert_int_equal(position_show(&at, v->tenant, v->last), 0);
	assert_int_equal(at.xid, XID + (committed - 1) / 3);
	strlcpy(last, v->last, sizeof(last));
	/* Once. */
	now += 60000;
	followers_due();
	followers_turn();
	assert_string_equal(v->last, last);
}

/* Told so, and before its stream has begun: afterwards it could not be. */
static void
is_gone(struct viewer *v, const char *after)
{
	int	 i;

	follow(v, after);
	credit(v, 10);
	for (i = 0; i < 1000 && npages == 0; i++) {
		followers_due();
		followers_turn();
	}
	assert_int_equal(npages, 1);
	answer(0, "gone");
	assert_int_equal(v->refused, 1);
	assert_int_equal(v->greeted, 0);
	assert_int_equal(followers_count(), FOLLOWERS - 1);
}

/*
 * What was removed cannot be followed from, nor what is still to come, as a
 * database has it that was put back; a stranger's position neither.
 */
static void
gone(void **state)
{
	struct viewer	*v = &viewers[0];
	struct position	 at = *hub_high();
	char		 last[POSITION_SIZE], other[POSITION_SIZE];

	(void)state;
	strlcpy(last, v->last, sizeof(last));
	strlcpy(other, viewers[1].last, sizeof(other));
	committed += 3;
	restart();
	while (npages > 0)
		answer(0, "");
	unfollow(v);
	is_gone(v, last);
	at.xid += 1000000;
	position_hide(&at, v->tenant, last);
	is_gone(v, last);
	follow(v, other);
	assert_int_equal(v->refused, 1);
	assert_int_equal(followers_count(), FOLLOWERS - 1);
	/* The same ref again takes the place of the first. */
	follow(v, "");
	refs--;
	follow(v, "");
	assert_int_equal(followers_count(), FOLLOWERS);
	followers_peer_down(&web);
	assert_int_equal(followers_count(), 0);
}

/* One tenant's streams leave room for those of others. */
static void
not_all_for_one(void **state)
{
	struct viewer	*v = &viewers[0];

	(void)state;
	do
		follow(v, "");
	while (v->refused == 0);
	assert_true(followers_count() > 1000);
	assert_string_not_equal(v->tenant, viewers[1].tenant);
	follow(&viewers[1], "");
	assert_int_equal(viewers[1].refused, 0);
	followers_peer_down(&web);
	follow(v, "");
	assert_int_equal(v->refused, 0);
	followers_peer_down(&web);
}

int
main(void)
{
	const struct CMUnitTest	 tests[] = {
		cmocka_unit_test(lives),
		cmocka_unit_test(passed),
		cmocka_unit_test(gone),
		cmocka_unit_test(not_all_for_one),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
