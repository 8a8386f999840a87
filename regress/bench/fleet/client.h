/*
 * client.h - the REST side: connections, requests, streams of Server-Sent
 * Events, and who posts, follows and approves with them.
 */
#ifndef CLIENT_H
#define CLIENT_H

#include <sys/types.h>

#include "fleet.h"

/* conn.c: a TLS connection to the API listener; freed by itself when down */
struct conn;
struct conn_ops {
	void	(*up)(void *);
	/* What came and was not used yet; returns how much is used now. */
	size_t	(*data)(const char *, size_t, void *);
	/* Once; the connection is gone afterwards. */
	void	(*down)(const char *why, void *);
};
struct conn *conn_open(const struct conn_ops *, void *);
void	 conn_write(struct conn *, const void *, size_t);
/* No call-back comes any more. */
void	 conn_close(struct conn *);
void	 conns_cut(unsigned int percent);

/* http.c: the head of an HTTP/1.1 answer */
struct head {
	int		 status;
	size_t		 body;		/* its length */
	int		 chunked, close;
	unsigned int	 retry_after;	/* seconds, or 0 */
};
/* Its length; 0 when it is not whole yet. */
size_t	 http_head(const char *, size_t, struct head *);
/* The head of a request, with the key; the rest of it follows. */
size_t	 http_request(char *, size_t, const char *method, const char *path);

/* peek.c: a member of a JSON text, found without parsing all of it */
int	 peek(const char *, size_t, const char *name, char *out, size_t);
/* The member `inner' of the object that `outer' is. */
int	 peek_in(const char *, size_t, const char *outer, const char *inner,
	    char *out, size_t);

/* rest.c: one request at a time on a kept connection */
struct rest;
struct answer {
	int		 status;	/* 0: none came */
	const char	*body;		/* NUL-terminated */
	size_t		 len;
	unsigned int	 retry_after;
};
typedef void	(*rest_done)(struct rest *, const struct answer *, void *);
struct rest *rest_open(void);
void	 rest_close(struct rest *);
/* idem: the Idempotency-Key or NULL; body: NULL for a GET. */
void	 rest_send(struct rest *, const char *method, const char *path,
	    const char *idem, const char *body, rest_done, void *);
void	 rest_wait(struct rest *);

/* will.c: a POST that is repeated until the server has said yes or no */
typedef void	(*will_done)(const struct answer *, void *);
void	 will_post(struct rest *, const char *path, const char *idem,
	    const char *body, will_done, void *);

/* session.c */
void	 sessions_create(void);
void	 sessions_end(void);
const char *session_id(size_t);

/* post.c: connections that post tasks */
/* due: 1 and since when, or 0 */
void	 posters_open(size_t n, int (*due)(uint64_t *));
void	 post_more(void);	/* whoever is idle asks what is due */

/* load.c: posts so many tasks more; waits until all posted ones have ended */
void	 load_post(size_t n);
void	 load_end(void);
uint64_t load_begun(void);	/* ns */

/* get.c */
void	 get_at_rate(const char *path, size_t n);

/* sse.c: a stream of events that is taken up again where it ended */
struct sse;
struct sse_ops {
	/* -1: the stream has ended as it should, and is not taken up again */
	int	(*event)(struct sse *, const char *id, const char *type,
		    const char *data, size_t, void *);
	void	(*begun)(struct sse *, void *);
	void	(*turn)(struct sse *, void *);	/* what came was handled */
	void	(*ended)(struct sse *, int status, void *);
};
struct sse *sse_open(const char *path, const struct sse_ops *, void *);
void	 sse_close(struct sse *);

/* follow_event.c, follow_log.c */
void	 events_follow(size_t n);
void	 events_close(void);
/* All of them have seen the same. */
void	 events_check(void);
void	 log_follow(size_t task, struct hist *);
/* Until all of them have seen the end. */
void	 logs_check(void);
/* How many have begun, have ended; lines of all. */
size_t	*logs_ready(void), *logs_ended(void);
uint64_t logs_lines(void);
double	 logs_rate(void);	/* a second, from the first to the last */

/* approve.c: answers what the first follower sees asked */
void	 approve(const char *permission, const char *action);

/* outage.c: until `what' succeeds again after this process was killed */
void	 outage(const char *what, pid_t);

/* measure.c: what the fleet does, by name */
int	 command_run(const char *name);

/* verify.c: what was posted and run against what the server says */
size_t	 verify(void);

#endif
