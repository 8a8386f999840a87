/*
 * journal.c - the file `journal' in the state directory: records appended in a
 * turn and made durable by one fdatasync before anything that depends on them
 * is sent or started.  A record is length, checksum, type and bytes; a torn
 * tail (power cut) is cut off at the start.  Mostly history, or refused by the
 * disk, it is rewritten into `journal.next', which becomes the journal.  Both
 * hold room ahead while there is some, so that a disk that others fill refuses
 * neither.  What is refused all the same is said once, tried again each second,
 * and nothing is sent meanwhile.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <sodium.h>

#include "agent.h"
#include "log.h"
#include "util.h"

#define JOURNAL_RECORD_MAX	(4 * 1024 * 1024)
#define JOURNAL_HEAD		(4 + crypto_shorthash_BYTES)
#define JOURNAL_COMPACT		(8 * 1024 * 1024)
#define JOURNAL_STEP		(1024 * 1024)	/* more than any letter */
#define JOURNAL_NEXT		"journal.next"

static struct {
	struct evbuffer	*buf;		/* not yet written */
	off_t		 end;		/* of what is durable */
	off_t		 floor;		/* size after the last rewrite */
	off_t		 held;		/* room of each of the two files */
	int		 fd;
	int		 next;		/* -1: it could not be made yet */
	int		 renamed;	/* the directory is not yet durable */
	int		 rewriting;
	int		 failing;
} journal;

static void
journal_sum(uint8_t out[crypto_shorthash_BYTES], const uint8_t *p, size_t len)
{
	static const uint8_t	 key[crypto_shorthash_KEYBYTES] = "marionette-jrnl";

	crypto_shorthash(out, p, len, key);
}

static void
journal_head(uint8_t head[JOURNAL_HEAD], const uint8_t *p, size_t len)
{
	head[0] = (uint8_t)(len >> 24);
	head[1] = (uint8_t)(len >> 16);
	head[2] = (uint8_t)(len >> 8);
	head[3] = (uint8_t)len;
	journal_sum(head + 4, p, len);
}

/* Reads every good record; returns where the good ones end. */
static off_t
journal_read(FILE *f, journal_replay replay)
{
	uint8_t	 head[JOURNAL_HEAD], sum[crypto_shorthash_BYTES], *p;
	size_t	 len;
	off_t	 end = 0;
	int	 good;

	while (fread(head, sizeof(head), 1, f) == 1) {
		len = (size_t)head[0] << 24 | (size_t)head[1] << 16 |
		    (size_t)head[2] << 8 | head[3];
		if (len == 0 || len > JOURNAL_RECORD_MAX)
			break;
		p = xmalloc(len + 1);
		good = fread(p, len, 1, f) == 1;
		if (good) {
			journal_sum(sum, p, len);
			good = memcmp(sum, head + 4, sizeof(sum)) == 0;
		}
		if (good) {
			p[len] = 0;
			replay(p[0], p + 1, len - 1);
			end += (off_t)(sizeof(head) + len);
		}
		free(p);
		if (!good)
			break;
	}
	return (end);
}

