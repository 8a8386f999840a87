/*
 * owners.h - everybody whom frontd asks, in the same process: they read what
 * was sent, find it well-formed, and answer as an input wants it.
 */
#ifndef OWNERS_H
#define OWNERS_H

#include "message.h"

enum mood {
	MOOD_DOCUMENT,		/* what was asked for */
	MOOD_REPLAYED,		/* the same, said to be old */
	MOOD_REFUSED,		/* with `code' */
	MOOD_WRONG,		/* some other message */
	MOOD_SILENT,
	MOOD_DEAD,		/* dies when asked, and is back a turn later */
	MOOD_MAX
};

struct owners {
	enum mood	 mood;
	const char	*code, *scopes, *body;
	const char	*quirks;	/* letters, see fuzz_api.c; or NULL */
	unsigned int	 asked;		/* questions since the last begin */
	int		 busy[PROC_MAX];	/* it reads nothing */
	/* Who answers instead of us, if anybody. */
	void		(*heard)(enum proc, uint64_t, enum msg_type,
			    const void *);
};

extern struct owners	 owners;

/* They are there, for that instance of frontd. */
void	 owners_begin(enum proc);
/* They read and answer; how many frames there were. */
unsigned int owners_turn(void);
void	 owners_say(enum proc, uint64_t, enum msg_type, const void *);
/* It dies; it dies, unless it has, and is back. */
void	 owners_die(enum proc);
void	 owners_restart(enum proc);
/* All die but those that quirks keep; those that are away come back. */
void	 owners_leave(void);
void	 owners_return(void);
int	 owners_want(char);		/* is it among the quirks? */
/* LOCAL_CLIENT: a connection comes through the local socket. */
void	 owners_pass(int fd);
/* AUTH_REVOKED: the key that everybody has. */
void	 owners_revoke(void);
/* PROC_REPORT: these are the metrics of two workers. */
void	 owners_report(const uint8_t *, size_t);

#endif
