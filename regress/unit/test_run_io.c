/* links: agent/run_io.c agent/linebuf.c agent/util.c -ljansson */
/*
 * The end of a run whose pipes stay open: what is in them is read before they
 * are closed, and waits there as long as the spool has no room.  What a program
 * is told waits for the journal.  What it says waits for room in the outbox.
 * is told waits for the journal.  How it ended is heard from its holder.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/event.h>

#include "leftover.h"
#include "room.h"
#include "run.h"
#include "util.h"

#define FULL	60000		/* in a pipe, which takes 64 KiB */

static struct agent	 agent;
struct agent		*env = &agent;

static size_t		 got[2];	/* bytes of lines: stdout, stderr */
static int		 room, finished;
static int		 letters = 1;	/* the outbox has room for some */

int
spool_has_room(const struct spool *s)
{
	(void)s;
	return (room);
}

int
outbox_has_room(void)
{
	return (letters);
}

void
run_line(struct run *r, struct stream *st, const char *p, size_t n)
{
	(void)p;
	got[st == &r->out ? 0 : 1] += n + 1;
}

void
run_finish(struct run *r)
{
	(void)r;
	finished++;
}

char *
run_id(struct run *r)
{
	return (r->rec->run_id);
}

void
run_system(struct run *r, const char *level, const char *text)
{
	(void)r;
	(void)level;
	(void)text;
}

void
run_clock_start(struct run *r)
{
	(void)r;
}

void
record_put(struct record *r)
{
	(void)r;
}

void
record_started(struct record *r)
{
	(void)r;
}

void
leftover_kill(pid_t pid, uint64_t start, uid_t uid, const char *id)
{
	(void)pid;
	(void)start;
	(void)uid;
	(void)id;
}

void
turn_want(void)
{
}

uint64_t
leftover_start_time(pid_t pid)
{
	(void)pid;
	return (0);
}

static void
turn(void)
{
	event_base_loop(env->base, EVLOOP_NONBLOCK);
}

/* A pipe with lines in it, its writing end open; returns that. */
static int
full_pipe(struct stream *st)
{
	static char	 buf[FULL];
	int		 fds[2];

	memset(buf, 'x', sizeof(buf));
	buf[FULL / 2 - 1] = buf[FULL - 1] = '\n';
	assert_int_equal(pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
	assert_int_equal(write(fds[1], buf, sizeof(buf)), FULL);
	st->fd = fds[0];
	return (fds[1]);
}

/* The other ends of what a run has open. */
struct ends {
	int	 w[2], ctl, in;
};

/* It prints, and nobody has read that yet. */
static void
prints(struct run *r, struct ends *e)
{
	int	 ctl[2], in[2];

	memset(got, 0, sizeof(got));
	finished = 0;
	e->w[0] = full_pipe(&r->out);
	e->w[1] = full_pipe(&r->err);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ctl), 0);
	assert_int_equal(pipe2(in, O_NONBLOCK), 0);
	r->fd_ctl = ctl[0];
	r->fd_in = in[1];
	e->ctl = ctl[1];
	e->in = in[0];
	run_read(r);
}

static void
over(struct run *r, struct ends *e)
{
	run_io_free(r);
	close(e->w[0]);
	close(e->w[1]);
	close(e->ctl);
	close(e->in);
}

static void
test_end(void **state)
{
	struct run	 r = { .exited = 1, .fd_spec = -1 };
	struct ends	 e;

	(void)state;
	room = 0;
	prints(&r, &e);
	turn();
	event_active(r.ev_end, EV_TIMEOUT, 0);
	turn();
	assert_int_equal(got[0] + got[1] + (size_t)finished, 0);
	/* What makes room comes in the same turn as the end, just before. */
	room = 1;
	run_resume(&r);
	event_active(r.ev_end, EV_TIMEOUT, 0);
	turn();
	assert_int_equal(got[0], FULL);
	assert_int_equal(got[1], FULL);
	assert_int_equal(finished, 1);
	over(&r, &e);
}

