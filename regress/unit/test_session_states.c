/* links: sessiond/api.c sessiond/reply.c sessiond/session.c sessiond/settle.c sessiond/tell.c sessiond/waiter.c regress/unit/far.c regress/unit/own_time.c */
/*
 * The life of sessions in sessiond: this program is storaged, taskd, runnerd,
 * providerd and the web to it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "far.h"
#include "own_time.h"
#include "sessiond.h"

#define RNR	"rnr_00000000000000000000000000"
#define KEY	"kref_0000000000000000000000000"
#define ENDED	"sess_00000000000000000000000END"
#define DOC	"{\"id\" : \"x\",\"updated_at\":\"2026-11-21T08:45:18.123Z\"}"

static struct sessiond	 self;
struct sessiond		*env = &self;

static char		 S[ID_SIZE];	/* the session of this test */
static uint32_t		 sessions_made;
static uint64_t		 client_ref;
static uint64_t		 suspended_ms = 500;	/* of rows */
union far_message {
	_Alignas(8) uint8_t		 any[MSG_STRUCT_MAX];
	struct msg_session_state	 state;
	struct msg_session_place	 place;
	struct msg_session_release	 release;
	struct msg_session_attachment	 attachment;
	struct msg_session_wish		 wish;
	struct msg_session_revive	 revive;
	struct msg_session_note		 note;
	struct msg_key_claim		 claim;
	struct msg_key_drop		 drop;
	struct msg_document		 document;
	struct msg_refused		 refused;
};

static void
came_up(struct peer *p)
{
	ask_peer_up(p);
	if (p->proc == PROC_STORAGED)
		sessions_load();
	sessions_peer_up(p);
}

static void
up(enum proc proc)
{
	far_up(proc, came_up);
}

static void
stored(uint64_t ref, const char *code)
{
	struct msg_stored	 m = { .rows = 1, .code = code, .text = "" };

	ask_stored(peer_of(PROC_STORAGED), ref, &m);
}

static void
row(uint64_t ref, const char *id, const char *status, int wish, uint64_t epoch,
    const char *key)
{
	struct msg_session_row	 m = { .tenant = "t", .session = id,
	    .agent = "claude", .model = "", .status = status,
	    .wish = (uint8_t)wish, .runner = strcmp(status, "active") == 0 ?
	    RNR : "", .home = epoch > 0 ? RNR : "", .epoch = epoch,
	    .agent_config = "", .key_ref = key,
	    .suspended_ms = suspended_ms, .code = "", .text = "",
	    .doc = (const uint8_t *)DOC, .doc_len = sizeof(DOC) - 1 };

	on_session_row(peer_of(PROC_STORAGED), ref, &m);
}

static void
released(uint64_t epoch, const char *to)
{
	struct msg_session_released	 m = { S, epoch, to };

	on_session_released(peer_of(PROC_RUNNERD), 0, &m);
}

static void
tick(uint64_t ms)
{
	time_passes(ms);
	ask_janitor();
	sessions_tick();
	waiters_tick();
	sessions_tell_some();
}

/* As after a start with this one session in the database. */
static void
begin(const char *status, int wish, uint64_t epoch, const char *key)
{
	static int	 first = 1;
	struct session	*s;

	if (first) {
		far_init(PROC_SESSIOND);
		web_key(env->ticket_key[PROC_SESSIOND]);
		up(PROC_API);
		up(PROC_TASKD);
		up(PROC_RUNNERD);
		up(PROC_PROVIDERD);
		up(PROC_STORAGED);
		expect(PROC_STORAGED, MSG_SESSION_LOAD);
		refuses(PROC_TASKD, MSG_SESSION_STATES_DONE);
		/* Terminated while they are loaded, whose rows are of before. */
		row(0, ENDED, "terminated", 0, 3, "");
		row(got_ref, ENDED, "pending", 0, 3, "");
		stored(got_ref, "");
		assert_null(session_find(ENDED));
		expect(PROC_TASKD, MSG_SESSION_STATES_DONE);
		expect(PROC_RUNNERD, MSG_SESSION_ATTACHMENTS_DONE);
		first = 0;
	}
	while ((s = RB_MIN(sessions, &env->sessions)) != NULL) {
		RB_REMOVE(sessions, &env->sessions, s);
		free(s->policy);
		free(s);
	}
	hush();
	snprintf(S, sizeof(S), "sess_%026u", ++sessions_made);
	/* A sessiond that has just come: nobody has heard of it. */
	env->loaded = 0;
	row(0, S, status, wish, epoch, key);
	env->loaded = 1;
	sessions_peer_up(peer_of(PROC_TASKD));
	sessions_peer_up(peer_of(PROC_RUNNERD));
	sessions_peer_up(peer_of(PROC_PROVIDERD));
}

