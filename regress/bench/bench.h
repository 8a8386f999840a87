/*
 * bench.h - the fleet and the load in one process, so that their clocks agree.
 * A task is known by the number in its prompt, since ExecuteTask may be read
 * before the 201 is.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stddef.h>
#include <stdint.h>

#define BENCH_ID	48

struct event_base;
struct rest;
struct runner;
struct tls_config;

/* One POST /tasks and what became of it; in bench.tasks for ever. */
struct task {
	char		 id[BENCH_ID];	/* as ExecuteTask told */
	uint64_t	 posted;	/* ns: its first byte was written */
	uint64_t	 executed;	/* ns: its ExecuteTask was read */
	uint64_t	 ended;		/* ns: its RunCompleted was committed */
	unsigned int	 runs;		/* ExecuteTasks of different runs */
	int		 status;	/* of the POST's answer */
};

struct bench {
	struct event_base	*base;
	struct runner		*runners;
	struct task		*tasks;
	const char		*api_host;
	const char		*api_port;
	const char		*host;		/* of the runner listener */
	const char		*port;
	const char		*ca;		/* file; of the API listener */
	const char		*key;		/* API key */
	char			*token;		/* runner token, and its pin */
	char			*pin;
	size_t			 nrunners;
	size_t			 ntasks;	/* posted so far */
	size_t			 maxtasks;
	size_t			 connections;	/* that post the load */
	size_t			 samples;
	unsigned int		 lines;		/* a task */
	unsigned int		 line_bytes;
	int			 unread;	/* nothing is verified */
	/* Counted by the fleet. */
	size_t			 connected;
	size_t			 attached;
	size_t			 executed;
	size_t			 ended;
};
extern struct bench	*bench;

uint64_t now_ns(void);

/* runner.c: one fake runner, from its enrolment on */
void	 runners_start(void);
/* What line `n' of task `i' says. */
size_t	 runner_line(char *, size_t, size_t i, unsigned int n);

/* rest.c: a keep-alive connection, one request at a time */
typedef void	(*rest_done)(struct rest *, int status, const char *body,
		    size_t, void *);
struct rest *rest_open(void);
void	 rest_close(struct rest *);
/* Returns the time of its first byte. */
uint64_t rest_send(struct rest *, const char *method, const char *path,
	    const char *body, rest_done, void *);
int	 rest_is_idle(const struct rest *);
const char *rest_tls(const struct rest *);

/* load.c: what is measured */
void	 sessions_create(void);
void	 measure_dispatch(void);
void	 measure_get(void);
void	 measure_load(void);

/* verify.c: the books against what the server says */
size_t	 verify(void);

/* main.c: turns the loop until *n is at least `want'. */
void	 wait_for(const size_t *n, size_t want, const char *what);
void	 pause_ms(unsigned int);

#endif
