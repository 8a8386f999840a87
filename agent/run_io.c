/*
 * run_io.c - the pipes of a run: holder started and held back, what the program
 * prints read while spool and outbox have room and it reads itself, what it is
 * told written when it reads, and not before that it was told is in the journal.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/event.h>

#include "leftover.h"
#include "log.h"
#include "room.h"
#include "run.h"
#include "util.h"

#define READ_SIZE	65536
#define READ_TURN	16		/* reads before others get a turn */
#define IN_MAX		(16 * 1024 * 1024) /* more than any prompt */
#define END_WAIT	2		/* seconds for pipes after the end */

static const struct timeval	end_wait = { END_WAIT, 0 };

static void
spawn_child(int fds[5])
{
	static char	 name[] = HOLDER_NAME;
	char		*argv[] = { name, NULL };
	char		*envp[] = { NULL };
	sigset_t	 none;
	int		 i, up[5];

	/* First above the places they go to, so that none is overwritten. */
	for (i = 0; i < 5; i++)
		if ((up[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 16)) == -1)
			_exit(1);
	for (i = 0; i < 5; i++)
		if (dup2(up[i], i) == -1)
			_exit(1);
	if (close_range(5, ~0U, 0) == -1)
		for (i = 5; i < 4096; i++)
			close(i);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execve("/proc/self/exe", argv, envp);
	_exit(1);
}

/* The holder, waiting for its spec; 0, or -1 with r->error. */
int
run_spawn(struct run *r)
{
	int	 in[2] = { -1, -1 }, out[2] = { -1, -1 }, err[2] = { -1, -1 };
	int	 ctl[2] = { -1, -1 }, spec[2] = { -1, -1 }, fds[5], i;
	pid_t	 pid;

	if (pipe2(in, O_CLOEXEC) == -1 || pipe2(out, O_CLOEXEC) == -1 ||
	    pipe2(err, O_CLOEXEC) == -1 || pipe2(spec, O_CLOEXEC) == -1 ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ctl) == -1)
		goto fail;
	fds[0] = in[0];
	fds[1] = out[1];
	fds[2] = err[1];
	fds[3] = ctl[1];
	fds[4] = spec[0];
	if ((pid = fork()) == -1)
		goto fail;
	if (pid == 0)
		spawn_child(fds);
	for (i = 0; i < 5; i++)
		close(fds[i]);
	r->rec->pid = pid;
	r->rec->pid_start = leftover_start_time(pid);
	r->fd_in = in[1];
	r->out.fd = out[0];
	r->err.fd = err[0];
	r->fd_ctl = ctl[0];
	r->fd_spec = spec[1];
	fcntl(r->fd_in, F_SETFL, O_NONBLOCK);
	fcntl(r->out.fd, F_SETFL, O_NONBLOCK);
	fcntl(r->err.fd, F_SETFL, O_NONBLOCK);
	fcntl(r->fd_ctl, F_SETFL, O_NONBLOCK);
	return (0);
fail:
	r->error = xasprintf("The runner cannot start a process: %s.",
	    strerror(errno));
	for (i = 0; i < 2; i++) {
		close(in[i]);
		close(out[i]);
		close(err[i]);
		close(ctl[i]);
		close(spec[i]);
	}
	return (-1);
}

void
run_ctl(struct run *r, char type)
{
	struct hold_msg	 m;

	memset(&m, 0, sizeof(m));
	m.type = type;
	if (r->fd_spec != -1) {	/* It waits for its spec, and gets none. */
		close(r->fd_spec);
		r->fd_spec = -1;
	}
	if (r->fd_ctl != -1)
		send(r->fd_ctl, &m, sizeof(m), MSG_NOSIGNAL);
}

/* All of it is over when the holder said so and both pipes are empty. */
static void
io_maybe_finish(struct run *r)
{
	if (r->exited && r->out.fd == -1 && r->err.fd == -1)
		run_finish(r);
}

static void
io_exited(struct run *r, int wait_status)
{
	int	 status;

	r->exited = 1;
	r->wait_status = wait_status;
	close(r->fd_ctl);
	r->fd_ctl = -1;
	event_del(r->ev_ctl);
	kill(r->rec->pid, SIGKILL);
	while (waitpid(r->rec->pid, &status, 0) == -1 && errno == EINTR)
		continue;
	/* Nobody is left to write; what is in the pipes is read, then EOF. */
	evtimer_add(r->ev_end, &end_wait);
}

static void
io_ctl(int fd, short what, void *arg)
{
	struct hold_msg	 m;
	struct run	*r = arg;
	ssize_t		 n;

	(void)what;
	n = recv(fd, &m, sizeof(m), MSG_DONTWAIT);
	/* It ended with something of ours unread: its last word is behind. */
	if (n == -1 && errno == ECONNRESET)
		n = recv(fd, &m, sizeof(m), MSG_DONTWAIT);
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		/* The holder itself was killed: nothing of it may stay. */
		leftover_kill(r->rec->pid, r->rec->pid_start, r->rec->uid,
		    run_id(r));
		io_exited(r, SIGKILL);
	} else if (m.type == 'S') {
		r->rec->state = RECORD_RUNNING;
		r->rec->started_ms = now_wall();
		record_put(r->rec);
		record_started(r->rec);
		run_clock_start(r);
		r->program->kind->begin(r);
	} else if (m.type == 'F') {
		m.text[sizeof(m.text) - 1] = '\0';
		free(r->error);
		r->error = xasprintf("%s cannot be started: %s: %s.",
		    r->program->name, m.text, strerror(m.value));
		free(r->error_code);
		r->error_code = xstrdup(m.value == ENOENT ||
		    m.value == EACCES ? "agent_missing" : "agent_failed");
	} else if (m.type == 'X')
		io_exited(r, m.value);
	if (r->exited)
		io_maybe_finish(r);
}

