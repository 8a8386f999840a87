/*
 * main.c - storaged: every SQL statement of the server.  Owners ask with the
 * `sql' messages of the table; writes go down one connection in batches,
 * reads down others, events come up a third kind.  It is ready when the
 * advisory lock of who is at work is held and every statement is prepared.
 */
#include <seccomp.h>
#include <stdio.h>

#include "storaged.h"
#include "storaged_msg.h"
#include "worker.h"

/* Dialling PostgreSQL again; no bind, listen or execve. */
static const int	 syscalls[] = {
	SCMP_SYS(socket), SCMP_SYS(connect), SCMP_SYS(getsockopt),
	SCMP_SYS(setsockopt), SCMP_SYS(getsockname), SCMP_SYS(getpeername),
	SCMP_SYS(shutdown), SCMP_SYS(geteuid), SCMP_SYS(getuid),
	SCMP_SYS(rt_sigpending), SCMP_SYS(rt_sigtimedwait), SCMP_SYS(uname),
	SCMP_SYS(ppoll), SCMP_SYS(sched_yield), SCMP_SYS(clock_nanosleep),
	-1
};
static const struct jail jail = { "storaged", syscalls, 64 };
struct stats		 stats;

void	 on_statement(struct peer *, uint64_t, enum msg_type, const void *);

void
on_statement(struct peer *p, uint64_t ref, enum msg_type type, const void *m)
{
	struct msg_refused	 no = { 0 };
	struct stmt		*s;
	const char		*why;

	if ((s = statement_new(p, ref, type, m, &why)) == NULL) {
		no.code = "validation_error";
		no.text = why;
		send_refused(p, ref, &no);
		stats.refused++;
		return;
	}
	if ((msg_descs[type].flags & MSG_F_WRITE) != 0)
		write_add(s);
	else
		read_add(s);
}

static void
post_jail(void)
{
	answers_init();
	write_start();
	read_start();
	feed_start();
}

static int
is_ready(void)
{
	return (0);	/* turn() says when */
}

static void
peer_up(struct peer *p)
{
	if (p->proc == PROC_SESSIOND)
		feed_reset();
}

static void
peer_down(struct peer *p)
{
	write_forget(p->proc);
	read_forget(p->proc);
	answers_forget(p->proc);
}

static void
turn(void)
{
	if (write_is_ours() && read_is_known())
		worker_ready();
	answers_turn();
	write_turn();
	read_turn();
	feed_turn();
	if (worker_draining() && write_is_idle())
		worker_drained();
}

static void
janitor(void)
{
	write_janitor();
	read_janitor();
	feed_janitor();
}

static void
drain(void)
{
	if (write_is_idle())
		worker_drained();
}

static size_t
metrics(char *buf, size_t size)
{
	unsigned int	 queued;
	size_t		 bytes;
	int		 n;

	write_count(&queued, &bytes);
	n = snprintf(buf, size,
	    "marionette_sql_statements_total{kind=\"write\"} %llu\n"
	    "marionette_sql_statements_total{kind=\"read\"} %llu\n"
	    "marionette_sql_calls_total %llu\n"
	    "marionette_sql_commits_total %llu\n"
	    "marionette_sql_committed_statements_total %llu\n"
	    "marionette_sql_batch_statements_max %u\n"
	    "marionette_sql_batches_failed_total %llu\n"
	    "marionette_sql_refused_total %llu\n"
	    "marionette_sql_retries_total %llu\n"
	    "marionette_sql_reconnects_total %llu\n"
	    "marionette_sql_events_total %llu\n"
	    "marionette_sql_write_queue %u\n"
	    "marionette_sql_write_queue_bytes %zu\n"
	    "marionette_sql_read_queue %u\n"
	    "marionette_sql_connected %d\n",
	    (unsigned long long)stats.statements,
	    (unsigned long long)stats.reads,
	    (unsigned long long)stats.calls,
	    (unsigned long long)stats.commits,
	    (unsigned long long)stats.batch_statements, stats.batch_max,
	    (unsigned long long)stats.batches_failed,
	    (unsigned long long)stats.refused,
	    (unsigned long long)stats.retries,
	    (unsigned long long)stats.reconnects,
	    (unsigned long long)stats.events, queued, bytes, read_count(),
	    write_is_ours());
	return (n > 0 && (size_t)n < size ? (size_t)n : 0);
}

static const struct worker storaged = {
	.title = "storaged",
	.jail = &jail,
	.option = config_option,
	.secret = config_secret,
	.configured = config_done,
	.pre_jail = migrate,
	.post_jail = post_jail,
	.ready = is_ready,
	.peer_up = peer_up,
	.peer_down = peer_down,
	.turn = turn,
	.janitor = janitor,
	.metrics = metrics,
	.drain = drain,
};

int
main(int argc, char **argv)
{
	return (worker_main(argc, argv, &storaged));
}
