/*
 * fuzz_follow.c - the strings by which events are followed: positions that a
 * client gives back, types with wildcards, labels.  Labels are written as
 * frontd writes them and matched against an event's as PostgreSQL writes them;
 * who gets what is compared with what the two mean as JSON.  The input: a byte
 * (1: the event comes out of storage), then strings with a NUL behind each:
 * position, types, the event's type; two bytes of numbers of labels, and these,
 * wanted first.  The same position goes to tickets and ids.
 * covers: sessiond/position.c sessiond/follower.c sessiond/hub.c
 * covers: imsg/ticket.c imsg/id.c
 */
#include <err.h>
#include <fnmatch.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ask.h"
#include "fuzz.h"
#include "hub.h"
#include "id.h"
#include "sessiond.h"
#include "text.h"

#define LABELS_MAX	4
#define TEXT_MAX	4096
#define TENANT		"t1"

static struct sessiond	 self;
struct sessiond		*env = &self;

static struct peer	 web = { .proc = PROC_API, .up = 1 };
static struct peer	 db = { .proc = PROC_STORAGED, .up = 1 };
static struct ask	*question;
static unsigned int	 lines, greetings, refusals;
/* Positions grow, from input to input, too: stored, the horizon, the event. */
static uint64_t		 xid;
static char		 before[POSITION_SIZE], horizon[POSITION_SIZE],
			 behind[POSITION_SIZE];

/* ---- the rest of sessiond ---- */

struct peer *
peer_of(enum proc proc)
{
	return (proc == PROC_STORAGED ? &db : &web);
}

int
peer_is_up(const struct peer *p)
{
	return (p->up);
}

int
peer_is_full(const struct peer *p)
{
	(void)p;
	return (0);
}

int
authorised(struct peer *p, uint64_t ref, const uint8_t *ticket, size_t len,
    uint64_t scope, struct ticket *t)
{
	(void)p;
	(void)ref;
	(void)ticket;
	(void)len;
	CLAIM(scope == SCOPE_R(SCOPE_EVENTS));
	memset(t, 0, sizeof(*t));
	strlcpy(t->tenant, TENANT, sizeof(t->tenant));
	return (1);
}

void
refuse(struct peer *p, uint64_t ref, const char *code, const char *text)
{
	(void)ref;
	CLAIM(p == &web && code[0] != '\0' && text[0] != '\0');
	refusals++;
}

void
refuse_answer(struct peer *p, uint64_t ref, const struct answer *a)
{
	refuse(p, ref, a->code, a->text);
}

struct ask *
ask(enum proc to, enum msg_type type, const void *m, unsigned int seconds,
    ask_done done, void *arg)
{
	(void)m;
	(void)seconds;
	CLAIM(to == PROC_STORAGED && type == MSG_EVENT_PAGE);
	question->ref = 77;
	question->done = done;
	question->arg = arg;
	return (question);
}

struct ask *
ask_find(const struct peer *p, uint64_t ref)
{
	return (p == &db && ref == 77 && question->done != NULL ? question :
	    NULL);
}

int
peer_send(struct peer *p, uint64_t ref, enum msg_type type, const void *v,
    int fd)
{
	const struct msg_event_line	*m = v;
	json_t				*j;

	(void)ref;
	CLAIM(fd == -1 && msg_size(&msg_descs[type], v) != -1);
	if (p != &web)
		return (0);		/* EVENTS_WANTED */
	CLAIM(type == MSG_EVENT_LINE);
	if (m->type[0] == '\0') {
		greetings++;
		return (0);
	}
	lines++;
	j = json_loadb((const char *)m->body, m->body_len,
	    JSON_REJECT_DUPLICATES, NULL);
	CLAIM(j != NULL && strcmp(m->position,
	    json_string_value(json_object_get(j, "position"))) == 0);
	json_decref(j);
	return (0);
}

/* ---- labels, in two hands ---- */

