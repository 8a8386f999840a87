/*
 * What the files of mctl share: the table of commands, the arguments of the
 * one being run, where the server is, and the ways to ask it and to print
 * what it said.  Everything lives until the program ends.
 */

#ifndef MCTL_H
#define MCTL_H

#include <sys/types.h>

#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

/* Exit codes, and what every cmd_*() returns. */
#define EX_DONE		0
#define EX_ERROR	1
#define EX_USE		2
#define EX_TASK		3	/* the task failed or was canceled */
#define EX_DENIED	4	/* 401, 403; or a question, in a run */
#define EX_UNREACHED	5

#define MAX_OPTIONS	256	/* on one command line */
#define MAX_OPERANDS	16
#define MAX_SECRET	16384	/* an API key, in bytes */
#define MAX_BODY	(64UL << 20)	/* of an answer */
#define MAX_TEXT	(1UL << 20)	/* a prompt, or a file of JSON */
#define PAGE		500	/* the server's largest page */
#define FOLLOW_PATIENCE	300L	/* seconds, with a server that is away */

enum output { OUT_TABLE, OUT_WIDE, OUT_JSON, OUT_YAML };

/* Where the server is.  url or socket, never both; key may be NULL. */
struct endpoint {
	char		*url;
	char		*admin_url;
	char		*socket;
	char		*key;
	char		*ca;
	const char	*origin;	/* who said so: an option, a context */
};

struct opt {
	const char	*name;
	const char	*arg;		/* NULL: a flag */
	const char	*help;
	char		 letter;	/* or 0 */
};

struct given {
	const struct opt *opt;
	const char	 *value;
};

struct args {
	struct given	 given[MAX_OPTIONS];
	const char	*operand[MAX_OPERANDS];
	int		 ngiven;
	int		 noperands;
};

struct mctl;

#define CMD_ADMIN	0x1	/* speaks to the admin surface */
#define CMD_LOCAL	0x2	/* needs no server */

struct cmd_entry {
	const char	 *noun;		/* NULL ends a table */
	const char	 *verb;		/* NULL: the noun is the command */
	const char	 *operands;	/* as the usage shows them */
	const struct opt *opts;	/* NULL, or ends with a NULL name */
	int		  min, max;	/* operands */
	int		  flags;
	const char	 *summary;
	int		(*exec)(struct mctl *, const struct args *);
};

struct mctl {
	enum output		 output;
	int			 quiet;		/* ids alone */
	int			 colour;	/* on stdout */
	int			 progress;	/* stderr is a terminal */
	struct args		 global;
	const struct cmd_entry	*cmd;
	struct endpoint		 ep;
	int			 rc;		/* why the last call failed */
	int			 settled;	/* it had a yes or a no */
	int			 met;		/* somebody is there, or was */
	int			 unknown;	/* it may have been done */
	int			(*left)(void);	/* NULL, or: wait no more? */
};

struct reply {
	json_t		*doc;		/* NULL: no JSON in it */
	char		 request_id[72];
	char		 why[256];	/* there is no answer (libcurl) */
	long		 status;
	long		 retry_after;
};

struct request {
	const char	*method;
	const char	*path;
	const char	*idem;		/* Idempotency-Key, or NULL */
	const char	*body;		/* or NULL */
	long		 timeout;	/* seconds */
	int		 admin;
	long		 patience;	/* seconds of trying, or 0: PATIENCE */
};

/* args.c */
int	 args_parse(struct mctl *, struct args *, const struct opt *,
	    const struct opt *, int, char **);
int	 args_has(const struct args *, const char *);
const char *args_str(const struct args *, const char *);
const char *args_next(const struct args *, const char *, int *);
int	 args_num(struct mctl *, const struct args *, const char *, long long,
	    long long, long long *);
int	 args_labels(struct mctl *, const struct args *, json_t *);
int	 args_file(struct mctl *, const char *, char **);

/* cmd.c, help.c */
extern const struct cmd_entry *const cmd_tables[];
extern const struct opt global_opts[];
extern const char *const output_names[];
int	 cmd_run(struct mctl *, int, char **);
const char *suggest(const char *, const char *, const char *, size_t *);
int	 usage_error(struct mctl *, const char *, ...)
	    __attribute__((__format__(printf, 2, 3)));
void	 help_command(FILE *, const struct cmd_entry *);
int	 help_about(int, const char *const *);

/* conf.c, endpoint.c */
json_t	*conf_load(void);
int	 conf_save(json_t *);
int	 endpoint_find(struct mctl *);

/* http.c, api.c */
int	 http_do(struct mctl *, const struct request *, struct reply *);
void	 reply_clear(struct reply *);
int	 http_left(struct mctl *);
json_t	*api_get(struct mctl *, const char *);
json_t	*api_wait(struct mctl *, const char *);
json_t	*api_get_of(struct mctl *, const char *, const char *, const char *);
json_t	*api_send(struct mctl *, const char *, const char *, json_t *,
	    const char *);
int	 api_refused(struct mctl *, const struct reply *);
char	*api_path(struct mctl *, const char *, const char *, const char *);
void	 api_key_make(char *, size_t);

/* secret.c */
int	 secret_read(struct mctl *, const struct args *, char **);
int	 secret_file(const char *, char **);
void	 secret_free(char *);


#endif
