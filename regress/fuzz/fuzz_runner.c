/*
 * fuzz_runner.c - runners' streams through all of frontd to a runnerd and back:
 * HTTP/2 frames that are put together here, so that what is in them gets far.
 * An input is steps, each begun by a byte; the high four bits name a stream:
 *	0	a call: which, with a token, over
 *	1 2 3	a message of so many bytes (two), its beginning, its rest
 *	4 5	the runner has said all, is gone
 *	6 7	runnerd: a message of so many bytes, an end with a status
 *	8	runnerd gives credit, in kilobytes
 *	9	runnerd dies and is back
 *	10	20 seconds pass
 *	11	bytes as they are (two bytes of length)
 *	12	the runner takes more: windows of the stream and all
 *	13	runnerd reads all that waits (0), reads nothing more and so many MiB
 *		wait for it (1 to 10), is dead until 9 (14); the server stops (15)
 * covers: frontd/grpc_runner.c frontd/grpc.c
 * world: owners.c
 */
#include <sys/socket.h>

#include <err.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api.h"
#include "channel.h"
#include "engine.h"
#include "fuzz.h"
#include "owners.h"
#include "worker.h"

#define STREAMS		512	/* more than a connection's inputs open */
#define STEP_MS		20000
#define FRAME_MAX	16384
#define PREFACE		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

void	 heard(struct peer *, uint64_t, enum msg_type, const void *, int);
size_t	 __real_peer_queued(const struct peer *);
size_t	 __wrap_peer_queued(const struct peer *);
int	 __wrap_peer_is_full(const struct peer *);

/* As runnerd knows them. */
static struct {
	uint64_t	 ref;
	int		 logs, open;
	int		 crossed;	/* what was said before its end comes */
}			 known[STREAMS];
static unsigned int	 nknown;
static int		 fd = -1;
static size_t		 others;	/* bytes that wait for it, as it were */

int
worker_draining(void)
{
	return (0);
}

void
heard(struct peer *p, uint64_t ref, enum msg_type type, const void *m, int f)
{
	(void)p;
	(void)ref;
	(void)m;
	(void)f;
	fuzz_broken(msg_descs[type].name, __FILE__, __LINE__);
}

/* ---- runnerd ---- */

/* Megabytes that are not there: to write and to read them takes too long. */
size_t
__wrap_peer_queued(const struct peer *p)
{
	return (__real_peer_queued(p) + (p->proc == PROC_RUNNERD ? others : 0));
}

int
__wrap_peer_is_full(const struct peer *p)
{
	return (__wrap_peer_queued(p) > PEER_QUEUE_SOFT);
}

static unsigned int
find(uint64_t ref, int logs)
{
	unsigned int	 i;

	for (i = 0; i < nknown; i++)
		if (known[i].ref == ref)
			break;
	CLAIM(i < nknown && known[i].logs == logs);
	CLAIM(known[i].open || known[i].crossed);
	return (i);
}

static void
runnerd_heard(enum proc p, uint64_t ref, enum msg_type type, const void *m)
{
	const struct msg_stream_close	*c = m;
	const struct msg_logs_close	*lc = m;

	CLAIM(p == PROC_RUNNERD);
	switch ((int)type) {
	case MSG_STREAM_OPEN:
	case MSG_LOGS_OPEN:
		CLAIM(nknown < STREAMS);
		known[nknown].ref = ref;
		known[nknown].logs = type == MSG_LOGS_OPEN;
		known[nknown].crossed = 0;
		known[nknown++].open = 1;
		break;
	case MSG_STREAM_MESSAGE:
	case MSG_LOGS_MESSAGE:
		find(ref, type == MSG_LOGS_MESSAGE);
		break;
	case MSG_STREAM_CLOSE:
		known[find(ref, 0)].open &= c->status == 0;
		break;
	case MSG_LOGS_CLOSE:
		known[find(ref, 1)].open &= lc->status == 0;
		break;
	default:
		fuzz_broken(msg_descs[type].name, __FILE__, __LINE__);
	}
}