static struct session *
the(enum status st)
{
	struct session	*s = session_find(S);

	assert_non_null(s);
	assert_int_equal(s->status, st);
	return (s);
}

static size_t
somebody(uint8_t ticket[TICKET_MAX])
{
	struct ticket	 who = { .tenant = "t", .key = "k",
	    .name = "someone", .scopes = SCOPE_W(SCOPE_SESSIONS),
	    .expires = wall_ms };

	return (ticket_make(ticket, &who, env->ticket_key[PROC_SESSIOND]));
}

static void
terminate(int remove, uint32_t wait)
{
	uint8_t				 ticket[TICKET_MAX];
	struct msg_session_terminate	 m = { .ticket = ticket,
	    .request_id = "r", .session = S, .reason = "",
	    .remove = (uint8_t)remove, .wait = wait };

	m.ticket_len = somebody(ticket);
	on_session_terminate(peer_of(PROC_API), ++client_ref, &m);
	expect(PROC_STORAGED, MSG_SESSION_WISH);
}

static void
answered(uint64_t ref, unsigned int status)
{
	expect(PROC_API, MSG_DOCUMENT);
	assert_int_equal(got_ref, ref);
	assert_int_equal(got.document.status, status);
	if (status == 204)
		assert_int_equal(got.document.body_len, 0);
	else
		assert_string_equal(got.document.etag,
		    "2026-11-21T08:45:18.123Z");
}

/* ---- tests ---- */

static void
restarted(void **state)
{
	(void)state;
	begin("pending", 0, 0, "");
	expect(PROC_RUNNERD, MSG_SESSION_PLACE);
	assert_string_equal(got.place.runner, "");
	begin("resuming", 0, 3, "");
	expect(PROC_RUNNERD, MSG_SESSION_PLACE);
	assert_string_equal(got.place.runner, RNR);
	begin("active", 0, 3, "");
	expect(PROC_RUNNERD, MSG_SESSION_ATTACHMENT);
	assert_int_equal(got.attachment.epoch, 3);
	refuses(PROC_RUNNERD, MSG_SESSION_RELEASE);
	begin("suspended", 0, 3, "");
	tick(60000);
	refuses(PROC_RUNNERD, MSG_SESSION_PLACE);
	refuses(PROC_STORAGED, MSG_SESSION_REVIVE);
	/* Leaving: taskd is told, and not waited for without end. */
	begin("active", 1, 3, "");
	expect(PROC_TASKD, MSG_SESSION_STATE);
	assert_int_equal(got.state.leaving, 1);
	refuses(PROC_RUNNERD, MSG_SESSION_RELEASE);
	tick(31000);
	expect(PROC_RUNNERD, MSG_SESSION_RELEASE);
	assert_string_equal(got.release.to, "suspended");
	/* A run may be over and its log not here yet: then that is said. */
	refuses(PROC_STORAGED, MSG_SESSION_NOTE);
	tick(1000);
	expect(PROC_STORAGED, MSG_SESSION_NOTE);
	assert_non_null(strstr(got.note.reason, "the end of its run"));
	refuses(PROC_RUNNERD, MSG_SESSION_RELEASE);
	released(3, "suspended");
	the(SUSPENDED);
	begin("active", 2, 3, "");
	tick(31000);
	expect(PROC_RUNNERD, MSG_SESSION_RELEASE);
	assert_string_equal(got.release.to, "terminated");
	assert_int_equal(got.release.remove, 1);
}

