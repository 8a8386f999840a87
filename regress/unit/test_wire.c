/* links: runnerd/wire.c imsg/runner.proto -lprotobuf-c */
/*
 * The runner wire: what is wrong in a runner's message is named and nothing
 * of it gets through (promise 4).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "wire.h"

static char	 run[] = "run_00000000000000000000000001";
static char	 why[WIRE_WHY];
static uint8_t	 buf[2 << 20];

static Marionette__V1__RunnerMessage *
through(Marionette__V1__RunnerMessage *m)
{
	size_t	 n = marionette__v1__runner_message__pack(m, buf);

	why[0] = '\0';
	return (wire_message(buf, n, why));
}

static void
passes(Marionette__V1__RunnerMessage *m)
{
	Marionette__V1__RunnerMessage	*got = through(m);

	assert_string_equal(why, "");
	assert_non_null(got);
	wire_free(&got->base);
}

static void
fails(Marionette__V1__RunnerMessage *m, const char *field)
{
	assert_null(through(m));
	assert_memory_equal(why, field, strlen(field));
}

static void
progress(void **state)
{
	Marionette__V1__RunnerMessage	 m;
	Marionette__V1__RunProgress	 p;
	char				 step[300], bad[] = "x\xff",
					 id[] = "run_0", surrogate[] =
					 "\xed\xa0\x80";

	(void)state;
	marionette__v1__runner_message__init(&m);
	marionette__v1__run_progress__init(&p);
	m.number = 1;
	m.body_case = MARIONETTE__V1__RUNNER_MESSAGE__BODY_RUN_PROGRESS;
	m.run_progress = &p;
	p.run_id = run;
	p.percent = 100;
	passes(&m);
	p.percent = 101;
	fails(&m, "percent:");
	p.percent = 1;
	p.run_id = id;
	fails(&m, "run_id:");
	p.run_id = run;
	p.step = bad;
	fails(&m, "step:");
	p.step = surrogate;
	fails(&m, "step:");
	memset(step, 'x', sizeof(step));
	step[257] = '\0';
	p.step = step;
	fails(&m, "step:");
	step[256] = '\0';
	passes(&m);
	m.number = WIRE_NUMBER_MAX + 1;
	fails(&m, "number:");
}

static void
completed(void **state)
{
	Marionette__V1__RunnerMessage	 m;
	Marionette__V1__RunCompleted	 c;
	char				 status[] = "completed",
					 part[] = "complete", two[] =
					 "failed timeout", none[] = "";

	(void)state;
	marionette__v1__runner_message__init(&m);
	marionette__v1__run_completed__init(&c);
	m.body_case = MARIONETTE__V1__RUNNER_MESSAGE__BODY_RUN_COMPLETED;
	m.run_completed = &c;
	c.run_id = run;
	c.attempt = 1;
	c.status = status;
	passes(&m);
	c.status = part;
	fails(&m, "status:");
	c.status = two;
	fails(&m, "status:");
	c.status = none;
	fails(&m, "status:");
	c.status = status;
	c.tokens_input = (uint64_t)INT64_MAX + 1;
	fails(&m, "tokens_input:");
	c.tokens_input = 0;
	c.attempt = UINT32_MAX;
	fails(&m, "attempt:");
}

/* protobuf-c would cut it there and say nothing. */
static void
no_nul(void **state)
{
	static const uint8_t	 message[] = { 0x08, 1, 0x32, 6, 0x1a, 4, 'a',
				    0, 'b', 'c' };
	static const uint8_t	 bytes[] = { 0x0a, 2, 'x', 0 };

	(void)state;
	assert_null(wire_message(message, sizeof(message), why));
	assert_string_equal(why, "step: expected text without NUL");
	assert_null(wire_enroll(bytes, sizeof(bytes), why));
	assert_string_equal(why, "name: expected text without NUL");
}

