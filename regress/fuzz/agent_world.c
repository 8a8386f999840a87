/*
 * agent_world.c - the agent around a coding agent's output, for fuzz_claude.c
 * and fuzz_custom.c: what it passes on must be what the server takes, and the
 * session's key is in none of it.  An input is a byte (the size of the pieces
 * in which output arrives, 0: whole lines) and lines; one that begins with `!'
 * is not the program's but a person's or the server's:
 *	!y !n !e{...}	the oldest question: yes, no, yes with another input
 *	!a{...}		yes, with answers
 *	!d		the last answer again: its acknowledgement was lost
 *	!i		interrupt
 *	!r		a new stream: what waits is asked again
 *	!s !t		the run has ended by the server's word, to go on later
 *			elsewhere, for good
 */
#include <jansson.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "agent_world.h"
#include "conversation.h"
#include "fuzz.h"
#include "place.h"
#include "run.h"
#include "spec.h"
#include "text.h"
#include "util.h"
#include "wire.h"

#define KEY		"sk-ant-0123456789"
#define RUN		"run_00000000000000000000000001"
#define LOGS_MAX	65536		/* of one message, frontd's bound */
#define CONNECT_MAX	(1U << 20)

static struct agent	 agent;
struct agent		*env = &agent;

static char		 run_name[] = RUN;
static int		 plain;		/* no escapes: the key is itself */
static uint64_t		 written;
static char		 answered[ASK_ID_MAX + 1];

/* ---- what leaves the agent ---- */

static void
no_key(const char *s)
{
	CLAIM(!plain || s == NULL || strstr(s, KEY) == NULL);
}

void
spool_append(struct spool *s, const Marionette__V1__LogLine *line)
{
	Marionette__V1__LogBatch	 b, *got;
	Marionette__V1__LogLine		 copy = *line, *list[1] = { &copy };
	char				 why[WIRE_WHY];
	uint8_t				*buf;
	size_t				 n;

	(void)s;
	no_key(line->content);
	no_key(line->text);
	marionette__v1__log_batch__init(&b);
	b.run_id = run_name;
	b.first = 1;
	b.lines = list;
	b.n_lines = 1;
	n = marionette__v1__log_batch__get_packed_size(&b);
	CLAIM(n <= LOGS_MAX);
	buf = xmalloc(n);
	marionette__v1__log_batch__pack(&b, buf);
	CLAIM((got = wire_logs(buf, n, why)) != NULL);
	wire_free(&got->base);
	free(buf);
}

int
outbox_waits(uint64_t number)
{
	return (number > 1);
}

uint64_t
outbox_put(Marionette__V1__RunnerMessage *m)
{
	Marionette__V1__RunnerMessage	*got;
	char				 why[WIRE_WHY];
	uint8_t				*buf;
	size_t				 n;

	m->number = 1;
	n = marionette__v1__runner_message__get_packed_size(m);
	CLAIM(n <= CONNECT_MAX);
	buf = xmalloc(n);
	marionette__v1__runner_message__pack(m, buf);
	CLAIM((got = wire_message(buf, n, why)) != NULL);
	if (got->body_case ==
	    MARIONETTE__V1__RUNNER_MESSAGE__BODY_PERMISSION_REQUEST) {
		no_key(got->permission_request->input_json);
		no_key(got->permission_request->action);
		no_key(got->permission_request->tool);
	}
	wire_free(&got->base);
	free(buf);
	return (m->number);
}

/* To the program: an object, in one line. */
void
run_write_json(struct run *r, json_t *j)
{
	char	*s;

	(void)r;
	CLAIM(json_is_object(j));
	s = json_dumps(j, JSON_COMPACT);
	CLAIM(s != NULL && strchr(s, '\n') == NULL);
	written++;
	free(s);
	json_decref(j);
}

/* ---- what has no part in this ---- */

char *
run_id(struct run *r)
{
	(void)r;
	return (run_name);
}

void
run_close_in(struct run *r)
{
	(void)r;
}

/* Killed: it has failed, and says why. */
void
run_ctl(struct run *r, char type)
{
	CLAIM(type == 'K' && r->failed && !r->succeeded);
	CLAIM(r->error != NULL && r->error_code != NULL);
}

void
run_expect_end(struct run *r)
{
	(void)r;
}

void
run_clock_start(struct run *r)
{
	CLAIM(r->pending == 0);
}

void
run_clock_stop(struct run *r)
{
	(void)r;
}

int
conversation_open(const struct run *r, struct conversation *c)
{
	strlcpy(c->uuid, "00000000-0000-0000-0000-000000000001",
	    sizeof(c->uuid));
	c->resumed = r->session->uid == 1;
	c->heard = c->resumed && r->interrupted;
	return (0);
}

void
spec_put(struct spec *s, enum spec_field f, const char *value)
{
	(void)s;
	CLAIM(f == SPEC_KEY || strcmp(value, KEY) != 0);
}

