/*
 * room.h - the walls around a run, and the processes that hold it.
 */
#ifndef AGENT_ROOM_H
#define AGENT_ROOM_H

#include <sys/types.h>

#define HOLDER_NAME	"marionette-agent: holder"
#define HOLDER_CTL	3
#define HOLDER_SPEC	4
#define HOLDER_KEY	5	/* the program's end of a pipe with its key */
#define HOLDER_KEY_S	"5"

#define ROOM_HIDE_MAX	8

#define ROOM_WORKSPACE	"/workspace"
#define ROOM_HOME	"/home/agent"
#define ROOM_TMP	"/.marionette/tmp"	/* where /tmp is everybody's */
#define ROOM_TOOLS	"/.marionette"	/* the program, where it is not reachable */

/* On HOLDER_CTL, a packet each. */
struct hold_msg {
	char	type;		/* down: T)erm K)ill; up: S)tarted F)ailed eX)it */
	int	value;		/* F: errno; X: wait status */
	char	text[240];
};

/* Modes, a letter in SPEC_MODE. */
#define ROOM_NAMESPACE	'n'	/* user (without root), mount, process, ipc */
#define ROOM_UID	'u'
#define ROOM_NONE	'-'

/* What it takes to build the room; lives in the holder. */
struct room {
	const char	*dir;		/* the session's */
	const char	*hide[ROOM_HIDE_MAX + 1]; /* covered, NULL ends */
	const char	*tool;		/* the program's path, or NULL */
	const char	*key;		/* for HOLDER_KEY, or NULL */
	uid_t		 uid;		/* 0 = stay: the agent's, read-only */
	int		 private_tmp;
	int		 private_var_tmp;
	char		 mode;
};

/* holder.c: does not return */
void	 holder_main(void) __attribute__((noreturn));
/* room.c: in the new namespaces; -1 with errno and what failed */
int	 room_unshare(const struct room *, const char **what);
int	 room_enter(const struct room *, const char **what);
int	 room_drop(const struct room *, const char **what);
/* probe.c: what this machine allows; a directory to try it in, as for uid */
char	 room_probe(const char *dir, uid_t);
char	 room_mode(void);
/* May this user, and its group, pass on the whole way to dir?  As root only. */
int	 room_is_reached(const char *dir, uid_t);

#endif
