/*
 * captured.c - linked into frontd of a test build, and into nothing else: on a
 * real-time signal frontd(api) is in a stranger's hands, who says to the owners
 * what the table lets it say, and what it does not (captured.test.mjs has the
 * list).  Answers are told on stderr instead of being handled.  What is known
 * from elsewhere is in the file that MN_CAPTURED names: `hash HEX', and ids of
 * another tenant's as `session sess_...'.
 */
#include <sys/socket.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "channel.h"
#include "text.h"

#define IDS_MAX		16
#define FLOOD		20000

enum order { RELEASED, FORGED, STOLEN, FLOODED, BROKEN };	/* + n: broken(n) */

int	 __real_proc_dispatch(struct peer *, uint64_t, enum msg_type,
	    const void *, int);
int	 __wrap_proc_dispatch(struct peer *, uint64_t, enum msg_type,
	    const void *, int);
void	 captured_init(void) __attribute__((constructor));

static const enum proc	 owners[] = { PROC_SESSIOND, PROC_TASKD,
				    PROC_RUNNERD, PROC_PROVIDERD };
static struct { char name[32], id[64]; } ids[IDS_MAX];
static size_t		 nids;
static uint8_t		 hash[32];
static uint8_t		 tickets[4][256];
static size_t		 ticket_len[4];
static enum order	 order;
static int		 captured;

/* ---- what is said ---- */

static const char *
text_for(const char *name)
{
	size_t	 i;

	for (i = 0; i < nids; i++)
		if (strcmp(ids[i].name, name) == 0)
			return (ids[i].id);
	return (strcmp(name, "request_id") == 0 ? "req-captured" :
	    strcmp(name, "prompt") == 0 ? "captured" : "");
}

/* Every field has something plausible; the ticket is what is given. */
static void
fill(const struct msg_desc *d, uint8_t *m, const uint8_t *ticket, size_t len)
{
	const struct msg_field	*f;
	const void		*p;
	unsigned int		 i;
	size_t			 n;

	memset(m, 0, MSG_STRUCT_MAX);
	for (i = 0; i < d->nfields; i++) {
		f = &d->fields[i];
		if (f->type <= FIELD_U64) {
			m[f->off] = 1;
			continue;
		}
		p = text_for(f->name);
		if (f->type >= FIELD_BLOB) {
			p = strcmp(f->name, "ticket") == 0 ? (const void *)ticket :
			    strcmp(f->name, "hash") == 0 ? hash : (const void *)"{}";
			n = strcmp(f->name, "ticket") == 0 ? len :
			    strcmp(f->name, "hash") == 0 ? sizeof(hash) :
			    strcmp(f->name, "idem_hash") == 0 ? 0 : 2;
			memcpy(m + f->len_off, &n, sizeof(n));
		}
		memcpy(m + f->off, &p, sizeof(p));
	}
}

/* Past peer_send(), which would not let us say what we may not. */
static void
say(enum proc to, enum msg_type type, const uint8_t *ticket, size_t len)
{
	const struct msg_desc	*d = &msg_descs[type];
	uint64_t		 m[MSG_STRUCT_MAX / 8];
	uint8_t			 packed[8192];
	struct frame		 f = { 0 };
	ssize_t			 n;

	fill(d, (uint8_t *)m, ticket, len);
	if ((n = msg_size(d, m)) == -1 || (size_t)n > sizeof(packed))
		return;
	msg_pack(d, m, packed);
	f.len = (uint32_t)(sizeof(f) + (size_t)n);
	f.type = (uint16_t)type;
	f.ref = type;
	channel_queue(&peer_of(to)->ctl, &f, d, NULL, packed, -1);
}