/* What was wished when it came off its runner by another way is done. */
static void
wished(void **state)
{
	static const char *const	 on[] = { "suspended", "resuming",
	    "pending" };
	unsigned int			 i;

	(void)state;
	for (i = 0; i < 3; i++) {
		begin(on[i], 2, 3, "");
		refuses(PROC_RUNNERD, MSG_SESSION_PLACE);
		begin(on[i], 2, 3, "");
		expect(PROC_STORAGED, MSG_SESSION_WISH);
		assert_int_equal(got.wish.wish, 2);
		row(got_ref, S, "terminated", 0, 3, "");
		stored(got_ref, "");
		assert_null(session_find(S));
		/* A row of before does not bring it back. */
		row(0, S, "active", 0, 3, "");
		assert_null(session_find(S));
	}
	/* Removed behind our back. */
	begin("suspended", 2, 3, "");
	expect(PROC_STORAGED, MSG_SESSION_WISH);
	stored(got_ref, "not_found");
	assert_null(session_find(S));
}

/* DELETE: 202 while it goes, 204 when it is gone, with and without waiting. */
static void
deleted(void **state)
{
	uint64_t	 ref;

	(void)state;
	begin("active", 0, 3, "");
	terminate(1, 0);
	ref = got_ref;
	assert_int_equal(got.wish.remove, 1);
	row(ref, S, "active", 2, 3, "");
	stored(ref, "");
	answered(client_ref, 202);
	terminate(1, 30);
	row(got_ref, S, "active", 2, 3, "");
	stored(got_ref, "");
	terminate(0, 30);
	row(got_ref, S, "active", 2, 3, "");
	stored(got_ref, "");
	refuses(PROC_API, MSG_DOCUMENT);
	hush();
	released(3, "terminated");
	assert_null(session_find(S));
	answered(client_ref - 1, 204);
	/* Who did not remove it reads it once more. */
	expect(PROC_STORAGED, MSG_SESSION_READ);
	stored(got_ref, "not_found");
	expect(PROC_API, MSG_REFUSED);
	assert_int_equal(got_ref, client_ref);
	/* Terminated long ago. */
	terminate(1, 30);
	row(got_ref, S, "terminated", 0, 3, "");
	stored(got_ref, "");
	answered(client_ref, 204);
	/* The time is over before it is gone. */
	begin("active", 0, 3, "");
	terminate(1, 5);
	row(got_ref, S, "active", 2, 3, "");
	stored(got_ref, "");
	hush();
	tick(6000);
	expect(PROC_STORAGED, MSG_SESSION_READ);
	{
		struct msg_stored	 m = { .rows = 1, .code = "",
		    .text = "", .doc = (const uint8_t *)DOC,
		    .doc_len = sizeof(DOC) - 1 };

		ask_stored(peer_of(PROC_STORAGED), got_ref, &m);
	}
	answered(client_ref, 202);
}

static void
lost(void **state)
{
	struct msg_runner_lost	 m = { RNR, S, 3 };
	struct session		*s;

	(void)state;
	begin("active", 0, 3, "");
	s = the(ACTIVE);
	hush();
	on_runner_lost(peer_of(PROC_RUNNERD), 0, &m);
	expect(PROC_RUNNERD, MSG_SESSION_RELEASE);
	assert_string_equal(got.release.to, "resuming");
	/* Again while it is on its way: once. */
	on_runner_lost(peer_of(PROC_RUNNERD), 0, &m);
	refuses(PROC_RUNNERD, MSG_SESSION_RELEASE);
	/* Meanwhile somebody suspends it: not placed, but suspended. */
	row(0, S, "active", 1, 3, "");
	released(3, "resuming");
	the(RESUMING);
	refuses(PROC_RUNNERD, MSG_SESSION_PLACE);
	expect(PROC_STORAGED, MSG_SESSION_WISH);
	assert_int_equal(got.wish.wish, 1);
	row(got_ref, S, "suspended", 0, 3, "");
	stored(got_ref, "");
	the(SUSPENDED);
	assert_int_equal(s->wish, WISH_NONE);
	/* A row of before the release changes nothing any more. */
	row(0, S, "active", 0, 3, "");
	the(SUSPENDED);
}

