/*
 * sessiond.h - SessionMgr: who may act, sessions, and the one hub for events.
 */
#ifndef SESSIOND_H
#define SESSIOND_H

#include <sys/queue.h>
#include <sys/tree.h>
#include <sys/types.h>

#include <stdint.h>

#include "ask.h"
#include "deed.h"
#include "id.h"
#include "sessiond_msg.h"
#include "ticket.h"
#include "web.h"
#include "worker.h"

#define ASK_SECONDS	10	/* a client waits so long for the database */
/* Of whoever is no API key: administrators, local clients. */
#define SCOPES_ALL	"* admin:*"

/* Who somebody is; what tickets are made from. */
struct identity {
	char		 tenant[33];
	char		 key[ID_SIZE];	/* key_..., or local, admin, master */
	char		 name[65];
	char		 scopes[1025];	/* words */
	uint64_t	 expires;	/* Unix seconds of the key, 0 never */
};

enum status { PENDING, ACTIVE, SUSPENDED, RESUMING, TERMINATED, STATUS_MAX };
enum wish { WISH_NONE, WISH_SUSPEND, WISH_TERMINATE };
enum credential { CRED_UNKNOWN, CRED_HELD, CRED_MISSING };

/*
 * A session that is not terminated, as the database has it, and what is on
 * its way.  Dies when it is terminated.
 */
struct session {
	RB_ENTRY(session) entry;
	char		 tenant[33];
	char		 id[ID_SIZE];
	char		 agent[65], model[129];
	char		 runner[ID_SIZE], home[ID_SIZE];
	char		 agent_config[ID_SIZE], key_ref[ID_SIZE];
	uint64_t	 epoch;
	uint64_t	 released;	/* highest epoch that is over */
	uint64_t	 suspended_ms;	/* when it was asked to suspend */
	uint32_t	 idle_timeout;	/* seconds, 0 never */
	enum status	 status;
	enum wish	 wish;
	enum credential	 credential;
	uint8_t		*policy;
	size_t		 policy_len;
	/* On its way. */
	char		 reason[257];	/* why it waits, as stored */
	uint64_t	 wanted_ms;	/* newest task that waits, 0 none */
	uint64_t	 idle_since;	/* monotonic ms */
	uint64_t	 place_at;	/* monotonic ms of the next try to place,
					   revive or wish again */
	uint64_t	 leaving_since;	/* monotonic ms */
	unsigned int	 busy:1;
	unsigned int	 told_leaving:1;	/* to taskd */
	unsigned int	 quiet:1;	/* taskd has nothing running on it */
	unsigned int	 releasing:1;	/* SESSION_RELEASE was sent */
	unsigned int	 wishing:1;	/* our own SESSION_WISH or _REVIVE is
					   asked */
};
RB_HEAD(sessions, session);
RB_PROTOTYPE(sessions, session, entry, session_cmp);

struct sessiond {
	uint8_t		 ticket_key[PROC_MAX][TICKET_KEY_SIZE];
	uint8_t		 position_key[32];
	struct sessions	 sessions;
	uint64_t	 revocations;	/* of keys, that the web was told of */
	int		 loaded;
};
extern struct sessiond	*env;

/* reply.c */
void	 document(struct peer *, uint64_t, uint16_t, int, const uint8_t *,
	    size_t);
int	 relay(struct peer *, uint64_t, enum msg_type, const void *);
int	 relay_as(struct peer *, uint64_t, uint16_t, enum msg_type,
	    const void *);

/* auth.c */
void	 identity_welcome(struct peer *, uint64_t, const struct identity *);
int	 identity_set(struct identity *, const char *, const char *,
	    const char *, const char *);
void	 identity_tickets(const struct identity *, uint8_t [][TICKET_MAX],
	    size_t *, uint64_t *);
extern const enum proc	 owners[5];

/* admin.c: configured administrators and the master key */
void	 admin_reset(void), admin_configured(int reload);
void	 admin_add(const uint8_t *, size_t);
void	 admin_master(const uint8_t *, size_t);
int	 admin_is_master(const uint8_t [32]);
const char *admin_hash(const char *);
/* `admin.' or `master.' and hexadecimal digits; -1 when there is none. */
int	 admin_ticket_key(char [ID_SIZE], const char *key, const char *name);

/* password.c: the child that does slow hashes */
void	 password_fork(void);
void	 password_watch(void);

/* control.c */
void	 control_listen(int);
void	 control_watch(void);
void	 control_operator(const char *, const char *);
void	 control_reset(void);

/* session.c */
int	 session_cmp(struct session *, struct session *);
struct session *session_find(const char *);
struct session *session_stored(const struct msg_session_row *);
void	 session_set_status(struct session *, enum status, const char *,
	    uint64_t);
void	 sessions_load(void);
const char *status_name(enum status);

/* settle.c: what a session's state asks for */
void	 session_settle(struct session *);
void	 session_tell(const struct session *);
void	 session_attachment(const struct session *);
void	 sessions_tick(void);

/* tell.c: every session to who came up */
void	 sessions_peer_up(struct peer *);
void	 sessions_tell_some(void);
void	 session_claim(const struct session *);

/* waiter.c */
enum goal { GOAL_READ, GOAL_WISH, GOAL_REMOVE };	/* what was asked */
int	 waiter_add(struct peer *, uint64_t, const struct session *,
	    uint32_t, enum goal);
void	 waiters_wake(const char *);
void	 waiters_tick(void);
void	 waiters_peer_down(const struct peer *);

#endif
