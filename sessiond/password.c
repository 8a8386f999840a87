/*
 * password.c - passwords of administrators (promise 19).  A chosen one costs
 * 64 MiB and a sixth of a second, so a jailed child checks it, one at a time,
 * with a queue of 8 and 429 behind it (frontd gives one address a share of
 * it); a right answer is remembered for a minute under a keyed hash.  A
 * generated one is only hashed.
 */
#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "sessiond.h"
#include "text.h"

#define QUEUE_MAX	8
#define REMEMBERED_MAX	64
#define REMEMBER_MS	60000

struct job {				/* on the wire to the child, whole */
	char	 hash[161];
	char	 password[257];
};

struct question {
	STAILQ_ENTRY(question)	 entry;
	struct job		 job;
	uint8_t			 digest[32];
	struct identity		 who;
	enum proc		 client;
	uint32_t		 generation;
	uint64_t		 ref;
};

static STAILQ_HEAD(, question)	 queue = STAILQ_HEAD_INITIALIZER(queue);
static unsigned int		 queued;
static int			 child_fd = -1;
static struct event		*ev;
static uint8_t			 digest_key[32];
static struct {
	uint8_t		 digest[32];
	uint64_t	 until;		/* monotonic ms */
}				 remembered[REMEMBERED_MAX];

/* For names that do not exist: the answer takes as long. */
static const char	 nobody[] = "$argon2id$v=19$m=65536,t=2,p=1$"
    "bm9ib2R5bm9ib2R5bm9ibw$bm9ib2R5bm9ib2R5bm9ib2R5bm9ib2R5bm9ib2R5bm8";

static void __attribute__((noreturn))
child(int fd)
{
	static const int	 calls[] = { -1 };
	static const struct jail jail = { "password", calls, 16 };
	struct job		 job;
	size_t			 got;
	ssize_t			 n;
	char			 ok;

	log_init("password", 0, 0);
	worker_jail_child(&jail);
	for (;;) {
		for (got = 0; got < sizeof(job); got += (size_t)n)
			if ((n = read(fd, (char *)&job + got,
			    sizeof(job) - got)) <= 0)
				_exit(0);
		job.hash[sizeof(job.hash) - 1] = '\0';
		job.password[sizeof(job.password) - 1] = '\0';
		ok = crypto_pwhash_str_verify(job.hash, job.password,
		    strlen(job.password)) == 0;
		explicit_bzero(&job, sizeof(job));
		if (write(fd, &ok, 1) != 1)
			_exit(0);
	}
}

/* Before our own jail: afterwards nothing can be forked. */
void
password_fork(void)
{
	int	 sv[2];
	pid_t	 pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) == -1 ||
	    (pid = fork()) == -1)
		fatal("password");
	if (pid == 0) {
		if (dup2(sv[1], 0) == -1)
			_exit(1);
		closefrom(3);
		child(0);
	}
	close(sv[1]);
	child_fd = sv[0];
	if (fcntl(child_fd, F_SETFL, O_NONBLOCK) == -1)
		fatal("password");
	randombytes_buf(digest_key, sizeof(digest_key));
}

static void
digest(uint8_t out[32], const char *user, const char *hash,
    const uint8_t *password, size_t len)
{
	crypto_generichash_state	 st;

	crypto_generichash_init(&st, digest_key, sizeof(digest_key), 32);
	crypto_generichash_update(&st, (const uint8_t *)user,
	    strlen(user) + 1);
	crypto_generichash_update(&st, (const uint8_t *)hash,
	    strlen(hash) + 1);
	crypto_generichash_update(&st, password, len);
	crypto_generichash_final(&st, out, 32);
}

static int
is_remembered(const uint8_t d[32])
{
	int	 i;

	for (i = 0; i < REMEMBERED_MAX; i++)
		if (remembered[i].until > worker_mono_ms() &&
		    sodium_memcmp(remembered[i].digest, d, 32) == 0)
			return (1);
	return (0);
}

