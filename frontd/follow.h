/*
 * follow.h - an open stream of log lines or events to one client.
 */
#ifndef FOLLOW_H
#define FOLLOW_H

#include "api.h"

#define FOLLOW_LABELS	4096
#define FOLLOW_TYPES	1024

struct follow;
struct follow_kind {
	enum proc	 owner;
	uint32_t	 batch;		/* credit is given back in so much */
	/* Asks the owner for everything after f->after, with full credit. */
	void		(*start)(struct follow *);
	void		(*credit)(struct follow *, uint32_t);
	void		(*stop)(struct follow *);
	/* The owner's successor is there; 0: going on would miss something. */
	int		(*resumable)(const struct follow *);
};

/* Lives from the request to its end; freed by follow_end() and its kin. */
struct follow {
	RB_ENTRY(follow)		 entry;
	const struct follow_kind	*kind;
	uint64_t			 ref;
	uint64_t			 request;
	uint64_t			 begin_at;	/* monotonic ms */
	struct lease			 lease;
	size_t				 owed;	/* credit not given back */
	unsigned int			 begun:1;	/* stream_begin() */
	unsigned int			 given:1;	/* a position came */
	unsigned int			 away:1;	/* the owner is down */
	unsigned int			 lost:1;	/* to be resumed */
	char				 after[65];
	char				 task[ID_SIZE];
	char				 types[FOLLOW_TYPES + 1];
	char				 labels[FOLLOW_LABELS + 1];
	size_t				 labels_len;
};

struct follow	*follow_new(struct request *, const struct identity *,
		    const struct follow_kind *);
/* NULL: over, or another generation's. */
struct follow	*follow_find(const struct peer *, uint64_t);
struct request	*follow_request(struct follow *);
void		 follow_begin(struct follow *);
/* Sends what was put (stream_put()); -1: the stream is gone, f with it. */
int		 follow_flush(struct follow *);
/* The same for one item. */
int		 follow_send(struct follow *, const char *, const char *,
		    const char *, size_t);
/* n of credit was used and all of it was sent. */
void		 follow_used(struct follow *, uint32_t);
/* What is wanted is filled in: the owner is asked, now or when it can be. */
void		 follow_ask(struct follow *);
/* The owner cannot be asked now: it is when it is back. */
void		 follow_wait(struct follow *);
/* The stream too; all of it was said, or 0: the client is to come back. */
void		 follow_end(struct follow *, int);
void		 follow_forget(struct follow *); /* the request lives on */
/* REFUSED for a follower: 1 when it was one's. */
int		 follow_refused(struct peer *, uint64_t,
		    const struct msg_refused *);
/* Last-Event-ID or ?after= into f->after; -1: answered. */
int		 follow_position(struct request *, char *, size_t,
		    int (*)(const char *));
void		 follow_up(struct peer *), follow_down(struct peer *);
void		 follow_janitor(void);
size_t		 follow_count(void);

#endif
