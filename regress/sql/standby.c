/*
 * standby.c - storageds of several servers on one database: one is at work, the
 * others stand by; who is killed, or hangs, is followed by the next; and whoever
 * was overtaken ends, also as a new process of the same server.
 */
#include <sys/syscall.h>
#include <sys/wait.h>

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "child.h"
#include "worker.h"

static int
writes(struct child *ch, uint64_t ref)
{
	char		 id[ID_SIZE];
	const char	*code;

	id_make(id, "alog");
	audit(ch, PROC_TASKD, ref, id, "standby");
	code = answer(&ch->control[PROC_TASKD], ref, 5000, NULL);
	return (code != NULL && code[0] == '\0');
}

/* Does it end by itself, within some seconds, and with the right status? */
static int
overtaken(struct child *ch)
{
	struct pollfd	 p = { .events = POLLIN };
	int		 status, ended;

	p.fd = (int)syscall(SYS_pidfd_open, ch->pid, 0);
	ended = poll(&p, 1, 15000) == 1;
	close(p.fd);
	status = child_end(ch, ended ? 0 : SIGKILL);
	return (ended && WIFEXITED(status) &&
	    WEXITSTATUS(status) == WORKER_OVERTAKEN);
}

static void
begin(struct child *ch, const char *instance)
{
	memset(ch, 0, sizeof(*ch));
	ch->instance = instance;
	child_start(ch);
}

/*
 * Nobody is heard while PostgreSQL stands still, and nobody is dead: neither
 * who had been silent for a look or two before.
 */
static void
pause_all(struct child *first, struct child *second)
{
	char	 command[256];

	snprintf(command, sizeof(command), "%s/pause 12 %d", env("ROOT"),
	    (int)first->pid);
	kill(first->pid, SIGSTOP);
	ok(!child_ready(second, 2200), "a server is silent for two seconds");
	ok(shell(command) == 0, "PostgreSQL stands still for twelve");
	ok(!child_ready(second, 5000), "then who stood by goes on standing by");
	ok(writes(first, 65), "and who was at work is");
}

/* Nobody is dead either where PostgreSQL does not tell when one was heard. */
static void
tell_nothing(struct child *first, struct child *second)
{
	ok(sql("ALTER SYSTEM SET track_activities = off") == 0 &&
	    sql("SELECT pg_reload_conf()") == 0, "nothing is told any more");
	ok(writes(first, 66), "a server is at work, and is silent then");
	ok(!child_ready(second, 13000), "it is not ended for it");
	ok(sql("ALTER SYSTEM RESET track_activities") == 0 &&
	    sql("SELECT pg_reload_conf()") == 0, "all is told again");
	ok(writes(first, 67), "and it is at work");
}

void
test_standby(struct child *first)
{
	struct child	 second, third, again;
	uint64_t	 t0;

	begin(&second, "second");
	ok(!child_ready(&second, 5000), "while one is at work another stands by");
	ok(writes(first, 61), "and the first one goes on");
	pause_all(first, &second);
	tell_nothing(first, &second);
	child_end(first, SIGKILL);
	ok(child_ready(&second, 7000), "when it is killed the other takes over");
	ok(writes(&second, 62), "and writes");

	kill(second.pid, SIGSTOP);
	t0 = now_ms();
	begin(&third, "third");
	ok(child_ready(&third, 20000), "one that hangs is followed by the next");
	ok(now_ms() - t0 >= 9900, "not before ten seconds of silence");
	ok(writes(&third, 63), "which writes");
	kill(second.pid, SIGCONT);
	ok(overtaken(&second), "and ends when it wakes: it was overtaken");

	begin(&again, "second");
	ok(overtaken(&again), "so does a new process of that server");
	child_end(&third, SIGKILL);
	begin(&again, "second");
	ok(overtaken(&again), "also when nobody is at work any more");

	begin(first, "fourth");
	ok(child_ready(first, 5000), "a new one finds all as it should be");
	ok(writes(first, 64), "and writes");
	drop_used();
}