/* All that the table lets the web say to an owner. */
static void
say_all(size_t o, const uint8_t *ticket, size_t len)
{
	unsigned int	 t;

	for (t = MSG_NONE + 1; t < MSG_MAX; t++)
		if (msg_may((enum msg_type)t, PROC_API, owners[o]) &&
		    strncmp(msg_descs[t].name, "PROC_", 5) != 0 &&
		    strncmp(msg_descs[t].name, "AUTH_", 5) != 0)
			say(owners[o], (enum msg_type)t, ticket, len);
}

static void
forged(void)
{
	uint8_t	 ticket[200], known[sizeof(hash)];
	size_t	 o;

	memcpy(known, hash, sizeof(known));
	memset(ticket, 0x41, sizeof(ticket));
	for (o = 0; o < 4; o++) {
		say_all(o, ticket, sizeof(ticket));
		say_all(o, ticket, 0);
	}
	memset(hash, 0, sizeof(hash));
	say(PROC_SESSIOND, MSG_AUTH_KEY, NULL, 0);
	say(PROC_SESSIOND, MSG_AUTH_PASSWORD, NULL, 0);
	say(PROC_SESSIOND, MSG_AUTH_STREAM, NULL, 0);
	say(PROC_SESSIOND, MSG_AUTH_RENEW, ticket, sizeof(ticket));
	memcpy(hash, known, sizeof(hash));
}

/* With tickets of a key that we have, for what is another tenant's. */
static void
misuse(void)
{
	size_t	 o, other, i;

	for (o = 0; o < 4; o++) {
		say_all(o, tickets[o], ticket_len[o]);
		for (other = 0; other < 4; other++)
			if (other != o)
				say_all(o, tickets[other], ticket_len[other]);
		for (i = 0; i < ticket_len[o]; i++) {
			tickets[o][i] ^= 1;
			say(owners[o], o == 0 ? MSG_SESSION_LIST : o == 1 ?
			    MSG_TASK_LIST : o == 2 ? MSG_RUNNER_LIST :
			    MSG_AGENT_CONFIG_LIST, tickets[o], ticket_len[o]);
			tickets[o][i] ^= 1;
		}
	}
}

static void
flood(void)
{
	int	 i;

	for (i = 0; i < FLOOD; i++)
		say(PROC_TASKD, MSG_TASK_LIST, tickets[1], ticket_len[1]);
}

/* ---- what must not be said ---- */

