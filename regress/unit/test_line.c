/* links: runnerd/line.c imsg/runner.proto -lprotobuf-c */
/*
 * Log lines as text: rendering, counting, cutting, positions.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "journal.h"

static char	 stream[] = "stdout", level[] = "info", kind[] = "text";
static char	 out[LINES_MAX + 1];

static size_t
render(const char *content, const char *text, int partial)
{
	Marionette__V1__LogLine	 l;
	char			*c = strdup(content), *t = strdup(text);
	size_t			 n;

	marionette__v1__log_line__init(&l);
	l.stream = stream;
	l.level = level;
	l.kind = kind;
	l.content = c;
	l.text = t;
	l.time_ms = 1700000000123;
	l.partial = partial;
	n = line_render(out, "run_0", 2, 17, &l);
	out[n] = '\0';
	free(c);
	free(t);
	return (n);
}

static void
renders(void **state)
{
	(void)state;
	render("say \"hi\"\n\\", "", 0);
	assert_string_equal(out, "{\"position\":\"2.17\",\"sequence\":17,"
	    "\"run_id\":\"run_0\",\"stream\":\"stdout\",\"level\":\"info\","
	    "\"kind\":\"text\",\"content\":\"say \\\"hi\\\"\\n\\\\\","
	    "\"time\":\"2023-11-14T22:13:20.123Z\"}\n");
	render("", "read me", 1);
	assert_non_null(strstr(out, "\"content\":\"\",\"data\":{\"text\":"
	    "\"read me\"},\"time\":"));
	assert_non_null(strstr(out, "Z\",\"partial\":true}\n"));
}

/* Control bytes grow sixfold, and the longest line must fit all the same. */
static void
renders_worst(void **state)
{
	char	*s = malloc(65537);
	size_t	 n;

	(void)state;
	memset(s, 1, 65536);
	s[65536] = '\0';
	n = render(s, "", 0);
	assert_in_range(n, 65536, LINES_MAX);
	assert_int_equal(out[n - 1], '\n');
	memset(s, '\\', 65536);
	n = render(s, "", 0);
	assert_in_range(n, 131072, LINES_MAX);
	free(s);
}

static void
skips_and_fits(void **state)
{
	static const char	 text[] = "a\nbb\nccc\n";
	const uint8_t		*p = (const uint8_t *)text;
	uint32_t		 n;

	(void)state;
	assert_int_equal(lines_skip(&p, 9, 1), 7);
	assert_int_equal(*p, 'b');
	assert_int_equal(lines_skip(&p, 7, 2), 0);
	p = (const uint8_t *)text;
	assert_int_equal(lines_fit(p, 9, 5, &n), 5);
	assert_int_equal(n, 2);
	assert_int_equal(lines_fit(p, 9, 4, &n), 2);
	/* One line goes whatever the room. */
	assert_int_equal(lines_fit(p + 5, 4, 1, &n), 4);
	assert_int_equal(n, 1);
	assert_int_equal(lines_fit(p, 0, 9, &n), 0);
}

static void
overlaps(void **state)
{
	(void)state;
	assert_int_equal(lines_overlap(5, 3, 5), 0);
	assert_int_equal(lines_overlap(5, 3, 6), 1);
	assert_int_equal(lines_overlap(5, 3, 8), 3);
	assert_int_equal(lines_overlap(5, 3, 20), 3);
	assert_int_equal(lines_overlap(6, 3, 5), -1);
	assert_int_equal(lines_overlap(5, 0, 5), 0);
}

static void
positions(void **state)
{
	static const char *const bad[] = { "1", "1.", ".1", "a.1", "1.b",
	    "1.2.3", "-1.2", "1.-2", " 1.2", "1.2 ", "99999999999.1",
	    "1.99999999999999999999" };
	uint64_t	 line;
	uint32_t	 attempt;
	size_t		 i;

	(void)state;
	assert_int_equal(position_parse("", &attempt, &line), 0);
	assert_int_equal(attempt, 0);
	assert_int_equal(position_parse("3.42", &attempt, &line), 0);
	assert_int_equal(attempt, 3);
	assert_int_equal(line, 42);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(position_parse(bad[i], &attempt, &line), -1);
}

int
main(void)
{
	const struct CMUnitTest	 tests[] = {
		cmocka_unit_test(renders),
		cmocka_unit_test(renders_worst),
		cmocka_unit_test(skips_and_fits),
		cmocka_unit_test(overlaps),
		cmocka_unit_test(positions),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