/* A part in the pipe does not take with it what came behind it. */
static void
test_told(void **state)
{
	static char	 buf[100000];
	struct run	 r = { .fd_spec = -1 };
	int		 out[2], err[2], ctl[2], in[2];
	ssize_t		 n;

	(void)state;
	assert_int_equal(pipe2(out, O_NONBLOCK), 0);
	assert_int_equal(pipe2(err, O_NONBLOCK), 0);
	assert_int_equal(pipe2(in, O_NONBLOCK), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ctl), 0);
	r.out.fd = out[0];
	r.err.fd = err[0];
	r.fd_ctl = ctl[0];
	r.fd_in = in[1];
	run_read(&r);
	run_write(&r, buf, sizeof(buf));
	turn();
	assert_int_equal(read(in[0], buf, sizeof(buf)), -1);
	run_tell(&r);
	turn();
	run_write(&r, "more", 4);
	n = read(in[0], buf, sizeof(buf));
	assert_in_range(n, 1, sizeof(buf) - 1);
	turn();
	assert_int_equal(read(in[0], buf, sizeof(buf)), -1);
	run_close_in(&r);
	run_tell(&r);
	turn();
	assert_int_equal(read(in[0], buf, sizeof(buf)),
	    (ssize_t)sizeof(buf) - n + 4);
	assert_int_equal(read(in[0], buf, sizeof(buf)), 0);
	run_io_free(&r);
	close(out[1]);
	close(err[1]);
	close(ctl[1]);
	close(in[0]);
}

/* Who does not read what it is told is not read, or it would be told for ever. */
static void
test_unread(void **state)
{
	static char	 buf[1 << 20];
	struct run	 r = { .fd_spec = -1 };
	struct ends	 e;
	int		 i;

	(void)state;
	room = 1;
	prints(&r, &e);
	for (i = 0; i < 32; i++)
		run_write(&r, buf, sizeof(buf));
	run_tell(&r);
	turn();
	run_resume(&r);		/* the spool has more room, too */
	turn();
	assert_int_equal(got[0] + got[1], 0);
	while (read(e.in, buf, sizeof(buf)) > 0)
		turn();
	turn();
	assert_int_equal(got[0], FULL);
	assert_int_equal(got[1], FULL);
	over(&r, &e);
}

/* A full outbox keeps it waiting, too, until its end. */
static void
test_letters(void **state)
{
	struct run	 r = { .fd_spec = -1 };
	struct ends	 e;

	(void)state;
	room = 1;
	letters = 0;
	prints(&r, &e);
	turn();
	assert_int_equal(got[0] + got[1], 0);
	letters = 1;
	run_resume(&r);
	turn();
	assert_int_equal(got[0] + got[1], 2 * FULL);
	letters = 0;
	assert_int_equal(write(e.w[0], "more\n", 5), 5);
	turn();
	assert_int_equal(got[0], FULL);
	r.exited = 1;
	event_active(r.ev_end, EV_TIMEOUT, 0);
	turn();
	assert_int_equal(got[0], FULL + 5);
	assert_int_equal(finished, 1);
	over(&r, &e);
}

/* A holder that was told something more when it had already said the end. */
static void
test_last_word(void **state)
{
	struct record	 rec = { .pid = fork() };
	struct run	 r = { .fd_spec = -1, .fd_in = -1, .rec = &rec };
	struct hold_msg	 m = { .type = 'X', .value = 3 << 8 };
	int		 out[2], err[2], ctl[2];

	(void)state;
	if (rec.pid == 0)
		for (;;)
			pause();
	assert_int_not_equal(rec.pid, -1);
	assert_int_equal(pipe2(out, O_NONBLOCK), 0);
	assert_int_equal(pipe2(err, O_NONBLOCK), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ctl), 0);
	r.out.fd = out[0];
	r.err.fd = err[0];
	r.fd_ctl = ctl[0];
	run_read(&r);
	assert_int_equal(write(ctl[1], &m, sizeof(m)), sizeof(m));
	run_ctl(&r, 'T');
	close(ctl[1]);
	turn();
	turn();
	assert_int_equal(r.exited, 1);
	assert_int_equal(r.wait_status, 3 << 8);
	run_io_free(&r);
	close(out[1]);
	close(err[1]);
}

int
main(void)
{
	const struct CMUnitTest	tests[] = {
		cmocka_unit_test(test_told),
		cmocka_unit_test(test_end),
		cmocka_unit_test(test_unread),
		cmocka_unit_test(test_letters),
		cmocka_unit_test(test_last_word),
	};

	if ((env->base = event_base_new()) == NULL)
		return (1);
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
