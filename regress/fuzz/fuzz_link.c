/*
 * fuzz_link.c - what a server, or who answers in its place, says to an agent:
 * HTTP/2, gRPC and commands.  An input is pieces, each begun by a byte (0xff
 * before all of them: over TLS):
 *	0	bytes as they are (two bytes of length)
 *	1 2	a message on Connect, on Logs (the same), whole
 *	3	the same, as the beginning of a longer one
 *	4	trailers on Connect with a grpc-status and -message
 *	5	the connection ends
 *	6	seconds pass, as many as the next byte says, and timers run
 *	7	the agent sends as many bytes (two of length) on Connect, Logs
 *	+16	more comes before the agent reads
 * covers: agent/command.c agent/grpc_client.c agent/h2.c agent/link.c
 * world: tls_world.c
 */
#include <sys/socket.h>

#include <err.h>
#include <unistd.h>

/* Its state is nobody else's, and each input begins with another. */
#include "../../agent/link.c"

#include "fuzz.h"
#include "h2_local.h"
#include "id.h"
#include "tls_world.h"
#include "worker.h"

#define FRAME_HEAD	9
#define GRPC_HEAD	5

static struct agent	 agent;
struct agent		*env = &agent;

static dial_done	 dialled;
static void		*dialled_arg;
static struct session	 session;
static struct record	 record;
static int		 server = -1, answered[4], attached;
static struct tls	*secured;	/* the server's end, or NULL */

/* ---- the rest of the agent ---- */

struct dial *
dial_start(struct event_base *base, const char *host, const char *port,
    dial_done done, void *arg)
{
	(void)base;
	(void)host;
	(void)port;
	dialled = done;
	dialled_arg = arg;
	return ((struct dial *)&agent);
}

void
dial_cancel(struct dial *d)
{
	(void)d;
}

void
ask_again(void)
{
}

void
ask_answer(const Marionette__V1__PermissionAnswer *p)
{
	CLAIM(p->permission_id != NULL && p->input_json != NULL);
}

uint8_t *
identity_sign(const char *file, const uint8_t *p, size_t n, size_t *len)
{
	CLAIM(file != NULL && p != NULL && n > 64);
	*len = 1;
	return (xcalloc(1, 1));
}

int
keys_open(struct secret *s, const uint8_t *p, size_t n)
{
	(void)s;
	return (n > 0 && p[0] == 'k' ? 0 : -1);
}

const uint8_t *
keys_renew(void)
{
	static const uint8_t	 key[32];

	return (key);
}

uint64_t
outbox_put(Marionette__V1__RunnerMessage *m)
{
	CLAIM(marionette__v1__runner_message__get_packed_size(m) > 0);
	return (1);
}

void
outbox_ack(uint64_t up_to)
{
	(void)up_to;
}

int
outbox_unwinds(const char *run_id)
{
	CLAIM(run_id != NULL);
	return (strcmp(run_id, "run_again") == 0);
}

uint64_t
outbox_first(void)
{
	return (1);
}

void
outbox_rewind(void)
{
}

char **
place_kept(const char *but, size_t max, size_t *n)
{
	(void)but;
	(void)max;
	*n = 0;
	return (NULL);
}

void
place_kept_free(char **list, size_t n)
{
	(void)list;
	(void)n;
}

struct record *
record_find(const char *run_id)
{
	CLAIM(run_id != NULL);
	return (strcmp(run_id, "run_known") == 0 ? &record : NULL);
}

void
record_repeat(struct record *r)
{
	CLAIM(r == &record);
}

void
record_unwound(const char *run_id, uint32_t attempt, const char *reason)
{
	(void)attempt;
	CLAIM(run_id != NULL && reason != NULL);
}

Marionette__V1__RunState **
record_states(size_t *n)
{
	*n = 0;
	return (NULL);
}

void
record_states_free(Marionette__V1__RunState **list, size_t n)
{
	(void)list;
	(void)n;
}

char *
resources_json(void)
{
	return (xstrdup("{}"));
}

char *
run_id(struct run *r)
{
	static char	 name[] = "run_known";

	(void)r;
	return (name);
}