static void
runnerd_says(struct input *in, unsigned int i)
{
	static const uint8_t	 body[1 << 16];
	struct msg_stream_message m = { body, input_u16(in) };

	if (i >= nknown || !known[i].open)
		return;
	/* The two messages have the same fields. */
	owners_say(PROC_RUNNERD, known[i].ref, known[i].logs ?
	    MSG_LOGS_MESSAGE : MSG_STREAM_MESSAGE, &m);
}

static void
runnerd_ends(struct input *in, unsigned int i)
{
	struct msg_stream_close	 m = { .status = (uint8_t)input_u8(in),
				    .text = "100%,\tit is over\x7f" };

	if (i >= nknown || !known[i].open)
		return;
	owners_say(PROC_RUNNERD, known[i].ref, known[i].logs ?
	    MSG_LOGS_CLOSE : MSG_STREAM_CLOSE, &m);
	known[i].open = 0;
	known[i].crossed = owners.busy[PROC_RUNNERD];
}

static void
runnerd_credits(struct input *in, unsigned int i)
{
	struct msg_stream_credit	 m = { input_u8(in) * 1024 };

	if (i < nknown && known[i].open)
		owners_say(PROC_RUNNERD, known[i].ref, known[i].logs ?
		    MSG_LOGS_CREDIT : MSG_STREAM_CREDIT, &m);
}

/* ---- the runner ---- */

static void
say(const void *p, size_t n)
{
	if (n > 0 && send(fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT) == -1 &&
	    errno != EAGAIN && errno != EPIPE)
		err(1, "send");
}

static void
say_frame(int type, int flags, unsigned int id, const void *p, size_t n)
{
	const uint8_t	 head[9] = { (uint8_t)(n >> 16), (uint8_t)(n >> 8),
			    (uint8_t)n, (uint8_t)type, (uint8_t)flags, 0, 0,
			    0, (uint8_t)id };

	say(head, sizeof(head));
	say(p, n);
}

static void
add(struct buf *b, const char *name, const char *value)
{
	size_t	 n = strlen(name), k = strlen(value);

	CLAIM(n < 127 && k < 127);
	buf_printf(b, "%c", 0);
	buf_printf(b, "%c%s%c%s", (int)n, name, (int)k, value);
}

static void
call(struct input *in, unsigned int id)
{
	static const char *const	 names[] = { "Connect", "Logs",
					    "Enroll", "None" };
	unsigned int			 how = input_u8(in);
	struct buf			 b = { 0 };
	char				 path[64];

	snprintf(path, sizeof(path), "/marionette.v1.RunnerService/%s",
	    names[how & 3]);
	add(&b, ":method", "POST");
	add(&b, ":scheme", "http");
	add(&b, ":path", path);
	add(&b, ":authority", "localhost");
	add(&b, "content-type", "application/grpc");
	if ((how & 4) != 0)
		add(&b, "x-runner-token", "rtok_x.ca");
	say_frame(1, (how & 8) != 0 ? 5 : 4, id, buf_head(&b), b.len);
	buf_free(&b);
}

/* part 1: whole; 2: without its end; 3: without its beginning. */
static void
message(struct input *in, unsigned int id, int part)
{
	static uint8_t	 buf[FRAME_MAX + 5];
	size_t		 n = input_u16(in) % FRAME_MAX;

	memset(buf, 0, 5);
	buf[3] = (uint8_t)((n + (part == 2 ? 9 : 0)) >> 8);
	buf[4] = (uint8_t)(n + (part == 2 ? 9 : 0));
	if (part == 3)
		say_frame(0, 0, id, buf + 5, n);
	else
		say_frame(0, 0, id, buf, n + 5 < FRAME_MAX ? n + 5 :
		    FRAME_MAX);
}

