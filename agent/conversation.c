/*
 * conversation.c - see conversation.h.  In the session's directory, out of the
 * coding agent's reach: `conversation', its UUID; `prompt_at', how long the
 * transcript was when the last prompt was said, and of which task that was.  The
 * transcript itself is in the agent's home and may be anything.
 */
#include <sys/stat.h>

#include <errno.h>
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

/* A small file of the session's directory, or NULL with errno. */
static char *
recall(const struct session *s, const char *name)
{
	char	*path, *text;
	int	 save;

	path = xasprintf("%s/%s", s->dir, name);
	text = file_read(path, 128, NULL);
	save = errno;
	free(path);
	errno = save;
	return (text);
}

/* Its transcript, open, or -1; odd: what has its name is no plain file. */
static int
transcript_open(const struct session *s, const char *uuid, int *odd)
{
	struct stat	 st;
	glob_t		 g;
	char		*path;
	int		 fd = -1;

	path = xasprintf("%s/home/.claude/projects/*/%s.jsonl", s->dir, uuid);
	if (glob(path, GLOB_NOSORT, NULL, &g) == 0) {
		fd = open(g.gl_pathv[0], O_RDONLY | O_NOFOLLOW | O_NONBLOCK |
		    O_CLOEXEC);
		*odd = fd == -1 && errno == ELOOP;
		if (fd != -1 && (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode))) {
			*odd = 1;
			close(fd);
			fd = -1;
		}
		globfree(&g);
	}
	free(path);
	return (fd);
}

/*
 * What a message to the model says, of a person's or the results of calls; NULL when
 * the line is none.  What a crash of the machine made of a line (zeros in it, another
 * behind its half) is none to the program either.
 */
static json_t *
message(const char *line, size_t len)
{
	static const char	 mark[] = "\"user\"";
	const char		*type;
	json_t			*j, *content = NULL;

	if (memmem(line, len, mark, sizeof(mark) - 1) == NULL)
		return (NULL);
	j = json_loadb(line, len, JSON_ALLOW_NUL, NULL);
	type = json_string_value(json_object_get(j, "type"));
	if (type != NULL && strcmp(type, "user") == 0)
		content = json_incref(json_object_get(json_object_get(j,
		    "message"), "content"));
	json_decref(j);
	return (content);
}

static const char *
trim(const char *s, size_t *n)
{
	static const char	 space[] = " \t\r\n";

	while (*n > 0 && strchr(space, s[*n - 1]) != NULL)
		(*n)--;
	while (*n > 0 && strchr(space, *s) != NULL) {
		s++;
		(*n)--;
	}
	return (s);
}

/* What is around it may have been trimmed. */
static int
is_text(json_t *v, const char *text)
{
	const char	*s = json_string_value(v);
	size_t		 ns = json_string_length(v), nt = strlen(text);

	if (s == NULL)
		return (0);
	s = trim(s, &ns);
	text = trim(text, &nt);
	return (ns == nt && memcmp(s, text, nt) == 0);
}

/* Alone or one of several pieces; any for NULL. */
static int
says(json_t *content, const char *text)
{
	json_t	*piece;
	size_t	 i;

	if (content == NULL || text == NULL)
		return (content != NULL);
	if (is_text(content, text))
		return (1);
	json_array_foreach(content, i, piece)
		if (is_text(json_object_get(piece, "text"), text))
			return (1);
	return (0);
}

static int
is_said(const char *line, size_t len, const char *text)
{
	json_t	*content = message(line, len);
	int	 said = says(content, text);

	json_decref(content);
	return (said);
}

/* Has a message with this text, NULL for any, been written whole from here on? */
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
 * What this task was told here is behind the place that names it.  One that names
 * another is from before the session was elsewhere, or the run did not get so far.
 * An agent before this one named none.
 */
static int
has_heard(const struct run *r, int fd)
{
	char	*at, *task;
	off_t	 from = 0;
	int	 other = 0;

	if ((at = recall(r->session, "prompt_at")) != NULL) {
		from = (off_t)strtoll(at, &task, 10);
		other = *task == ' ' && strcmp(task + 1, r->task_id) != 0;
	}
	free(at);
	/* With the end of the line before: half a one spoils what follows. */
	return (!other && transcript_has(fd, from > 0 ? from - 1 : 0,
	    r->prompt));
}

/* It is about to be said. */
static void
remember(const struct run *r, int fd)
{
	struct stat	 st;
	char		*at;

	if (fd == -1 || fstat(fd, &st) == -1)
		st.st_size = 0;
	at = xasprintf("%lld %s", (long long)st.st_size, r->task_id);
	if (place_write(r->session->dir, "prompt_at", at) == -1)
		log_warn("where the prompt of session %s begins",
		    r->session->id);
	free(at);
}

int
conversation_open(const struct run *r, struct conversation *c)
{
	const struct session	*s = r->session;
	char			*have;
	int			 fd = -1, odd = 0;

	memset(c, 0, sizeof(*c));
	have = recall(s, "conversation");
	/* Another in its place would be the session's from then on. */
	if (have == NULL && errno != ENOENT && errno != EFBIG)
		return (-1);
	if (have != NULL && strlen(have) == UUID_SIZE - 1) {
		strlcpy(c->uuid, have, sizeof(c->uuid));
		fd = transcript_open(s, c->uuid, &odd);
	}
	free(have);
	c->resumed = fd != -1 && transcript_has(fd, 0, NULL);
	/* One in which nothing was said cannot be resumed, nor begun again. */
	if (odd || (fd != -1 && !c->resumed)) {
		if (fd != -1)
			close(fd);
		fd = -1;
		c->uuid[0] = '\0';
	}
	if (c->uuid[0] == '\0') {
		new_uuid(c->uuid);
		if (place_write(s->dir, "conversation", c->uuid) == -1)
			return (-1);
	}
	c->heard = r->interrupted && c->resumed && has_heard(r, fd);
	if (!c->heard)
		remember(r, fd);
	if (fd != -1)
		close(fd);
	return (0);
}
