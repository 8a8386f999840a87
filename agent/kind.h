/*
 * kind.h - the kinds of coding agents: one entry and one file each.
 */
#ifndef AGENT_KIND_H
#define AGENT_KIND_H

#include <stddef.h>

#include <jansson.h>

struct agent;
struct ask;
struct program;
struct run;
struct spec;

struct kind {
	const char	*name;
	/* Arguments and environment; -1: r->error says why not. */
	int	(*start)(struct run *, struct spec *);
	/* It runs: the first lines to its stdin. */
	void	(*begin)(struct run *);
	/* A line of stdout, scrubbed and masked: log it, act on it. */
	void	(*line)(struct run *, const char *, size_t);
	/* A person decided; input is the edited one or NULL, lent. */
	void	(*answer)(struct run *, struct ask *, int approved,
		    const char *reason, json_t *input, json_t *answers);
	/* Asks it to stop by itself; NULL: it cannot be asked. */
	void	(*interrupt)(struct run *);
	/* It ended by itself with this status: result, error. */
	void	(*ended)(struct run *, int wait_status);
	/* At the end of each turn, while it runs; or NULL. */
	void	(*turn)(struct run *);
	void	(*release)(struct run *);
};

extern const struct kind	kind_claude;
extern const struct kind	kind_custom;

/* --agent: kind[=path]. */
void		 kind_add(struct agent *, char *);
/* What is there without being named. */
void		 kind_find(struct agent *);
const struct program *kind_program(const char *name);

#endif
