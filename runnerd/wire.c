/*
 * wire.c - unpacks what runners send and checks every string and number
 * before it goes anywhere (promise 4): UTF-8, no NUL, the bounds of
 * runner.proto, numbers that fit a bigint.  protobuf-c keeps strings as C
 * strings and would cut one at a NUL in silence, so the raw bytes are walked
 * first; the walk also bounds what unpacking can allocate.
 */
#include <stdio.h>
#include <string.h>

#include "id.h"
#include "text.h"
#include "wire.h"

#define FIELDS_MAX	8192	/* of one message on Connect, all levels */
#define LOG_FIELDS_MAX	(WIRE_LINES_MAX * 8)
#define DEPTH_MAX	4
#define TIME_MAX	253402300799999ULL
#define NUMBER_LAST	((1U << 29) - 1)	/* of a field */

static int
bad(char *why, const char *field, const char *expected)
{
	snprintf(why, WIRE_WHY, "%s: expected %s", field, expected);
	return (-1);
}

/* A varint at *p; 0, or -1 when it does not end. */
static int
varint(const uint8_t **p, const uint8_t *end, uint64_t *v)
{
	unsigned int	 shift;

	for (*v = 0, shift = 0; shift < 64 && *p < end; shift += 7) {
		*v |= (uint64_t)(**p & 0x7f) << shift;
		if ((*(*p)++ & 0x80) == 0)
			return (0);
	}
	return (-1);
}

/* Length-delimited: no NUL in strings, messages are walked too. */
static int
walk_bytes(const ProtobufCFieldDescriptor *f, const uint8_t *p, size_t n,
    unsigned int *budget, int depth, char *why);

static int
walk(const ProtobufCMessageDescriptor *d, const uint8_t *p, size_t len,
    unsigned int *budget, int depth, char *why)
{
	const uint8_t	*end = p + len;
	uint64_t	 tag, n;

	while (p < end) {
		if ((*budget)-- == 0)
			return (bad(why, d->short_name, "fewer fields"));
		if (varint(&p, end, &tag) == -1 || tag >> 3 == 0 ||
		    tag >> 3 > NUMBER_LAST)
			goto malformed;
		n = 0;
		switch (tag & 7) {
		case 0:
			if (varint(&p, end, &n) == -1)
				goto malformed;
			n = 0;
			break;
		case 1:
			n = 8;
			break;
		case 2:
			if (varint(&p, end, &n) == -1)
				goto malformed;
			break;
		case 5:
			n = 4;
			break;
		default:
			goto malformed;
		}
		if (n > (size_t)(end - p))
			goto malformed;
		if ((tag & 7) == 2 && walk_bytes(
		    protobuf_c_message_descriptor_get_field(d,
		    (unsigned int)(tag >> 3)), p, n, budget, depth,
		    why) == -1)
			return (-1);
		p += n;
	}
	return (0);
malformed:
	return (bad(why, d->short_name, "a protobuf message"));
}

static int
walk_bytes(const ProtobufCFieldDescriptor *f, const uint8_t *p, size_t n,
    unsigned int *budget, int depth, char *why)
{
	if (f == NULL)
		return (0);
	if (f->type == PROTOBUF_C_TYPE_STRING && n > 0 &&
	    memchr(p, '\0', n) != NULL)
		return (bad(why, f->name, "text without NUL"));
	if (f->type == PROTOBUF_C_TYPE_MESSAGE) {
		if (depth == DEPTH_MAX)
			return (bad(why, f->name, "less nesting"));
		return (walk(f->descriptor, p, n, budget, depth + 1, why));
	}
	return (0);
}

static void *
unpack(const ProtobufCMessageDescriptor *d, const uint8_t *buf, size_t len,
    unsigned int budget, char *why)
{
	ProtobufCMessage	*m;

	if (walk(d, buf, len, &budget, 0, why) == -1)
		return (NULL);
	if ((m = protobuf_c_message_unpack(d, NULL, len, buf)) == NULL)
		bad(why, d->short_name, "a protobuf message");
	return (m);
}

void
wire_free(ProtobufCMessage *m)
{
	if (m != NULL)
		protobuf_c_message_free_unpacked(m, NULL);
}

int
wire_is_id(const char *s)
{
	char		 prefix[ID_PREFIX_MAX + 1];
	size_t		 n = strspn(s, "abcdefghijklmnopqrstuvwxyz");

	if (n == 0 || n > ID_PREFIX_MAX)
		return (0);
	memcpy(prefix, s, n);
	prefix[n] = '\0';
	return (id_is(s, prefix));
}

