/* links: agent/utf8.c agent/util.c agent/linebuf.c */
/*
 * What programs print, made fit for the wire: UTF-8, cuts, lines.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "run.h"
#include "util.h"

static char	said[64];		/* what linebuf gave, joined by | */
static size_t	said_len, lines_given, longest;

void
run_system(struct run *r, const char *level, const char *text)
{
	(void)r;
	(void)level;
	assert_non_null(strstr(text, "16 MiB"));
	lines_given++;
}

static void
given(struct run *r, struct stream *st, const char *p, size_t n)
{
	(void)r;
	(void)st;
	lines_given++;
	if (n > longest)
		longest = n;
	if (n < 16 && said_len + n + 1 < sizeof(said)) {
		memcpy(said + said_len, p, n);
		said_len += n;
		said[said_len++] = '|';
	}
}

static void
scrub(const char *in, size_t len, const char *want)
{
	char	*exact, *out;
	size_t	 n;

	exact = malloc(len == 0 ? 1 : len);	/* so that ASan sees the end */
	memcpy(exact, in, len);
	out = utf8_scrub(exact, len, &n);
	assert_string_equal(out, want);
	assert_int_equal(n, strlen(want));
	free(out);
	free(exact);
}

#define SCRUB(in, want)	scrub((in), sizeof(in) - 1, (want))
#define BAD		"\xef\xbf\xbd"

static void
test_scrub(void **state)
{
	(void)state;
	SCRUB("", "");
	SCRUB("plain", "plain");
	SCRUB("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80",
	    "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
	SCRUB("a\0b", "a" BAD "b");
	SCRUB("\xff", BAD);
	SCRUB("\xc3", BAD);			/* ends too early */
	SCRUB("\xe2\x82", BAD BAD);
	SCRUB("\xc0\xaf", BAD BAD);		/* overlong */
	SCRUB("\xe0\x80\xaf", BAD BAD BAD);
	SCRUB("\xed\xa0\x80", BAD BAD BAD);	/* surrogate */
	SCRUB("\xf4\x90\x80\x80", BAD BAD BAD BAD);	/* above U+10FFFF */
	SCRUB("\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf");
}

static void
test_cut(void **state)
{
	char	*s;

	(void)state;
	assert_int_equal(utf8_cut("abc", 3, 5), 3);
	assert_int_equal(utf8_cut("abc", 3, 2), 2);
	assert_int_equal(utf8_cut("a\xc3\xa9", 3, 2), 1);
	assert_int_equal(utf8_cut("\xf0\x9f\x98\x80", 4, 3), 0);
	s = utf8_line("one\ntwo\tthree\x1b[31m", 12);
	assert_string_equal(s, "one two thre");
	free(s);
	s = utf8_line("a\xc3\xa9", 2);
	assert_string_equal(s, "a");
	free(s);
}

static void
mend(const char *in, const char *want)
{
	char	*s = strdup(in);

	utf8_mend(s);
	assert_string_equal(s, want);
	free(s);
}

static void
test_mend(void **state)
{
	(void)state;
	mend("", "");
	mend("caf\xc3\xa9 \xf0\x9f\x98\x80", "caf\xc3\xa9 \xf0\x9f\x98\x80");
	mend("cut \xe2\x82", "cut ??");
	mend("\xc3\xc3\xa9\xff", "?\xc3\xa9?");
}

static void
feed(struct stream *st, const char *p)
{
	lines_add(NULL, st, p, strlen(p), given);
}

static void
test_lines(void **state)
{
	struct stream	 st;

	(void)state;
	memset(&st, 0, sizeof(st));
	said_len = 0;
	feed(&st, "one\n\ntw");
	feed(&st, "o\nthr");
	feed(&st, "ee");
	lines_end(NULL, &st, given);
	said[said_len] = '\0';
	assert_string_equal(said, "one||two|three|");
	assert_null(st.lines.buf);
	said_len = 0;
	lines_end(NULL, &st, given);
	assert_int_equal(said_len, 0);
}

static void
test_long(void **state)
{
	static char	 block[1024 * 1024];
	struct stream	 st;
	int		 i;

	(void)state;
	memset(&st, 0, sizeof(st));
	memset(block, 'x', sizeof(block));
	lines_given = longest = said_len = 0;
	for (i = 0; i < 20; i++)
		lines_add(NULL, &st, block, sizeof(block), given);
	feed(&st, "tail\nnext\n");
	said[said_len] = '\0';
	assert_int_equal(longest, LINE_MAX_BYTES);
	assert_int_equal(lines_given, 3);	/* cut, the notice, next */
	assert_string_equal(said, "next|");
	lines_end(NULL, &st, given);
}

int
main(void)
{
	const struct CMUnitTest	 tests[] = {
		cmocka_unit_test(test_scrub),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_mend),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_long),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
