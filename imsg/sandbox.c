/*
 * sandbox.c - in this order: root directory, groups, uid, capabilities,
 * PDEATHSIG (setresuid clears it: promise 20), limits, seccomp.  A call that is
 * not on the list kills the process, except a few that libraries make by
 * themselves and that get EPERM.  A debug build traps and names the call.
 */
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <errno.h>
#include <grp.h>
#include <seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "sandbox.h"

/* What the loop, the allocator, the log and the channels need. */
static const int	 base_calls[] = {
	SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(readv), SCMP_SYS(writev),
	SCMP_SYS(recvmsg), SCMP_SYS(sendmsg), SCMP_SYS(recvfrom),
	SCMP_SYS(sendto), SCMP_SYS(close), SCMP_SYS(epoll_wait),
	SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_ctl), SCMP_SYS(poll),
	SCMP_SYS(clock_gettime), SCMP_SYS(gettimeofday), SCMP_SYS(mmap),
	SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(brk), SCMP_SYS(madvise),
	SCMP_SYS(futex), SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigaction), SCMP_SYS(getpid), SCMP_SYS(getrandom),
	SCMP_SYS(exit_group), SCMP_SYS(exit), SCMP_SYS(restart_syscall),
	SCMP_SYS(fcntl), SCMP_SYS(timerfd_settime), SCMP_SYS(sysinfo),
	SCMP_SYS(tgkill), SCMP_SYS(gettid),
#ifdef MN_SANITIZE
	/* The sanitizers' run time. */
	SCMP_SYS(sigaltstack), SCMP_SYS(prctl), SCMP_SYS(readlink),
	SCMP_SYS(sched_yield), SCMP_SYS(clone), SCMP_SYS(clone3),
	SCMP_SYS(wait4), SCMP_SYS(set_robust_list), SCMP_SYS(rseq),
	SCMP_SYS(arch_prctl), SCMP_SYS(getuid), SCMP_SYS(geteuid),
	SCMP_SYS(mprotect), SCMP_SYS(dup), SCMP_SYS(getppid),
	SCMP_SYS(process_vm_readv), SCMP_SYS(lseek), SCMP_SYS(fstat),
#endif
	-1
};

/* Tried by libc and libraries by themselves; refused without death. */
static const int	 refused_calls[] = {
	SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(access), SCMP_SYS(stat),
	SCMP_SYS(newfstatat), SCMP_SYS(ioctl), SCMP_SYS(socket),
#ifndef MN_SANITIZE
	SCMP_SYS(fstat), SCMP_SYS(lseek), SCMP_SYS(readlink),
#endif
	-1
};

static void
drop_identity(const char *root, uid_t uid, gid_t gid)
{
	cap_t	 none;

	if (chroot(root) == -1 || chdir("/") == -1)
		fatal("chroot %s", root);
	if (setgroups(0, NULL) == -1 || setresgid(gid, gid, gid) == -1 ||
	    setresuid(uid, uid, uid) == -1)
		fatal("cannot become uid %u gid %u", (unsigned int)uid,
		    (unsigned int)gid);
	if (setuid(0) != -1)
		fatalx("uid 0 was not given up for good");
	if ((none = cap_init()) == NULL || cap_set_proc(none) == -1)
		fatal("capabilities");
	cap_free(none);
}

static void
set_limits(const struct jail *jail)
{
	struct rlimit	 rl;

	rl.rlim_cur = rl.rlim_max = 0;
	if (setrlimit(RLIMIT_CORE, &rl) == -1)
		fatal("setrlimit");
#ifndef MN_SANITIZE
	if (setrlimit(RLIMIT_NPROC, &rl) == -1)
		fatal("setrlimit");
#endif
	if (getrlimit(RLIMIT_NOFILE, &rl) == -1)
		fatal("getrlimit");
	if (jail->nofile != 0 && jail->nofile < rl.rlim_max)
		rl.rlim_max = jail->nofile;
	rl.rlim_cur = rl.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &rl) == -1)
		fatal("setrlimit");
}

#ifdef MN_DEBUG
static void
trapped(int sig, siginfo_t *si, void *ctx)
{
	char	*name;

	(void)sig;
	(void)ctx;
	name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE,
	    si->si_syscall);
	log_warnx("seccomp: %s (%d) is not on the list",
	    name != NULL ? name : "?", si->si_syscall);
	_exit(1);
}
#endif

static void
allow(scmp_filter_ctx ctx, uint32_t action, const int *calls)
{
	int	 i, rc;

	for (i = 0; calls[i] != -1; i++) {
		rc = seccomp_rule_add(ctx, action, calls[i], 0);
		/* EEXIST, EACCES: allowed before, or equal to the default. */
		if (rc != 0 && rc != -EEXIST && rc != -EACCES)
			fatalx("seccomp: rule for call %d: %s", calls[i],
			    strerror(-rc));
	}
}

static void
load_filter(const struct jail *jail)
{
	scmp_filter_ctx	 ctx;
	uint32_t	 otherwise = SCMP_ACT_KILL_PROCESS;
	int		 i, k, taken, rc;

#ifdef MN_DEBUG
	struct sigaction sa = { .sa_sigaction = trapped,
	    .sa_flags = SA_SIGINFO };

	sigaction(SIGSYS, &sa, NULL);
	otherwise = SCMP_ACT_TRAP;
#endif
	if ((ctx = seccomp_init(otherwise)) == NULL)
		fatalx("seccomp: no memory");
	allow(ctx, SCMP_ACT_ALLOW, base_calls);
	allow(ctx, SCMP_ACT_ALLOW, jail->syscalls);
	for (i = 0; refused_calls[i] != -1; i++) {
		for (taken = 0, k = 0; jail->syscalls[k] != -1; k++)
			taken |= jail->syscalls[k] == refused_calls[i];
		if (taken)
			continue;
		rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM),
		    refused_calls[i], 0);
		if (rc != 0)
			fatalx("seccomp: %s", strerror(-rc));
	}
	if ((rc = seccomp_load(ctx)) != 0)
		fatalx("seccomp: %s", strerror(-rc));
	seccomp_release(ctx);
}

void
sandbox_enter(const struct jail *jail, enum jail_mode mode, const char *root,
    uid_t uid, gid_t gid, pid_t ppid)
{
	if (mode == JAIL_FULL)
		drop_identity(root, uid, gid);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) == -1)
		fatal("prctl");
	if (getppid() != ppid)
		exit(0);	/* as when its channel ends: no fault of ours */
	if (mode == JAIL_NONE)
		return;
	if (prctl(PR_SET_DUMPABLE, 0) == -1 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		fatal("prctl");
	set_limits(jail);
	load_filter(jail);
}
