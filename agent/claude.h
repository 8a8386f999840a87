/*
 * claude.h - Claude Code's frames, as a person reads them.
 */
#ifndef AGENT_CLAUDE_H
#define AGENT_CLAUDE_H

#include <sys/queue.h>
#include <sys/tree.h>

#include <stdint.h>

#include <jansson.h>

struct logged;
struct run;

/* Frames whose pieces end with what may begin the key: claude_delta.c. */
struct held {
	struct {
		char	*text;
		size_t	 len;
		json_t	*frame;
	}		*line;
	size_t		 n;
	char		*text;		/* the beginning of a key */
	size_t		 len;
	const char	*member;
};

/* Calls that were asked about: claude_gate.c. */
struct call;
struct gate {
	TAILQ_HEAD(, call)	 asked;		/* and not answered */
	RB_HEAD(calls, call)	 approved;
};

/* A member that is a string, or "". */
const char	*claude_str(json_t *, const char *);
uint64_t	 claude_count(json_t *, const char *);
/* One line: "Bash: echo hi", "Grep in src: hi".  The caller frees it. */
char		*claude_action(const char *tool, json_t *input);
/* Why a result with is_error is one. */
char		*claude_error(json_t *result);
/* Fills in kind and level; the text, or NULL.  The caller frees it. */
char		*claude_classify(json_t *frame, struct logged *);

/* 1: it holds the line, or has logged it masked; 0: it may be logged. */
int		 claude_delta(struct run *, struct held *, json_t *frame,
		    const char *line, size_t len);
/* What is held was no key after all. */
void		 claude_delta_flush(struct run *, struct held *);
void		 claude_delta_free(struct held *);

void		 gate_init(struct gate *);
void		 gate_free(struct gate *);
/* It asked, with this request, whether it may do this call. */
void		 gate_asked(struct gate *, const char *request_id,
		    const char *id);
/* Denied, too, when it takes its question back. */
void		 gate_answered(struct gate *, const char *request_id,
		    int approved);
/* The call, lent, that was done and not approved; or NULL. */
const char	*gate_breach(struct gate *, json_t *frame);

#endif
