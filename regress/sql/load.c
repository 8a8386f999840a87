/*
 * load.c - more than a queue holds: what an owner loads, and the answers of one
 * batch, arrive whole and in order however long it does not read, and hold up
 * nobody else.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "child.h"

#define ASKED	80		/* of 900 KB each: more than PEER_QUEUE_HARD */
#define RUNNERS	17000		/* of 4 KB each: the same */
#define LONG	20000		/* ms for so much */

/* Whatever else the database has is answered: before it is asked. */
static int
is_answered(struct child *ch, enum proc who, uint64_t ref)
{
	char		 id[ID_SIZE];
	const char	*code;

	id_make(id, "alog");
	audit(ch, who, ref, id, "load");
	code = answer(&ch->control[who], ref, 5000, NULL);
	return (code != NULL && code[0] == '\0');
}

static void
make(void)
{
	ok(sql("SET mn.tenant = '*'; INSERT INTO mn_data.permission (id, "
	    "tenant_id, session_id, task_id, run_id, request, kind, tool, "
	    "action, input, risk, status, suspend_after) SELECT 'perm_' || "
	    "lpad(i::text, 26, '0'), r.tenant_id, r.session_id, r.task_id, "
	    "r.id, i::text, 'tool', 'Bash', 'x', '\\\"' || repeat('x', 900000) "
	    "|| '\\\"', 'low', 'pending', 60 FROM generate_series(1, 80) i, "
	    "(SELECT * FROM mn_data.run LIMIT 1) r") == 0,
	    "eighty requests of 900 KB wait for people");
	ok(sql("SET mn.tenant = '*'; INSERT INTO mn_data.runner (id, "
	    "tenant_id, shared, token_id, pool, name, hostname, version, "
	    "agents, sandbox_mode, labels, resources, status, certificate, "
	    "cert_hash) SELECT 'rnr_' || lpad(i::text, 26, '0'), 't1', false, "
	    "'', '', '', '', '', '', '', '{}', '{}', 'offline', "
	    "convert_to(repeat('c', 4000), 'UTF8'), "
	    "sha256(convert_to(i::text, 'UTF8')) "
	    "FROM generate_series(1, 17000) i") == 0,
	    "there are seventeen thousand runners");
}

static void
unmake(void)
{
	sql("SET mn.tenant = '*'; DELETE FROM mn_data.permission; DELETE FROM "
	    "mn_data.runner");
}

static void
test_permissions(struct child *ch)
{
	struct msg_permission_load	 m = { 0 };
	struct msg_permission_row	 row;
	uint64_t			 ref;
	int				 n = 0;

	say(&ch->control[PROC_TASKD], MSG_PERMISSION_LOAD, 1, &m);
	while (hear(&ch->control[PROC_TASKD], LONG, &ref) ==
	    MSG_PERMISSION_ROW && ref == 1) {
		memcpy(&row, &body, sizeof(row));
		n += row.doc_len == 0 && strcmp(row.status, "pending") == 0;
	}
	ok(n == ASKED, "all are loaded, without what was asked");
}

/* Each is answered with its record, and all of them in one batch. */
static void
test_batch(struct child *ch)
{
	struct msg_permission_settle	 m = { 0 };
	struct msg_permission_row	 row;
	struct chan			*c = &ch->control[PROC_TASKD];
	uint64_t			 ref, i;
	char				 id[ID_SIZE];
	int				 good = 0;

	m.tenant = "t1";
	m.permission = id;
	child_stop(ch);
	for (i = 1; i <= ASKED; i++) {
		snprintf(id, sizeof(id), "perm_%026d", (int)i);
		say(c, MSG_PERMISSION_SETTLE, 100 + i, &m);
	}
	child_go_on(ch);
	/* It is told as much as there is room for, in one turn. */
	ok(is_told(c, LONG) && is_answered(ch, PROC_RUNNERD, 1),
	    "who does not read its answers holds up nobody else");
	for (i = 1; i <= ASKED; i++) {
		if (hear(c, LONG, &ref) != MSG_PERMISSION_ROW)
			break;
		memcpy(&row, &body, sizeof(row));
		good += ref == 100 + i && row.doc_len > 900000 &&
		    hear(c, LONG, &ref) == MSG_STORED && ref == 100 + i;
	}
	ok(good == ASKED, "and has them all, in order");
	ok(is_answered(ch, PROC_TASKD, 2), "and goes on");
}

static void
test_runners(struct child *ch)
{
	struct msg_runner_load	 m = { 0 };
	struct msg_runner_row	 row;
	struct msg_stored	 st = { 0 };
	struct chan		*c = &ch->control[PROC_RUNNERD];
	char			 id[ID_SIZE];
	enum msg_type		 t;
	uint64_t		 ref;
	unsigned int		 n = 0;

	say(c, MSG_RUNNER_LOAD, 1, &m);
	ok(is_told(c, LONG), "runners are loaded");
	id_make(id, "alog");
	audit(ch, PROC_RUNNERD, 2, id, "load");
	ok(is_answered(ch, PROC_TASKD, 3),
	    "who does not read what it loads holds up nobody else");
	while ((t = hear(c, LONG, &ref)) == MSG_RUNNER_ROW && ref == 1) {
		memcpy(&row, &body, sizeof(row));
		snprintf(id, sizeof(id), "rnr_%026u", n + 1);
		if (strcmp(row.runner, id) != 0)
			break;
		n++;
	}
	if (t == MSG_STORED)
		memcpy(&st, &body, sizeof(st));
	ok(n == RUNNERS && ref == 1 && st.rows == n,
	    "more than a queue holds arrives whole and in order");
	ok(hear(c, LONG, &ref) == MSG_STORED && ref == 2,
	    "before what was asked later");
}

/* It dies while it is told: nothing of that comes to the next. */
static void
test_death(struct child *ch)
{
	struct msg_runner_load	 m = { 0 };

	say(&ch->control[PROC_RUNNERD], MSG_RUNNER_LOAD, 1, &m);
	ok(is_told(&ch->control[PROC_RUNNERD], LONG),
	    "they are loaded once more");
	drop_used();
	close(ch->control[PROC_RUNNERD].fd);
	close(ch->bulk[PROC_RUNNERD].fd);
	peer_connect(ch, PROC_RUNNERD, 2);
	ok(is_answered(ch, PROC_RUNNERD, 5),
	    "who died while it was told has an end to it");
	ok(is_answered(ch, PROC_TASKD, 6), "and harmed nobody");
}

void
test_load(struct child *ch)
{
	make();
	test_permissions(ch);
	test_batch(ch);
	test_runners(ch);
	test_death(ch);
	unmake();
}
