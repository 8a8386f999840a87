/*
 * conversation.h - Claude Code's conversation of a session, and what it has
 * written down of it: its transcript, one JSON record a line, by which it resumes.
 * A prompt that it was told is there a moment later, or never, when it was killed
 * before; so whoever is to go on asks the transcript what has been heard.
 */
#ifndef AGENT_CONVERSATION_H
#define AGENT_CONVERSATION_H

#define UUID_SIZE	37

struct run;

struct conversation {
	char	 uuid[UUID_SIZE];
	int	 resumed;	/* something was said in it already */
	int	 heard;		/* and so was this prompt, by an earlier run */
};

/*
 * The conversation in which a run's prompt is said, or is gone on with when an
 * earlier run of its task was interrupted.  A new one where there was none, or none
 * that can be resumed.  -1 with errno: its name could not be read, or stored.
 */
int	 conversation_open(const struct run *, struct conversation *);

#endif
