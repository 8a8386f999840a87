/*
 * session.h - sessions on runners: session.c, choose.c, seal.c, kept.c.
 */
#ifndef SESSION_H
#define SESSION_H

#include "runnerd.h"

struct session {			/* placed, attached or released */
	RB_ENTRY(session) entry;
	char		 tenant[TENANT_SIZE];
	char		 id[ID_SIZE], runner[ID_SIZE];
	char		 agent_config[ID_SIZE], key_ref[ID_SIZE];
	char		 agent[65], model[129];
	uint64_t	 epoch;
	int		 attached;	/* committed: runner under epoch */
	unsigned int	 claiming:1, detaching:1, remove:1, seal_due:1,
			 told:1;	/* AttachSession, on this stream */
	uint64_t	 release;	/* monotonic ms of patience, 0 none */
	uint64_t	 asked;		/* the same: to detach, 0 it has */
	char		 to[17], reason[513];
};

/*
 * seal.c: code is empty, credential_required, unavailable or stale.  0 done is
 * called later, 1 it was (there is no key), -1 it cannot be asked now.
 */
typedef void (*seal_done)(const char *id, const char *code,
	    const uint8_t *sealed, size_t len);
int	 seal(const struct session *, const struct runner *, const char *id,
	    seal_done);
/* choose.c: NULL and why */
struct runner *choose(const struct msg_session_place *, char *why, size_t);
/* kept.c: sessions whose directories are on a runner, not attached */
void	 kept_hello(struct runner *, const Marionette__V1__Hello *);
void	 kept_add(struct runner *, const char *session);
void	 kept_forget(struct runner *), kept_janitor(void);
/* session.c */
struct session *session_find(const char *id);
int	 sessions_are_known(void);
void	 session_hello(struct runner *, const char *id, uint64_t epoch);
void	 session_suspended(struct runner *, const char *, uint64_t epoch);
void	 session_remove(struct runner *, const char *id, uint64_t epoch);
void	 session_lost(struct runner *), sessions_janitor(void);
/* The runners are loaded: what was to be released is, of loose ones we tell. */
void	 sessions_loaded(void);
void	 sessions_peer_down(void);
#endif
