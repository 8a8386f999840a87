/* links: mctl/text.c mctl/str.c mctl/when.c mctl/yaml.c -ljansson */
/*
 * What mctl does to strangers' text before a terminal sees it; widths; times;
 * YAML scalars.
 */

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "doc.h"

static void
safe(const char *in, size_t len, int flags, const char *want)
{
	struct str	 s = { 0 };
	char		*exact;

	exact = malloc(len == 0 ? 1 : len);	/* so that ASan sees the end */
	memcpy(exact, in, len);
	text_safe(&s, exact, len, flags);
	assert_string_equal(s.data, want);
	str_free(&s);
	free(exact);
}

#define SAFE(in, flags, want)	safe((in), sizeof(in) - 1, (flags), (want))

static void
test_safe(void **state)
{
	(void)state;
	SAFE("plain", 0, "plain");
	SAFE("", 0, "");
	SAFE("a\nb\tc", 0, "a\\nb c");
	SAFE("a\nb\tc", TEXT_LINES, "a\nb\tc");
	SAFE("\r\033[2J\007\177", TEXT_LINES, "^M^[[2J^G^?");
	SAFE("a\0b", 0, "a^@b");
	SAFE("\xc2\x9b" "31m", 0, "\\u{9b}31m");
	SAFE("\xe2\x80\xaegnp", 0, "\\u{202e}gnp");
	SAFE("\xe2\x80\xa8", 0, "\\u{2028}");
	SAFE("\xe6\x97\xa5\xf0\x9f\x98\x80", 0, "\xe6\x97\xa5\xf0\x9f\x98\x80");
	SAFE("\xf3\xa0\x81\x81", 0, "\\u{e0041}");
}

static void
test_no_utf8(void **state)
{
#define BAD	"\xef\xbf\xbd"
	(void)state;
	SAFE("\xff", 0, BAD);
	SAFE("\xc3", 0, BAD);
	SAFE("\xe2\x80", 0, BAD BAD);
	SAFE("\xc0\x80", 0, BAD BAD);
	SAFE("\xed\xa0\x80", 0, BAD BAD BAD);
	SAFE("\xf4\x90\x80\x80", 0, BAD BAD BAD BAD);
	SAFE("\xe0\x80\x9b", 0, BAD BAD BAD);
	SAFE("\xc3(", 0, BAD "(");
}

static void
test_width(void **state)
{
	struct str	 s = { 0 };

	(void)state;
	assert_int_equal(text_width("abc"), 3);
	assert_int_equal(text_width("e\xcc\x81"), 1);
	assert_int_equal(text_width("\xe6\x97\xa5"), 2);
	str_puts(&s, "\xe6\x97\xa5\xe6\x97\xa5\xe6\x97\xa5");
	text_clip(&s, 5);
	assert_string_equal(s.data, "\xe6\x97\xa5\xe6\x97\xa5\xe2\x80\xa6");
	text_clip(&s, 4);
	assert_string_equal(s.data, "\xe6\x97\xa5\xe2\x80\xa6");
	str_free(&s);
}

static void
test_when(void **state)
{
	char	 buf[40];
	int64_t	 n;

	(void)state;
	assert_int_equal(when_parse("2026-01-02T03:04:05.678Z", &n), 0);
	assert_true(n == 1767323045678);
	when_format(n, buf, sizeof(buf));
	assert_string_equal(buf, "2026-01-02T03:04:05.678Z");
	assert_int_equal(when_parse("yesterday", &n), -1);
	assert_int_equal(when_parse("2026-01-02T03:04:05+02:00", &n), -1);
	assert_int_equal(when_span("90d", &n), 0);
	assert_true(n == 90 * 86400);
	assert_int_equal(when_span("15", &n), 0);
	assert_true(n == 15);
	assert_int_equal(when_span("", &n), -1);
	assert_int_equal(when_span("5w", &n), -1);
	assert_int_equal(when_span("99999999999999999999", &n), -1);
	when_age(-5, buf, sizeof(buf));
	assert_string_equal(buf, "0s");
	when_age(7199, buf, sizeof(buf));
	assert_string_equal(buf, "119m");
}

static void
yaml(const char *json, const char *want)
{
	json_t	*doc;
	FILE	*f;
	char	*out = NULL;
	size_t	 size;

	doc = json_loads(json, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	assert_non_null(doc);
	assert_non_null(f = open_memstream(&out, &size));
	yaml_print(f, doc);
	fclose(f);
	assert_string_equal(out, want);
	free(out);
	json_decref(doc);
}

static void
test_yaml(void **state)
{
	(void)state;
	yaml("{}", "{}\n");
	yaml("[[1,[2]],{\"a\":{\"b\":[]}}]",
	    "- - 1\n  - - 2\n- a:\n    b: []\n");
	yaml("[\"No\",\"1e3\",\"2026-01-01\",\"a: b\",\"a #b\",\" a\",\"\"]",
	    "- \"No\"\n- \"1e3\"\n- \"2026-01-01\"\n- \"a: b\"\n- \"a #b\"\n"
	    "- \" a\"\n- \"\"\n");
	yaml("\"a\\u0000b\\u2028\\u00e9\"", "\"a\\u0000b\\u2028\xc3\xa9\"\n");
	yaml("{\"on\":true,\"a\":null,\"f\":1.5}",
	    "\"on\": true\na: null\nf: 1.5\n");
}

int
main(void)
{
	const struct CMUnitTest	 tests[] = {
		cmocka_unit_test(test_safe),
		cmocka_unit_test(test_no_utf8),
		cmocka_unit_test(test_width),
		cmocka_unit_test(test_when),
		cmocka_unit_test(test_yaml),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