static void
turns(void)
{
	static uint8_t	 sink[1 << 16];
	int		 i;

	for (i = 0; i < 4; i++) {
		event_base_loop(worker_base(), EVLOOP_NONBLOCK);
		http_turn();
		while (fd != -1 && recv(fd, sink, sizeof(sink),
		    MSG_DONTWAIT) > 0)
			;
		owners_turn();
	}
}

/* Its successor knows of none of the streams. */
static void
runnerd_dies(int is_back)
{
	unsigned int	 i;

	if (is_back)
		owners_restart(PROC_RUNNERD);
	else
		owners_die(PROC_RUNNERD);
	health_set(is_back);
	owners.busy[PROC_RUNNERD] = 0;
	others = 0;
	for (i = 0; i < nknown; i++)
		known[i].open = known[i].crossed = 0;
}

static void
runnerd_reads(void)
{
	unsigned int	 i;

	owners.busy[PROC_RUNNERD] = 0;
	others = 0;
	turns();
	for (i = 0; i < nknown; i++)
		known[i].crossed = 0;
}

static void
other(unsigned int what)
{
	if (what == 0)
		runnerd_reads();
	else if (what <= 10) {
		owners.busy[PROC_RUNNERD] = 1;
		others = (size_t)what << 20;
	} else if (what == 14)
		runnerd_dies(0);
	else if (what == 15)
		http_drain();
}

static void
raw(struct input *in)
{
	size_t	 n;
	uint8_t	*p = input_bytes(in, input_u16(in) & 0xfff, &n);

	say(p, n);
	free(p);
}

static void
step(struct input *in)
{
	static const uint8_t	 cancel[4] = { 0, 0, 0, 8 },
				 window[4] = { 0, 1, 0, 0 };
	unsigned int		 op = input_u8(in), i = op >> 4, id = 2 * i + 1;

	switch (op & 15) {
	case 0:
		call(in, id);
		break;
	case 1:
	case 2:
	case 3:
		message(in, id, (int)(op & 15));
		break;
	case 4:
		say_frame(0, 1, id, "", 0);
		break;
	case 5:
		say_frame(3, 0, id, cancel, sizeof(cancel));
		break;
	case 6:
		runnerd_says(in, i);
		break;
	case 7:
		runnerd_ends(in, i);
		break;
	case 8:
		runnerd_credits(in, i);
		break;
	case 9:
		runnerd_dies(1);
		break;
	case 10:
		fuzz_pass(STEP_MS);
		http_janitor();
		break;
	case 11:
		raw(in);
		break;
	case 12:
		say_frame(8, 0, 0, window, sizeof(window));
		say_frame(8, 0, id, window, sizeof(window));
		break;
	case 13:
		other(i);
		break;
	}
	turns();
}

static void
begin(void)
{
	int	 pair[2];

	fuzz_begin();
	if (owners.heard == NULL)
		api_init();
	owners.heard = runnerd_heard;
	owners.body = owners.code = owners.scopes = "";
	owners.mood = MOOD_SILENT;
	owners_begin(PROC_RUNNER);
	if (!peer_is_up(peer_of(PROC_RUNNERD)))
		owners_restart(PROC_RUNNERD);
	health_set(1);
	nknown = 0;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == -1)
		err(1, "socketpair");
	conn_new(pair[0], LISTEN_RUNNER, NULL, "127.0.0.1", NULL);
	fd = pair[1];
	say(PREFACE, sizeof(PREFACE) - 1);
	say_frame(4, 0, 0, "", 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct input	 in = { p, n };
	unsigned int	 i;

	begin();
	while (in.n > 0)
		step(&in);
	runnerd_reads();
	close(fd);
	fd = -1;
	for (i = 0; i < 1000 && http_stats.conns > 0; i++) {
		turns();
		fuzz_pass(1000);
		http_janitor();
	}
	turns();
	CLAIM(http_stats.conns == 0 && http_stats.bodies == 0);
	CLAIM(http_stats.open == 0 && http_stats.unsent == 0);
	/* runnerd was told of every end. */
	for (i = 0; i < nknown; i++)
		CLAIM(!known[i].open);
	return (0);
}