/* As jsonb is written: https://www.postgresql.org/docs/15/datatype-json.html */
static size_t
pg_string(char *out, const char *s)
{
	size_t	 n = 0;
	char	*e;

	out[n++] = '"';
	for (; *s != '\0'; s++) {
		if ((unsigned char)*s >= 0x20 && *s != '"' && *s != '\\')
			out[n++] = *s;
		else if (*s != '\0' && (e = strchr("\bb\ff\nn\rr\tt\"\"\\\\",
		    *s)) != NULL) {
			out[n++] = '\\';
			out[n++] = strchr("\"\\", *s) != NULL ? *s : e[1];
		} else
			n += (size_t)sprintf(out + n, "\\u%04x", *s);
	}
	out[n++] = '"';
	return (n);
}

static size_t
pg_object(char *out, json_t *o)
{
	const char	*k;
	json_t		*v;
	size_t		 n = 0;

	out[n++] = '{';
	json_object_foreach(o, k, v) {
		if (n > 1) {
			out[n++] = ',';
			out[n++] = ' ';
		}
		n += pg_string(out + n, k);
		out[n++] = ':';
		out[n++] = ' ';
		n += pg_string(out + n, json_string_value(v));
	}
	out[n++] = '}';
	return (n);
}

static json_t *
labels_of(struct input *in, unsigned int n)
{
	json_t	*o = json_object();
	char	*k, *v;

	while (n-- > 0) {
		k = input_str(in);
		v = input_str(in);
		/* frontd takes no others; jansson refuses what is no UTF-8. */
		if (k[0] != '\0' && strlen(k) <= 128 && strlen(v) < 256)
			json_object_set_new(o, k, json_string(v));
		free(k);
		free(v);
	}
	return (o);
}

static int
has_all(json_t *wanted, json_t *labels)
{
	const char	*k;
	json_t		*v;

	json_object_foreach(wanted, k, v)
		if (!json_equal(v, json_object_get(labels, k)))
			return (0);
	return (1);
}

static int
has_type(char *types, const char *type)
{
	char	*word, *rest = types;
	int	 any = types[0] == '\0';

	while (!any && (word = strsep(&rest, " ")) != NULL)
		any = word[0] != '\0' && strlen(word) < 65 &&
		    fnmatch(word, type, 0) == 0;
	return (any);
}

/* ---- an event for a follower ---- */

static void
say_event(int stored, const char *type, json_t *labels)
{
	static char		 text[16 * TEXT_MAX];
	struct msg_event_committed c = { .tenant = TENANT, .position = behind,
				    .type = type, .labels = (uint8_t *)text,
				    .body = (const uint8_t *)"{\"a\":1}",
				    .body_len = 7 };
	struct msg_event_row	 r = { .tenant = TENANT, .position = before,
				    .type = type, .labels = (uint8_t *)text,
				    .body = c.body, .body_len = 7 };
	struct answer		 done = { .code = "", .text = "", .rows = 1 };

	c.labels_len = r.labels_len = pg_object(text, labels);
	if (c.labels_len > TEXT_MAX)
		c.labels_len = r.labels_len = 2, strlcpy(text, "{}", 3);
	if (!stored) {
		on_event_committed(&db, 0, &c);
		followers_turn();
		return;
	}
	CLAIM(question->done != NULL);
	on_event_row(&db, 77, &r);
	question->done(question, &done);
}

