/* links: mctl/sse.c mctl/str.c -ljansson */
/*
 * Server-sent events: every way of cutting a stream gives the same events,
 * and what was not ended by an empty line did not happen.
 */

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "stream.h"

static int
note(void *arg, const char *type, const char *data, size_t len)
{
	struct str	*s = arg;

	assert_int_equal(len, strlen(data));
	str_printf(s, "[%s|%s]", type, data);
	return (strcmp(type, "end") == 0);
}

/* Feed text in two parts, cut at `at'. */
static void
feed(const char *text, size_t at, const char *events, const char *last)
{
	struct sse	 s = { 0 };
	struct str	 seen = { 0 }, position = { 0 };
	size_t		 len = strlen(text);
	int		 rc;

	str_add(&seen, "", 0);
	str_add(&position, "", 0);
	if ((rc = sse_feed(&s, text, at, note, &seen, &position)) == 0)
		rc = sse_feed(&s, text + at, len - at, note, &seen,
		    &position);
	assert_string_equal(seen.data, events);
	assert_string_equal(position.data, last);
	sse_reset(&s);
	str_free(&seen);
	str_free(&position);
	(void)rc;
}

static void
feed_all(const char *text, const char *events, const char *last)
{
	size_t	 i;

	for (i = 0; i <= strlen(text); i++)
		feed(text, i, events, last);
}

static void
test_events(void **state)
{
	(void)state;
	feed_all("id: 1.1\ndata: a\n\nid: 1.2\nevent: log\ndata: b\ndata:c\n\n",
	    "[message|a][log|b\nc]", "1.2");
}

static void
test_line_ends(void **state)
{
	(void)state;
	feed_all("id: 1\r\ndata: a\r\n\r\nid: 2\rdata: b\r\rid: 3\ndata: c\n\n",
	    "[message|a][message|b][message|c]", "3");
}

static void
test_comments_and_unknown(void **state)
{
	(void)state;
	feed_all(": hello\n\nretry: x\nfoo: bar\ndata\n\ndata:  two\n\n",
	    "[message|][message| two]", "");
}

static void
test_cut(void **state)
{
	(void)state;
	feed_all("id: 1\ndata: a\n\nid: 2\ndata: b\n", "[message|a]", "1");
}

static void
test_end(void **state)
{
	(void)state;
	feed_all("id: 1\ndata: a\n\nevent: end\ndata: {}\n\ndata: late\n\n",
	    "[message|a][end|{}]", "1");
}

static void
test_bound(void **state)
{
	struct sse	 s = { 0 };
	struct str	 seen = { 0 }, last = { 0 };
	static char	 junk[65536];
	size_t		 i;
	int		 rc = 0;

	(void)state;
	memset(junk, 'x', sizeof(junk));
	for (i = 0; i <= EVENT_MAX / sizeof(junk) && rc == 0; i++)
		rc = sse_feed(&s, junk, sizeof(junk), note, &seen, &last);
	assert_int_equal(rc, -1);
	sse_reset(&s);
}

int
main(void)
{
	const struct CMUnitTest	 tests[] = {
		cmocka_unit_test(test_events),
		cmocka_unit_test(test_line_ends),
		cmocka_unit_test(test_comments_and_unknown),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_end),
		cmocka_unit_test(test_bound),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