void
run_kill(struct run *r, const char *status, uint32_t grace)
{
	(void)r;
	(void)grace;
	CLAIM(status[0] != '\0');
}

/* The id becomes a file's name. */
void
run_new(const Marionette__V1__ExecuteTask *t, struct session *s)
{
	CLAIM(t->run_id[0] != '\0' && strchr(t->run_id, '/') == NULL);
	CLAIM(strcmp(t->session_id, s->id) == 0 && t->epoch == s->epoch);
	env->run = (struct run *)&record;
}

const char *
session_attach(const Marionette__V1__AttachSession *a)
{
	static char	 id[] = "sess_00000000000000000000000001";

	CLAIM(a->session_id[0] != '\0' && strchr(a->session_id, '/') == NULL);
	attached++;
	session.id = id;
	session.epoch = a->epoch;
	env->session = &session;
	return (a->epoch == 13 ? "unlucky" : NULL);
}

void
session_detach(uint64_t epoch, int remove)
{
	(void)remove;
	CLAIM(epoch >= session.epoch);
	env->session = NULL;
}

void
session_withdraw(const char *id, uint64_t epoch)
{
	(void)id;
	(void)epoch;
}

void
session_forget(const char *id)
{
	CLAIM(id_is(id, "sess"));
}

char *
session_id(struct session *s)
{
	return (s->id);
}

uint64_t
session_epoch(const struct session *s)
{
	return (s->epoch);
}

void
spool_ack(const char *run, uint64_t up_to)
{
	(void)up_to;
	CLAIM(run != NULL);
}

uint64_t
spool_queued(void)
{
	return (0);
}

void
spool_rewind(void)
{
}

char *
state_path(const char *name)
{
	return (xstrdup(name));
}

void
turn_want(void)
{
}

/* ---- the server ---- */

static void
turns(void)
{
	static uint8_t	 sink[1 << 16];
	int		 i;

	for (i = 0; i < 3; i++) {
		event_base_loop(env->base, EVLOOP_NONBLOCK);
		while (server != -1 && (secured != NULL ? tls_read(secured,
		    sink, sizeof(sink)) : recv(server, sink, sizeof(sink),
		    MSG_DONTWAIT)) > 0)
			;
		/* Whoever is connected has a connection. */
		CLAIM(!lk.up || lk.h2 != NULL);
		CLAIM((lk.control == NULL && lk.logs == NULL) ||
		    lk.h2 != NULL);
	}
}

static void
hang_up(void)
{
	tls_free(secured);
	secured = NULL;
	if (server != -1)
		close(server);
	server = -1;
}

static void
say(const void *p, size_t n)
{
	if (secured != NULL && n > 0)
		tls_write(secured, p, n);
	else if (server != -1 && n > 0 && send(server, p, n, MSG_NOSIGNAL |
	    MSG_DONTWAIT) == -1 && errno != EAGAIN && errno != EPIPE)
		err(1, "send");
}

static void
say_frame(int type, int flags, unsigned int id, const void *p, size_t n)
{
	const uint8_t	 head[FRAME_HEAD] = { (uint8_t)(n >> 16),
			    (uint8_t)(n >> 8), (uint8_t)n, (uint8_t)type,
			    (uint8_t)flags, 0, 0, 0, (uint8_t)id };

	say(head, sizeof(head));
	say(p, n);
}

/* `:status: 200' of the static table, and a type; once a stream. */
static void
say_head(unsigned int id)
{
	static const uint8_t	 block[] = "\x88\x0f\x10\x10"
				    "application/grpc";

	if (answered[id])
		return;
	answered[id] = 1;
	say_frame(1, 4, id, block, sizeof(block) - 1);
}

static void
say_message(struct input *in, unsigned int id, int part)
{
	uint8_t	*p, *buf;
	size_t	 n;

	p = input_bytes(in, input_u16(in) & 0x3fff, &n);
	say_head(id);
	buf = xcalloc(1, n + GRPC_HEAD);
	buf[3] = (uint8_t)((n + (size_t)part) >> 8);
	buf[4] = (uint8_t)(n + (size_t)part);
	memcpy(buf + GRPC_HEAD, p, n);
	say_frame(0, 0, id, buf, n + GRPC_HEAD);
	free(buf);
	free(p);
}

