/*
 * standby.c - storageds of several servers on one database: one is at work, the
 * others stand by; who is killed, or hangs, is followed by the next; and whoever
 * was overtaken ends, also as a new process of the same server.
 */
#include <sys/wait.h>

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

/* Did it end by itself, within some seconds, and with the right status? */
static int
overtaken(struct child *ch)
{
	uint64_t	 end = now_ms() + 15000;
	int		 status = 0;

	while (now_ms() < end) {
		if (waitpid(ch->pid, &status, WNOHANG) == ch->pid)
			return (WIFEXITED(status) &&
			    WEXITSTATUS(status) == WORKER_OVERTAKEN);
		/* Its channel ends a moment before it does. */
		usleep(20000);
	}
	return (0);
}

static void
begin(struct child *ch, const char *instance)
{
	memset(ch, 0, sizeof(*ch));
	ch->instance = instance;
	child_start(ch);
}

void
test_standby(struct child *first)
{
	struct child	 second, third, again;
	uint64_t	 t0;

	begin(&second, "second");
	ok(!child_ready(&second, 5000), "while one is at work another stands by");
	ok(writes(first, 61), "and the first one goes on");
	child_end(first, SIGKILL);
	ok(child_ready(&second, 3000), "when it is killed the other takes over");
	ok(writes(&second, 62), "and writes");

	kill(second.pid, SIGSTOP);
	t0 = now_ms();
	begin(&third, "third");
	ok(child_ready(&third, 20000), "one that hangs is followed by the next");
	ok(now_ms() - t0 >= 9900, "not before ten seconds of silence");
	ok(writes(&third, 63), "which writes");
	kill(second.pid, SIGCONT);
	ok(overtaken(&second), "and ends when it wakes: it was overtaken");
	child_end(&second, SIGKILL);

	begin(&again, "second");
	ok(overtaken(&again), "so does a new process of that server");
	child_end(&again, SIGKILL);
	child_end(&third, SIGKILL);
	begin(&again, "second");
	ok(overtaken(&again), "also when nobody is at work any more");
	child_end(&again, SIGKILL);

	begin(first, "fourth");
	ok(child_ready(first, 5000), "a new one finds all as it should be");
	ok(writes(first, 64), "and writes");
	drop_used();
}
