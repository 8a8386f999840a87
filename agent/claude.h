/*
 * claude.h - Claude Code's frames, as a person reads them.
 */
#ifndef AGENT_CLAUDE_H
#define AGENT_CLAUDE_H

#include <stdint.h>

#include <jansson.h>

struct logged;
struct run;

/* The end of a streamed piece that may begin the key: claude_delta.c. */
struct held {
	char		*text;		/* NULL: nothing is held */
	size_t		 len;
	json_t		*frame;		/* that it came in */
	const char	*member;
};

/* A member that is a string, or "". */
const char	*claude_str(json_t *, const char *);
uint64_t	 claude_count(json_t *, const char *);
/* One line: "Bash: echo hi".  The caller frees it. */
char		*claude_action(const char *tool, json_t *input);
/* Why a result with is_error is one. */
char		*claude_error(json_t *result);
/* Fills in kind and level; the text, or NULL.  The caller frees it. */
char		*claude_classify(json_t *frame, struct logged *);

/* 1: it has logged this frame itself, masked; 0: it may be logged as it is. */
int		 claude_delta(struct run *, struct held *, json_t *frame);
void		 claude_delta_free(struct held *);

#endif
