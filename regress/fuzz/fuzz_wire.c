/*
 * fuzz_wire.c - what runners send runnerd: protobuf, checked field by field,
 * then as facts for taskd or as lines of JSON.  The first byte says which:
 * Enroll, Logs, or Connect, where messages follow as two bytes of length and
 * so many bytes.  With 0x40 the numbers of Connect are made to fit, with 0x80
 * taskd notes nothing until the end.
 * covers: runnerd/wire.c runnerd/upward.c runnerd/line.c
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "journal.h"
#include "run.h"
#include "session.h"
#include "text.h"
#include "worker.h"

#define SENT_MAX	512

struct settings		 settings;

static struct runner	 runner;
static struct peer	 taskd = { .proc = PROC_TASKD, .up = 1 };
static uint64_t		 sent[SENT_MAX], acked, committed;
static unsigned int	 nsent, noting;
static uint32_t		 credit;

/* ---- the rest of runnerd ---- */

struct peer *
peer_of(enum proc proc)
{
	CLAIM(proc == PROC_TASKD);
	return (&taskd);
}

int
peer_is_full(const struct peer *p)
{
	(void)p;
	return (nsent == SENT_MAX);
}

int
peer_send_packed(struct peer *p, uint64_t ref, enum msg_type type,
    const uint8_t *body, size_t len)
{
	uint64_t	 m[MSG_STRUCT_MAX / 8];

	CLAIM(msg_may(type, PROC_RUNNERD, p->proc));
	CLAIM(msg_unpack(&msg_descs[type], body, len, m) == 0);
	sent[nsent++] = ref;
	return (0);
}

struct runner *
runner_by_slot(uint32_t slot)
{
	return (slot == runner.slot ? &runner : NULL);
}

struct runner *
runner_next(struct runner *r)
{
	return (r == NULL ? &runner : NULL);
}

int
runs_are_known(void)
{
	return (1);
}

int
run_is_of(const char *id, const struct runner *r)
{
	(void)r;
	CLAIM(wire_is_id(id));
	return (id[strlen(id) - 1] != 'x');
}

void
run_taken(const char *id, int started)
{
	(void)started;
	CLAIM(wire_is_id(id));
}

uint32_t
run_attempt(const char *id)
{
	(void)id;
	return (1);
}

void
run_over(const char *id)
{
	(void)id;
}

void
session_suspended(struct runner *r, const char *id, uint64_t epoch)
{
	(void)r;
	CLAIM(wire_is_id(id) && epoch <= INT64_MAX);
}

int
journal_has(const char *id, uint64_t up_to)
{
	(void)id;
	return (up_to <= committed);
}

void
stream_credit(struct stream *s, uint32_t bytes)
{
	(void)s;
	credit += bytes;
}

void
stream_command(struct runner *r, Marionette__V1__ServerCommand *c)
{
	CLAIM(c->body_case == MARIONETTE__V1__SERVER_COMMAND__BODY_ACK);
	CLAIM(c->ack->up_to >= acked && c->ack->up_to <= r->last);
	acked = c->ack->up_to;
}

/* ---- what holds for everything that is taken ---- */

static void
check_text(const ProtobufCMessage *m)
{
	const ProtobufCFieldDescriptor	*f;
	char *const			*list;
	char				*s;
	size_t				 n, k;
	unsigned int			 i;

	for (i = 0; i < m->descriptor->n_fields; i++) {
		f = &m->descriptor->fields[i];
		if (f->type != PROTOBUF_C_TYPE_STRING)
			continue;
		if (f->label == PROTOBUF_C_LABEL_REPEATED) {
			memcpy(&n, (const char *)m + f->quantifier_offset,
			    sizeof(n));
			memcpy(&list, (const char *)m + f->offset,
			    sizeof(list));
			for (k = 0; k < n; k++)
				CLAIM(text_is_utf8(list[k], strlen(list[k])));
		} else {
			memcpy(&s, (const char *)m + f->offset, sizeof(s));
			CLAIM(text_is_utf8(s, strlen(s)));
		}
	}
}

/* Packed again it is taken again. */
static uint8_t *
again(const ProtobufCMessage *m, size_t *len)
{
	uint8_t	*buf;

	*len = protobuf_c_message_get_packed_size(m);
	if ((buf = malloc(*len + 1)) == NULL)
		abort();
	CLAIM(protobuf_c_message_pack(m, buf) == *len);
	return (buf);
}

static void
fuzz_enroll(const uint8_t *p, size_t n)
{
	Marionette__V1__EnrollRequest	*m, *k;
	char				 why[WIRE_WHY] = "", words[1025];
	uint8_t				*buf;
	size_t				 len;

	if ((m = wire_enroll(p, n, why)) == NULL) {
		CLAIM(why[0] != '\0');
		return;
	}
	check_text(&m->base);
	CLAIM(wire_words(words, sizeof(words), m->agents, m->n_agents) == 0);
	buf = again(&m->base, &len);
	CLAIM((k = wire_enroll(buf, len, why)) != NULL);
	wire_free(&k->base);
	wire_free(&m->base);
	free(buf);
}

