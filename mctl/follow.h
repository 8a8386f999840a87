/*
 * A task's log, shown as it grows: line.c, follow.c.
 */

#ifndef FOLLOW_H
#define FOLLOW_H

#include "stream.h"

/* What of the log has been printed. */
struct render {
	struct str	 delta;		/* text that came in pieces */
	struct str	 said;		/* the last whole text */
	size_t		 repeated;	/* of delta, by the whole message */
	int		 raw;
	int		 midline;	/* no newline yet */
	int		 partial;	/* the line goes on in the next */
};

struct follow {
	struct mctl	*m;
	const char	*task;
	json_t		*end;		/* the task, ended; or NULL */
	struct render	 render;
	struct stream	 stream;
	int		(*tick)(struct follow *);	/* or NULL */
	void		*arg;
	int64_t		 sequence;	/* of the last line */
	int64_t		 polled;
	char		 run[64];	/* whose sequence that is */
	char		 shown[128];	/* the last state told */
	int		 silent;	/* print no lines */
	int		 stopped;	/* by the tick, or nobody reads */
	int		 asked;		/* a permission line came */
};

void	 render_line(struct mctl *, struct render *, json_t *);
void	 render_break(struct render *);
void	 render_free(struct render *);

int	 follow_line(struct follow *, json_t *);
int	 follow_run(struct follow *);
void	 follow_free(struct follow *);
void	 follow_state(struct follow *, json_t *);
int	 task_ended(json_t *);
int	 task_code(json_t *);
void	 task_tell(struct mctl *, json_t *);
void	 task_left(const char *);
json_t	*task_peek(struct mctl *, const char *);

#endif
