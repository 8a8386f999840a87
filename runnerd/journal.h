/*
 * journal.h - log lines on their way: from a runner's Logs stream (logs.c),
 * rendered (line.c), stored in order (journal.c), to followers (follow.c).
 */
#ifndef JOURNAL_H
#define JOURNAL_H

#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "wire.h"

#define LINES_MAX	262144	/* bytes of one LOG_APPEND, one LOG_LINES */

/* line.c: a line of text is one JSON object and its newline. */
/* Renders one line: its length; at most LINES_MAX. */
size_t	 line_render(char out[LINES_MAX], const char *run, uint32_t attempt,
	    uint64_t number, const Marionette__V1__LogLine *);
/* What is left of len bytes at *p behind n lines; *p moves there. */
size_t	 lines_skip(const uint8_t **p, size_t len, uint64_t n);
/* Bytes of the whole lines that fit max, at least one line; *n of them. */
size_t	 lines_fit(const uint8_t *p, size_t len, size_t max, uint32_t *n);
/* `attempt.line'; 0, or -1.  Empty is 0.0, before the first line. */
int	 position_parse(const char *, uint32_t *attempt, uint64_t *line);
/*
 * Of `count' lines from `first', the number to leave out when `next' is the
 * one that is expected, or -1: there is a gap before them.
 */
int64_t	 lines_overlap(uint64_t first, uint64_t count, uint64_t next);

/* journal.c */
/* A run that nobody has seen yet: no line of it is stored. */
void	 journal_fresh(const char *run, const char *task, const char *tenant,
	    const char *runner, uint32_t attempt);
/* It is this runner's, whatever was found before it was assigned. */
void	 journal_runner(const char *run, const char *runner);
/* Nothing more is to be known of it; lines that come all the same are. */
void	 journal_over(const char *run);
/* Is line up_to of this run committed, or known to be lost for ever? */
int	 journal_has(const char *run, uint64_t up_to);
/*
 * Takes a batch from a Logs stream, which is told what comes of it; or -1: not
 * before its run is looked up, or that can be asked.
 */
int	 journal_batch(uint64_t stream, const Marionette__V1__LogBatch *,
	    size_t len);
void	 journals_janitor(void);

/* logs.c: answers to a Logs stream, which may be gone. */
/* This run was looked up (0), or could not be (-1): who waits for it goes on. */
void	 logs_found(const char *run, int rc);
/* How many runs are looked up for this stream's runner; NULL: enough. */
unsigned int *logs_finds(uint64_t stream);
/* May this stream bring lines of that runner's? */
int	 logs_are_of(uint64_t stream, const char *runner);
void	 logs_ack(uint64_t stream, const char *run, uint64_t up_to);
void	 logs_credit(uint64_t stream, size_t bytes);
void	 logs_end(uint64_t stream, int status, const char *text);
void	 logs_drop(void), logs_janitor(void);

/* follow.c: these lines of a task are committed. */
void	 follow_lines(const char *task, uint32_t attempt, uint64_t first,
	    uint32_t count, const uint8_t *, size_t);
/* Another taskd is there: that a task has ended may have been told to nobody. */
void	 followers_again(void);
void	 followers_janitor(void);
struct peer;
void	 followers_drop(const struct peer *);
unsigned int followers_count(void);
#endif