void
spec_env(struct spec *s, const char *name, const char *value)
{
	(void)s;
	CLAIM(name != NULL && value != NULL);
}

int
place_write(const char *dir, const char *name, const char *text)
{
	(void)dir;
	(void)name;
	CLAIM(strlen(text) <= 65536);
	return (0);
}

/* ---- a run from begin to end ---- */

static void
answer(struct run *r, const char *how, size_t n)
{
	Marionette__V1__PermissionAnswer	 p;
	struct ask				*a;
	char					*edit;

	TAILQ_FOREACH(a, &r->asks, entry)
		if (!a->answered)
			break;
	/* Ids that nobody asked with come back, none longer than was asked. */
	edit = a != NULL ? utf8_scrub(how + 1, n - 1, NULL) :
	    utf8_scrub(how + 1, n - 1 < ASK_ID_MAX / 3 ? n - 1 :
	    ASK_ID_MAX / 3, NULL);
	marionette__v1__permission_answer__init(&p);
	p.permission_id = (char *)(uintptr_t)"perm_00000000000000000000000001";
	p.run_id = run_name;
	p.request_id = *how == 'd' ? answered : a != NULL ? a->id : edit;
	p.approved = *how != 'n';
	if (*how == 'e')
		p.input_json = edit;
	else if (*how == 'a')
		p.answers_json = edit;
	else
		p.reason = edit;
	if (*how != 'd' && a != NULL)
		strlcpy(answered, a->id, sizeof(answered));
	ask_answer(&p);
	CLAIM(*how == 'd' || a == NULL || a->answered || r->status != NULL);
	free(edit);
}

static void
person(struct run *r, const char *s, size_t n)
{
	if (n == 0)
		return;
	if (memmem(s, n, KEY, sizeof(KEY) - 1) != NULL)
		plain = 0;	/* a person may tell what he likes */
	switch (*s) {
	case 'y':
	case 'n':
	case 'e':
	case 'a':
	case 'd':
		answer(r, s, n);
		break;
	case 'i':
		if (r->program->kind->interrupt != NULL)
			r->program->kind->interrupt(r);
		break;
	case 'r':
		ask_again();
		break;
	case 's':
	case 't':
		if (r->status == NULL)
			r->status = xstrdup(*s == 's' ? "suspended" :
			    "canceled");
		break;
	}
}

static void
output(struct run *r, const uint8_t *p, size_t n, size_t piece)
{
	size_t	 k;

	for (; n > 0; p += k, n -= k) {
		k = piece == 0 || piece > n ? n : piece;
		lines_add(r, &r->out, (const char *)p, k, run_line);
	}
}

static void
lines(struct run *r, struct input *in)
{
	size_t		 piece = input_u8(in), n;
	const uint8_t	*nl;

	while (in->n > 0) {
		nl = memchr(in->p, '\n', in->n);
		n = nl != NULL ? (size_t)(nl - in->p) + 1 : in->n;
		if (in->p[0] == '!' && r->out.lines.len == 0)
			person(r, (const char *)in->p + 1, n - 1);
		else
			output(r, in->p, n, piece);
		in->p += n;
		in->n -= n;
	}
}

static void
run_free(struct run *r)
{
	if (r->program->kind->release != NULL)
		r->program->kind->release(r);
	ask_end_all(r);
	free(r->status);
	free(r->error);
	free(r->error_code);
	free(r->result);
	free(r->conversation);
}

void
agent_run(const struct kind *kind, const uint8_t *p, size_t n)
{
	static char	 dir[] = "/nonexistent", name[] = "fuzz", empty[] = "",
			 prompt[] = "/do", session[] = "sess_1",
			 task[] = "task_1";
	struct input	 in = { p, n };
	struct program	 program = { kind, name, dir };
	struct record	 rec = { .run_id = run_name, .attempt = 1 };
	struct session	 s = { .id = session, .agent = name, .model = empty,
			    .dir = dir };
	struct run	 r = { .rec = &rec, .session = &s, .task_id = task,
			    .prompt = prompt, .context_json = empty,
			    .program = &program };

	fuzz_begin();
	if (sodium_init() == -1)
		abort();
	plain = n == 0 || memchr(p, '\\', n) == NULL;
	s.uid = n > 0 && p[0] % 2;
	r.interrupted = s.uid == 1;
	r.key = keys_locked(KEY);
	TAILQ_INIT(&r.asks);
	answered[0] = '\0';
	env->run = &r;
	env->session = &s;
	CLAIM(kind->start(&r, NULL) == 0);
	kind->begin(&r);
	lines(&r, &in);
	lines_end(&r, &r.out, run_line);
	r.exited = 1;
	kind->ended(&r, 0);
	/* What RunCompleted may say. */
	CLAIM(r.tokens_input <= INT64_MAX && r.tokens_output <= INT64_MAX);
	CLAIM(r.cost_microusd <= INT64_MAX);
	no_key(r.result);
	no_key(r.error);
	keys_unlock(r.key);
	run_free(&r);
}
