/*
 * conf.h - the configuration of a server: parse.y makes it, conf.c checks and
 * prints it.
 */
#ifndef CONF_H
#define CONF_H

#include <sys/queue.h>

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include "message.h"

#define CONF_FILE	"/etc/marionette/marionette.conf"

struct word {				/* a list of strings */
	TAILQ_ENTRY(word)	 entry;
	char			*name;
	char			*value;	/* NULL, or the second half */
	int			 line;
};
TAILQ_HEAD(words, word);

struct listen_conf {
	TAILQ_ENTRY(listen_conf) entry;
	enum proc		 proc;		/* PROC_API, _ADMIN, _RUNNER */
	char			*address;	/* "localhost", "*", a name */
	uint16_t		 port;
	int			 tls;
	char			*cert, *key, *ca;	/* paths, or NULL */
	int			 line;
};
TAILQ_HEAD(listen_confs, listen_conf);

struct conf {
	char			*state_dir;
	char			*run_dir;
	char			*user_prefix;
	char			*control;	/* socket path */
	char			*control_group;	/* operators, or NULL */
	int			 json;
	int			 skip_tls;
	struct listen_confs	 listens;
	struct words		 hosts;		/* Host names served */
	struct words		 origins;	/* CORS */
	struct words		 admins;	/* name, hash */
	char			*master_key;	/* path, or NULL */
	char			*database;	/* conninfo, NULL: embedded */
	char			*database_owner;
	char			*password_file;
	char			*pg_bin;	/* NULL: the newest found */
	long long		 suspend_after, lost_after, heartbeat;
	long long		 queued_tasks, log_days, connections;
	long long		 server_id;
};

/* NULL after every error was printed: file:line: what, what was expected. */
struct conf	*conf_parse(const char *path);
struct conf	*conf_new(void);
void		 conf_free(struct conf *);
/* What cannot change in a running server is taken over from the old one. */
void		 conf_keep(struct conf *, struct conf *old);
/*
 * One error, of that line (0: of none).  Printed for who started us; once a
 * server runs, conf_complains_to_log(), it is a line of its log.
 */
void		 conf_complain(const char *path, int line, const char *, ...)
		    __attribute__((format(printf, 3, 4)));
void		 conf_vcomplain(const char *path, int line, const char *,
		    va_list) __attribute__((format(printf, 3, 0)));
void		 conf_complains_to_log(void);
/* Checks what no single line can; number of errors, printed. */
int		 conf_check(const struct conf *, const char *path);
void		 conf_print(const struct conf *, FILE *);
struct words	*words_add(struct words *, const char *, const char *, int);

#endif
