/*
 * storaged_test.c - speaks to a real storaged as its parent and as the owners:
 * batches, a poisoned batch, PostgreSQL killed under it, the advisory lock
 * taken over, events in order.  Environment: as child.c, and KILL and START
 * (shell commands that kill -9 and start PostgreSQL).
 * Prints `ok' and `not ok' lines.
 */
#include <sys/wait.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "child.h"

#define CALLS	"marionette_sql_calls_total "
#define SLEEPS	" FROM pg_stat_activity WHERE wait_event = 'PgSleep'"

/* Many statements at once: all answered, in few commits. */
static void
test_batch(struct child *ch)
{
	char		 id[ID_SIZE];
	const char	*code;
	uint32_t	 rows;
	uint64_t	 i, t0 = now_ms();
	int		 good = 0;

	for (i = 1; i <= 1000; i++) {
		id_make(id, "alog");
		audit(ch, PROC_TASKD, i, id, "batch");
	}
	for (i = 1; i <= 1000; i++) {
		code = answer(&ch->control[PROC_TASKD], i, 5000, &rows);
		good += code != NULL && code[0] == '\0' && rows == 1;
	}
	ok(good == 1000, "a thousand statements of two tenants are answered");
	printf("# %llu ms\n", (unsigned long long)(now_ms() - t0));
}

/* A constraint that one value breaks, in the middle of 64. */
static void
test_poison(struct child *ch, const char *ddl, const char *what)
{
	static char	 names[65][ID_SIZE];
	const char	*code;
	uint64_t	 i;
	int		 good = 0, refused = 0;

	ok(sql(ddl) == 0, "the trap is set");
	for (i = 1; i <= 64; i++) {
		id_make(names[i], "alog");
		audit(ch, PROC_RUNNERD, i, names[i],
		    i == 40 || i == 41 ? "poison" : "fine");
	}
	for (i = 1; i <= 64; i++) {
		code = answer(&ch->control[PROC_RUNNERD], i, 5000, NULL);
		if (i == 40 || i == 41)
			refused += code != NULL &&
			    strcmp(code, "validation_error") == 0;
		else
			good += code != NULL && code[0] == '\0';
	}
	ok(good == 62 && refused == 2, what);
}

/* PostgreSQL dies with writes under way; every one is answered after all. */
static void
test_kill(struct child *ch)
{
	char		 id[ID_SIZE];
	const char	*code;
	uint64_t	 i;
	int		 good = 0;

	for (i = 1; i <= 200; i++) {
		id_make(id, "alog");
		audit(ch, PROC_TASKD, i, id, "before");
		if (i == 100)
			ok(shell(env("KILL")) == 0, "PostgreSQL is killed");
	}
	ok(shell(env("START")) == 0, "and started again");
	for (i = 1; i <= 200; i++) {
		code = answer(&ch->control[PROC_TASKD], i, 20000, NULL);
		good += code != NULL && code[0] == '\0';
	}
	ok(good == 200, "200 statements survive it");
}

/* Without database: refused with unavailable, within twelve seconds. */
static void
test_gone(struct child *ch)
{
	char		 id[ID_SIZE];
	const char	*code;
	uint64_t	 t0;

	ok(shell(env("KILL")) == 0, "PostgreSQL is killed");
	ok(metric_is(ch, "marionette_sql_connected ", 0, 5000),
	    "which is noticed");
	t0 = now_ms();
	id_make(id, "alog");
	audit(ch, PROC_TASKD, 900, id, "gone");
	code = answer(&ch->control[PROC_TASKD], 900, 15000, NULL);
	ok(code != NULL && strcmp(code, "unavailable") == 0,
	    "without a database a write is refused: unavailable");
	ok(now_ms() - t0 < 12500, "before twelve seconds are over");
	ok(shell(env("START")) == 0, "PostgreSQL is started");
	audit(ch, PROC_TASKD, 901, id, "gone");
	code = answer(&ch->control[PROC_TASKD], 901, 15000, NULL);
	ok(code != NULL && code[0] == '\0', "the same again is stored");
}

/* The numbers of events as they come; -1 when they are out of order. */
static int
events(struct child *ch, int ms)
{
	struct msg_event_committed e;
	unsigned long long	 xid = 0, seq = 0, x, s;
	enum msg_type		 t;
	uint64_t		 ref;
	int			 n = 0;

	while ((t = hear(&ch->control[PROC_SESSIOND], ms, &ref)) !=
	    MSG_NONE) {
		if (t != MSG_EVENT_COMMITTED)
			continue;
		memcpy(&e, &body, sizeof(e));
		if (sscanf(e.position, "%llu.%llu", &x, &s) != 2 || x < xid ||
		    (x == xid && s <= seq))
			return (-1);
		xid = x;
		seq = s;
		n++;
	}
	return (n);
}

/* A transaction with a low number that commits late hides later ones. */
static void
test_events(struct child *ch)
{
	char	 id[ID_SIZE], cmd[2048];
	int	 i, n;

	snprintf(cmd, sizeof(cmd), "%s -c \"SET mn.tenant = '*'; BEGIN; SELECT "
	    "mn.event_put('t9', 'runner.online', 'runner', 'r', NULL, NULL, "
	    "'{}', '{}'); DO 'BEGIN PERFORM pg_sleep(60); EXCEPTION WHEN "
	    "query_canceled THEN NULL; END'; COMMIT\" >/dev/null &",
	    env("PSQL"));
	ok(shell(cmd) == 0 && holds(10000, "count(*) = 1" SLEEPS),
	    "a slow transaction makes an event");
	for (i = 1; i <= 10; i++) {
		id_make(id, "sess");
		session_put(ch, (uint64_t)i, id);
	}
	n = events(ch, 700);
	ok(n == 0, "events behind it are held back");
	ok(sql("SELECT pg_cancel_backend(pid)" SLEEPS) == 0, "it commits");
	n = events(ch, 3000);
	ok(n == 11, "then all come, each once, in order");
}