static void
truncated(void **state)
{
	Marionette__V1__RunnerMessage	 m, *got;
	Marionette__V1__Hello		 h;
	Marionette__V1__RunState	 r, *runs[2] = { &r, &r };
	uint8_t				*exact, key[32] = { 1 };
	char				 state_name[] = "running";
	size_t				 n, i;

	(void)state;
	marionette__v1__runner_message__init(&m);
	marionette__v1__hello__init(&h);
	marionette__v1__run_state__init(&r);
	m.body_case = MARIONETTE__V1__RUNNER_MESSAGE__BODY_HELLO;
	m.hello = &h;
	h.runner_id = run;
	h.sealing_key.data = h.signature.data = key;
	h.sealing_key.len = h.signature.len = sizeof(key);
	h.runs = runs;
	h.n_runs = 2;
	r.run_id = r.session_id = run;
	r.state = state_name;
	passes(&m);
	h.sealing_key.len = 31;
	fails(&m, "sealing_key:");
	h.sealing_key.len = 32;
	n = marionette__v1__runner_message__pack(&m, buf);
	for (i = 0; i < n; i++) {
		/* Of its exact size, so that a sanitizer sees one too far. */
		exact = malloc(i + 1);
		memcpy(exact, buf, i);
		got = wire_message(exact, i, why);
		if (got != NULL)
			wire_free(&got->base);
		free(exact);
	}
}

/* What is two bytes on the wire must not become a hundred each here. */
static void
bounded(void **state)
{
	size_t	 i;

	(void)state;
	for (i = 0; i < 65536; i += 2) {
		buf[i] = 0x1a;
		buf[i + 1] = 0;
	}
	assert_null(wire_logs(buf, 65536, why));
	for (i = 0; i < 1 << 20; i += 2) {
		buf[i] = 0x0a;
		buf[i + 1] = 0;
	}
	assert_null(wire_enroll(buf, 1 << 20, why));
	assert_string_equal(why, "EnrollRequest: expected fewer fields");
}

static void
logs(void **state)
{
	Marionette__V1__LogBatch	 b, *got;
	Marionette__V1__LogLine		 l, *lines[1] = { &l };
	char				 out[] = "stdout", info[] = "info",
					 text[] = "text", odd[] = "odd";
	size_t				 n;

	(void)state;
	marionette__v1__log_batch__init(&b);
	marionette__v1__log_line__init(&l);
	b.run_id = run;
	b.first = 1;
	b.lines = lines;
	b.n_lines = 1;
	l.stream = out;
	l.level = info;
	l.kind = text;
	n = marionette__v1__log_batch__pack(&b, buf);
	got = wire_logs(buf, n, why);
	assert_non_null(got);
	wire_free(&got->base);
	l.stream = odd;
	n = marionette__v1__log_batch__pack(&b, buf);
	assert_null(wire_logs(buf, n, why));
	assert_string_equal(why, "stream: expected stdout stderr system");
	l.stream = out;
	b.first = 0;
	n = marionette__v1__log_batch__pack(&b, buf);
	assert_null(wire_logs(buf, n, why));
	assert_string_equal(why, "first: expected 1 or more");
	b.first = 1;
	b.lost = 1;
	n = marionette__v1__log_batch__pack(&b, buf);
	assert_null(wire_logs(buf, n, why));
	assert_string_equal(why, "lines: expected none when lost");
}

/* What a newer agent says is ignored, not refused. */
static void
unknown(void **state)
{
	static const uint8_t		 message[] = { 0x08, 7, 0xba, 0x06, 2,
					    0, 0 };
	Marionette__V1__RunnerMessage	*m;

	(void)state;
	m = wire_message(message, sizeof(message), why);
	assert_non_null(m);
	assert_int_equal(m->number, 7);
	assert_int_equal(m->body_case,
	    MARIONETTE__V1__RUNNER_MESSAGE__BODY__NOT_SET);
	wire_free(&m->base);
}

static void
words(void **state)
{
	char	 a[] = "claude", b[] = "custom:demo", out[64];
	char	*both[] = { a, b };

	(void)state;
	assert_int_equal(wire_words(out, sizeof(out), both, 2), 0);
	assert_string_equal(out, "claude custom:demo");
	assert_int_equal(wire_words(out, 8, both, 2), -1);
	assert_true(wire_is_id(run));
	assert_false(wire_is_id("_00000000000000000000000001"));
	assert_false(wire_is_id("longer_00000000000000000000000001"));
	assert_false(wire_is_id(""));
}

int
main(void)
{
	const struct CMUnitTest	 tests[] = {
		cmocka_unit_test(progress),
		cmocka_unit_test(completed),
		cmocka_unit_test(no_nul),
		cmocka_unit_test(truncated),
		cmocka_unit_test(bounded),
		cmocka_unit_test(logs),
		cmocka_unit_test(unknown),
		cmocka_unit_test(words),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
