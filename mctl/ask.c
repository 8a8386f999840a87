/*
 * A permission request at the terminal.  What the agent wrote is hostile:
 * it is shown whole, escaped, wrapped by us and behind a bar on every line,
 * so that nothing in it can look like a question of ours; and what was typed
 * before the question stood there does not answer it.
 */

#include <sys/ioctl.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <termios.h>
#include <unistd.h>

#include "ask.h"

#define BAR		"  | "
#define LINES		60	/* of the input, before [d]etails */
#define CHECK_S		2	/* does it still stand? */

static size_t
screen_width(FILE *f)
{
	struct winsize	 ws;

	if (ioctl(fileno(f), TIOCGWINSZ, &ws) == -1 || ws.ws_col < 24)
		return (80);
	return (ws.ws_col);
}

/* Escaped text behind the bar, at most max lines (0: all); lines left. */
static size_t
barred(FILE *f, const char *text, size_t len, size_t max)
{
	struct str	 s = { 0 }, one = { 0 };
	const char	*p, *from, *end;
	size_t		 room = screen_width(f) - sizeof(BAR), n = 0;
	uint32_t	 c;

	text_safe(&s, text, len, TEXT_LINES);
	end = s.data + s.len;
	for (p = s.data; p < end;) {
		from = p;
		c = text_next(&p, end);
		if (c == '\t')
			str_puts(&one, "    ");
		else if (c != '\n')
			str_add(&one, from, (size_t)(p - from));
		if (c != '\n' && p < end && text_width(one.data) + 4 <= room)
			continue;
		str_add(&one, "", 0);
		if (max == 0 || n < max)
			fprintf(f, BAR "%s\n", one.data);
		n++;
		one.len = 0;
		str_add(&one, "", 0);
	}
	str_free(&one);
	str_free(&s);
	return (max == 0 || n <= max ? 0 : n - max);
}

/* The tool's full input, or its first lines. */
void
ask_input(FILE *f, json_t *perm, size_t max)
{
	json_t	*input = doc_find(perm, "input");
	char	*text;
	size_t	 more;

	if (input == NULL)
		return;
	text = json_dumps(input, JSON_INDENT(2) | JSON_ENCODE_ANY);
	if (text == NULL)
		return;
	if ((more = barred(f, text, strlen(text), max)) != 0)
		fprintf(f, "  (%zu more lines: [d]etails shows them)\n", more);
	free(text);
}

static void
clipped(FILE *f, const char *text, size_t max)
{
	struct str	 s = { 0 };

	text_safe(&s, text, strlen(text), 0);
	text_clip(&s, max);
	fputs(s.data, f);
	str_free(&s);
}

static void
request_show(json_t *perm)
{
	const char	*action = doc_str(perm, "action");

	fputs("\nThe agent asks permission to use ", stderr);
	clipped(stderr, doc_str(perm, "tool"), 40);
	fputs(" (risk: ", stderr);
	clipped(stderr, doc_str(perm, "risk_level"), 16);
	fputs(")\n", stderr);
	if (*action != '\0')
		barred(stderr, action, strlen(action), 0);
	fputs("  input:\n", stderr);
	ask_input(stderr, perm, LINES);
}

/* Anew; what was typed until now is thrown away. */
static void
question_show(json_t *perm)
{
	(void)tcflush(STDIN_FILENO, TCIFLUSH);
	fputs("Allow ", stderr);
	clipped(stderr, doc_str(perm, "tool"), 40);
	fputs("? [y]es / [n]o / [d]etails / [q]uit: ", stderr);
	fflush(stderr);
}

static void
details_show(json_t *perm)
{
	char	*text;

	if ((text = json_dumps(perm, JSON_INDENT(2))) == NULL)
		return;
	barred(stderr, text, strlen(text), 0);
	free(text);
}

/*
 * A line from the terminal: y, n, d or q, which is its end, too; 0 when it is
 * anything else, -1 interrupted.  Of a long line the rest is no answer, either.
 */
static int
letter_read(void)
{
	static const char *const	 words[] = { "yes", "no", "details",
	    "quit" };
	char				 buf[64], *p = buf;
	size_t				 i, len;
	ssize_t				 n;

	n = read(STDIN_FILENO, buf, sizeof(buf) - 1);
	if (n <= 0)
		return (n == 0 ? 'q' : -1);
	if (buf[n - 1] != '\n')
		return (0);
	buf[n - 1] = '\0';
	p += strspn(p, " \t");
	len = strcspn(p, " \t");
	if (p[len + strspn(p + len, " \t")] != '\0')
		return (0);
	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if ((len == 1 || len == strlen(words[i])) &&
		    strncasecmp(p, words[i], len) == 0)
			return (words[i][0]);
	return (0);
}

/* SIGINT is let in while we wait, and at no other time. */
static enum answer
answer_wait(struct mctl *m, json_t *perm, ask_check stands,
    int (*interrupted)(void), const sigset_t *open)
{
	static const struct timespec	 check = { CHECK_S, 0 };
	struct pollfd			 pfd = { STDIN_FILENO, POLLIN, 0 };
	int				 c, n;

	for (;;) {
		if (interrupted() ||
		    (n = ppoll(&pfd, 1, &check, open)) == -1)
			return (ANSWER_NONE);
		if (n == 0) {
			if (stands(m, doc_str(perm, "id")))
				continue;
			fputs("\nIt no longer stands.\n", stderr);
			return (ANSWER_NONE);
		}
		if ((c = letter_read()) == -1)
			return (ANSWER_NONE);
		if (c == 'q')
			return (ANSWER_QUIT);
		if (c == 'y')
			return (ANSWER_YES);
		if (c == 'n')
			return (ANSWER_NO);
		if (c == 'd')
			details_show(perm);
		question_show(perm);
	}
}

enum answer
ask_person(struct mctl *m, json_t *perm, ask_check stands,
    int (*interrupted)(void))
{
	sigset_t	 intr, was;
	enum answer	 a;

	/* One between the question and the wait for an answer counts, too. */
	sigemptyset(&intr);
	sigaddset(&intr, SIGINT);
	sigprocmask(SIG_BLOCK, &intr, &was);
	request_show(perm);
	question_show(perm);
	a = answer_wait(m, perm, stands, interrupted, &was);
	sigprocmask(SIG_SETMASK, &was, NULL);
	return (a);
}
