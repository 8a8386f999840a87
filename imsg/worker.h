/*
 * worker.h - the skeleton of every worker: told its configuration, jailed,
 * given its peers, then turns until the parent is gone.
 */
#ifndef WORKER_H
#define WORKER_H

#include <event2/event.h>
#include <stddef.h>
#include <stdint.h>

#include "peer.h"
#include "sandbox.h"

#define INSTANCE_SIZE	33	/* of a server's start: hex, and its NUL */

/*
 * The exit status of a storaged that was overtaken by another server on its
 * database: no restart of its own helps, since what the owners remember is old.
 * (sysexits(3): EX_TEMPFAIL.)
 */
#define WORKER_OVERTAKEN 75
/* Of `providerd -I': done, and the runner listener's certificate is a new one. */
#define BOOTSTRAP_NEW_LEAF 3

/* A program's own parts; any member but dispatchable ones may be NULL. */
struct worker {
	const char	*title;		/* of the program */
	const struct jail *jail;
	/*
	 * Configuration, before the jail and again on each reload.  Values are
	 * lent.  An unknown name is fatal for the program that gets it.
	 */
	void	(*begin)(void);		/* forget what was told before */
	void	(*option)(const char *name, const char *value);
	void	(*secret)(const char *name, const uint8_t *, size_t);
	void	(*fd)(const char *name, int fd);
	void	(*listener)(const char *name, const char *address, int tls,
		    int fd);
	/* All of it was told; reload is 0 the first time, before the jail. */
	void	(*configured)(int reload);
	void	(*pre_jail)(void);
	void	(*post_jail)(void);
	/*
	 * After post_jail: is the worker ready by itself (1), or will it call
	 * worker_ready() when it is (0)?  NULL means 1.
	 */
	int	(*ready)(void);
	void	(*peer_up)(struct peer *);
	void	(*peer_down)(struct peer *);
	void	(*turn)(void);		/* everything read is handled */
	void	(*janitor)(void);	/* once a second */
	/* Prometheus text into buf; bytes written. */
	size_t	(*metrics)(char *buf, size_t size);
	/* SIGTERM: finish, take nothing new, then worker_drained(). */
	void	(*drain)(void);
};

int	 worker_main(int argc, char **argv, const struct worker *);
/* Which process this is (frontd: api, admin or runner). */
enum proc worker_self(void);
struct event_base *worker_base(void);
/*
 * In a child forked before the jail: enters the worker's own, with another
 * list of system calls, and dies with the worker.
 */
void	 worker_jail_child(const struct jail *);
void	 worker_ready(void);
void	 worker_drained(void);
int	 worker_draining(void);
/* Time of the turn: Unix milliseconds and monotonic milliseconds. */
uint64_t worker_now_ms(void);
uint64_t worker_mono_ms(void);

#endif
