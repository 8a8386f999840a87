/*
 * agent.h - the agent as a whole: configuration, what is on disk, the link to
 * the server.  Sessions and runs are in run.h.
 */
#ifndef AGENT_H
#define AGENT_H

#include <sys/queue.h>
#include <sys/types.h>

#include <stddef.h>
#include <stdint.h>

#include "runner.pb-c.h"

#define AGENT_PROGRAMS_MAX	32

struct event_base;
struct kind;
struct run;
struct session;
struct tls_config;

/* A coding agent that can be run here; lives as long as the process. */
struct program {
	const struct kind	*kind;
	char			*name;	/* "claude", "custom:demo" */
	char			*path;	/* absolute */
};

struct agent {
	struct event_base	*base;
	/* From the command line. */
	char			*host;
	char			*port;
	char			*state_dir;
	char			*ws_root;
	char			*name;
	char			*token;		/* wiped after enrolment */
	char			*ca_pin;	/* 64 hex digits, or NULL */
	char			*labels_json;
	char			*mcp_config;
	char			*local_key;	/* --key-fd; locked memory */
	struct program		 programs[AGENT_PROGRAMS_MAX];
	size_t			 nprograms;
	uid_t			 uid_low;
	unsigned int		 uid_count;
	int			 insecure;
	int			 verbose;
	int			 check_only;
	/* On disk. */
	char			*runner_id;
	int			 state_fd;
	uint32_t		 heartbeat_s;
	uint32_t		 lost_after_s;
	/* At work. */
	char			*sandbox_mode;	/* "namespace", "uid", "none" */
	struct session		*session;
	struct run		*run;
	int			 stopping;
};
extern struct agent	*env;

/* options.c */
void	 options_parse(struct agent *, int, char **);
char	*resources_json(void);

/* state.c: the state directory */
void	 state_open(void);
int	 state_load(void);		/* 1 enrolled, 0 not yet */
char	*state_key(void);		/* PEM, kept or new; freezero it */
int	 state_store(const Marionette__V1__EnrollResponse *, const char *key);
char	*state_path(const char *);

/* identity.c: keys and certificates */
char	*identity_new(void);		/* a new private key, PEM; freezero it */
uint8_t	*identity_csr(const char *pem, const char *name, size_t *len);
char	*identity_pem(const uint8_t *der, size_t, char *why, size_t);
int	 identity_matches(const char *keypem, const uint8_t *der, size_t);
int	 identity_pinned(const char *chain, size_t, const char *pin,
	    const char *host, char *why, size_t);
int	 identity_is_ca(const uint8_t *der, size_t, const char *pin);
uint8_t	*identity_sign(const char *keyfile, const uint8_t *, size_t, size_t *);

/* jail.c: after the walls were tried */
void	 jail_enter(void);

/* enroll.c */
void	 enroll(void);

/* journal.c: what must survive us; a record is a type and bytes */
typedef void	(*journal_replay)(int type, const uint8_t *, size_t);
void	 journal_open(journal_replay);
void	 journal_put(int type, const void *, size_t);
/* 0 durable, -1 not (said once).  A rewrite asks the owners for all: puts. */
int	 journal_sync(void (*puts)(void));
/* Rewrites itself when it is mostly history; sooner when the disk is full. */
void	 journal_compact(void (*puts)(void), int full);

/* outbox.c: numbered messages up, until acknowledged */
void	 outbox_load(const uint8_t *, size_t);
void	 outbox_load_ack(const uint8_t *, size_t);
uint64_t outbox_put(Marionette__V1__RunnerMessage *);	/* its number */
int	 outbox_waits(uint64_t number);		/* not yet acknowledged? */
int	 outbox_has_room(void);		/* may more be read from the program? */
void	 outbox_ack(uint64_t up_to);
void	 outbox_flush(void);		/* what was not sent and may be */
void	 outbox_rewind(void);		/* a new stream: all again */
uint64_t outbox_first(void);
int	 outbox_holds(const char *run_id);	/* its RunCompleted */
int	 outbox_unwinds(const char *run_id);	/* a RunUnwound of it */
void	 outbox_puts(void);

/* keys.c: the sealing key of this connection, keys opened with it */
struct secret {
	char	*api_key;	/* locked memory, or NULL */
	char	*base_url;
};
const uint8_t *keys_renew(void);	/* 32 bytes, the public half */
int	 keys_open(struct secret *, const uint8_t *, size_t);
void	 keys_wipe(struct secret *);
char	*keys_locked(const char *);	/* a copy in locked memory */
void	 keys_unlock(char *);
/*
 * In place of the key (NULL: none): [key].  Frees line, returns another, or line
 * itself.
 */
char	*keys_mask(const char *key, char *line, size_t *len);
/* Bytes at the end that may be the beginning of the key. */
size_t	 keys_begun(const char *key, const char *, size_t);

/* turn.c: after each turn, first disk, then network */
void	 turn_init(void);
void	 turn_want(void);
void	 agent_stop(const char *why);

/* link.c: the connection to the server */
struct tls_config *link_tls(int enrolled);
void	 link_start(void);
int	 link_is_up(void);
uint64_t link_offline_since(void);	/* now_mono; 0 when up */
int	 link_send(const uint8_t *, size_t);	/* on Connect */
int	 link_send_logs(const uint8_t *, size_t);
size_t	 link_logs_queued(void);
void	 link_stop(void);

/* command.c: what the server says */
void	 command_handle(const Marionette__V1__ServerCommand *);
void	 command_welcome(void);

#endif
