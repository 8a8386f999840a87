/* links: agent/outbox.c agent/util.c agent/utf8.c runner.proto -lprotobuf-c -ljansson */
/*
 * What goes up: in order, once on each stream, and never more ahead of what is
 * acknowledged than a server takes, which would end the connection.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agent.h"
#include "run.h"

#define LETTERS	10000
#define TAKEN	4096		/* by a server; more is the end */
#define BYTES	(8 * 1024 * 1024) /* when no program is read any more */

static struct run	 run;
static struct agent	 agent = { .run = &run };
struct agent		*env = &agent;

static uint64_t	 heard;		/* number of the last that went up */
static int	 resumed;

void
journal_put(int type, const void *data, size_t len)
{
	(void)type;
	(void)data;
	(void)len;
}

void
run_resume(struct run *r)
{
	assert_ptr_equal(r, &run);
	resumed++;
}

int
link_is_up(void)
{
	return (1);
}

int
link_send(const uint8_t *data, size_t len)
{
	Marionette__V1__RunnerMessage	*m;

	m = marionette__v1__runner_message__unpack(NULL, len, data);
	assert_non_null(m);
	assert_true(m->number == heard + 1);
	heard = m->number;
	marionette__v1__runner_message__free_unpacked(m, NULL);
	return (0);
}

static int	 passed;	/* ends that went up */

void
spool_passed(const char *id, uint64_t last)
{
	assert_string_equal(id, "run_1");
	assert_int_equal(last, 7);
	passed++;
}

static void
test_ahead(void **state)
{
	Marionette__V1__RunnerMessage	 m;
	uint64_t			 acked;
	int				 i;

	(void)state;
	marionette__v1__runner_message__init(&m);
	for (i = 0; i < LETTERS; i++)
		outbox_put(&m);
	for (acked = 0; acked < LETTERS; outbox_ack(acked)) {
		outbox_flush();
		assert_in_range(heard, acked + 1, acked + TAKEN);
		acked += (heard - acked + 1) / 2;
	}
	assert_int_equal(heard, LETTERS);
	assert_int_equal(outbox_first(), 0);
}

/* A new stream hears again what was not acknowledged. */
static void
test_again(void **state)
{
	Marionette__V1__RunnerMessage	 m;

	(void)state;
	marionette__v1__runner_message__init(&m);
	outbox_put(&m);
	outbox_put(&m);
	outbox_put(&m);
	outbox_flush();
	outbox_ack(LETTERS + 1);
	outbox_rewind();
	heard = LETTERS + 1;
	outbox_flush();
	assert_int_equal(heard, LETTERS + 3);
	outbox_flush();
	outbox_ack(LETTERS + 3);
}

/* With the end of a run it is said, each time, that no line of it will come. */
static void
test_end(void **state)
{
	Marionette__V1__RunnerMessage	 m;
	Marionette__V1__RunCompleted	 b;
	static char			 id[] = "run_1";
	uint64_t			 n = heard;

	(void)state;
	marionette__v1__runner_message__init(&m);
	marionette__v1__run_completed__init(&b);
	m.body_case = MARIONETTE__V1__RUNNER_MESSAGE__BODY_RUN_COMPLETED;
	m.run_completed = &b;
	b.run_id = id;
	b.log_last = 7;
	outbox_put(&m);
	outbox_flush();
	outbox_flush();
	assert_int_equal(passed, 1);
	outbox_rewind();
	heard = n;
	outbox_flush();
	assert_int_equal(passed, 2);
	outbox_ack(heard);
}

/* What waits has an end: what it comes from is not read until there is room. */
static void
test_full(void **state)
{
	static char			 input[900 * 1024], step[] = "a step";
	Marionette__V1__RunnerMessage	 m;
	Marionette__V1__PermissionRequest b;
	Marionette__V1__RunProgress	 p;
	uint64_t			 n = heard;
	size_t				 put;

	(void)state;
	memset(input, 'x', sizeof(input) - 1);
	marionette__v1__runner_message__init(&m);
	marionette__v1__permission_request__init(&b);
	marionette__v1__run_progress__init(&p);
	m.body_case = MARIONETTE__V1__RUNNER_MESSAGE__BODY_PERMISSION_REQUEST;
	m.permission_request = &b;
	b.input_json = input;
	for (put = 0; outbox_has_room(); put += sizeof(input))
		outbox_put(&m);
	assert_in_range(put, BYTES, BYTES + sizeof(input));
	outbox_flush();
	assert_int_equal(resumed, 0);
	outbox_ack(n + 1);
	assert_int_equal(resumed, 1);
	assert_true(outbox_has_room());
	outbox_ack(heard);
	assert_int_equal(resumed, 1);
	/* Small ones are many, and have their cost. */
	m.body_case = MARIONETTE__V1__RUNNER_MESSAGE__BODY_RUN_PROGRESS;
	m.run_progress = &p;
	p.step = step;
	for (put = 0; outbox_has_room(); put += sizeof(step))
		outbox_put(&m);
	assert_in_range(put, BYTES / 32, BYTES / 4);
}

int
main(void)
{
	const struct CMUnitTest	tests[] = {
		cmocka_unit_test(test_ahead),
		cmocka_unit_test(test_again),
		cmocka_unit_test(test_end),
		cmocka_unit_test(test_full),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
