/*
 * runner.c - runners: who they are (RUNNER_LOAD, RUNNER_PUT), whether they are
 * here (Hello, heartbeats), and when one that is away counts as lost (promise
 * 7: only time in which the server was up and listening counts).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "run.h"
#include "session.h"

#define RUNNERS_MAX	(1U << 20)	/* slots fit a ref */
#define MISSED		3		/* heartbeats */
#define BEAT_SECONDS	5
#define BEAT_MAX	2000		/* ids in one RUNNER_BEAT */

RB_HEAD(runners, runner);
RB_HEAD(certs, runner);
RB_HEAD(holders, runner);

static struct runners	 runners = RB_INITIALIZER(&runners);
static struct certs	 certs = RB_INITIALIZER(&certs);
static struct holders	 holders = RB_INITIALIZER(&holders);
static struct runner	**slots;
static uint32_t		 nslots;
static int		 loaded, loading, beating;
static unsigned int	 seconds;

static int
runner_cmp(struct runner *a, struct runner *b)
{
	return (strcmp(a->id, b->id));
}

static int
cert_cmp(struct runner *a, struct runner *b)
{
	return (memcmp(a->cert_hash, b->cert_hash, sizeof(a->cert_hash)));
}

static int
holder_cmp(struct runner *a, struct runner *b)
{
	int	 rc = strcmp(a->session, b->session);

	return (rc != 0 ? rc : strcmp(a->id, b->id));
}

RB_PROTOTYPE(runners, runner, entry, runner_cmp);
RB_GENERATE(runners, runner, entry, runner_cmp)
RB_PROTOTYPE(certs, runner, cert_entry, cert_cmp);
RB_GENERATE(certs, runner, cert_entry, cert_cmp)
RB_PROTOTYPE(holders, runner, holder, holder_cmp);
RB_GENERATE(holders, runner, holder, holder_cmp)

struct runner *
runner_find(const char *id)
{
	static struct runner	 key;

	if (strlcpy(key.id, id, sizeof(key.id)) >= sizeof(key.id))
		return (NULL);
	return (RB_FIND(runners, &runners, &key));
}

struct runner *
runner_by_cert(const uint8_t hash[32])
{
	static struct runner	 key;

	memcpy(key.cert_hash, hash, sizeof(key.cert_hash));
	return (RB_FIND(certs, &certs, &key));
}

struct runner *
runner_by_session(const char *session)
{
	static struct runner	 key;
	struct runner		*r;

	strlcpy(key.session, session, sizeof(key.session));
	r = RB_NFIND(holders, &holders, &key);
	return (r != NULL && strcmp(r->session, session) == 0 ? r : NULL);
}

void
runner_has(struct runner *r, const char *session)
{
	if (r->session[0] != '\0')
		RB_REMOVE(holders, &holders, r);
	strlcpy(r->session, session, sizeof(r->session));
	if (r->session[0] != '\0')
		RB_INSERT(holders, &holders, r);
}

struct runner *
runner_by_slot(uint32_t slot)
{
	return (slot < nslots ? slots[slot] : NULL);
}

struct runner *
runner_next(struct runner *r)
{
	return (r == NULL ? RB_MIN(runners, &runners) :
	    RB_NEXT(runners, &runners, r));
}

int
runners_are_loaded(void)
{
	return (loaded);
}

int
runner_offers(const struct runner *r, const char *agent)
{
	const char	*p = r->agents;
	size_t		 n, want = strlen(agent);

	for (; *p != '\0'; p += n, p += *p == ' ') {
		n = strcspn(p, " ");
		if (n == want && memcmp(p, agent, n) == 0)
			return (1);
	}
	return (0);
}

/* Thousands of runners are known, and few have as much as they may. */
static void
keep_text(char **kept, const char *s)
{
	char	*copy;

	if ((copy = strdup(s)) == NULL)
		fatal("runner");
	free(*kept);
	*kept = copy;
}

