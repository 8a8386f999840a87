/*
 * process.c - the process table and the life of each worker: fork and exec
 * with one channel on descriptor 3, configured, ready, pinged every second,
 * restarted with backoff.  Five seconds of silence is SIGKILL; five deaths in a
 * minute before PROC_READY stop the server (promise 21).
 */
#include <sys/socket.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "parent.h"
#include "parent_msg.h"

#define SILENCE_MS	5000
#define EARLY_DEATHS	5
#define EARLY_SECONDS	60
#define BACKOFF_MIN_MS	50
#define BACKOFF_MAX_MS	5000
#ifndef STEADY_MS
#define STEADY_MS	30000	/* alive so long: the backoff starts anew */
#endif

/* The one place that says what runs, from which program, as whom. */
static const struct {
	enum proc	 proc;
	const char	*program;
	const char	*user;
} table[] = {
	{ PROC_STORAGED,	"storaged",	"store" },
	{ PROC_PROVIDERD,	"providerd",	"provider" },
	{ PROC_SESSIOND,	"sessiond",	"session" },
	{ PROC_TASKD,		"taskd",	"task" },
	{ PROC_RUNNERD,		"runnerd",	"runner" },
	{ PROC_TUNNELD,		"tunneld",	"tunnel" },
	{ PROC_API,		"frontd",	"front" },
	{ PROC_ADMIN,		"frontd",	"front" },
	{ PROC_RUNNER,		"frontd",	"front" },
};
#define NTABLE	(sizeof(table) / sizeof(table[0]))

static uint64_t	 pinged_ms;

uint64_t
mono_ms(void)
{
	struct timespec	 ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ((uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000);
}

static uint64_t
wall_ms(void)
{
	struct timespec	 ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return ((uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000);
}

void
children_init(void)
{
	struct child	*ch;
	size_t		 i;

	for (i = 0; i < NTABLE; i++) {
		ch = &env->child[table[i].proc];
		ch->proc = table[i].proc;
		ch->program = table[i].program;
		ch->user = table[i].user;
		account_find(env->conf, ch->user, &ch->account);
		strlcpy(ch->root, run_path("empty"), sizeof(ch->root));
		if (ch->proc == PROC_STORAGED && env->conf->database == NULL)
			strlcpy(ch->root, postgres_socket_dir(),
			    sizeof(ch->root));
	}
}

static void
child_exec(const struct child *ch, int fd)
{
	char		*argv[4], path[4096];
	sigset_t	 none;

	strlcpy(path, program_path(ch->program), sizeof(path));
	argv[0] = path;
	argv[1] = strdup("-P");
	argv[2] = strdup(proc_names[ch->proc]);
	argv[3] = NULL;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (dup2(fd, 3) == -1)
		_exit(127);
	/* dup2 onto itself would keep close-on-exec. */
	if (fd == 3 && fcntl(3, F_SETFD, 0) == -1)
		_exit(127);
	closefrom(4);
	execv(path, argv);
	log_warn("%s", path);
	_exit(127);
}

/* In a while, and every time a bit later. */
static void
start_later(struct child *ch)
{
	if (ch->backoff_ms == 0)
		ch->backoff_ms = BACKOFF_MIN_MS;
	ch->start_at = mono_ms() + ch->backoff_ms;
	ch->backoff_ms = ch->backoff_ms * 2 > BACKOFF_MAX_MS ?
	    BACKOFF_MAX_MS : ch->backoff_ms * 2;
}

void
child_start(struct child *ch)
{
	int	 sv[2];

	ch->start_at = 0;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) == -1) {
		log_warn("%s: socketpair", proc_names[ch->proc]);
		start_later(ch);
		return;
	}
	if ((ch->pid = fork()) == -1) {
		log_warn("%s: fork", proc_names[ch->proc]);
		ch->pid = 0;
		close(sv[0]);
		close(sv[1]);
		start_later(ch);
		return;
	}
	if (ch->pid == 0)
		child_exec(ch, sv[1]);
	close(sv[1]);
	ch->state = CHILD_STARTING;
	ch->generation++;
	ch->started_ms = wall_ms();
	ch->started_at = mono_ms();
	ch->pong_ms = mono_ms();
	peer_open(peer_of(ch->proc), 0, sv[0], ch->generation);
	log_debug("%s: pid %ld", proc_names[ch->proc], (long)ch->pid);
	/* A file that is gone may come back: it is tried again, without end. */
	if (child_configure(ch) == -1) {
		ch->state = CHILD_DOWN;
		kill(ch->pid, SIGKILL);
	}
}