/* A newer task wakes it; an older one does not; nothing is asked in circles. */
static void
revived(void **state)
{
	struct msg_session_want	 m = { S, 400 };
	struct session		*s = session_find(S);
	uint64_t		 ref;

	(void)state;
	hush();
	on_session_want(peer_of(PROC_TASKD), 0, &m);
	refuses(PROC_STORAGED, MSG_SESSION_REVIVE);
	m.newest_ms = 600;
	on_session_want(peer_of(PROC_TASKD), 0, &m);
	expect(PROC_STORAGED, MSG_SESSION_REVIVE);
	ref = got_ref;
	stored(ref, "");	/* no row: not now */
	refuses(PROC_STORAGED, MSG_SESSION_REVIVE);
	tick(1000);
	refuses(PROC_STORAGED, MSG_SESSION_REVIVE);
	tick(31000);
	expect(PROC_STORAGED, MSG_SESSION_REVIVE);
	row(got_ref, S, "resuming", 0, 3, "");
	stored(got_ref, "");
	assert_int_equal(s->status, RESUMING);
	expect(PROC_RUNNERD, MSG_SESSION_PLACE);
}

static void
keys(void **state)
{
	struct msg_key_claimed	 m = { KEY, S, 0 };

	(void)state;
	/* A new sessiond does not know: nobody is asked for it before it does. */
	begin("active", 0, 4, KEY);
	expect(PROC_TASKD, MSG_SESSION_STATE);
	assert_int_equal(got.state.credential, 1);
	hush();
	on_key_claimed(peer_of(PROC_PROVIDERD), 0, &m);
	expect(PROC_STORAGED, MSG_SESSION_NOTE);
	assert_int_equal(got.note.credential, 0);
	expect(PROC_TASKD, MSG_SESSION_STATE);
	assert_int_equal(got.state.credential, 0);
	/* Given again: claimed at once, told to the runner; the old is gone. */
	row(0, S, "active", 0, 4, "kref_0000000000000000000000001");
	expect(PROC_PROVIDERD, MSG_KEY_DROP);
	assert_string_equal(got.drop.key_ref, KEY);
	expect(PROC_RUNNERD, MSG_SESSION_ATTACHMENT);
	assert_string_equal(got.attachment.key_ref,
	    "kref_0000000000000000000000001");
	session_settle(session_find(S));
	expect(PROC_PROVIDERD, MSG_KEY_CLAIM);
	m.key_ref = "kref_0000000000000000000000001";
	m.held = 1;
	hush();
	on_key_claimed(peer_of(PROC_PROVIDERD), 0, &m);
	expect(PROC_TASKD, MSG_SESSION_STATE);
	assert_int_equal(got.state.credential, 1);
	/* Lost once more: that is told as the first time was. */
	m.held = 0;
	on_key_claimed(peer_of(PROC_PROVIDERD), 0, &m);
	expect(PROC_STORAGED, MSG_SESSION_NOTE);
	assert_int_equal(got.note.credential, 0);
	assert_string_equal(got.note.key_ref, m.key_ref);
}

/* What came of a creation that brought this key; its session is called id. */
static void
created(const char *key, const char *id, const char *id_key, const char *code)
{
	uint8_t				 ticket[TICKET_MAX];
	struct msg_session_create	 m = { .ticket = ticket,
	    .request_id = "r", .idem_key = "i", .agent = "claude",
	    .agent_config = "", .key_ref = key };
	uint64_t			 ref;

	m.ticket_len = somebody(ticket);
	hush();
	on_session_create(peer_of(PROC_API), ++client_ref, &m);
	expect(PROC_STORAGED, MSG_SESSION_PUT);
	ref = got_ref;
	if (id != NULL)
		row(ref, id, "pending", 0, 0, id_key);
	hush();
	stored(ref, code);
}

static void
created_with_a_key(void **state)
{
	static const char	*other = "kref_0000000000000000000000002";

	(void)state;
	begin("active", 0, 3, "");
	/* The predecessor stored it and died: the key is that of the session. */
	created(KEY, "sess_00000000000000000000000KEY", KEY, "replayed");
	refuses(PROC_PROVIDERD, MSG_KEY_DROP);
	/* The client asked again, and brought the key once more. */
	created(other, "sess_00000000000000000000000KEY", KEY, "replayed");
	expect(PROC_PROVIDERD, MSG_KEY_DROP);
	assert_string_equal(got.drop.key_ref, other);
	created(KEY, NULL, NULL, "validation_error");
	expect(PROC_PROVIDERD, MSG_KEY_DROP);
	/* Not now; and whether before, nobody knows. */
	created(KEY, NULL, NULL, "unavailable");
	refuses(PROC_PROVIDERD, MSG_KEY_DROP);
}