static void
raw(enum proc to, uint32_t len, uint16_t type, uint16_t flags, const char *body,
    size_t n, int fd)
{
	union { struct cmsghdr h; char b[CMSG_SPACE(sizeof(int))]; } cm;
	uint8_t		 buf[256];
	struct frame	 f = { len, type, flags, 1 };
	struct iovec	 iov = { buf, sizeof(f) + n };
	struct msghdr	 mh = { .msg_iov = &iov, .msg_iovlen = 1 };

	memcpy(buf, &f, sizeof(f));
	memcpy(buf + sizeof(f), body, n);
	if (fd != -1) {
		memset(&cm, 0, sizeof(cm));
		mh.msg_control = &cm;
		mh.msg_controllen = sizeof(cm.b);
		cm.h.cmsg_len = CMSG_LEN(sizeof(int));
		cm.h.cmsg_level = SOL_SOCKET;
		cm.h.cmsg_type = SCM_RIGHTS;
		memcpy(CMSG_DATA(&cm.h), &fd, sizeof(fd));
	}
	sendmsg(peer_of(to)->ctl.fd, &mh, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* Of every owner: that it broke the protocol. */
static void
accuse(void)
{
	struct msg_proc_accused	 m = { .why = "captured" };
	size_t			 o;

	for (o = 0; o < 4; o++) {
		m.peer = (uint8_t)owners[o];
		m.generation = peer_of(owners[o])->ctl.generation;
		peer_send(peer_of(PROC_PARENT), 0, MSG_PROC_ACCUSED, &m, -1);
	}
}

static void
broken(int n)
{
	switch (n) {
	case 0: say(PROC_SESSIOND, MSG_TASK_CREATE, hash, 32); break;
	case 1: say(PROC_TASKD, MSG_TASK_PUT, hash, 32); break;
	case 2: say(PROC_PROVIDERD, MSG_KEY_SEAL, hash, 32); break;
	case 3: say(PROC_PARENT, MSG_TASK_GET, hash, 32); break;
	case 4: raw(PROC_TASKD, 16, 65000, 0, "", 0, -1); break;
	case 5: raw(PROC_RUNNERD, 0x7fffffff, MSG_RUNNER_GET, 0, "", 0, -1);
		break;
	case 6: raw(PROC_SESSIOND, 16, MSG_AUTH_RENEW, FRAME_FD, "", 0,
		    STDERR_FILENO); break;
	case 7: broken(4); broken(5); break;
	case 8: accuse(); break;
	}
}

/* ---- in the stranger's hands ---- */

static void
captured_now(int sig)
{
	order = (enum order)(sig - SIGRTMIN);
	captured = order != RELEASED;
	if (order == FORGED)
		forged();
	else if (order == STOLEN || order == FLOODED)
		say(PROC_SESSIOND, MSG_AUTH_KEY, NULL, 0);
	else if (captured)
		broken((int)(order - BROKEN));
	peers_flush();
}

static void
took(const struct msg_authenticated *m)
{
	const uint8_t	*from[4] = { m->sessiond, m->taskd, m->runnerd,
			    m->providerd };
	size_t		 len[4] = { m->sessiond_len, m->taskd_len,
			    m->runnerd_len, m->providerd_len };
	size_t		 i;

	for (i = 0; i < 4; i++) {
		memcpy(tickets[i], from[i], len[i]);
		ticket_len[i] = len[i];
	}
	if (order == FLOODED)
		flood();
	else
		misuse();
}

/* One write(2): stdio wants calls that the jail does not have. */
static void
tell(uint64_t ref, const char *what, const char *text, size_t len)
{
	char	 line[2048];
	int	 n;

	n = snprintf(line, sizeof(line), "captured: %s: %s%.*s\n",
	    ref < MSG_MAX ? msg_descs[ref].name : "?", what,
	    len > 1500 ? 1500 : (int)len, text);
	if (n > 0 && write(STDERR_FILENO, line, (size_t)n) == -1)
		_exit(1);
}

int
__wrap_proc_dispatch(struct peer *p, uint64_t ref, enum msg_type type,
    const void *m, int fd)
{
	const struct msg_refused	*r = m;
	const struct msg_document	*d = m;

	if (!captured || p->proc == PROC_PARENT)
		return (__real_proc_dispatch(p, ref, type, m, fd));
	if (type == MSG_AUTHENTICATED)
		took(m);
	else if (order == FLOODED)
		return (0);
	else if (type == MSG_REFUSED)
		tell(ref, "refused: ", r->code, strlen(r->code));
	else if (type == MSG_DOCUMENT)
		tell(ref, "DOCUMENT ", (const char *)d->body, d->body_len);
	else
		tell(ref, msg_descs[type].name, "", 0);
	return (0);
}

void
captured_init(void)
{
	const char	*path = getenv("MN_CAPTURED");
	char		 line[256], name[32], value[160];
	FILE		*f;
	int		 i;

	for (i = 0; i < BROKEN + 9; i++)
		signal(SIGRTMIN + i, captured_now);
	if (path == NULL || (f = fopen(path, "r")) == NULL)
		return;
	while (fgets(line, sizeof(line), f) != NULL) {
		if (sscanf(line, "%31s %159s", name, value) != 2)
			continue;
		if (strcmp(name, "hash") == 0)
			text_unhex(hash, sizeof(hash), value);
		else if (nids < IDS_MAX) {
			snprintf(ids[nids].name, sizeof(ids[0].name), "%s",
			    name);
			snprintf(ids[nids++].id, sizeof(ids[0].id), "%s",
			    value);
		}
	}
	fclose(f);
}