static int
str(const char *s, size_t max, char *why, const char *field)
{
	size_t	 n = strlen(s);

	if (n > max) {
		snprintf(why, WIRE_WHY, "%s: expected at most %zu bytes",
		    field, max);
		return (-1);
	}
	return (text_is_utf8(s, n) ? 0 : bad(why, field, "UTF-8"));
}

static int
an_id(const char *s, char *why, const char *field)
{
	return (wire_is_id(s) ? 0 : bad(why, field, "an id"));
}

static int
number(uint64_t v, uint64_t max, char *why, const char *field)
{
	if (v <= max)
		return (0);
	snprintf(why, WIRE_WHY, "%s: expected at most %llu", field,
	    (unsigned long long)max);
	return (-1);
}

/* One of the words of a list with spaces between. */
static int
word(const char *s, const char *list, char *why, const char *field)
{
	const char	*p;
	size_t		 n = strlen(s);

	for (p = list; n > 0 && (p = strstr(p, s)) != NULL; p++)
		if ((p == list || p[-1] == ' ') &&
		    (p[n] == ' ' || p[n] == '\0') && strchr(s, ' ') == NULL)
			return (0);
	return (bad(why, field, list));
}

static int
token(const char *s, size_t max, char *why, const char *field)
{
	if (str(s, max, why, field) == -1)
		return (-1);
	return (text_is_token(s) ? 0 : bad(why, field, "printable ASCII"));
}

static int
agents(char *const *names, size_t n, char *why)
{
	size_t	 i, total = 0;

	for (i = 0; i < n; i++) {
		if (token(names[i], 64, why, "agents") == -1)
			return (-1);
		total += strlen(names[i]) + 1;
	}
	return (number(total, 1024, why, "agents (bytes of all)"));
}

