/* links: agent/ask.c agent/utf8.c agent/util.c runner.proto -lprotobuf-c -ljansson */
/*
 * An answer is acknowledged when the program was told, and only then: one that
 * it cannot hear any more is given back, to be kept for the next attempt.  What
 * the server has acknowledged and not answered it is asked again.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "run.h"
#include "util.h"

#define PERM	"perm_1"

static struct agent	 agent;
struct agent		*env = &agent;

static char		 up[256];	/* what was sent, with spaces */
static unsigned int	 heard;		/* by the program */
static size_t		 kept;		/* bytes of JSON, as objects or text */
static uint64_t		 put, acked;	/* messages up */

static void *
json_get(size_t n)
{
	void	*p = xmalloc(n);

	kept += malloc_usable_size(p);
	return (p);
}

static void
json_put(void *p)
{
	kept -= p == NULL ? 0 : malloc_usable_size(p);
	free(p);
}

int
outbox_waits(uint64_t number)
{
	return (number > acked);
}

uint64_t
outbox_put(Marionette__V1__RunnerMessage *m)
{
	const char	*what = "?";

	if (m->body_case ==
	    MARIONETTE__V1__RUNNER_MESSAGE__BODY_PERMISSION_REQUEST)
		what = "asked ";
	else if (m->body_case ==
	    MARIONETTE__V1__RUNNER_MESSAGE__BODY_PERMISSION_ACK)
		what = "ack ";
	else if (m->body_case ==
	    MARIONETTE__V1__RUNNER_MESSAGE__BODY_PERMISSION_CANCELED)
		what = "canceled ";
	strlcat(up, what, sizeof(up));
	return (++put);
}

char *
run_id(struct run *r)
{
	return (r->rec->run_id);
}

void
run_log(struct run *r, const struct logged *how, const char *s, size_t n)
{
	(void)r;
	(void)how;
	(void)s;
	(void)n;
}

void
run_clock_start(struct run *r)
{
	(void)r;
}

void
run_clock_stop(struct run *r)
{
	(void)r;
}

static void
hear(struct run *r, struct ask *a, int approved, const char *reason,
    json_t *input, json_t *answers)
{
	(void)r;
	(void)reason;
	(void)input;
	(void)answers;
	/* What was asked may be said again with the answer. */
	assert_true(!approved || json_is_object(a->input));
	heard++;
}

/* What happens to the question before its answer comes, twice. */
static void
scene(const char *status, int answered, int withdrawn, const char *want,
    unsigned int want_heard)
{
	static char				 run[] = "run_1", req[] = "q",
						 perm[] = PERM, name[] = "x";
	Marionette__V1__PermissionAnswer	 p;
	struct kind				 kind = { .answer = hear };
	struct program				 program = { &kind, name, name };
	struct record				 rec = { .run_id = run };
	struct run				 r = { .rec = &rec,
						    .program = &program };
	json_t					*input = json_object();

	up[0] = '\0';
	heard = 0;
	TAILQ_INIT(&r.asks);
	env->run = &r;
	marionette__v1__permission_answer__init(&p);
	p.permission_id = perm;
	p.run_id = run;
	p.request_id = req;
	p.approved = 1;
	ask_new(&r, req, "tool", "Bash", input, "ls");
	if (answered)
		ask_answer(&p);
	if (status != NULL)
		r.status = xstrdup(status);
	if (withdrawn)
		ask_withdrawn(&r, req);
	ask_answer(&p);
	ask_answer(&p);
	assert_string_equal(up, want);
	assert_int_equal(heard, want_heard);
	/* It may be large, and the run long. */
	if (heard > 0 || withdrawn)
		assert_int_equal(input->refcount, 1);
	ask_end_all(&r);
	free(r.status);
	json_decref(input);
}

static void
test_heard(void **state)
{
	(void)state;
	scene(NULL, 0, 0, "asked ack ack ", 1);
	/* Its acknowledgement was lost: heard before the end. */
	scene("suspended", 1, 0, "asked ack ack ack ", 1);
	scene("suspended", 1, 1, "asked ack ack ack ", 1);
}

static void
test_ending(void **state)
{
	(void)state;
	scene("suspended", 0, 0, "asked canceled canceled ", 0);
	scene("lost", 0, 0, "asked canceled canceled ", 0);
	scene("timeout", 0, 0, "asked canceled canceled ", 0);
	/* Kept, it would answer a question of another task. */
	scene("canceled", 0, 0, "asked ack ack ", 1);
}

static void
test_withdrawn(void **state)
{
	(void)state;
	scene(NULL, 0, 1, "asked canceled canceled canceled ", 0);
	scene("suspended", 0, 1, "asked canceled canceled canceled ", 0);
	scene("lost", 0, 1, "asked canceled canceled canceled ", 0);
	scene("canceled", 0, 1, "asked canceled ack ack ", 0);
}

