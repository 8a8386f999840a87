/*
 * conversation.c - see conversation.h.  In the session's directory, out of the
 * coding agent's reach: `conversation', its UUID; `prompt_at', how long the
 * transcript was when the last prompt was said.  The transcript itself is in the
 * agent's home and may be anything.
 */
#include <sys/stat.h>

#include <fcntl.h>
#include <glob.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conversation.h"
#include "log.h"
#include "place.h"
#include "run.h"
#include "util.h"

#define CHUNK		65536
#define LINE_MAX_SIZE	(16 << 20)	/* a prompt is at most 1 MiB, escaped 6 */
#define LOOK_MAX	(64 << 20)	/* of a transcript, from where it is told */

static void
new_uuid(char uuid[UUID_SIZE])
{
	uint8_t	 b[16];

	place_random(b, sizeof(b));
	b[6] = (b[6] & 0x0f) | 0x40;	/* RFC 9562, version 4 */
	b[8] = (b[8] & 0x3f) | 0x80;
	snprintf(uuid, UUID_SIZE, "%02x%02x%02x%02x-%02x%02x-%02x%02x-"
	    "%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1], b[2], b[3], b[4],
	    b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14],
	    b[15]);
}

/* A small file of the session's directory, or NULL. */
static char *
recall(const struct session *s, const char *name)
{
	char	*path, *text;

	path = xasprintf("%s/%s", s->dir, name);
	text = file_read(path, 128, NULL);
	free(path);
	return (text);
}

/* Its transcript, open, or -1: there is none. */
static int
transcript_open(const struct session *s, const char *uuid)
{
	struct stat	 st;
	glob_t		 g;
	char		*path;
	int		 fd = -1;

	path = xasprintf("%s/home/.claude/projects/*/%s.jsonl", s->dir, uuid);
	if (glob(path, GLOB_NOSORT, NULL, &g) == 0) {
		fd = open(g.gl_pathv[0], O_RDONLY | O_NOFOLLOW | O_NONBLOCK |
		    O_CLOEXEC);
		if (fd != -1 && (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode))) {
			close(fd);
			fd = -1;
		}
		globfree(&g);
	}
	free(path);
	return (fd);
}

/*
 * A message to the model: of a person's, or the result of a call.  What a crash of
 * the machine made of a line (zeros before it) is none to the program either.
 */
static int
is_said(const char *line, size_t len, const char *text)
{
	static const char	 mark[] = "\"type\":\"user\"";

	return (*line == '{' &&
	    memmem(line, len, mark, sizeof(mark) - 1) != NULL &&
	    memmem(line, len, text, strlen(text)) != NULL);
}

/* Has a message with this text, "" for any, been written whole from here on? */
static int
transcript_has(int fd, off_t from, const char *text)
{
	char	*buf = NULL, *end;
	size_t	 have = 0, size = 0, line = 0;
	off_t	 at = from;
	ssize_t	 n;
	int	 found = 0;

	while (!found && at - from < LOOK_MAX) {
		if (size - have < CHUNK) {
			if (have >= LINE_MAX_SIZE)
				break;
			size = size * 2 + CHUNK;
			buf = xrealloc(buf, size);
		}
		if ((n = pread(fd, buf + have, size - have, at)) <= 0)
			break;
		at += n;
		/* What was there before has no line's end. */
		end = buf + have;
		have += (size_t)n;
		for (line = 0; !found && (end = memchr(end, '\n', (size_t)(buf +
		    have - end))) != NULL; line = (size_t)(++end - buf))
			found = is_said(buf + line, (size_t)(end - buf) - line,
			    text);
		memmove(buf, buf + line, have - line);
		have -= line;
	}
	free(buf);
	return (found);
}

/*
 * The prompt as JSON has it, without what is around it and may be trimmed.  One
 * that is written in another way is not found, and said again.
 */
static char *
as_written(const char *prompt)
{
	static const char	 space[] = " \t\r\n";
	json_t			*v;
	char			*s, *p;
	size_t			 n;

	prompt += strspn(prompt, space);
	for (n = strlen(prompt); n > 0 && strchr(space, prompt[n - 1]) != NULL; )
		n--;
	v = json_stringn(prompt, n);
	s = json_dumps(v, JSON_ENCODE_ANY);
	json_decref(v);
	if (s == NULL)
		return (NULL);
	n = strlen(s) - 2;
	p = xstrndup(s + 1, n);
	free(s);
	return (p);
}

static int
has_heard(const struct session *s, int fd, const char *prompt)
{
	char	*at, *text;
	off_t	 from = 0;
	int	 heard;

	if ((at = recall(s, "prompt_at")) != NULL)
		from = (off_t)strtoll(at, NULL, 10);
	free(at);
	if ((text = as_written(prompt)) == NULL)
		return (0);
	heard = transcript_has(fd, from, text);
	free(text);
	return (heard);
}

/* It is about to be said.  An older place would do, but for a prompt said twice. */
static void
remember(const struct session *s, int fd)
{
	struct stat	 st;
	char		 at[32];

	if (fd == -1 || fstat(fd, &st) == -1)
		st.st_size = 0;
	snprintf(at, sizeof(at), "%lld", (long long)st.st_size);
	if (place_write(s->dir, "prompt_at", at) == -1)
		log_warn("where the prompt of session %s begins", s->id);
}

int
conversation_open(const struct session *s, const char *prompt, int interrupted,
    struct conversation *c)
{
	char	*have;
	int	 fd = -1;

	memset(c, 0, sizeof(*c));
	have = recall(s, "conversation");
	if (have != NULL && strlen(have) == UUID_SIZE - 1) {
		strlcpy(c->uuid, have, sizeof(c->uuid));
		fd = transcript_open(s, c->uuid);
	}
	free(have);
	/* One in which nothing was said cannot be resumed, nor begun again. */
	if (fd != -1 && !(c->resumed = transcript_has(fd, 0, ""))) {
		close(fd);
		fd = -1;
		c->uuid[0] = '\0';
	}
	if (c->uuid[0] == '\0') {
		new_uuid(c->uuid);
		if (place_write(s->dir, "conversation", c->uuid) == -1)
			return (-1);
	}
	c->heard = interrupted && c->resumed && has_heard(s, fd, prompt);
	if (!c->heard)
		remember(s, fd);
	if (fd != -1)
		close(fd);
	return (0);
}