/* Text that a listing can show in one line. */
static int
name(const char *s, size_t max, char *why, const char *field)
{
	const char	*p;

	if (str(s, max, why, field) == -1)
		return (-1);
	for (p = s; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return (bad(why, field, "printable characters"));
	return (0);
}

int
wire_words(char *out, size_t size, char *const *words, size_t n)
{
	size_t	 i;

	out[0] = '\0';
	for (i = 0; i < n; i++)
		if ((i > 0 && strlcat(out, " ", size) >= size) ||
		    strlcat(out, words[i], size) >= size)
			return (-1);
	return (0);
}

static int
check_enroll(const Marionette__V1__EnrollRequest *m, char *why)
{
	if (m->name[0] == '\0')
		return (bad(why, "name", "1 to 64 characters"));
	if (m->csr_der.len == 0 || m->csr_der.len > 4096)
		return (bad(why, "csr_der", "1 to 4096 bytes"));
	if (name(m->name, 64, why, "name") == -1 ||
	    name(m->hostname, 253, why, "hostname") == -1 ||
	    name(m->version, 32, why, "version") == -1 ||
	    agents(m->agents, m->n_agents, why) == -1 ||
	    word(m->sandbox_mode, "namespace uid none", why,
	    "sandbox_mode") == -1 ||
	    str(m->labels_json, 4096, why, "labels_json") == -1)
		return (-1);
	return (str(m->resources_json, 1024, why, "resources_json"));
}

static int
check_run_state(const Marionette__V1__RunState *m, char *why)
{
	if (an_id(m->run_id, why, "runs.run_id") == -1 ||
	    an_id(m->session_id, why, "runs.session_id") == -1 ||
	    number(m->attempt, INT32_MAX, why, "runs.attempt") == -1 ||
	    number(m->epoch, INT64_MAX, why, "runs.epoch") == -1 ||
	    number(m->log_last, INT64_MAX, why, "runs.log_last") == -1)
		return (-1);
	return (word(m->state, "accepted running completed", why,
	    "runs.state"));
}

static int
check_hello(const Marionette__V1__Hello *m, char *why)
{
	size_t	 i;

	if (an_id(m->runner_id, why, "runner_id") == -1 ||
	    name(m->version, 32, why, "version") == -1 ||
	    number(m->first_unacked, WIRE_NUMBER_MAX, why,
	    "first_unacked") == -1 ||
	    agents(m->agents, m->n_agents, why) == -1 ||
	    (m->session_id[0] != '\0' &&
	    an_id(m->session_id, why, "session_id") == -1) ||
	    number(m->session_epoch, INT64_MAX, why, "session_epoch") == -1 ||
	    str(m->labels_json, 4096, why, "labels_json") == -1 ||
	    str(m->resources_json, 1024, why, "resources_json") == -1 ||
	    number(m->n_runs, WIRE_RUNS_MAX, why, "runs (count)") == -1 ||
	    number(m->n_kept_sessions, WIRE_KEPT_MAX, why,
	    "kept_sessions (count)") == -1)
		return (-1);
	if (m->sealing_key.len != 32)
		return (bad(why, "sealing_key", "32 bytes"));
	if (m->signature.len == 0 || m->signature.len > 256)
		return (bad(why, "signature", "1 to 256 bytes"));
	for (i = 0; i < m->n_kept_sessions; i++)
		if (an_id(m->kept_sessions[i], why, "kept_sessions") == -1)
			return (-1);
	for (i = 0; i < m->n_runs; i++)
		if (check_run_state(m->runs[i], why) == -1)
			return (-1);
	return (0);
}

static int
check_request(const Marionette__V1__PermissionRequest *m, char *why)
{
	if (an_id(m->run_id, why, "run_id") == -1 ||
	    number(m->attempt, INT32_MAX, why, "attempt") == -1 ||
	    word(m->kind, "tool question plan", why, "kind") == -1 ||
	    str(m->tool, 128, why, "tool") == -1 ||
	    str(m->action, 1024, why, "action") == -1 ||
	    str(m->input_json, 900 * 1024, why, "input_json") == -1)
		return (-1);
	if (m->request_id[0] == '\0')
		return (bad(why, "request_id", "1 to 128 bytes"));
	return (str(m->request_id, 128, why, "request_id"));
}

static int
check_completed(const Marionette__V1__RunCompleted *m, char *why)
{
	if (an_id(m->run_id, why, "run_id") == -1 ||
	    number(m->attempt, INT32_MAX, why, "attempt") == -1 ||
	    word(m->status, "completed failed timeout canceled lost suspended",
	    why, "status") == -1 ||
	    str(m->error_code, 64, why, "error_code") == -1 ||
	    str(m->error, 1024, why, "error") == -1 ||
	    str(m->result, 256 * 1024, why, "result") == -1 ||
	    str(m->conversation_id, 128, why, "conversation_id") == -1 ||
	    number(m->tokens_input, INT64_MAX, why, "tokens_input") == -1 ||
	    number(m->tokens_output, INT64_MAX, why, "tokens_output") == -1 ||
	    number(m->cost_microusd, INT64_MAX, why, "cost_microusd") == -1 ||
	    number(m->duration_ms, INT64_MAX, why, "duration_ms") == -1)
		return (-1);
	return (number(m->log_last, INT64_MAX, why, "log_last"));
}

/* run_id and attempt, which many messages begin with. */
static int
check_run(const char *run, uint32_t attempt, char *why)
{
	return (an_id(run, why, "run_id") == -1 ? -1 :
	    number(attempt, INT32_MAX, why, "attempt"));
}

static int
check_session(const char *session, uint64_t epoch, char *why)
{
	return (an_id(session, why, "session_id") == -1 ? -1 :
	    number(epoch, INT64_MAX, why, "epoch"));
}

static int
check_progress(const Marionette__V1__RunProgress *m, char *why)
{
	return (an_id(m->run_id, why, "run_id") == -1 ||
	    number(m->percent, 100, why, "percent") == -1 ? -1 :
	    str(m->step, 256, why, "step"));
}

static int
check_canceled(const Marionette__V1__PermissionCanceled *m, char *why)
{
	return (an_id(m->run_id, why, "run_id") == -1 ? -1 :
	    str(m->request_id, 128, why, "request_id"));
}

static int
check_body(const Marionette__V1__RunnerMessage *m, char *why)
{
	switch (m->body_case) {
	case MARIONETTE__V1__RUNNER_MESSAGE__BODY_HELLO:
		return (check_hello(m->hello, why));
	case MARIONETTE__V1__RUNNER_MESSAGE__BODY_HEARTBEAT:
		return (m->heartbeat->run_id[0] == '\0' ? 0 :
		    an_id(m->heartbeat->run_id, why, "run_id"));
	case MARIONETTE__V1__RUNNER_MESSAGE__BODY_RUN_ACCEPTED:
		return (check_run(m->run_accepted->run_id,
		    m->run_accepted->attempt, why) == -1 ? -1 :
		    number(m->run_accepted->epoch, INT64_MAX, why, "epoch"));
	case MARIONETTE__V1__RUNNER_MESSAGE__BODY_RUN_STARTED:
		return (check_run(m->run_started->run_id,
		    m->run_started->attempt, why) == -1 ? -1 :
		    number(m->run_started->time_ms, TIME_MAX, why, "time_ms"));
	case MARIONETTE__V1__RUNNER_MESSAGE__BODY_RUN_PROGRESS:
		return (check_progress(m->run_progress, why));
	case MARIONETTE__V1__RUNNER_MESSAGE__BODY_PERMISSION_REQUEST:
		return (check_request(m->permission_request, why));
	case MARIONETTE__V1__RUNNER_MESSAGE__BODY_PERMISSION_ACK:
		return (an_id(m->permission_ack->permission_id, why,
		    "permission_id"));
	case MARIONETTE__V1__RUNNER_MESSAGE__BODY_PERMISSION_CANCELED:
		return (check_canceled(m->permission_canceled, why));
	case MARIONETTE__V1__RUNNER_MESSAGE__BODY_RUN_COMPLETED:
		return (check_completed(m->run_completed, why));
	case MARIONETTE__V1__RUNNER_MESSAGE__BODY_RUN_UNWOUND:
		return (check_run(m->run_unwound->run_id,
		    m->run_unwound->attempt, why) == -1 ? -1 :
		    str(m->run_unwound->reason, 64, why, "reason"));
	case MARIONETTE__V1__RUNNER_MESSAGE__BODY_SESSION_ATTACHED:
		return (check_session(m->session_attached->session_id,
		    m->session_attached->epoch, why));
	case MARIONETTE__V1__RUNNER_MESSAGE__BODY_SESSION_SUSPENDED:
		return (check_session(m->session_suspended->session_id,
		    m->session_suspended->epoch, why));
	case MARIONETTE__V1__RUNNER_MESSAGE__BODY__NOT_SET:
	case _MARIONETTE__V1__RUNNER_MESSAGE__BODY__CASE_IS_INT_SIZE:
		break;	/* a member that a newer agent knows: ignored */
	}
	return (0);
}

static int
check_line(const Marionette__V1__LogLine *l, char *why)
{
	if (word(l->stream, "stdout stderr system", why, "stream") == -1 ||
	    word(l->level, "debug info warn error", why, "level") == -1 ||
	    word(l->kind, "text message tool_use tool_result usage permission",
	    why, "kind") == -1 ||
	    str(l->content, 65536, why, "content") == -1 ||
	    str(l->text, 65536, why, "text") == -1)
		return (-1);
	return (number(l->time_ms, TIME_MAX, why, "time_ms"));
}

static int
check_logs(const Marionette__V1__LogBatch *m, char *why)
{
	size_t	 i;

	if (an_id(m->run_id, why, "run_id") == -1 ||
	    number(m->first, WIRE_NUMBER_MAX, why, "first") == -1 ||
	    number(m->n_lines, WIRE_LINES_MAX, why, "lines (count)") == -1)
		return (-1);
	if (m->first == 0)
		return (bad(why, "first", "1 or more"));
	if (m->lost && m->n_lines > 0)
		return (bad(why, "lines", "none when lost"));
	for (i = 0; i < m->n_lines; i++)
		if (check_line(m->lines[i], why) == -1)
			return (-1);
	return (0);
}

Marionette__V1__EnrollRequest *
wire_enroll(const uint8_t *buf, size_t len, char why[WIRE_WHY])
{
	Marionette__V1__EnrollRequest	*m;

	m = unpack(&marionette__v1__enroll_request__descriptor, buf, len,
	    FIELDS_MAX, why);
	if (m != NULL && check_enroll(m, why) == -1) {
		wire_free(&m->base);
		return (NULL);
	}
	return (m);
}

Marionette__V1__RunnerMessage *
wire_message(const uint8_t *buf, size_t len, char why[WIRE_WHY])
{
	Marionette__V1__RunnerMessage	*m;

	m = unpack(&marionette__v1__runner_message__descriptor, buf, len,
	    FIELDS_MAX, why);
	if (m != NULL && (number(m->number, WIRE_NUMBER_MAX, why,
	    "number") == -1 || check_body(m, why) == -1)) {
		wire_free(&m->base);
		return (NULL);
	}
	return (m);
}

Marionette__V1__LogBatch *
wire_logs(const uint8_t *buf, size_t len, char why[WIRE_WHY])
{
	Marionette__V1__LogBatch	*m;

	m = unpack(&marionette__v1__log_batch__descriptor, buf, len,
	    LOG_FIELDS_MAX, why);
	if (m != NULL && check_logs(m, why) == -1) {
		wire_free(&m->base);
		return (NULL);
	}
	return (m);
}
