/*
 * fleet.h - the fleet as a whole: what it was told to do, how far it is, and
 * the small things that all files use.  Runners and their runs are in runner.h,
 * what the REST side is made of in client.h.
 *
 * A task is known by its mark, `PROCESS-NUMBER' in its prompt, since its
 * ExecuteTask may be read before the 201 is.
 */
#ifndef FLEET_H
#define FLEET_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define FLEET_ID	48	/* ids of the server's */
#define MARK_SIZE	32
#define NO_TASK		SIZE_MAX

struct event_base;

struct fleet {
	struct event_base	*base;
	/* From the command line. */
	const char	*api_host, *api_port;
	const char	*host, *port;	/* of the runner listener */
	const char	*ca;		/* file; of the API listener */
	const char	*key;		/* API key */
	char		*token, *pin;	/* runner token */
	const char	*papers;	/* where runners' identities are kept */
	const char	*hook;		/* told when a measurement begins, ends */
	const char	*script;	/* words for the prompts */
	const char	*agent;		/* that the sessions want */
	size_t		 nrunners, nsessions, connections, followers;
	size_t		 ntasks;	/* to be posted */
	size_t		 ask_every;	/* every k-th task asks; 0 none */
	size_t		 log_every;	/* every k-th task's log is followed */
	double		 rate;		/* tasks a second; 0: closed loop */
	const char	*probe;		/* what needs the one who is killed */
	pid_t		 victim;
	int		 enduring, unread;
	int		 patient;	/* a 503 is waited for: not measured */
	/* At work. */
	char		 mark[12];	/* of this process */
	size_t		 connected;	/* runners that are welcome now */
	size_t		 attached;	/* runners that hold a session now */
	size_t		 ended;		/* tasks whose end was acknowledged */
	size_t		 over;		/* tasks whose end an event told */
	size_t		 answered;	/* posts */
	size_t		 wrong;		/* what must not be and was seen */
	void		 (*turn)(void);	/* called while something is waited for */
	int		 eager;		/* dials again without a pause */
	int		 stopping;
};
extern struct fleet	*fleet;

/* loop.c: time, and turning the loop until something is so */
uint64_t now_ns(void);
/* Until *n is at least `want'; without any progress for a minute: lost. */
void	 wait_for(const size_t *n, size_t want, const char *what);
/* The same for a number that may change meanwhile. */
void	 wait_until(const size_t *n, const size_t *want, const char *what);
void	 wait_ms(unsigned int);
void	 hook(const char *);
/* Something must not be: the end, or when enduring it is told and counted. */
void	 wrong(const char *, ...) __attribute__((format(printf, 1, 2)));

/* book.c: what was told and sent, see ../README.md */
void	 book_open(const char *);
int	 book_is_open(void);
void	 book(const char *, ...) __attribute__((format(printf, 1, 2)));

/* hist.c: how often something took how long; 1 % apart */
struct hist;
struct hist *hist_new(void);
void	 hist_add(struct hist *, uint64_t ns);
double	 hist_ms(const struct hist *, double share);
/* NAME_p50, NAME_p99 and NAME_max, in milliseconds */
void	 hist_print(const struct hist *, const char *name);
void	 hist_free(struct hist *);

/* script.c: what a run does, said in its prompt */
struct script {
	unsigned int	 lines, bytes;	/* how many, and of each */
	unsigned int	 rate;		/* lines a second; 0: at once */
	unsigned int	 wait, delay;	/* ms before the lines, before the end */
	unsigned int	 ask;		/* questions, one after the other */
	unsigned int	 progress;	/* reports */
	int		 fails;
};
/* -1 when the prompt is no script of anybody's. */
int	 script_read(struct script *, char mark[MARK_SIZE], const char *prompt);
/* The length of each line of this run. */
size_t	 script_bytes(const struct script *, const char *mark);
/* Line n, and where in it the number is (8 digits) and the time (16, hexadecimal). */
void	 script_line(char *, size_t len, const char *mark, uint64_t n,
	    uint64_t ns);
size_t	 script_number(const char *mark);
size_t	 script_stamp(const char *mark);
/* Is it line n?  Whenever it was written: *ns. */
int	 script_is_line(const char *, size_t len, const char *mark, uint64_t n,
	    uint64_t *ns);

/* task.c: one POST /tasks and what became of it; for ever */
struct task {
	char		 id[FLEET_ID];	/* as ExecuteTask or the 201 told */
	uint64_t	 due;		/* ns: when it was to be posted */
	uint64_t	 posted;	/* its first byte was written */
	uint64_t	 answered;	/* its 201 was read */
	uint64_t	 executed;	/* its ExecuteTask was read */
	uint64_t	 ended;		/* its RunCompleted was committed */
	uint64_t	 asked, seen;	/* its first question: sent, followed */
	uint64_t	 decided, known;	/* answered, known to the runner */
	uint32_t	 runs;		/* different ones that were begun */
	uint32_t	 session;
	uint32_t	 lines, bytes;
	uint16_t	 status;	/* of the POST's answer */
	uint8_t		 asks, over;	/* over: an event said that it ended */
};
size_t	 task_new(uint64_t due);
struct task *task_get(size_t);
size_t	 tasks_count(void);
/* Of a mark: NO_TASK when it is another process's. */
size_t	 task_of(const char *mark);
/* Of an id that was told: NO_TASK when it is of none of ours. */
size_t	 task_by_id(const char *id);
void	 task_mark(char mark[MARK_SIZE], size_t);
void	 task_prompt(char *, size_t, size_t);
void	 task_is(size_t, const char *id);
void	 task_executed(size_t, const char *id, uint64_t at);
void	 task_ended(size_t);
/* An event says that it has. */
void	 task_over(size_t);

#endif
