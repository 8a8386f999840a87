/*
 * script.c - what a run does is said in its prompt: `fleet MARK word=number
 * ...', so that the REST side decides and any runner of any fleet can do it.
 * Lines are made from the mark and their number, so that whoever reads one can
 * tell whether it is the right one; the time in it is when it was written.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fleet.h"

#define BYTES_MAX	16384
#define NUMBER_MAX	100000000	/* eight digits in a line */
/* mark, ' ', 8 digits, ' ', 16 hexadecimal digits, ' ' */
#define LINE_FIXED	27
#define STAMP		10		/* behind the mark */

static int
script_word(struct script *s, const char *word, unsigned int n)
{
	const struct {
		const char	*name;
		unsigned int	*to;
	} words[] = {
		{ "lines=", &s->lines }, { "bytes=", &s->bytes },
		{ "rate=", &s->rate }, { "wait=", &s->wait },
		{ "delay=", &s->delay }, { "ask=", &s->ask },
		{ "progress=", &s->progress }, { NULL, NULL }
	};
	size_t	 i, len = strcspn(word, "=") + 1;

	if (strcmp(word, "fails=1") == 0) {
		s->fails = 1;
		return (0);
	}
	for (i = 0; words[i].name != NULL; i++)
		if (strncmp(word, words[i].name, len) == 0) {
			*words[i].to = n;
			return (0);
		}
	return (-1);
}

int
script_read(struct script *s, char mark[MARK_SIZE], const char *prompt)
{
	const char	*p;
	char		*end, word[64];
	unsigned long	 n;
	size_t		 len;

	memset(s, 0, sizeof(*s));
	s->bytes = 100;
	if (strncmp(prompt, "fleet ", 6) != 0)
		return (-1);
	p = prompt + 6;
	if ((len = strcspn(p, " ")) == 0 || len >= MARK_SIZE)
		return (-1);
	memcpy(mark, p, len);
	mark[len] = '\0';
	for (p += len; *(p += strspn(p, " ")) != '\0'; p += len) {
		if ((len = strcspn(p, " ")) >= sizeof(word))
			return (-1);
		memcpy(word, p, len);
		word[len] = '\0';
		n = strtoul(word + strcspn(word, "=") +
		    (strchr(word, '=') != NULL), &end, 10);
		if (*end != '\0' || n >= NUMBER_MAX ||
		    script_word(s, word, (unsigned int)n) == -1)
			return (-1);
	}
	return (s->bytes > BYTES_MAX ? -1 : 0);
}

size_t
script_bytes(const struct script *s, const char *mark)
{
	size_t	 least = strlen(mark) + LINE_FIXED;

	return (s->bytes < least ? least : s->bytes);
}

size_t
script_number(const char *mark)
{
	return (strlen(mark) + 1);
}

size_t
script_stamp(const char *mark)
{
	return (strlen(mark) + STAMP);
}

static const char *
script_filler(size_t *n)
{
	static char	 text[BYTES_MAX];
	size_t		 i;

	if (text[0] == '\0')
		for (i = 0; i < sizeof(text); i++)
			text[i] = (char)('a' + i % 26);
	*n = sizeof(text);
	return (text);
}

void
script_line(char *buf, size_t len, const char *mark, uint64_t n, uint64_t ns)
{
	const char	*filler;
	char		 head[MARK_SIZE + LINE_FIXED + 1];
	size_t		 size, used;

	used = (size_t)snprintf(head, sizeof(head), "%s %08llu %016llx ", mark,
	    (unsigned long long)n, (unsigned long long)ns);
	filler = script_filler(&size);
	memcpy(buf, head, used);
	memcpy(buf + used, filler, len - used);
}

int
script_is_line(const char *s, size_t len, const char *mark, uint64_t n,
    uint64_t *ns)
{
	const char	*filler;
	char		 digits[9], stamp[17];
	size_t		 at = strlen(mark), size;

	if (len < at + LINE_FIXED || memcmp(s, mark, at) != 0)
		return (0);
	snprintf(digits, sizeof(digits), "%08llu",
	    (unsigned long long)(n % NUMBER_MAX));
	if (memcmp(s + at + 1, digits, 8) != 0)
		return (0);
	memcpy(stamp, s + at + STAMP, 16);
	stamp[16] = '\0';
	*ns = strtoull(stamp, NULL, 16);
	filler = script_filler(&size);
	return (len - at - LINE_FIXED <= size && memcmp(s + at + LINE_FIXED,
	    filler, len - at - LINE_FIXED) == 0);
}