static void
io_close(struct run *r, struct stream *st)
{
	if (st->fd == -1)
		return;
	event_del(st->ev);
	close(st->fd);
	st->fd = -1;
	lines_end(r, st, run_line);
}

/*
 * Who only asks, and does not read the answers, is not read either.  The letters
 * of the last that is in its pipes do not matter: it can end without a server.
 */
static int
io_has_room(const struct run *r)
{
	return (spool_has_room(r->spool) &&
	    (r->exited || outbox_has_room()) &&
	    evbuffer_get_length(r->in) < IN_MAX);
}

/* 1 when there is no room for more, 0 for now empty, -1 at its end. */
static int
io_take(struct run *r, struct stream *st)
{
	static char	 buf[READ_SIZE];
	ssize_t		 n;
	int		 i;

	for (i = 0; i < READ_TURN; i++) {
		if (!io_has_room(r)) {
			event_del(st->ev);	/* run_resume() comes. */
			return (1);
		}
		n = read(st->fd, buf, sizeof(buf));
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1 && errno == EAGAIN)
			return (0);
		if (n <= 0)
			return (-1);
		lines_add(r, st, buf, (size_t)n, run_line);
	}
	return (0);
}

static void
io_read(int fd, short what, void *arg)
{
	struct run	*r = arg;
	struct stream	*st = fd == r->out.fd ? &r->out : &r->err;

	(void)what;
	if (io_take(r, st) == -1) {
		io_close(r, st);
		io_maybe_finish(r);
	}
}

/* Its pipes are still open though all that it started is dead. */
static void
io_end(int fd, short what, void *arg)
{
	struct run	*r = arg;
	struct stream	*st[] = { &r->out, &r->err };
	size_t		 i;
	int		 wait = 0;

	(void)fd;
	(void)what;
	/* They hold 1 MiB at most, which one go takes when there is room. */
	for (i = 0; i < 2; i++)
		if (st[i]->fd != -1 && io_take(r, st[i]) == 1)
			wait = 1;
		else
			io_close(r, st[i]);
	if (wait)
		evtimer_add(r->ev_end, &end_wait);
	else
		io_maybe_finish(r);
}

static void
io_write(int fd, short what, void *arg)
{
	struct run	*r = arg;

	(void)what;
	while (evbuffer_get_length(r->in) > 0)
		if (evbuffer_write(r->in, fd) == -1) {
			if (errno == EAGAIN || errno == EINTR) {
				event_add(r->ev_in, NULL);
				break;
			}
			/* It reads no more; its end will tell why. */
			evbuffer_drain(r->in, evbuffer_get_length(r->in));
			r->in_close = 1;
		}
	run_resume(r);
	if (r->in_close && evbuffer_get_length(r->in) == 0) {
		close(r->fd_in);
		r->fd_in = -1;
	}
}

void
run_read(struct run *r)
{
	r->ev_ctl = event_new(env->base, r->fd_ctl, EV_READ | EV_PERSIST,
	    io_ctl, r);
	r->out.ev = event_new(env->base, r->out.fd, EV_READ | EV_PERSIST,
	    io_read, r);
	r->err.ev = event_new(env->base, r->err.fd, EV_READ | EV_PERSIST,
	    io_read, r);
	r->ev_in = event_new(env->base, r->fd_in, EV_WRITE, io_write, r);
	r->ev_end = evtimer_new(env->base, io_end, r);
	if ((r->in = evbuffer_new()) == NULL)
		fatalx("memory: run");
	event_add(r->ev_ctl, NULL);
	event_add(r->out.ev, NULL);
	event_add(r->err.ev, NULL);
}

void
run_resume(struct run *r)
{
	if (r->out.fd != -1)
		event_add(r->out.ev, NULL);
	if (r->err.fd != -1)
		event_add(r->err.ev, NULL);
}

void
run_write(struct run *r, const char *p, size_t n)
{
	if (r->fd_in == -1 || r->in_close)
		return;
	if (evbuffer_add(r->in, p, n) == -1)
		fatalx("memory: run");
	event_del(r->ev_in);
	turn_want();
}

void
run_write_json(struct run *r, json_t *j)
{
	char	*s;

	if ((s = json_dumps(j, JSON_COMPACT)) != NULL) {
		run_write(r, s, strlen(s));
		run_write(r, "\n", 1);
	}
	free(s);
	json_decref(j);
}

void
run_close_in(struct run *r)
{
	if (r->fd_in == -1)
		return;
	r->in_close = 1;
	turn_want();
}

void
run_tell(struct run *r)
{
	if (r->fd_in != -1 &&
	    (evbuffer_get_length(r->in) > 0 || r->in_close))
		event_add(r->ev_in, NULL);
}

void
run_io_free(struct run *r)
{
	struct event	*evs[] = { r->ev_ctl, r->ev_in, r->out.ev, r->err.ev,
			    r->ev_end, r->ev_kill, r->ev_clock };
	int		 fds[] = { r->fd_in, r->fd_ctl, r->fd_spec, r->out.fd,
			    r->err.fd };
	size_t		 i;

	for (i = 0; i < sizeof(evs) / sizeof(evs[0]); i++)
		if (evs[i] != NULL)
			event_free(evs[i]);
	for (i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] != -1)
			close(fds[i]);
	if (r->in != NULL)
		evbuffer_free(r->in);
}