void
channel_closed(struct peer *p, const char *why)
{
	struct child	*ch = &env->child[p->proc];

	peer_close(p);
	if (why != NULL)
		log_warnx("%s: %s", p->name, why);
	/* A worker without a parent ends by itself; one that does not, so. */
	if (ch->pid > 0)
		kill(ch->pid, SIGKILL);
}

/* Too many deaths before it was ready? */
static int
child_is_hopeless(struct child *ch)
{
	unsigned int	 now = (unsigned int)(mono_ms() / 1000);

	memmove(&ch->early[0], &ch->early[1],
	    sizeof(ch->early) - sizeof(ch->early[0]));
	ch->early[EARLY_DEATHS - 1] = now;
	return (ch->early[0] != 0 && now - ch->early[0] < EARLY_SECONDS);
}

/* The server stops, and says by its status that it had to. */
static void
give_up(void)
{
	env->hopeless = 1;
	env->stopping = 1;
	children_stop();
}

static void
child_died(struct child *ch, int status)
{
	const char	*name = proc_names[ch->proc];
	int		 early = ch->state == CHILD_STARTING;
	int		 unconfigured = ch->state == CHILD_DOWN;

	if (env->stopping < 2) {
		if (WIFSIGNALED(status))
			log_warnx("%s (pid %ld) was killed by signal %d%s",
			    name, (long)ch->pid, WTERMSIG(status),
			    WTERMSIG(status) == SIGSYS ?
			    ": a forbidden system call" : "");
		else
			log_warnx("%s (pid %ld) ended with status %d", name,
			    (long)ch->pid, WEXITSTATUS(status));
	}
	peer_close(peer_of(ch->proc));
	memset(ch->edge, 0, sizeof(ch->edge));
	ch->pid = 0;
	ch->state = CHILD_DOWN;
	if (env->stopping)
		return;
	if (early && child_is_hopeless(ch)) {
		log_warnx("%s died %d times before it was ready; the server "
		    "stops, see the lines above", name, EARLY_DEATHS);
		give_up();
		return;
	}
	if (ch->proc == PROC_STORAGED && WIFEXITED(status) &&
	    WEXITSTATUS(status) == WORKER_OVERTAKEN) {
		log_warnx("another server has taken over; this one stops, and "
		    "stands by when it is started again");
		give_up();
		return;
	}
	ch->restarts++;
	if (mono_ms() - ch->started_at > STEADY_MS)
		ch->backoff_ms = 0;
	if (ch->backoff_ms == 0 && !unconfigured) {
		/* It was steady: at once, and the backoff begins. */
		ch->backoff_ms = BACKOFF_MIN_MS;
		child_start(ch);
	} else
		start_later(ch);
}

void
children_reap(void)
{
	pid_t	 pid;
	size_t	 i;
	int	 status;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (postgres_reaped(pid, status))
			continue;
		for (i = 0; i < NTABLE; i++)
			if (env->child[table[i].proc].pid == pid)
				child_died(&env->child[table[i].proc], status);
	}
}

/* ---- what workers say ---- */

void
on_proc_ready(struct peer *p, uint64_t ref, const struct msg_proc_ready *m)
{
	struct child	*ch = &env->child[p->proc];
	size_t		 i;

	(void)ref;
	(void)m;
	if (ch->state != CHILD_STARTING)
		return;
	ch->state = CHILD_READY;
	ch->pong_ms = mono_ms();
	edges_wire(ch);
	for (i = 0; i < NTABLE; i++)
		if (env->child[table[i].proc].state != CHILD_READY)
			return;
	log_info("ready: every process is up");
}