static void
test_again(void **state)
{
	static char	 id[] = "run_1", name[] = "x";
	struct kind	 kind = { .answer = hear };
	struct program	 program = { &kind, name, name };
	struct record	 rec = { .run_id = id };
	struct run	 r = { .rec = &rec, .program = &program };
	json_t		*input = json_object();

	(void)state;
	TAILQ_INIT(&r.asks);
	env->run = &r;
	ask_new(&r, "q1", "tool", "Bash", input, "ls");
	acked = put;
	ask_new(&r, "q2", "tool", "Bash", input, "ls");
	ask_withdrawn(&r, "q2");
	ask_new(&r, "q3", "tool", "Bash", input, "ls");
	up[0] = '\0';
	/* The last waits to be sent anyway, and so does what is asked again. */
	ask_again();
	assert_string_equal(up, "asked ");
	ask_again();
	assert_string_equal(up, "asked ");
	acked = put;
	ask_again();
	assert_string_equal(up, "asked asked asked ");
	r.exited = 1;
	acked = put;
	ask_again();
	assert_string_equal(up, "asked asked asked ");
	ask_end_all(&r);
	env->run = NULL;
	ask_again();
	acked = 0;
	json_decref(input);
}

/*
 * A program that only asks is told no, and nothing of it is kept; one that was
 * answered may ask again.
 */
static void
test_many(void **state)
{
	static char	 id[] = "run_1", name[] = "x";
	struct kind	 kind = { .answer = hear };
	struct program	 program = { &kind, name, name };
	struct record	 rec = { .run_id = id };
	struct run	 r = { .rec = &rec, .program = &program };
	struct ask	*a;
	json_t		*input = json_object();
	char		 q[8];
	int		 i;

	(void)state;
	heard = 0;
	TAILQ_INIT(&r.asks);
	for (i = 0; i < 1000; i++) {
		snprintf(q, sizeof(q), "q%d", i);
		ask_new(&r, q, "tool", "Bash", input, "ls");
	}
	assert_int_equal(r.pending, 100);
	assert_int_equal(heard, 900);
	i = 0;
	TAILQ_FOREACH(a, &r.asks, entry)
		i++;
	assert_int_equal(i, 100);
	ask_withdrawn(&r, "q0");
	ask_new(&r, "q", "tool", "Bash", input, "ls");
	assert_int_equal(r.pending, 100);
	assert_int_equal(heard, 900);
	/* By an id that it used before, the one that waits is meant. */
	ask_withdrawn(&r, "q1");
	ask_new(&r, "q1", "tool", "Bash", input, "ls");
	ask_withdrawn(&r, "q1");
	assert_int_equal(r.pending, 99);
	ask_end_all(&r);
	json_decref(input);
}

/*
 * One that withdraws all it asks, by ids that are too long and begin alike,
 * keeps us no longer for the last than for the first: everything waits for us.
 * What is kept of each has an end.
 */
static void
test_alike(void **state)
{
	static char	 run[] = "run_1", name[] = "x";
	struct kind	 kind = { .answer = hear };
	struct program	 program = { &kind, name, name };
	struct record	 rec = { .run_id = run };
	struct run	 r = { .rec = &rec, .program = &program };
	json_t		*input = json_object();
	char		 q[256];
	int		 i;

	(void)state;
	heard = 0;
	TAILQ_INIT(&r.asks);
	/* Far from what a sanitizer takes on a busy machine, and a square. */
	alarm(60);
	for (i = 0; i <= 100000; i++) {
		snprintf(q, sizeof(q), "%0200d%d", 0, i);
		ask_new(&r, q, "tool", "Bash", input, "ls");
		ask_withdrawn(&r, q);
	}
	alarm(0);
	assert_int_equal(r.pending, 0);
	assert_int_equal(r.asked, 100000);
	assert_int_equal(heard, 1);
	ask_end_all(&r);
	json_decref(input);
}

/*
 * Those that wait take as much memory as was read of them: as objects, small
 * numbers would take twenty times as much.
 */
static void
test_large(void **state)
{
	static char	 id[] = "run_1", name[] = "x";
	struct kind	 kind = { .answer = hear };
	struct program	 program = { &kind, name, name };
	struct record	 rec = { .run_id = id };
	struct run	 r = { .rec = &rec, .program = &program };
	json_t		*input, *list;
	char		 q[8];
	size_t		 before = kept;
	int		 i, n;

	(void)state;
	TAILQ_INIT(&r.asks);
	for (i = 0; i < 100; i++) {
		list = json_array();
		for (n = 0; n < 20000; n++)
			json_array_append_new(list, json_integer(0));
		input = json_pack("{s:o}", "x", list);
		snprintf(q, sizeof(q), "q%d", i);
		ask_new(&r, q, "tool", "Bash", input, "ls");
		json_decref(input);
	}
	assert_int_equal(r.pending, 100);
	assert_in_range(kept - before, 100 * 40000, 200 * 40000);
	ask_end_all(&r);
}

int
main(void)
{
	const struct CMUnitTest	tests[] = {
		cmocka_unit_test(test_heard),
		cmocka_unit_test(test_ending),
		cmocka_unit_test(test_withdrawn),
		cmocka_unit_test(test_again),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_alike),
		cmocka_unit_test(test_large),
	};

	json_set_alloc_funcs(json_get, json_put);
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
