/* links: */
/*
 * Text: what is UTF-8, hexadecimal digits, base64, JSON strings, times; lines of
 * the log.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "text.h"

/* By RFC 3629's table, slowly. */
static int
is_utf8(const uint8_t *p, size_t n)
{
	uint32_t	 c, least;
	size_t		 i, more;

	for (; n > 0; p += more + 1, n -= more + 1) {
		more = p[0] < 0x80 ? 0 : p[0] >> 5 == 6 ? 1 : p[0] >> 4 == 14 ?
		    2 : p[0] >> 3 == 30 ? 3 : 9;
		if (more >= n || p[0] == 0)
			return (0);
		c = more == 0 ? p[0] : p[0] & (0x3fU >> more);
		for (i = 1; i <= more; i++) {
			if (p[i] >> 6 != 2)
				return (0);
			c = c << 6 | (p[i] & 0x3f);
		}
		least = more == 0 ? 1 : more == 1 ? 0x80 : more == 2 ? 0x800 :
		    0x10000;
		if (c < least || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
			return (0);
	}
	return (1);
}

static void
utf8(void **state)
{
	uint8_t		 b[24];
	unsigned int	 i, k, n, yes = 0;

	(void)state;
	/* Each pair of first bytes, and random ones behind plain text. */
	for (i = 0; i < 65536; i++) {
		b[0] = (uint8_t)(i >> 8);
		b[1] = (uint8_t)i;
		b[2] = b[3] = 0x80;
		for (n = 1; n <= 4; n++)
			assert_int_equal(text_is_utf8((char *)b, n),
			    is_utf8(b, n));
	}
	srand(1);
	for (i = 0; i < 200000; i++) {
		n = (unsigned int)rand() % sizeof(b);
		for (k = 0; k < n; k++)
			b[k] = rand() % 4 != 0 ? 'a' : (uint8_t)("\x80\xc3\xe2"
			    "\xf0\xed\x9f\xbf\0\x7f\xc1"[rand() % 10]);
		yes += (unsigned int)is_utf8(b, n);
		assert_int_equal(text_is_utf8((char *)b, n), is_utf8(b, n));
	}
	assert_true(yes > 1000);
}

static void
hex(void **state)
{
	uint8_t	 in[3] = { 0, 0xaf, 0xff }, out[3];
	char	 s[7];

	(void)state;
	text_hex(s, in, 3);
	assert_string_equal(s, "00afff");
	assert_int_equal(text_unhex(out, 3, "00AfFf"), 0);
	assert_memory_equal(in, out, 3);
	assert_int_equal(text_unhex(out, 3, "00afg0"), -1);
	assert_int_equal(text_unhex(out, 3, "00aff"), -1);
	assert_int_equal(text_unhex(out, 3, "00affff"), -1);
	assert_int_equal(text_unhex(out, 3, " 0afff"), -1);
}

static void
base64(void **state)
{
	static const char *const	 want[] = { "", "Zg", "Zm8", "Zm9v",
	    "Zm9vYg", "Zm9vYmE", "Zm9vYmFy" };
	char				 s[16];
	size_t				 i;

	(void)state;
	for (i = 0; i < 7; i++) {
		text_base64(s, (const uint8_t *)"foobar", i);
		assert_string_equal(s, want[i]);
	}
	text_base64(s, (const uint8_t *)"\xfb\xff\xfe", 3);
	assert_string_equal(s, "-__-");
}

static void
json(void **state)
{
	static const char	 in[] = "a\"b\\c\n\t\r\x01\x7f\xc3\xa9";
	static const char	 want[] = "a\\\"b\\\\c\\n\\t\\r\\u0001\\u007f"
	    "\xc3\xa9";
	char			 out[64];
	size_t			 n;
	ssize_t			 got;

	(void)state;
	got = text_json(out, sizeof(out), in, sizeof(in) - 1);
	assert_int_equal(got, sizeof(want) - 1);
	assert_memory_equal(out, want, sizeof(want) - 1);
	/* Never beyond its end. */
	for (n = 0; n < sizeof(want) - 1; n++) {
		memset(out, 'Z', sizeof(out));
		assert_int_equal(text_json(out, n, in, sizeof(in) - 1), -1);
		assert_int_equal(out[n], 'Z');
	}
}

static void
times(void **state)
{
	char	 out[TEXT_TIME_SIZE];

	(void)state;
	text_time(out, 0);
	assert_string_equal(out, "1970-01-01T00:00:00.000Z");
	text_time(out, 1795250718123ULL);
	assert_string_equal(out, "2026-11-21T08:45:18.123Z");
	text_time(out, 253402300799999ULL);
	assert_string_equal(out, "9999-12-31T23:59:59.999Z");
	text_time(out, UINT64_MAX);
	assert_int_equal(strlen(out), 24);
}

static void
u64(void **state)
{
	static const uint64_t	 some[] = { 0, 1, 9, 10, 99, 100, UINT32_MAX,
	    9007199254740991ULL, UINT64_MAX };
	char			 out[TEXT_U64_SIZE], expected[32];
	size_t			 i;

	(void)state;
	for (i = 0; i < sizeof(some) / sizeof(some[0]); i++) {
		snprintf(expected, sizeof(expected), "%llu",
		    (unsigned long long)some[i]);
		assert_int_equal(text_u64(out, some[i]), strlen(expected));
		assert_string_equal(out, expected);
	}
}

/* What is logged of this text, without its newline. */
static const char *
logged(const char *text, int json)
{
	static char	 line[65536];
	ssize_t		 n;
	int		 fds[2], err;

	assert_int_equal(pipe(fds), 0);
	assert_int_not_equal(err = dup(STDERR_FILENO), -1);
	assert_int_not_equal(dup2(fds[1], STDERR_FILENO), -1);
	log_init("test", 0, json);
	log_info("%s", text);
	assert_int_not_equal(dup2(err, STDERR_FILENO), -1);
	n = read(fds[0], line, sizeof(line));
	close(err);
	close(fds[0]);
	close(fds[1]);
	assert_true(n > 0 && line[n - 1] == '\n');
	line[n - 1] = '\0';
	assert_int_equal(strlen(line), n - 1);
	return (line);
}

/* Whatever a stranger put into it, a line is one, and can be read as what it is. */
static void
log_lines(void **state)
{
	static const char	 umlaut[] = "\xc3\xbc";
	static char		 text[4096];
	const char		*line, *p;
	size_t			 i, n;

	(void)state;
	assert_non_null(strstr(logged("\"plain\" text", 0),
	    " test info: \"plain\" text"));
	for (i = 1; i < 0x20; i++) {
		snprintf(text, sizeof(text), "a%cb", (int)i);
		for (p = logged(text, 0); *p != '\0'; p++)
			assert_in_range((unsigned char)*p, 0x20, 0x7e);
	}
	/* Longer than one may be: cut between two characters. */
	for (i = 0; i < 2; i++) {
		text[0] = 'a';
		for (n = i; n < sizeof(text) - 3; n += 2)
			memcpy(text + n, umlaut, 2);
		text[n] = '\0';
		line = logged(text, 1);
		assert_true(text_is_utf8(line, strlen(line)));
	}
	/* Of what takes most room, with nothing of the last one's behind it. */
	memset(text, 1, sizeof(text) - 1);
	memset(text + 680, 'x', 14);
	text[694] = '\0';
	logged(text, 1);
	memset(text, 1, sizeof(text) - 1);
	assert_non_null(p = strchr(logged(text, 1), '\\'));
	for (; strcmp(p, "\"}") != 0; p += 6)
		assert_memory_equal(p, "\\u0001", 6);
}

int
main(void)
{
	const struct CMUnitTest	 tests[] = {
		cmocka_unit_test(utf8),
		cmocka_unit_test(u64),
		cmocka_unit_test(hex),
		cmocka_unit_test(base64),
		cmocka_unit_test(json),
		cmocka_unit_test(times),
		cmocka_unit_test(log_lines),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
