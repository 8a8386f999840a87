/*
 * sandbox.h - the jail: identity, root, capabilities, limits, system calls.
 */
#ifndef SANDBOX_H
#define SANDBOX_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct jail {
	const char	*name;
	/* System calls beyond what every worker has; -1 ends the list. */
	const int	*syscalls;
	/* Descriptors it may hold; 0: as many as the hard limit allows. */
	unsigned int	 nofile;
};

enum jail_mode { JAIL_NONE, JAIL_SECCOMP, JAIL_FULL };

/*
 * Enters it, for good.  root: an empty directory owned by root.  ppid: of the
 * parent, whose death is our end.  Fatal when any step fails.
 */
void	 sandbox_enter(const struct jail *, enum jail_mode, const char *root,
	    uid_t, gid_t, pid_t ppid);

#endif
