/*
 * spool.c - a file a run in spool/: log lines, each with its length, numbered
 * from 1 by their place.  Written at the end of each turn, read back for
 * sending, holes punched where the server has acknowledged and the journal
 * says so: the next agent starts there.  A full spool or disk makes has_room()
 * false, and the program is not read from: nothing is dropped.  spool_send.c
 * sends.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <jansson.h>

#include "agent.h"
#include "log.h"
#include "run.h"
#include "spool_local.h"
#include "util.h"

#define SPOOL_MAX	(256LL * 1024 * 1024)	/* not acknowledged, a run */
#define SPOOL_UNWRITTEN	(4 * 1024 * 1024)
#define SPOOL_NOTE	(256 * 1024)		/* acknowledged, to journal */

struct spools	spools = TAILQ_HEAD_INITIALIZER(spools);
/* Positions from the journal, until spool_open_all() finds the files. */
static json_t	*spool_marks;

static struct spool *
spool_find(const char *run_id)
{
	struct spool	*s;

	TAILQ_FOREACH(s, &spools, entry)
		if (strcmp(s->run_id, run_id) == 0)
			return (s);
	return (NULL);
}

static void
spool_free(struct spool *s)
{
	struct spool_mark	*m;
	char			 name[80];

	snprintf(name, sizeof(name), "spool/%s", s->run_id);
	if (unlinkat(env->state_fd, name, 0) == -1 && errno != ENOENT)
		log_warn("spool %s", s->run_id);
	while ((m = TAILQ_FIRST(&s->marks)) != NULL) {
		TAILQ_REMOVE(&s->marks, m, entry);
		free(m);
	}
	TAILQ_REMOVE(&spools, s, entry);
	evbuffer_free(s->buf);
	close(s->fd);
	free(s->run_id);
	free(s);
}

static struct spool *
spool_make(const char *run_id, int flags)
{
	struct spool	*s;
	char		 name[80];

	s = xcalloc(1, sizeof(*s));
	s->run_id = xstrdup(run_id);
	TAILQ_INIT(&s->marks);
	if ((s->buf = evbuffer_new()) == NULL)
		fatalx("memory: spool");
	snprintf(name, sizeof(name), "spool/%s", run_id);
	s->fd = openat(env->state_fd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW |
	    flags, 0600);
	if (s->fd == -1) {
		evbuffer_free(s->buf);
		free(s->run_id);
		free(s);
		return (NULL);
	}
	TAILQ_INSERT_TAIL(&spools, s, entry);
	return (s);
}

struct spool *
spool_new(const char *run_id)
{
	struct spool	*s;
	int		 save;

	s = spool_make(run_id, O_CREAT | O_TRUNC);
	/* What is not found after a power cut is not known to be lost. */
	if (s != NULL && dir_sync(env->state_fd, "spool") == 0)
		return (s);
	save = errno;
	log_warn("spool %s", run_id);
	if (s != NULL)
		spool_free(s);
	errno = save;
	return (NULL);
}

/* Counts what a former agent wrote, from the last known mark on. */
static void
spool_scan(struct spool *s)
{
	uint32_t	 len;
	struct stat	 st;
	ssize_t		 n = 0;

	s->last = s->acked;
	s->end = s->acked_off;
	if (fstat(s->fd, &st) == -1)
		fatal("spool %s", s->run_id);
	while (s->end + (off_t)sizeof(len) <= st.st_size &&
	    (n = pread(s->fd, &len, sizeof(len), s->end)) == sizeof(len) &&
	    len > 0 && len <= SPOOL_RECORD_MAX &&
	    s->end + (off_t)(sizeof(len) + len) <= st.st_size) {
		s->end += (off_t)(sizeof(len) + len);
		s->last++;
	}
	/* It is cut where it ends, and not where the disk reads no more. */
	if (n == -1)
		fatal("spool %s", s->run_id);
	if (ftruncate(s->fd, s->end) == -1)
		log_warn("spool %s", s->run_id);
	s->written = s->last;
	s->sent = s->acked;
	s->sent_off = s->acked_off;
}

void
spool_load_ack(const uint8_t *data, size_t len)
{
	const char	*id;
	json_t		*j;

	if (spool_marks == NULL)
		spool_marks = json_object();
	j = json_loadb((const char *)data, len, 0, NULL);
	if ((id = json_string_value(json_object_get(j, "run"))) != NULL)
		json_object_set(spool_marks, id, j);
	json_decref(j);
}

void
spool_open_all(void)
{
	struct dirent	*de;
	struct spool	*s;
	struct record	*r;
	json_t		*j;
	DIR		*dir;
	int		 fd;

	fd = openat(env->state_fd, "spool", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1 || (dir = fdopendir(fd)) == NULL)
		fatal("state directory %s: spool", env->state_dir);
	for (errno = 0; (de = readdir(dir)) != NULL; errno = 0) {
		if (de->d_name[0] == '.' || strlen(de->d_name) > 64)
			continue;
		r = record_find(de->d_name);
		if ((s = spool_make(de->d_name, 0)) == NULL) {
			/* Its lines would be said never to have been. */
			if (r != NULL)
				fatal("spool %s", de->d_name);
			continue;
		}
		j = json_object_get(spool_marks, s->run_id);
		s->acked = (uint64_t)json_integer_value(
		    json_object_get(j, "line"));
		s->acked_off = json_integer_value(json_object_get(j, "offset"));
		s->noted_off = s->acked_off;
		spool_scan(s);
		if (r == NULL)
			spool_free(s);	/* Of a run that was never durable. */
		else if (r->state == RECORD_DONE)
			spool_finish(s->run_id, r->log_last);
	}
	if (errno != 0)
		fatal("state directory %s: spool", env->state_dir);
	closedir(dir);
	json_decref(spool_marks);
	spool_marks = NULL;
}

