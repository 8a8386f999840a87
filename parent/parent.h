/*
 * parent.h - marionetted, the parent: configuration, keys at start-up,
 * listeners, child pids and the embedded PostgreSQL.  It reads nothing that a
 * stranger wrote.
 */
#ifndef PARENT_H
#define PARENT_H

#include <sys/types.h>
#include <sys/queue.h>

#include <event2/event.h>
#include <stdint.h>

#include "conf.h"
#include "peer.h"
#include "sandbox.h"
#include "worker.h"

/* ---- state.c: directories, users, what the keys are ---- */

struct account {
	uid_t	 uid;
	gid_t	 gid;
};

struct keys {
	uint8_t	 ticket[PROC_MAX][32];	/* of owners */
	char	 master[65];		/* hex SHA-256, or "" */
	uint8_t	 position[32];		/* hides positions of events */
};

/* Makes and checks the state and run directories, takes the lock. */
void	 state_open(const struct conf *);
const char *state_path(const char *name);	/* in the state directory */
const char *run_path(const char *name);
/* Of user prefix + name; our own when not root. */
void	 account_find(const struct conf *, const char *name, struct account *);
int	 keys_load(const struct conf *, struct keys *);	/* behind keys_make() */
/*
 * Makes those that are missing, the first time, or that will expire soon; 1 when
 * the runner listener's certificate is a new one, -1, having said why, when it
 * cannot, or when one that was there is gone.
 */
int	 keys_make(const struct conf *);
/* Runs a program to its end; its exit status, -1 when it cannot start. */
int	 run_program(char *const argv[], const struct account *, int in);
/* A whole file; NULL with errno.  The caller wipes and frees. */
uint8_t	*read_file(const char *path, size_t max, size_t *len);
void	 write_file(const char *path, mode_t, const char *text);
void	 remove_file(const char *path);
const char *program_path(const char *name);

/* ---- listener.c ---- */
/* Binds what the configuration says; fatal, by line, when it cannot. */
void	 listeners_open(const struct conf *);
void	 listeners_send(struct peer *);
void	 listeners_close(void);
void	 listeners_log(const struct conf *);

/* ---- tls.c ---- */
/* Can the files that it names be used, some beside those of keys_make()?  -1,
 * having said what is wrong. */
int	 tls_check(const struct conf *);

/* ---- renew.c ---- */
void	 renew_tick(void);		/* ten times a second */

/* ---- process.c, edge.c, configure.c ---- */

enum child_state { CHILD_DOWN, CHILD_STARTING, CHILD_READY, CHILD_DRAINING,
	CHILD_DRAINED };

struct child {
	enum proc	 proc;
	const char	*program;
	const char	*user;		/* behind the prefix */
	pid_t		 pid;		/* 0: not running */
	struct account	 account;
	char		 root[256];
	enum child_state state;
	uint32_t	 generation;
	uint32_t	 edge[PROC_MAX];	/* generation of each; 0 none */
	uint64_t	 started_ms;	/* Unix, to be shown */
	uint64_t	 started_at;	/* monotonic ms */
	uint64_t	 pong_ms;	/* monotonic: last answer */
	uint32_t	 ping_us, queued;
	unsigned int	 restarts;
	unsigned int	 early[5];	/* monotonic s of deaths before ready */
	unsigned int	 backoff_ms;
	uint64_t	 start_at;	/* monotonic ms; 0 not waiting */
	uint8_t		*metrics;
	size_t		 metrics_len;
};

struct parent {
	struct event_base *base;
	const char	*conf_path;
	struct conf	*conf;
	struct keys	 keys;
	enum jail_mode	 jail;
	int		 verbose;
	int		 stopping;	/* 1 draining, 2 ending */
	int		 hopeless;	/* it stops because it cannot go on */
	char		 instance[INSTANCE_SIZE];	/* drawn at each start */
	struct child	 child[PROC_MAX];
};
extern struct parent	*env;

uint64_t mono_ms(void);
void	 children_init(void);
void	 child_start(struct child *);
void	 children_reap(void);		/* SIGCHLD */
void	 children_tick(void);		/* ten times a second */
void	 children_stop(void);		/* begin to drain, or hurry */
void	 channel_closed(struct peer *, const char *);
void	 edges_wire(struct child *);	/* it became ready */
/* Can it be read as a secret?  -1, having said why by its name. */
int	 secret_check(const char *name, const char *path);
/* -1, having said why: a file that the worker needs cannot be read. */
int	 child_configure(struct child *);
int	 child_options(struct child *);
/* Tells it its configuration again; one that is not ready is started anew. */
void	 child_reload(struct child *);

/* ---- postgres.c ---- */
void	 postgres_init(const struct conf *);	/* embedded only */
void	 postgres_tick(void);
int	 postgres_reaped(pid_t, int status);	/* was it ours? */
void	 postgres_stop(void);
int	 postgres_is_running(void);
const char *postgres_socket_dir(void);

#endif
