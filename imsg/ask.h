/*
 * ask.h - a question that survives the peer it was put to (promise 3).
 *
 * The packed message is kept until it is answered and sent again, with the
 * same ref, whenever the peer comes back; what is asked this way must be
 * idempotent.  Rows that precede the answer find their question by ref.
 */
#ifndef ASK_H
#define ASK_H

#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/tree.h>

#include "peer.h"

/* Of all questions together: they fit a peer's queue when all are resent. */
#define ASK_BYTES_MAX	(PEER_QUEUE_HARD / 2)

/* What came of it: code "" is success.  Lent. */
struct answer {
	uint32_t	 rows;
	uint32_t	 retry_after;	/* seconds, 0 none */
	const char	*code;
	const char	*text;
	const uint8_t	*doc;
	size_t		 doc_len;
};

struct ask;
typedef void (*ask_done)(struct ask *, const struct answer *);

struct ask {
	RB_ENTRY(ask)	 entry;
	uint64_t	 ref;
	enum proc	 to;
	enum msg_type	 type;
	uint64_t	 deadline;	/* monotonic ms; 0 never */
	ask_done	 done;		/* NULL: nobody wants to know */
	void		*arg;		/* the asker's; freed by done */
	/* For whom: copied by ask_for(), so that done can answer. */
	enum proc	 client;
	uint64_t	 client_ref;
	uint32_t	 client_generation;
	unsigned int	 sent:1;
	unsigned int	 told:1;	/* the deadline has answered for it */
	unsigned int	 again:1;	/* refused for now: asked once a second */
	unsigned int	 doubtful:1;	/* who died may have done it */
	/*
	 * Set by the asker of a write whose memory follows the commit: done
	 * is called with outcome_unknown when the time is over (arg lives on)
	 * and once more when the answer comes, which no client waits for.
	 */
	unsigned int	 late:1;
	size_t		 len;
	uint8_t		 body[];
};

/*
 * Asks.  seconds: after so many without an answer done is called with code
 * "outcome_unknown" (a write; it is still sent until answered) or
 * "unavailable" (anything else), 0: wait for ever, also when storaged says
 * "unavailable": then it is asked again.  NULL with errno when the message is
 * not fit to be sent or ASK_BYTES_MAX is reached (ENOBUFS).
 */
struct ask *ask(enum proc to, enum msg_type, const void *m,
	    unsigned int seconds, ask_done, void *arg);
/* The same on behalf of a client's request, whose ref is kept in the ask. */
struct ask *ask_for(struct peer *client, uint64_t client_ref, enum proc to,
	    enum msg_type, const void *m, unsigned int seconds, ask_done,
	    void *arg);
/* Who is to be answered, or NULL: nobody, answered, or gone (promise 21). */
struct peer *ask_client(const struct ask *);
/* The open question of this ref that was put to p, or NULL (stale). */
struct ask *ask_find(const struct peer *p, uint64_t ref);
/* Answers it: calls done and forgets it.  Unknown refs are ignored. */
void	 ask_answer(const struct peer *p, uint64_t ref,
	    const struct answer *);
/* From STORED and REFUSED handlers. */
void	 ask_stored(const struct peer *p, uint64_t ref,
	    const struct msg_stored *);
void	 ask_refused(const struct peer *p, uint64_t ref,
	    const struct msg_refused *);
/* From peer_up: sends again what was not answered, in order. */
void	 ask_peer_up(struct peer *);
/* Once a second: deadlines. */
void	 ask_janitor(void);
/* Number of open questions and their bytes, for metrics. */
void	 ask_count(unsigned int *n, size_t *bytes);

#endif