static void
idle(void **state)
{
	struct msg_session_busy	 busy = { S, 1 };
	struct session		*s = session_find(S);
	uint64_t		 ref;

	(void)state;
	s->idle_timeout = 5;
	on_session_busy(peer_of(PROC_TASKD), 0, &busy);
	hush();
	tick(60000);
	refuses(PROC_STORAGED, MSG_SESSION_WISH);
	/* taskd is new: what it has not told yet is not idleness. */
	up(PROC_TASKD);
	tick(1000);
	refuses(PROC_STORAGED, MSG_SESSION_WISH);
	tick(6000);
	expect(PROC_STORAGED, MSG_SESSION_WISH);
	assert_string_equal(got.wish.reason, "idle");
	assert_string_equal(got.wish.actor, "");	/* as no key is called */
	ref = got_ref;
	tick(1000);
	refuses(PROC_STORAGED, MSG_SESSION_WISH);
	stored(ref, "");
}

/*
 * Wished just before it came off its runner, and heard of just after: what is
 * not done by that is wished again.
 */
static void
overtaken(void **state)
{
	uint64_t	 ref;

	(void)state;
	begin("active", 1, 3, "");
	terminate(0, 0);
	ref = got_ref;
	released(3, "suspended");
	the(SUSPENDED);
	hush();
	row(ref, S, "active", 1, 3, "");	/* of before: it is done */
	refuses(PROC_STORAGED, MSG_SESSION_WISH);
	row(ref, S, "active", 2, 3, "");
	stored(ref, "");
	answered(client_ref, 202);
	expect(PROC_STORAGED, MSG_SESSION_WISH);
	assert_int_equal(got.wish.wish, 2);
	row(got_ref, S, "terminated", 0, 3, "");
	stored(got_ref, "");
	assert_null(session_find(S));
	/* Lost, and suspended by a person in the same moment. */
	begin("active", 0, 3, "");
	released(3, "resuming");
	hush();
	row(0, S, "active", 1, 3, "");
	expect(PROC_STORAGED, MSG_SESSION_WISH);
	assert_int_equal(got.wish.wish, 1);
}

/*
 * A person suspends what is being suspended already, and the row comes behind the
 * release: of a task that is older nothing is concluded from what was before.
 */
static void
suspended_late(void **state)
{
	struct msg_session_want	 m = { S, 600 };

	(void)state;
	begin("active", 0, 3, "");
	row(0, S, "active", 1, 3, "");
	released(3, "suspended");
	suspended_ms = 700;
	row(0, S, "active", 1, 3, "");
	suspended_ms = 500;
	hush();
	on_session_want(peer_of(PROC_TASKD), 0, &m);
	refuses(PROC_STORAGED, MSG_SESSION_REVIVE);
	m.newest_ms = 800;
	on_session_want(peer_of(PROC_TASKD), 0, &m);
	expect(PROC_STORAGED, MSG_SESSION_REVIVE);
	assert_int_equal(got.revive.wanted_ms, 800);
	/* And again, before that was heard. */
	suspended_ms = 900;
	row(got_ref, S, "suspended", 0, 3, "");
	suspended_ms = 500;
	stored(got_ref, "");
	tick(31000);
	refuses(PROC_STORAGED, MSG_SESSION_REVIVE);
}

int
main(void)
{
	const struct CMUnitTest	 tests[] = {
		cmocka_unit_test(restarted),
		cmocka_unit_test(lost),
		cmocka_unit_test(revived),
		cmocka_unit_test(keys),
		cmocka_unit_test(idle),
		cmocka_unit_test(wished),
		cmocka_unit_test(deleted),
		cmocka_unit_test(overtaken),
		cmocka_unit_test(suspended_late),
		cmocka_unit_test(created_with_a_key),
	};

	RB_INIT(&env->sessions);
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
