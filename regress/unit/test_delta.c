/* links: agent/claude_delta.c agent/claude_text.c agent/keys.c agent/utf8.c agent/util.c -ljansson */
/*
 * A key that a streamed message is cut through: no line and no text of a line
 * holds it.  What is no key is logged as it was printed, byte for byte.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "claude.h"
#include "run.h"
#include "util.h"

#define KEY	"sk-ant-0123456789"

struct agent		*env;
static char		 texts[1024], lines[8192], printed[8192];
static unsigned int	 nlines;

void
run_log(struct run *r, const struct logged *how, const char *line, size_t n)
{
	(void)r;
	assert_int_equal(strlen(line), n);
	if (how->text != NULL)
		strlcat(texts, how->text, sizeof(texts));
	strlcat(lines, line, sizeof(lines));
	nlines++;
}

/* Pieces of one block, then its end; what agents would print is passed by. */
static void
stream(const char *member, const char *const *pieces, size_t n)
{
	struct run	 r = { .key = keys_locked(KEY) };
	struct held	 h = { 0 };
	struct logged	 how = { "stdout", "info", "text", NULL };
	json_t		*j;
	size_t		 i;
	char		*text, *line;

	texts[0] = lines[0] = printed[0] = '\0';
	nlines = 0;
	for (i = 0; i <= n; i++) {
		j = i == n ? json_pack("{s:s, s:{s:s, s:i}}", "type",
		    "stream_event", "event", "type", "content_block_stop",
		    "index", 0) : json_pack("{s:s, s:{s:s, s:i, s:{s:s}}}",
		    "type", "stream_event", "event", "type",
		    "content_block_delta", "index", 0, "delta", member,
		    pieces[i]);
		assert_non_null(j);
		line = json_dumps(j, 0);
		strlcat(printed, line, sizeof(printed));
		if (!claude_delta(&r, &h, j, line, strlen(line))) {
			how.text = text = claude_classify(j, &how);
			run_log(&r, &how, line, strlen(line));
			free(text);
		}
		free(line);
		json_decref(j);
	}
	claude_delta_free(&h);
	keys_unlock(r.key);
}

static void
test_cut(void **state)
{
	const char	*two[] = { "the key is sk-ant-01", "23456789, so" };
	const char	*plain[] = { "words", " ask", "sk-ant-01", "x" };
	const char	*end[] = { "as" }, *alone[] = { "s", "s", "k" };
	const char	*twice[] = { KEY "sk-a", "nt-0123456789!" };

	(void)state;
	stream("text", two, 2);
	assert_string_equal(texts, "the key is [key], so");
	assert_null(strstr(lines, "sk-ant"));
	stream("text", plain, 4);
	assert_string_equal(texts, "words asksk-ant-01x");
	assert_string_equal(lines, printed);
	stream("text", end, 1);
	assert_string_equal(texts, "as");
	assert_string_equal(lines, printed);
	stream("partial_json", alone, 3);
	assert_string_equal(lines, printed);
	assert_int_equal(nlines, 4);
	stream("text", twice, 2);
	assert_string_equal(texts, "[key][key]!");
}

static void
test_letters(void **state)
{
	const char	*pieces[sizeof(KEY) + 1];
	char		 letters[sizeof(KEY)][2];
	size_t		 i;

	(void)state;
	pieces[0] = "<";
	for (i = 0; i < sizeof(KEY) - 1; i++) {
		letters[i][0] = KEY[i];
		letters[i][1] = '\0';
		pieces[i + 1] = letters[i];
	}
	pieces[sizeof(KEY)] = ">";
	stream("text", pieces, sizeof(KEY) + 1);
	assert_string_equal(texts, "<[key]>");
	/* Not shown, but in the line as it was printed. */
	stream("partial_json", pieces, sizeof(KEY) + 1);
	assert_non_null(strstr(lines, "[key]"));
	stream("thinking", pieces, sizeof(KEY) + 1);
	assert_non_null(strstr(lines, "[key]"));
}

static void
test_plain(void **state)
{
	const char	*pieces[] = { "nothing", " of it", " here" };

	(void)state;
	stream("text", pieces, 3);
	assert_int_equal(nlines, 4);
	assert_string_equal(texts, "nothing of it here");
	assert_string_equal(lines, printed);
}

int
main(void)
{
	const struct CMUnitTest	tests[] = {
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_letters),
		cmocka_unit_test(test_plain),
	};

	if (sodium_init() == -1)
		return (1);
	env = calloc(1, sizeof(*env));
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
