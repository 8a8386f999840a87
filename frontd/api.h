/*
 * api.h - the API half's own: who asks, what was asked of which worker, and
 * the helpers that every api_*.c uses.  What it shares with the engine is
 * frontd.h.
 */
#ifndef API_H
#define API_H

#include "frontd.h"
#include "id.h"
#include "peer.h"

#define WAIT_MAX	60		/* seconds, ?wait= */

/* api.c: called by main.c. */
void	 api_init(void);
void	 api_peer_up(struct peer *);
void	 api_peer_down(struct peer *);
void	 api_janitor(void), api_drain(void);
size_t	 api_metrics(char *, size_t);
int	 api_is_idle(void);

/* identity.c: who a credential is; tickets for the five owners. */
#define OWNERS		(PROC_PROVIDERD - PROC_SESSIOND + 1)
struct identity {
	char		 key[ID_SIZE], name[65], tenant[33], scopes[1025];
	uint64_t	 bits;		/* SCOPE_R, SCOPE_W */
	uint64_t	 expires;	/* Unix seconds, of the tickets */
	size_t		 ticket_len[OWNERS];
	uint8_t		 ticket[OWNERS][256];
};
struct msg_authenticated;
struct msg_local_client;
void	 identity_set(struct identity *, const struct msg_authenticated *);
void	 identity_set_local(struct identity *,
	    const struct msg_local_client *);
/* Designated initialisers of `request' in a message to an owner. */
#define ASKS(req, who, owner)						\
	.ticket = (who)->ticket[(owner) - PROC_SESSIOND],		\
	.ticket_len = (who)->ticket_len[(owner) - PROC_SESSIOND],	\
	.request_id = (req)->request_id

/*
 * lease.c: an identity that outlives the cache (a stream, a local client): its
 * tickets are renewed until ended() says that it was refused.
 */
struct lease {
	RB_ENTRY(lease)		 entry;
	struct identity		 who;
	uint64_t		 id;
	uint64_t		 asked;		/* monotonic ms, of AUTH_RENEW */
	int			 over;
	void			(*ended)(struct lease *);
};
void	 lease_begin(struct lease *, const struct identity *,
	    void (*)(struct lease *));
void	 lease_end(struct lease *);
void	 lease_revoked(const char *);
void	 lease_janitor(void);

/*
 * auth.c: NULL when the request was answered or its row's function will be
 * called again.  Lent until the end of the turn.
 */
const struct identity *auth(struct request *);
void	 auth_forget(const struct request *);
void	 auth_revoked(const char *);
void	 auth_janitor(void);
size_t	 auth_count(void);
/* credential.c: what came with the request. */
enum credential_kind { CRED_NONE, CRED_BAD, CRED_KEY, CRED_PASSWORD,
	CRED_STREAM, CRED_LOCAL };
struct credential {
	enum credential_kind	 kind;
	uint8_t			 hash[32];	/* of a key, as it is stored */
	char			 user[65], password[257];
	const char		*ticket, *tenant, *why;
};
void	 credential_of(const struct request *, struct credential *);
void	 credential_cache_key(const struct request *,
	    const struct credential *, uint8_t[32]);
int	 credential_page_may(const struct request *);
const char *credential_origin(const struct request *);

/*
 * pending.c: a question to an owner, on behalf of a request or (NULL) of
 * frontd itself.  done is called once, with `want' or MSG_REFUSED, unless the
 * request is gone; without done a DOCUMENT or refusal is replied.
 */
#define P_READ	0		/* owner dies: 503 */
#define P_WRITE	1		/* owner dies: 504 outcome_unknown */
#define P_AGAIN	2		/* owner dies: asked again when it is back */
#define P_LATER	3		/* also, asked then when it is away already */
typedef void (*pending_done)(struct request *, enum msg_type, const void *,
	    void *);
/* For an answer: owners say after ten seconds that they cannot say. */
#define PENDING_MS	15000
struct expect {
	enum msg_type	 want;		/* MSG_NONE: MSG_DOCUMENT */
	int		 flags;
	unsigned int	 wait;		/* seconds that the owner may hold it */
	uint32_t	 limit;		/* ms besides; 0: fifteen seconds */
	pending_done	 done;
	void		*arg;		/* malloced, ours from now on */
	size_t		 arg_len;
};
void	 pending_ask(struct request *, enum proc, enum msg_type, const void *,
	    const struct expect *);
void	 api_read(struct request *, enum proc, enum msg_type, const void *);
void	 api_write(struct request *, enum proc, enum msg_type, const void *,
	    int);
void	 pending_answer(struct peer *, uint64_t, enum msg_type, const void *);
void	 pending_up(struct peer *), pending_down(struct peer *);
void	 pending_janitor(void), pending_drain(void);
size_t	 pending_count(void);
uint64_t ref_new(void);

/* A stream waits so long for an owner that is away: who is told 503 is gone. */
#define AWAY_MS	10000
/*
 * retry.c: 1 when its row's function will be called again instead of the
 * answer that it is not to be had now.
 */
int	 request_retry(struct request *);
void	 retry_janitor(void);

/* refusal.c: answers out of DOCUMENT and REFUSED. */
struct msg_document;
struct msg_refused;
void	 document_reply(struct request *, const struct msg_document *);
void	 refusal_reply(struct request *, const struct msg_refused *);
int	 refusal_may_pass(const struct msg_refused *);
/* A stale ticket, whose identity is forgotten? */
int	 refusal_forgets(const struct request *, const struct msg_refused *);
void	 refuse(struct request *, const char *, const char *, ...)
	    __attribute__((format(printf, 3, 4)));
void	 refuse_later(struct request *, const char *, const char *,
	    unsigned int);
int	 refusal_status(const char *);

#endif