/* A second storaged takes the lock from the first one's backend. */
static void
test_takeover(struct child *first)
{
	struct child	 second;
	char		 id[ID_SIZE];
	const char	*code;
	uint64_t	 t0 = now_ms();

	memset(&second, 0, sizeof(second));
	second.server_id = "78";	/* as after a reload */
	child_start(&second);
	ok(child_ready(&second, 10000), "a second storaged becomes ready");
	ok(now_ms() - t0 >= 1900, "not before two seconds of patience");
	id_make(id, "alog");
	audit(&second, PROC_TASKD, 5, id, "second");
	code = answer(&second.control[PROC_TASKD], 5, 5000, NULL);
	ok(code != NULL && code[0] == '\0', "and writes");
	ok(child_end(first, SIGKILL) != 0, "the first one was alive");
	drop_used();
	*first = second;
}

/* An owner that is restarted does not read past its old writes. */
static void
test_generation(struct child *ch)
{
	struct msg_session_read	 m = { 0 };
	char			 id[ID_SIZE];
	const char		*code;
	uint64_t		 calls;
	uint32_t		 rows = 0;

	calls = metric(ch, CALLS);
	id_make(id, "sess");
	session_put(ch, 50, id);
	ok(metric_is(ch, CALLS, calls + 1, 5000), "an owner writes, and dies");
	peer_connect(ch, PROC_SESSIOND, 2);
	m.tenant = "t1";
	m.session = id;
	say(&ch->control[PROC_SESSIOND], MSG_SESSION_READ, 7, &m);
	code = answer(&ch->control[PROC_SESSIOND], 7, 5000, &rows);
	ok(code != NULL && code[0] == '\0' && rows == 1,
	    "a new generation reads what the old one wrote");
}

/* What a statement's parameters are is learnt before anybody can ask. */
static void
test_ready(struct child *ch)
{
	struct msg_key_find	 m = { 0 };
	uint8_t			 hash[32];
	const char		*code;

	sql("ALTER ROLE marionette CONNECTION LIMIT 1");
	child_start(ch);
	ok(!child_ready(ch, 1500), "it is not ready before it can read");
	sql("ALTER ROLE marionette CONNECTION LIMIT -1");
	ok(child_ready(ch, 15000), "and then it is");
	memset(hash, 0xff, sizeof(hash));
	m.hash = hash;
	m.hash_len = sizeof(hash);
	say(&ch->control[PROC_SESSIOND], MSG_KEY_FIND, 1, &m);
	code = answer(&ch->control[PROC_SESSIOND], 1, 5000, NULL);
	ok(code != NULL && code[0] == '\0', "bytes are taken as bytes");
}

/* A database of a newer program: it ends before it is ready. */
static int
newer(struct child *ch)
{
	int	 status;

	child_start(ch);
	ok(!child_ready(ch, 10000), "with a newer schema it is not ready");
	status = child_end(ch, 0);
	ok(WIFEXITED(status) && WEXITSTATUS(status) == 1, "it exits with 1");
	return (failures != 0);
}

int
main(int argc, char **argv)
{
	struct msg_event_feed	 feed = { 1 };
	struct child		 ch;
	uint64_t		 ref;

	memset(&ch, 0, sizeof(ch));
	signal(SIGPIPE, SIG_IGN);
	if (argc > 1 && strcmp(argv[1], "newer") == 0)
		return (newer(&ch));
	child_start(&ch);
	ok(child_ready(&ch, 15000), "storaged becomes ready");
	say(&ch.control[PROC_SESSIOND], MSG_EVENT_FEED, 0, &feed);
	ok(hear(&ch.control[PROC_SESSIOND], 3000, &ref) == MSG_EVENT_HORIZON,
	    "sessiond is told the horizon first");
	test_batch(&ch);
	test_poison(&ch, "ALTER TABLE mn_data.action_log ADD CONSTRAINT trap "
	    "CHECK (detail <> 'poison')",
	    "of 64 in a batch only the two guilty are refused");
	sql("ALTER TABLE mn_data.action_log DROP CONSTRAINT trap");
	test_poison(&ch, "CREATE FUNCTION mn_data.trap() RETURNS trigger "
	    "LANGUAGE plpgsql AS 'BEGIN IF NEW.detail = ''poison'' THEN RAISE "
	    "check_violation; END IF; RETURN NULL; END'; CREATE CONSTRAINT "
	    "TRIGGER trap AFTER INSERT ON mn_data.action_log DEFERRABLE "
	    "INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION mn_data.trap()",
	    "the same when only the commit fails");
	test_events(&ch);
	test_together(&ch);
	test_load(&ch);
	test_takeover(&ch);
	test_standby(&ch);
	test_generation(&ch);
	test_kill(&ch);
	test_gone(&ch);
	child_end(&ch, 0);
	ok(1, "storaged ends with its parent");
	test_ready(&ch);
	child_end(&ch, 0);
	printf("# %d of %d failed\n", failures, count);
	return (failures != 0);
}