static void
remember(const uint8_t d[32])
{
	static unsigned int	 next;

	memcpy(remembered[next].digest, d, 32);
	remembered[next].until = worker_mono_ms() + REMEMBER_MS;
	next = (next + 1) % REMEMBERED_MAX;
}

/* The next question to the child; it fits a socket's buffer at once. */
static void
ask_child(void)
{
	struct question	*q;

	if ((q = STAILQ_FIRST(&queue)) == NULL)
		return;
	if (write(child_fd, &q->job, sizeof(q->job)) != sizeof(q->job))
		fatal("the password child is gone");
	explicit_bzero(q->job.password, sizeof(q->job.password));
}

static void
wrong(struct peer *p, uint64_t ref)
{
	refuse(p, ref, "invalid_auth", "wrong user name or password");
}

static void
child_answered(evutil_socket_t fd, short what, void *arg)
{
	struct question	*q;
	struct peer	*p;
	const char	*hash;
	char		 ok;
	ssize_t		 n;

	(void)what;
	(void)arg;
	if ((n = read(fd, &ok, 1)) == -1 && errno == EAGAIN)
		return;
	if (n != 1 || (q = STAILQ_FIRST(&queue)) == NULL)
		fatalx("the password child is gone");
	STAILQ_REMOVE_HEAD(&queue, entry);
	queued--;
	/* It may have been changed while we waited. */
	hash = admin_hash(q->who.name);
	ok = ok && hash != NULL && strcmp(hash, q->job.hash) == 0;
	if (ok)
		remember(q->digest);
	p = peer_of(q->client);
	if (peer_is_up(p) && p->ctl.generation == q->generation) {
		if (ok)
			identity_welcome(p, q->ref, &q->who);
		else
			wrong(p, q->ref);
	}
	freezero(q, sizeof(*q));
	ask_child();
}

void
password_watch(void)
{
	ev = event_new(worker_base(), child_fd, EV_READ | EV_PERSIST,
	    child_answered, NULL);
	if (ev == NULL || event_add(ev, NULL) == -1)
		fatalx("no event");
}

static int
generated_matches(const char *hash, const uint8_t *password, size_t len)
{
	uint8_t	 want[32], have[32];

	if (text_unhex(want, sizeof(want), hash) == -1)
		return (0);
	crypto_hash_sha256(have, password, len);
	return (sodium_memcmp(want, have, sizeof(want)) == 0);
}

static void
enqueue(struct peer *p, uint64_t ref, const struct identity *who,
    const char *hash, const struct msg_auth_password *m,
    const uint8_t d[32])
{
	struct question	*q;

	if (queued == QUEUE_MAX) {
		refuse(p, ref, "rate_limited", "too many passwords are being "
		    "checked; try again");
		return;
	}
	if ((q = calloc(1, sizeof(*q))) == NULL)
		fatal("password");
	strlcpy(q->job.hash, hash, sizeof(q->job.hash));
	memcpy(q->job.password, m->password, m->password_len);
	memcpy(q->digest, d, 32);
	q->who = *who;
	q->client = p->proc;
	q->generation = p->ctl.generation;
	q->ref = ref;
	STAILQ_INSERT_TAIL(&queue, q, entry);
	if (queued++ == 0)
		ask_child();
}

void
on_auth_password(struct peer *p, uint64_t ref,
    const struct msg_auth_password *m)
{
	struct identity	 who;
	const char	*hash;
	uint8_t		 d[32];

	if ((hash = admin_hash(m->user)) == NULL)
		hash = nobody;
	if (m->password_len > 256 ||
	    memchr(m->password, '\0', m->password_len) != NULL) {
		wrong(p, ref);
		return;
	}
	identity_set(&who, m->tenant, "admin", m->user, SCOPES_ALL);
	if (strncmp(hash, "sha256:", 7) == 0) {
		if (generated_matches(hash + 7, m->password, m->password_len))
			identity_welcome(p, ref, &who);
		else
			wrong(p, ref);
		return;
	}
	digest(d, m->user, hash, m->password, m->password_len);
	if (hash != nobody && is_remembered(d))
		identity_welcome(p, ref, &who);
	else
		enqueue(p, ref, &who, hash, m, d);
}