/* A rewrite is hardly larger than what was appended: both get as much. */
static void
journal_hold(void)
{
	off_t	 room = (journal.end / JOURNAL_STEP + 2) * JOURNAL_STEP;

	if (journal.held == room)
		return;
	if (journal.next == -1)
		journal.next = openat(env->state_fd, JOURNAL_NEXT, O_RDWR |
		    O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (journal.next != -1 &&
	    fallocate(journal.fd, FALLOC_FL_KEEP_SIZE, 0, room) == 0 &&
	    fallocate(journal.next, FALLOC_FL_KEEP_SIZE, 0, room) == 0)
		journal.held = room;
}

void
journal_open(journal_replay replay)
{
	struct stat	 st;
	FILE		*f;
	int		 fd;

	fd = openat(env->state_fd, "journal", O_RDWR | O_CREAT | O_CLOEXEC |
	    O_NOFOLLOW, 0600);
	if (fd == -1 || fstat(fd, &st) == -1)
		fatal("state directory %s: journal", env->state_dir);
	if ((f = fdopen(dup(fd), "r")) == NULL)
		fatal("journal");
	journal.end = journal_read(f, replay);
	/* It is cut where it ends, and not where the disk reads no more. */
	if (ferror(f))
		fatal("state directory %s: journal", env->state_dir);
	fclose(f);
	if (journal.end != st.st_size) {
		log_warnx("journal: %lld bytes of torn tail dropped",
		    (long long)(st.st_size - journal.end));
		if (ftruncate(fd, journal.end) == -1)
			fatal("journal");
	}
	journal.floor = journal.held = 0;
	journal.renamed = 1;	/* or new */
	journal.fd = fd;
	journal.next = -1;
	if ((journal.buf = evbuffer_new()) == NULL)
		fatalx("memory: journal");
	journal_hold();
}

void
journal_put(int type, const void *data, size_t len)
{
	uint8_t	 head[JOURNAL_HEAD], *p;

	p = xmalloc(len + 1);
	p[0] = (uint8_t)type;
	memcpy(p + 1, data, len);
	journal_head(head, p, len + 1);
	if (evbuffer_add(journal.buf, head, sizeof(head)) == -1 ||
	    evbuffer_add(journal.buf, p, len + 1) == -1)
		fatalx("memory: journal");
	free(p);
	if (!journal.rewriting)
		turn_want();
}

/* A new or rewritten journal: the next agent must find this one by its name. */
static int
journal_named(void)
{
	if (journal.renamed && fsync(env->state_fd) == -1)
		return (-1);
	journal.renamed = 0;
	return (0);
}

static int
journal_append(void)
{
	uint8_t	*p = evbuffer_pullup(journal.buf, -1);
	size_t	 len = evbuffer_get_length(journal.buf);

	if (lseek(journal.fd, journal.end, SEEK_SET) == -1 ||
	    write_all(journal.fd, p, len) == -1 ||
	    fdatasync(journal.fd) == -1) {
		/* Half a record must not stand before the next try. */
		if (ftruncate(journal.fd, journal.end) == -1)
			log_warn("journal");
		journal.held = 0;
		return (-1);
	}
	journal.end += (off_t)len;
	evbuffer_drain(journal.buf, len);
	return (0);
}

static int
journal_replace(const uint8_t *p, size_t len)
{
	/* Cut: a longer try may have left something, and held is too much. */
	if (journal.next == -1 || lseek(journal.next, 0, SEEK_SET) == -1 ||
	    write_all(journal.next, p, len) == -1 ||
	    ftruncate(journal.next, (off_t)len) == -1 ||
	    fsync(journal.next) == -1)
		return (-1);
	return (renameat(env->state_fd, JOURNAL_NEXT, env->state_fd,
	    "journal"));
}

/* What waits to be written is in what the owners put, or is over. */
static int
journal_rewrite(void (*puts)(void))
{
	size_t	 len;

	evbuffer_drain(journal.buf, evbuffer_get_length(journal.buf));
	journal.rewriting = 1;
	puts();
	journal.rewriting = 0;
	len = evbuffer_get_length(journal.buf);
	/* The old one goes on; what was put again does no harm. */
	if (journal_replace(evbuffer_pullup(journal.buf, -1), len) == -1)
		return (-1);
	close(journal.fd);
	journal.fd = journal.next;
	journal.next = -1;
	journal.renamed = 1;
	journal.end = journal.floor = (off_t)len;
	journal.held = 0;
	journal_hold();
	evbuffer_drain(journal.buf, len);
	return (0);
}

int
journal_sync(void (*puts)(void))
{
	if (evbuffer_get_length(journal.buf) == 0)
		return (journal_named());
	if (journal_named() == -1 || (journal_append() == -1 &&
	    (journal_rewrite(puts) == -1 || journal_named() == -1))) {
		if (!journal.failing)
			log_warn("journal in %s cannot be written, nothing is "
			    "started or reported until it can", env->state_dir);
		journal.failing = 1;
		journal_hold();
		return (-1);
	}
	if (journal.failing)
		log_info("journal can be written again");
	journal.failing = 0;
	journal_hold();
	return (0);
}

void
journal_compact(void (*puts)(void), int full)
{
	off_t	 history = full ? JOURNAL_STEP : JOURNAL_COMPACT;

	if (journal.end < history + 2 * journal.floor)
		return;
	if (journal_rewrite(puts) == -1) {
		log_warn("journal not rewritten");
		journal.floor = journal.end;
	}
	/* Its name, or what was put again, is not yet durable. */
	turn_want();
}