static void
runner_new(const struct msg_runner_row *m)
{
	struct runner	*r;

	if (runner_find(m->runner) != NULL || m->cert_hash_len != 32)
		return;
	if (nslots == RUNNERS_MAX || runner_by_cert(m->cert_hash) != NULL) {
		log_warnx("runner %s: one too many", m->runner);
		return;
	}
	if ((r = calloc(1, sizeof(*r))) == NULL ||
	    (r->certificate = malloc(m->certificate_len)) == NULL ||
	    (nslots % 256 == 0 && (slots = reallocarray(slots, nslots + 256,
	    sizeof(*slots))) == NULL))
		fatal("runner");
	r->slot = nslots;
	slots[nslots++] = r;
	strlcpy(r->id, m->runner, sizeof(r->id));
	strlcpy(r->tenant, m->tenant, sizeof(r->tenant));
	strlcpy(r->pool, m->pool, sizeof(r->pool));
	strlcpy(r->name, m->name, sizeof(r->name));
	keep_text(&r->agents, m->agents);
	keep_text(&r->labels, "");
	keep_text(&r->resources, "");
	runner_has(r, m->session);
	r->shared = m->shared;
	r->epoch = m->epoch;
	memcpy(r->certificate, m->certificate, m->certificate_len);
	r->certificate_len = m->certificate_len;
	memcpy(r->cert_hash, m->cert_hash, sizeof(r->cert_hash));
	TAILQ_INIT(&r->facts);
	/*
	 * What the database says holds until it has had time to come back:
	 * a restart of ours is no reason to call anybody offline.
	 */
	r->heard = worker_mono_ms();
	r->heartbeat = settings.heartbeat;
	r->state = strcmp(m->status, "offline") == 0 ? RUNNER_OFFLINE :
	    r->session[0] != '\0' ? RUNNER_BUSY : RUNNER_IDLE;
	RB_INSERT(runners, &runners, r);
	RB_INSERT(certs, &certs, r);
}

void
on_runner_row(struct peer *p, uint64_t ref, const struct msg_runner_row *m)
{
	if (ask_find(p, ref) != NULL)
		runner_new(m);
}

static void
load_done(struct ask *a, const struct answer *ans)
{
	(void)a;
	loading = 0;
	if (ans->code[0] != '\0') {
		log_warnx("runners are not loaded: %s", ans->text);
		return;
	}
	loaded = 1;
	log_debug("%u runners", nslots);
	sessions_loaded();
}

void
runners_load(void)
{
	struct msg_runner_load	 m = { 0 };

	if (loading)
		return;
	if (ask(PROC_STORAGED, MSG_RUNNER_LOAD, &m, 0, load_done, NULL) ==
	    NULL)
		fatal("runners");
	loading = 1;
}

static void
saved(struct ask *a, const struct answer *ans)
{
	struct runner	*r = a->arg;

	if (ans->code[0] != '\0')
		log_warnx("runner %s: state not stored: %s", r->id,
		    ans->text);
	r->state_asked = 0;
	if (r->state_dirty)
		runner_save(r);
}

/* One at a time; what changed meanwhile is said in the next. */
void
runner_save(struct runner *r)
{
	struct msg_runner_state	 m;

	if (r->state_asked) {
		r->state_dirty = 1;
		return;
	}
	m.runner = r->id;
	m.online = r->state != RUNNER_OFFLINE;
	m.version = r->version;
	m.agents = r->agents;
	m.labels = r->labels;
	m.resources = r->resources;
	if (ask(PROC_STORAGED, MSG_RUNNER_STATE, &m, 0, saved, r) != NULL) {
		r->state_asked = 1;
		r->state_dirty = 0;
	} else if (!r->state_dirty) {
		/* The janitor tries again until there is room. */
		log_warn("runner %s", r->id);
		r->state_dirty = 1;
	}
}

static void
welcome(struct runner *r)
{
	Marionette__V1__ServerCommand	 c;
	Marionette__V1__Welcome		 w;

	marionette__v1__server_command__init(&c);
	marionette__v1__welcome__init(&w);
	w.heartbeat_seconds = r->heartbeat = settings.heartbeat;
	w.lost_after_seconds = settings.lost_after;
	w.up_to = r->acked;
	c.body_case = MARIONETTE__V1__SERVER_COMMAND__BODY_WELCOME;
	c.welcome = &w;
	stream_command(r, &c);
}

void
runner_hello(struct runner *r, struct stream *s,
    const Marionette__V1__Hello *h)
{
	char	 agents[AGENTS_SIZE];

	log_info("runner %s (%s) is here", r->id, r->name);
	r->stream = s;
	r->heard = worker_mono_ms();
	r->beat = 1;
	r->lost = 0;
	r->away = 0;
	r->owed = 0;
	r->refused = 0;
	strlcpy(r->version, h->version, sizeof(r->version));
	keep_text(&r->labels, h->labels_json);
	keep_text(&r->resources, h->resources_json);
	if (h->n_agents > 0) {
		wire_words(agents, sizeof(agents), h->agents, h->n_agents);
		keep_text(&r->agents, agents);
	}
	upward_hello(r, h->first_unacked);
	welcome(r);
	runner_event(r, RUNNER_HELLO);
	kept_hello(r, h);
	session_hello(r, h->session_id, h->session_epoch);
	runs_hello(r, h);
}