static void
say_trailers(struct input *in)
{
	uint8_t	 block[512] = "\0\x0bgrpc-status\x02";
	size_t	 n = 14, len;
	char	*text;

	block[n++] = (uint8_t)('0' + input_u8(in) % 2);
	block[n++] = (uint8_t)('0' + input_u8(in) % 10);
	text = input_str(in);
	if ((len = strlen(text)) > 120)
		len = 120;
	memcpy(block + n, "\0\x0cgrpc-message", 14);
	n += 14;
	block[n++] = (uint8_t)len;
	memcpy(block + n, text, len);
	say_head(1);
	say_frame(1, 5, 1, block, n + len);
	free(text);
}

static void
pass(unsigned int seconds)
{
	if (lk.h2 == NULL)
		return;
	lk.h2->last_rx -= seconds * 1000;
	lk.h2->since -= seconds * 1000;
	event_active(lk.h2->tick, EV_TIMEOUT, 0);
	if (evtimer_pending(lk.beat, NULL))
		event_active(lk.beat, EV_TIMEOUT, 0);
}

static void
up(size_t n)
{
	static const uint8_t	 bytes[1 << 16];
	size_t			 had = link_logs_queued();

	link_send(bytes, n);
	if (link_send_logs(bytes, n) == 0)
		CLAIM(link_logs_queued() >= had + n);
	CLAIM(link_is_up() == (link_offline_since() == 0));
}

static void
piece(struct input *in)
{
	unsigned int	 op = input_u8(in);
	uint8_t		*p;
	size_t		 n;

	switch (op & 7) {
	case 0:
		p = input_bytes(in, input_u16(in) & 0x3fff, &n);
		say(p, n);
		free(p);
		break;
	case 1:
		say_message(in, 1, 0);
		break;
	case 2:
		say_message(in, 3, 0);
		break;
	case 3:
		say_message(in, 1, 7);
		break;
	case 4:
		say_trailers(in);
		break;
	case 5:
		hang_up();
		break;
	case 6:
		pass(input_u8(in));
		break;
	case 7:
		up(input_u16(in));
		break;
	}
	if ((op & 16) == 0)
		turns();
}

/* As link_tls() makes it, but that it trusts whom it meets. */
static void
secure(void)
{
	int	 i;

	if (tls_accept_fds(tls_world_server(), &secured, server, server) == -1)
		errx(1, "tls");
	for (i = 0; i < 8 && tls_handshake(secured) != 0; i++)
		event_base_loop(env->base, EVLOOP_NONBLOCK);
	CLAIM(i < 8);
}

static void
begin(int with_tls)
{
	static char	 host[] = "localhost", port[] = "9090", empty[] = "",
			 id[] = "rnr_00000000000000000000000001";
	struct tls_config	*own;
	int			 pair[2];

	fuzz_begin();
	memset(&agent, 0, sizeof(agent));
	agent.base = worker_base();
	agent.host = host;
	agent.port = port;
	agent.runner_id = id;
	agent.labels_json = empty;
	agent.insecure = agent.heartbeat_s = 1;
	if (lk.redial == NULL) {
		link_start();
		dialled(-1, "nobody is there", dialled_arg);
		event_base_loop(env->base, EVLOOP_NONBLOCK);
		evtimer_del(lk.redial);
	}
	if (with_tls && lk.tls == NULL)
		lk.tls = link_tls(0);
	own = lk.tls;
	lk.tls = with_tls ? own : NULL;
	link_dial(-1, 0, NULL);
	lk.tls = own;
	lk.backoff = 1;
	memset(answered, 0, sizeof(answered));
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == -1)
		err(1, "socketpair");
	server = pair[1];
	dialled(pair[0], NULL, dialled_arg);
	if (with_tls)
		secure();
	turns();
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct input	 in = { p, n };

	begin(n > 0 && p[0] == 0xff);
	if (n > 0 && p[0] == 0xff)
		input_u8(&in);
	while (in.n > 0)
		piece(&in);
	hang_up();
	turns();
	CLAIM(lk.h2 == NULL && !lk.up);
	/* Its second try waits for a time that does not come. */
	evtimer_del(lk.redial);
	return (0);
}