static int
is_front(enum proc proc)
{
	return (proc == PROC_API || proc == PROC_ADMIN || proc == PROC_RUNNER);
}

void
on_proc_accused(struct peer *p, uint64_t ref, const struct msg_proc_accused *m)
{
	struct child	*ch;

	(void)ref;
	/* Only whom it has a channel to. */
	if (m->peer >= PROC_MAX || proc_edges[p->proc][m->peer] == 0)
		return;
	ch = &env->child[m->peer];
	/* Who is there now has not said it: the accuser read it late. */
	if (m->generation == 0 || ch->edge[p->proc] != m->generation) {
		log_warnx("%s broke the protocol before its end, says %s: %s",
		    proc_names[m->peer], p->name, m->why);
		return;
	}
	log_warnx("%s broke the protocol, says %s: %s", proc_names[m->peer],
	    p->name, m->why);
	/*
	 * A frontd reads what strangers send and may be theirs: it is started
	 * again, which gives it another channel, and no owner dies by its word.
	 */
	if (is_front(p->proc))
		ch = &env->child[p->proc];
	kill(ch->pid, SIGKILL);
}

void
on_proc_pong(struct peer *p, uint64_t ref, const struct msg_proc_pong *m)
{
	struct child	*ch = &env->child[p->proc];
	struct timespec	 ts;
	uint64_t	 now;

	(void)ref;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	now = (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
	ch->pong_ms = mono_ms();
	ch->ping_us = (uint32_t)(now - m->sent_us);
	ch->queued = m->queued;
	if (ch->metrics_len < m->metrics_len || ch->metrics == NULL) {
		free(ch->metrics);
		if ((ch->metrics = malloc(m->metrics_len + 1)) == NULL)
			fatal("metrics");
	}
	memcpy(ch->metrics, m->metrics, m->metrics_len);
	ch->metrics_len = m->metrics_len;
}

static void
child_drain(enum proc proc)
{
	struct msg_proc_drain	 m = { 10 };
	struct child		*ch = &env->child[proc];

	if (ch->state != CHILD_READY)
		return;
	ch->state = CHILD_DRAINING;
	send_proc_drain(peer_of(proc), 0, &m);
}

void
on_proc_drained(struct peer *p, uint64_t ref, const struct msg_proc_drained *m)
{
	(void)ref;
	(void)m;
	if (env->child[p->proc].state == CHILD_DRAINING)
		env->child[p->proc].state = CHILD_DRAINED;
	if (p->proc == PROC_RUNNERD && env->stopping)
		child_drain(PROC_RUNNER);
}

/* ---- the clock ---- */

static uint64_t
rss_of(pid_t pid)
{
	char		 path[64];
	unsigned long	 size, rss = 0;
	FILE		*f;

	snprintf(path, sizeof(path), "/proc/%ld/statm", (long)pid);
	if ((f = fopen(path, "r")) == NULL)
		return (0);
	if (fscanf(f, "%lu %lu", &size, &rss) != 2)
		rss = 0;
	fclose(f);
	return ((uint64_t)rss * (uint64_t)sysconf(_SC_PAGESIZE));
}

static void
report(const struct child *ch)
{
	struct msg_proc_report	 m;

	m.name = proc_names[ch->proc];
	m.pid = (uint32_t)ch->pid;
	m.uid = ch->account.uid;
	m.root = env->jail == JAIL_FULL ? ch->root : "/";
	m.jail = (uint8_t)env->jail;
	m.ready = ch->state == CHILD_READY;
	m.started_ms = ch->started_ms;
	m.restarts = ch->restarts;
	m.rss_bytes = ch->pid > 0 ? rss_of(ch->pid) : 0;
	m.queued = ch->queued;
	m.ping_us = ch->ping_us;
	m.metrics = ch->metrics;
	m.metrics_len = ch->metrics_len;
	send_proc_report(peer_of(PROC_ADMIN), 0, &m);
}

static void
ping(struct child *ch)
{
	struct msg_proc_ping	 m;
	struct timespec		 ts;

	if (ch->state != CHILD_READY)
		return;
	if (mono_ms() - ch->pong_ms > SILENCE_MS) {
		log_warnx("%s (pid %ld) has been silent for %d s: killed",
		    proc_names[ch->proc], (long)ch->pid, SILENCE_MS / 1000);
		kill(ch->pid, SIGKILL);
		ch->pong_ms = mono_ms();
		return;
	}
	clock_gettime(CLOCK_MONOTONIC, &ts);
	m.sent_us = (uint64_t)ts.tv_sec * 1000000 +
	    (uint64_t)ts.tv_nsec / 1000;
	send_proc_ping(peer_of(ch->proc), 0, &m);
}

static int
all_are_drained(void)
{
	static const enum proc	 drained[] = { PROC_RUNNERD, PROC_API,
	    PROC_ADMIN, PROC_RUNNER };
	size_t			 i;

	for (i = 0; i < sizeof(drained) / sizeof(drained[0]); i++)
		if (env->child[drained[i]].state == CHILD_DRAINING)
			return (0);
	return (1);
}

/*
 * SIGTERM: runners are told, the fronts finish what they have, then all but
 * storaged end, then storaged, then PostgreSQL.
 */
static void
stop_tick(void)
{
	static uint64_t	 since;
	struct child	*ch;
	size_t		 i;
	static int	 alone;
	int		 alive = 0, others = 0;

	if (since == 0)
		since = mono_ms();
	if (env->stopping == 1)
		children_stop();	/* who became ready meanwhile, too */
	/* Behind what runnerd has told the runners, or without it. */
	if (env->child[PROC_RUNNERD].state != CHILD_DRAINING)
		child_drain(PROC_RUNNER);
	if (env->stopping == 1 && !all_are_drained() &&
	    mono_ms() - since < 10000)
		return;
	if (env->stopping == 1) {
		env->stopping = 2;
		since = mono_ms();
	}
	for (i = 0; i < NTABLE; i++) {
		ch = &env->child[table[i].proc];
		alive += ch->pid != 0;
		others += ch->pid != 0 && ch->proc != PROC_STORAGED;
	}
	/* storaged has as long as the others had, behind them. */
	if (others == 0 && !alone) {
		alone = 1;
		since = mono_ms();
	}
	for (i = 0; i < NTABLE; i++) {
		ch = &env->child[table[i].proc];
		if (ch->pid == 0 || (ch->proc == PROC_STORAGED && others > 0))
			continue;
		peer_close(peer_of(ch->proc));
		if (mono_ms() - since > 3000)
			kill(ch->pid, SIGKILL);
	}
	if (alive > 0)
		return;
	postgres_stop();
	if (!postgres_is_running())
		event_base_loopbreak(env->base);
}

void
children_stop(void)
{
	listeners_close();
	child_drain(PROC_RUNNERD);
	child_drain(PROC_API);
	child_drain(PROC_ADMIN);
}

void
children_tick(void)
{
	struct child	*ch;
	uint64_t	 now = mono_ms();
	size_t		 i;

	postgres_tick();
	if (env->stopping) {
		stop_tick();
		return;
	}
	for (i = 0; i < NTABLE; i++) {
		ch = &env->child[table[i].proc];
		if (ch->pid == 0 && ch->start_at != 0 && ch->start_at <= now)
			child_start(ch);
	}
	if (now - pinged_ms < 1000)
		return;
	/* When it was us who slept, nobody else is to blame. */
	if (now - pinged_ms > 2 * 1000)
		for (i = 0; i < NTABLE; i++)
			env->child[table[i].proc].pong_ms = now;
	pinged_ms = now;
	for (i = 0; i < NTABLE; i++) {
		ping(&env->child[table[i].proc]);
		if (env->child[PROC_ADMIN].state == CHILD_READY)
			report(&env->child[table[i].proc]);
	}
}
