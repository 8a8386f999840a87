/*
 * runnerd.h - RunnerMgr: runners and their streams, claims of sessions, runs
 * on their way, and the one hub of log lines.
 */
#ifndef RUNNERD_H
#define RUNNERD_H

#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/tree.h>

#include "ask.h"
#include "id.h"
#include "ticket.h"
#include "wire.h"
#include "worker.h"
#include "runnerd_msg.h"

#define READ_SECONDS	10
#define WRITE_SECONDS	10
#define TENANT_SIZE	33
#define CERT_MAX	4096
#define AGENTS_SIZE	1025	/* words, with spaces between them */

enum grpc { GRPC_OK = 0, GRPC_INVALID_ARGUMENT = 3, GRPC_DEADLINE_EXCEEDED = 4,
	GRPC_PERMISSION_DENIED = 7, GRPC_RESOURCE_EXHAUSTED = 8,
	GRPC_ABORTED = 10, GRPC_UNAVAILABLE = 14, GRPC_UNAUTHENTICATED = 16 };

struct settings {
	unsigned int	 heartbeat, lost_after;	/* seconds */
	int		 skip_tls;	/* a runner need not show a certificate */
	uint8_t		 ticket[TICKET_KEY_SIZE];
	int		 has_ticket;
};
extern struct settings	 settings;
void	 settings_option(const char *, const char *);
void	 settings_secret(const char *, const uint8_t *, size_t);
void	 settings_check(void);
void	 peers_up(struct peer *), peers_down(struct peer *);
void	 peers_janitor(void), peers_drain(void);
enum runner_state { RUNNER_OFFLINE, RUNNER_IDLE, RUNNER_BUSY, RUNNER_STATES };
enum runner_event { RUNNER_HELLO, RUNNER_AWAY, RUNNER_CLAIM, RUNNER_FREE,
	RUNNER_EVENTS };

struct stream;
struct named;
TAILQ_HEAD(facts, fact);

struct runner {				/* as long as runnerd lives */
	RB_ENTRY(runner) entry;		/* by id */
	RB_ENTRY(runner) cert_entry;	/* by cert_hash */
	RB_ENTRY(runner) holder;	/* by session, while it has one */
	TAILQ_ENTRY(runner) ack_entry;	/* while ack_due */
	uint32_t	 slot;		/* its number, in refs to taskd */
	char		 id[ID_SIZE];
	char		 tenant[TENANT_SIZE];
	char		 pool[65], name[65];
	char		*agents;	/* words */
	uint8_t		 shared;
	uint8_t		*certificate;
	size_t		 certificate_len;
	uint8_t		 cert_hash[32];
	enum runner_state state;
	struct stream	*stream;	/* after its Hello, or NULL */
	unsigned int	 nlogs, nfinds;	/* Logs streams; look-ups for them */
	char		 session[ID_SIZE];	/* attached, or empty */
	uint64_t	 epoch;
	uint64_t	 freed;		/* monotonic ms, for taking turns */
	uint64_t	 refused;	/* the same: a claim, 0 none since */
	uint64_t	 heard;		/* monotonic ms */
	unsigned int	 heartbeat;	/* seconds, as it was told */
	unsigned int	 away;		/* seconds offline while we listened */
	unsigned int	 claiming:1, beat:1, lost:1, kept_asked:1;
	unsigned int	 state_asked:1, state_dirty:1;
	char		 version[33];
	char		*labels, *resources;	/* JSON, or empty */
	char		(*kept)[ID_SIZE];	/* sessions, kept.c */
	size_t		 nkept;
	uint64_t	 kept_due;	/* monotonic ms */
	struct named	*named;		/* runs of its Hello, run.c */
	size_t		 nnamed;
	/* upward.c: numbers up to acked are noted, up to last were taken. */
	struct facts	 facts;
	size_t		 nfacts, fact_bytes;
	uint64_t	 acked, last;
	uint32_t	 owed;		/* credit withheld */
	unsigned int	 unnumbered:1, ack_due:1;
};

/* stream.c */
uint64_t stream_ref(const struct stream *);
void	 stream_command(struct runner *, Marionette__V1__ServerCommand *);
void	 stream_end(struct stream *, enum grpc, const char *);
void	 stream_credit(struct stream *, uint32_t);
void	 stream_reply(uint64_t ref, const uint8_t *, size_t);
void	 stream_end_ref(uint64_t ref, enum grpc, const char *);
void	 streams_drop(void), streams_janitor(void), streams_verify(void);
/* token.c */
int	 ca_is_known(void);		/* providerd has said */
void	 ca_certificate(ProtobufCBinaryData *);	/* DER, not a copy */
/* enrol.c */
void	 enrol(uint64_t ref, const uint8_t hash[32],
	    const Marionette__V1__EnrollRequest *);
/* runner.c */
struct runner *runner_find(const char *id);
struct runner *runner_by_cert(const uint8_t hash[32]);
struct runner *runner_by_session(const char *);
/* It has this session from now on; or none (""). */
void	 runner_has(struct runner *, const char *session);
struct runner *runner_by_slot(uint32_t);
struct runner *runner_next(struct runner *);	/* NULL: the first */
int	 runners_are_loaded(void);
void	 runners_load(void);
void	 runner_hello(struct runner *, struct stream *,
	    const Marionette__V1__Hello *);
void	 runner_gone(struct runner *, int at_once);
int	 runner_offers(const struct runner *, const char *agent);
void	 runner_save(struct runner *);
void	 runners_janitor(void), runners_drain(unsigned int seconds);
size_t	 runners_metrics(char *, size_t);
void	 runner_event(struct runner *, enum runner_event);
#endif
