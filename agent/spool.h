/*
 * spool.h - the log lines of runs, on disk until the server has them.
 */
#ifndef AGENT_SPOOL_H
#define AGENT_SPOOL_H

#include <stddef.h>
#include <stdint.h>

#include "runner.pb-c.h"

struct spool;

/* All that are on disk; the journal was replayed before. */
void	 spool_open_all(void);
void	 spool_load_ack(const uint8_t *, size_t);
struct spool *spool_new(const char *run_id);	/* NULL with errno */
void	 spool_append(struct spool *, const Marionette__V1__LogLine *);
/* May more be read from the program? */
int	 spool_has_room(const struct spool *);
uint64_t spool_number(const struct spool *);	/* of the last line */
int	 spool_durable(struct spool *);
/* By run id, of a spool that may be gone. */
uint64_t spool_last(const char *run_id);
void	 spool_finish(const char *run_id, uint64_t last);
int	 spool_holds(const char *run_id);
void	 spool_ack(const char *run_id, uint64_t up_to);
void	 spool_rewind(void);
int	 spool_write_all(void);
int	 spool_send_all(void);		/* -1: again in a second */
/* The end of this run, with this last line, goes up. */
void	 spool_passed(const char *run_id, uint64_t last);
void	 spool_puts(void);
void	 spool_punch(void);		/* after journal_sync() */
uint64_t spool_queued(void);

#endif