static void
follow(struct input *in, int stored)
{
	static const struct msg_event_horizon	 begin = { horizon };
	struct position				 at = { xid += 3, 1 };
	struct msg_event_follow			 f = { .credit = 5 };
	struct msg_event_unfollow		 bye;
	char					*types, *type, pos[POSITION_SIZE];
	unsigned int				 nwant, nhave;
	json_t					*want, *have;

	types = input_str(in);
	type = input_str(in);
	nwant = input_u8(in) % LABELS_MAX;
	nhave = input_u8(in) % LABELS_MAX;
	want = labels_of(in, nwant);
	have = labels_of(in, nhave);
	snprintf(before, sizeof(before), "%llu.5", (unsigned long long)xid);
	snprintf(horizon, sizeof(horizon), "%llu.0",
	    (unsigned long long)xid + 1);
	snprintf(behind, sizeof(behind), "%llu.1",
	    (unsigned long long)xid + 2);
	lines = greetings = 0;
	question->done = NULL;
	position_hide(&at, TENANT, pos);
	f.after = stored ? pos : "";
	f.types = types;
	f.labels = (uint8_t *)json_dumps(want, JSON_COMPACT);
	f.labels_len = json_object_size(want) == 0 ? 0 :
	    strlen((const char *)f.labels);
	if (text_is_utf8(types, strlen(types)) && strlen(types) <= 1024 &&
	    text_is_utf8(type, strlen(type)) && strlen(type) <= 64 &&
	    type[0] != '\0') {
		/* The first is heard only by a hub that was wanted before. */
		on_event_horizon(&db, 0, &begin);
		on_event_follow(&web, 5, &f);
		on_event_horizon(&db, 0, &begin);
		followers_turn();
		/* Of what is stored it may be that it is gone. */
		CLAIM(greetings == !stored);
		say_event(stored, type, have);
		CLAIM(greetings == 1);
		CLAIM(lines == (has_type(types, type) && has_all(want, have)));
		on_event_unfollow(&web, 5, &bye);
		CLAIM(followers_count() == 0);
	}
	free((void *)(uintptr_t)f.labels);
	json_decref(want);
	json_decref(have);
	free(types);
	free(type);
}

static void
check_position(const char *s)
{
	struct position	 at, back;
	char		 text[POSITION_SIZE];
	struct ticket	 t;
	uint64_t	 bits;

	/* Nobody makes one up. */
	CLAIM(position_show(&at, TENANT, s) == -1);
	CLAIM(ticket_open(&t, (const uint8_t *)s, strlen(s), self.position_key,
	    1) == -1);
	if (scopes_parse(s, &bits) == 0)
		CLAIM(bits != 0 || strspn(s, " ") == strlen(s));
	CLAIM(!id_is(s, "task") || strlen(s) == 31);
	if (position_parse(&at, s) == -1)
		return;
	position_text(&at, text);
	CLAIM(position_parse(&back, text) == 0 &&
	    position_cmp(&at, &back) == 0);
	position_hide(&at, TENANT, text);
	CLAIM(position_show(&back, "t2", text) == -1);
	CLAIM(position_show(&back, TENANT, text) == 0 &&
	    position_cmp(&at, &back) == 0);
}

static void
check_ticket(const char *s)
{
	struct ticket	 t = { .scopes = 5, .expires = 10 }, back;
	uint8_t		 buf[TICKET_MAX];
	char		 id[ID_SIZE], token[TOKEN_SIZE];
	unsigned char	 hash[32];
	size_t		 n;

	id_make(id, "task");
	token_make(token, "mk", hash);
	CLAIM(id_is(id, "task") && text_is_token(token));
	strlcpy(t.tenant, TENANT, sizeof(t.tenant));
	strlcpy(t.key, s, sizeof(t.key));
	strlcpy(t.name, s, sizeof(t.name));
	n = ticket_make(buf, &t, self.position_key);
	CLAIM(n <= TICKET_MAX);
	CLAIM(ticket_open(&back, buf, n, self.position_key, 9) == 0);
	CLAIM(strcmp(back.key, t.key) == 0 && strcmp(back.name, t.name) == 0);
	CLAIM(ticket_open(&back, buf, n, self.position_key, 10) == -1);
	buf[n / 2] ^= 1;
	CLAIM(ticket_open(&back, buf, n, self.position_key, 9) == -1);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct input	 in = { p, n };
	int		 stored;
	char		*s;

	fuzz_begin();
	if (question == NULL && (question = calloc(1, sizeof(*question))) ==
	    NULL)
		err(1, NULL);
	stored = (int)input_u8(&in) & 1;
	s = input_str(&in);
	check_position(s);
	check_ticket(s);
	free(s);
	follow(&in, stored);
	return (0);
}