void
spool_append(struct spool *s, const Marionette__V1__LogLine *line)
{
	uint8_t		*buf;
	uint32_t	 len;

	len = (uint32_t)marionette__v1__log_line__get_packed_size(line);
	buf = xmalloc(len);
	marionette__v1__log_line__pack(line, buf);
	if (evbuffer_add(s->buf, &len, sizeof(len)) == -1 ||
	    evbuffer_add(s->buf, buf, len) == -1)
		fatalx("memory: spool");
	free(buf);
	s->last++;
	turn_want();
}

int
spool_has_room(const struct spool *s)
{
	return (!s->failing && s->end - s->acked_off < SPOOL_MAX &&
	    evbuffer_get_length(s->buf) < SPOOL_UNWRITTEN);
}

uint64_t
spool_number(const struct spool *s)
{
	return (s->last);
}

static void
spool_note(struct spool *s)
{
	json_t	*j;
	char	*text;

	j = json_pack("{s:s, s:I, s:I}", "run", s->run_id, "line",
	    (json_int_t)s->acked, "offset", (json_int_t)s->acked_off);
	if ((text = json_dumps(j, JSON_COMPACT)) != NULL)
		journal_put('L', text, strlen(text));
	free(text);
	json_decref(j);
	s->noted_off = s->acked_off;
}

static int
spool_write(struct spool *s)
{
	uint8_t	*p;
	size_t	 len;
	int	 full = !spool_has_room(s), waited = s->failing;

	if ((len = evbuffer_get_length(s->buf)) == 0)
		return (0);
	p = evbuffer_pullup(s->buf, -1);
	if (lseek(s->fd, s->end, SEEK_SET) == -1 ||
	    write_all(s->fd, p, len) == -1) {
		if (!s->failing)
			log_warn("spool of %s: its output waits until there is "
			    "room", s->run_id);
		s->failing = 1;
		/* Half of it is of no use; the journal may need the room. */
		if (ftruncate(s->fd, s->end) == -1)
			log_warn("spool %s", s->run_id);
		return (-1);
	}
	s->end += (off_t)len;
	s->written = s->last;
	evbuffer_drain(s->buf, len);
	s->failing = 0;
	if (env->run != NULL && env->run->spool == s) {
		if (waited)
			run_system(env->run, "warn", "The runner's disk was "
			    "full; output waited, none is missing.");
		if (full)
			run_resume(env->run);
	}
	return (0);
}

int
spool_write_all(void)
{
	struct spool	*s;
	int		 rv = 0;

	TAILQ_FOREACH(s, &spools, entry)
		if (spool_write(s) == -1)
			rv = -1;
	/* On a full disk every bit of room counts. */
	if (rv == -1)
		TAILQ_FOREACH(s, &spools, entry)
			if (s->acked_off != s->noted_off)
				spool_note(s);
	return (rv);
}

int
spool_durable(struct spool *s)
{
	/* Again: that it had to wait is a line, too. */
	if (spool_write(s) == -1 || spool_write(s) == -1)
		return (-1);
	return (fdatasync(s->fd));
}

uint64_t
spool_last(const char *run_id)
{
	struct spool	*s = spool_find(run_id);

	return (s == NULL ? 0 : s->last);
}

int
spool_holds(const char *run_id)
{
	return (spool_find(run_id) != NULL);
}

static void
spool_maybe_free(struct spool *s)
{
	if (s->finished && s->acked >= s->last && s->acked >= s->want)
		spool_free(s);
}

void
spool_finish(const char *run_id, uint64_t last)
{
	struct spool	*s;

	if ((s = spool_find(run_id)) == NULL)
		return;
	s->finished = 1;
	s->want = last;
	spool_maybe_free(s);
}

void
spool_puts(void)
{
	struct spool	*s;

	TAILQ_FOREACH(s, &spools, entry)
		spool_note(s);
}

/* The journal is durable: what stands before the last note is never read. */
void
spool_punch(void)
{
	struct spool	*s;

	TAILQ_FOREACH(s, &spools, entry) {
		if (s->noted_off == s->punched_off)
			continue;
		fallocate(s->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		    s->punched_off, s->noted_off - s->punched_off);
		s->punched_off = s->noted_off;
	}
}

void
spool_ack(const char *run_id, uint64_t up_to)
{
	struct spool_mark	*m;
	struct spool		*s;
	int			 full;

	if ((s = spool_find(run_id)) == NULL || up_to <= s->acked)
		return;
	full = !spool_has_room(s);
	while ((m = TAILQ_FIRST(&s->marks)) != NULL && m->line <= up_to) {
		s->acked = m->line;
		s->acked_off = m->off;
		TAILQ_REMOVE(&s->marks, m, entry);
		free(m);
	}
	if (up_to >= s->want && s->finished && s->sent >= s->last)
		s->acked = up_to;	/* Those that are lost, too. */
	if (s->acked_off - s->noted_off > SPOOL_NOTE)
		spool_note(s);
	if (full && env->run != NULL && env->run->spool == s)
		run_resume(env->run);
	spool_maybe_free(s);
	turn_want();
}