/* A follower's position, as frontd lets it by: here a line's words. */
static void
check_position(const char *s)
{
	uint32_t	 attempt;
	uint64_t	 line;

	if (position_parse(s, &attempt, &line) == -1)
		return;
	CLAIM(attempt <= INT32_MAX && line <= WIRE_NUMBER_MAX);
	CLAIM(*s == '\0' || strspn(s, "0123456789.") == strlen(s));
}

static void
check_line(const Marionette__V1__LogBatch *b, size_t i, size_t len)
{
	static char	 out[LINES_MAX];
	const uint8_t	*p = (const uint8_t *)out;
	uint32_t	 lines;
	size_t		 n;
	json_t		*j;

	check_text(&b->lines[i]->base);
	check_position(b->lines[i]->text);
	n = line_render(out, b->run_id, 1, b->first + i, b->lines[i]);
	CLAIM(n > 0 && n <= LINES_MAX && out[n - 1] == '\n');
	CLAIM(memchr(out, '\n', n) == out + n - 1);
	CLAIM(lines_fit(p, n, LINES_MAX, &lines) == n && lines == 1);
	CLAIM(lines_skip(&p, n, 1) == 0);
	j = json_loadb(out, n, JSON_REJECT_DUPLICATES, NULL);
	CLAIM(j != NULL);
	/* Text of control bytes that would not fit has others for them. */
	CLAIM(strcmp(json_string_value(json_object_get(j, "content")),
	    b->lines[i]->content) == 0 || 6 * len > LINES_MAX);
	json_decref(j);
}

static void
fuzz_logs(const uint8_t *p, size_t n)
{
	Marionette__V1__LogBatch	*m, *k;
	char				 why[WIRE_WHY] = "";
	uint8_t				*buf;
	size_t				 i, len;

	if (n > 65536)
		return;			/* frontd takes no more */
	if ((m = wire_logs(p, n, why)) == NULL) {
		CLAIM(why[0] != '\0');
		return;
	}
	for (i = 0; i < m->n_lines; i++)
		check_line(m, i, n);
	CLAIM(lines_overlap(m->first, m->n_lines, m->first) == 0);
	buf = again(&m->base, &len);
	CLAIM((k = wire_logs(buf, len, why)) != NULL);
	wire_free(&k->base);
	wire_free(&m->base);
	free(buf);
}

static void
note(void)
{
	struct msg_run_noted	 m = { 0 };
	unsigned int		 i, n = nsent;
	uint64_t		 refs[SENT_MAX];

	memcpy(refs, sent, sizeof(refs));
	nsent = 0;
	for (i = 0; i < n; i++)
		on_run_noted(&taskd, refs[n - 1 - i], &m);
	upward_turn();
}

static void
one_message(const uint8_t *p, size_t n, int fit)
{
	Marionette__V1__RunnerMessage	*m, *k;
	char				 why[WIRE_WHY] = "";
	const char			*text;
	uint8_t				*buf;
	size_t				 len;

	if ((m = wire_message(p, n, why)) == NULL) {
		CLAIM(why[0] != '\0');
		return;
	}
	buf = again(&m->base, &len);
	CLAIM((k = wire_message(buf, len, why)) != NULL);
	wire_free(&k->base);
	free(buf);
	if (fit && m->number != 0)
		m->number = runner.last + 1;
	text = upward_take(&runner, m, n);
	/* What was checked here fits the messages between processes. */
	CLAIM(text == NULL || strcmp(text, "the message does not fit") != 0);
	wire_free(&m->base);
}

static void
fuzz_connect(struct input *in, int fit)
{
	struct input	 part;
	uint8_t		*p;
	size_t		 i;

	memset(&runner, 0, sizeof(runner));
	TAILQ_INIT(&runner.facts);
	strlcpy(runner.id, "rnr_00000000000000000000000001",
	    sizeof(runner.id));
	runner.stream = (struct stream *)&runner;
	nsent = credit = 0;
	committed = acked = 0;
	upward_hello(&runner, input_u8(in));
	while (in->n > 0) {
		p = input_bytes(in, input_u16(in), &part.n);
		one_message(p, part.n, fit);
		free(p);
		if (noting)
			note();
		if (in->n % 7 == 3)
			upward_unsent();
	}
	committed = UINT64_MAX;
	upward_log_committed("run_00000000000000000000000001");
	for (i = 0; i < 4; i++) {
		upward_unsent();
		upward_resend();
		note();
	}
	/* What waits for other runs' lines, an agent that began anew drops. */
	upward_hello(&runner, runner.last + 1000);
	CLAIM(runner.nfacts == 0 && runner.fact_bytes == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct input	 in = { p, n };
	unsigned int	 what;

	fuzz_begin();
	what = input_u8(&in);
	noting = (what & 0x80) == 0;
	switch (what % 3) {
	case 0:
		fuzz_connect(&in, (what & 0x40) != 0);
		break;
	case 1:
		fuzz_logs(in.p, in.n);
		break;
	case 2:
		fuzz_enroll(in.p, in.n);
		break;
	}
	return (0);
}
