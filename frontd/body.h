/*
 * body.h - what a request says: its JSON body field by field, its query, its
 * preconditions and its Idempotency-Key.  The API half's.
 */
#ifndef BODY_H
#define BODY_H

#include <jansson.h>

#include "api.h"

#define LIST_LIMIT_MAX	500
#define LIST_LIMIT	50

/* json.c: the body, field by field.  The first mistake is what is told. */
#define B_REQUIRED	1
#define B_PATCH		2
#define B_FIELDS	40
struct body {
	struct request	*req;
	json_t		*root;
	const char	*seen[B_FIELDS];
	int		 nseen, failed;
	char		 field[65], why[512];
};
void	 json_init(void);
char	*json_text(const json_t *, size_t *);
void	 json_text_free(char *);
int	 body_open(struct body *, struct request *);
json_t	*body_get(struct body *, const char *);
void	 body_fail(struct body *, const char *, const char *, ...)
	    __attribute__((format(printf, 3, 4)));
const char *body_str(struct body *, const char *, size_t, int);
const char *body_id(struct body *, const char *, const char *, int);
const char *body_enum(struct body *, const char *, const char *, int);
int64_t	 body_int(struct body *, const char *, int64_t, int64_t, int64_t);
int	 body_bool(struct body *, const char *);
json_t	*body_map(struct body *, const char *, size_t, int);
json_t	*body_json(struct body *, const char *, size_t, int);
uint64_t body_time(struct body *, const char *);
void	 body_unsupported(struct body *, const char *const *);
int	 body_close(struct body *);	/* -1: answered and freed */
void	 body_free(struct body *);

/* when.c: RFC 3339 with Z or an offset; Unix seconds, or -1. */
time_t	 when_read(const char *);

/*
 * list.c: the query.  kind of a filter: NULL any text, "id:sess" ids, else the
 * words that there are ("a|b").  filter_query() gives the JSON object that
 * owners get (json_text_free() it), or NULL when the request was answered.
 */
#define F_LABELS	1	/* label=key=value */
#define F_LIST		2	/* limit, cursor, count */
#define F_LOG		4	/* limit, after or cursor, tail */
struct filter {
	const char	*name, *kind;
};
char	*list_query(struct request *, const struct filter *, int, size_t *);
/* Only these (NULL at the end) and what the listener adds; -1: answered. */
int	 query_only(struct request *, const char *const *);
int	 query_wait(struct request *, unsigned int *);
json_t	*query_labels(struct request *);
int	 path_id(struct request *, int, const char *);
int	 position_is(const char *);
int	 word_is(const char *, const char *);	/* words "a|b", word */
#define NAME_SHOWN	64
int	 text_cut(const char *, size_t);

/* idem.c: the client's Idempotency-Key or one of ours. */
struct idem {
	char	 key[256];
	uint8_t	 hash[32];
};
int	 idem_make(struct request *, const struct identity *, const json_t *,
	    struct idem *);
#define IDEM(i)	.idem_key = (i)->key, .idem_hash = (i)->hash,		\
	.idem_hash_len = sizeof((i)->hash)

/* etag.c */
void	 etag_reply(struct request *, const char *);
int	 etag_is_known(const struct request *, const char *);
int	 etag_if_match(struct request *, char *, size_t);

/* agent.c: kinds of agents, and keys of theirs on the way to providerd. */
const char *body_agent(struct body *, int);
const char *body_key(struct body *, int);
const char *body_base_url(struct body *);
void	 body_wipe(struct request *);
void	 key_hold(struct request *, const struct identity *, const char *,
	    const char *, const char *, pending_done, void *, size_t);
/* token.c: an object with a member that is shown this once. */
void	 token_reply(struct request *, const uint8_t *, size_t, const char *,
	    const uint8_t *, size_t, int);

#endif