void
runner_gone(struct runner *r, int at_once)
{
	log_info("runner %s (%s) is away", r->id, r->name);
	/* Its next Hello names them. */
	kept_forget(r);
	/* frontd's death is not the runner's: it has its time to come back. */
	if (at_once)
		runner_event(r, RUNNER_AWAY);
}

static void
beat_done(struct ask *a, const struct answer *ans)
{
	(void)a;
	if (ans->code[0] != '\0')
		log_debug("beat: %s", ans->text);
	beating--;
}

static void
beat_send(const char *ids)
{
	struct msg_runner_beat	 m;

	m.runners = ids;
	if (ask(PROC_STORAGED, MSG_RUNNER_BEAT, &m, 0, beat_done, NULL) !=
	    NULL)
		beating++;
}

/* last_seen_at of all that were heard, in one statement. */
static void
beat(void)
{
	static char	 ids[BEAT_MAX * ID_SIZE + 1];
	struct runner	*r;
	size_t		 n = 0, used = 0;

	if (beating > 0)
		return;
	RB_FOREACH(r, runners, &runners) {
		if (!r->beat || r->stream == NULL)
			continue;
		r->beat = 0;
		used += (size_t)snprintf(ids + used, sizeof(ids) - used,
		    "%s%s", n == 0 ? "" : " ", r->id);
		if (++n == BEAT_MAX) {
			beat_send(ids);
			n = used = 0;
		}
	}
	if (n > 0)
		beat_send(ids);
}

static void
runner_look(struct runner *r, uint64_t now)
{
	uint64_t	 quiet = now - r->heard;
	int		 silent;

	if (r->state_dirty)
		runner_save(r);
	silent = quiet > MISSED * 1000ULL * r->heartbeat;
	if (r->stream != NULL) {
		/*
		 * Credit that we hold back also holds back its heartbeats, and
		 * its line may be dead meanwhile.
		 */
		if (silent && (r->owed == 0 ||
		    quiet > 1000ULL * settings.lost_after))
			stream_end(r->stream, GRPC_DEADLINE_EXCEEDED,
			    "three heartbeats are missing");
		return;
	}
	if (silent && r->state != RUNNER_OFFLINE)
		runner_event(r, RUNNER_AWAY);
	if (r->lost || !peer_is_up(peer_of(PROC_RUNNER)))
		return;
	if (++r->away < settings.lost_after)
		return;
	r->lost = 1;
	runs_lost(r);
	session_lost(r);
}

void
runners_janitor(void)
{
	struct runner	*r;
	uint64_t	 now = worker_mono_ms();

	RB_FOREACH(r, runners, &runners)
		runner_look(r, now);
	if (++seconds % BEAT_SECONDS == 0)
		beat();
}

void
runners_drain(unsigned int secs)
{
	Marionette__V1__ServerCommand	 c;
	Marionette__V1__Drain		 d;
	struct runner			*r;

	marionette__v1__server_command__init(&c);
	marionette__v1__drain__init(&d);
	d.seconds = secs;
	c.body_case = MARIONETTE__V1__SERVER_COMMAND__BODY_DRAIN;
	c.drain = &d;
	RB_FOREACH(r, runners, &runners)
		stream_command(r, &c);
}

size_t
runners_metrics(char *buf, size_t size)
{
	struct runner	*r;
	unsigned int	 by[RUNNER_STATES] = { 0 }, asks;
	size_t		 bytes;
	int		 n;

	RB_FOREACH(r, runners, &runners)
		by[r->state]++;
	ask_count(&asks, &bytes);
	n = snprintf(buf, size,
	    "# TYPE marionette_runners gauge\n"
	    "marionette_runners{status=\"offline\"} %u\n"
	    "marionette_runners{status=\"idle\"} %u\n"
	    "marionette_runners{status=\"busy\"} %u\n"
	    "# TYPE marionette_questions gauge\n"
	    "marionette_questions{process=\"runnerd\"} %u\n",
	    by[RUNNER_OFFLINE], by[RUNNER_IDLE], by[RUNNER_BUSY], asks);
	return (n < 0 || (size_t)n >= size ? 0 : (size_t)n);
}
