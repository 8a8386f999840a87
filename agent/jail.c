/*
 * jail.c - what a supervisor can do without.  It has to start programs, build
 * namespaces and change users, so it keeps those rights; of the others it drops
 * the capabilities (bounding set too), and forbids the system calls that change
 * the machine itself.  Both are inherited by everything that it starts.
 */
#include <errno.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <seccomp.h>

#include "agent.h"
#include "log.h"

/* For users, directories and processes of sessions, and their rooms. */
static const cap_value_t	jail_caps[] = {
	CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_KILL, CAP_SETGID,
	CAP_SETPCAP, CAP_SETUID, CAP_SYS_ADMIN, CAP_SYS_PTRACE
};

static const int		jail_calls[] = {
	SCMP_SYS(acct), SCMP_SYS(add_key), SCMP_SYS(adjtimex), SCMP_SYS(bpf),
	SCMP_SYS(clock_adjtime), SCMP_SYS(clock_settime),
	SCMP_SYS(delete_module), SCMP_SYS(finit_module), SCMP_SYS(init_module),
	SCMP_SYS(ioperm), SCMP_SYS(iopl), SCMP_SYS(kexec_file_load),
	SCMP_SYS(kexec_load), SCMP_SYS(keyctl), SCMP_SYS(open_by_handle_at),
	SCMP_SYS(perf_event_open), SCMP_SYS(quotactl), SCMP_SYS(reboot),
	SCMP_SYS(request_key), SCMP_SYS(settimeofday), SCMP_SYS(swapoff),
	SCMP_SYS(swapon), SCMP_SYS(syslog), SCMP_SYS(userfaultfd)
};

static void
jail_capabilities(void)
{
	cap_t		 have, want;
	cap_value_t	 c;
	cap_flag_value_t set;
	size_t		 i;

	if (geteuid() != 0)
		return;
	have = cap_get_proc();
	want = cap_init();
	if (have == NULL || want == NULL)
		fatal("capabilities");
	for (i = 0; i < sizeof(jail_caps) / sizeof(jail_caps[0]); i++)
		if (cap_get_flag(have, jail_caps[i], CAP_PERMITTED, &set) == 0 &&
		    set == CAP_SET) {
			cap_set_flag(want, CAP_PERMITTED, 1, &jail_caps[i],
			    CAP_SET);
			cap_set_flag(want, CAP_EFFECTIVE, 1, &jail_caps[i],
			    CAP_SET);
		}
	for (c = 0; c <= CAP_LAST_CAP; c++) {
		if (cap_get_flag(want, c, CAP_PERMITTED, &set) == 0 &&
		    set == CAP_CLEAR && cap_drop_bound(c) == -1 &&
		    errno != EINVAL && errno != EPERM)
			fatal("capabilities");
	}
	if (cap_set_proc(want) == -1)
		fatal("capabilities");
	cap_free(have);
	cap_free(want);
}

static void
jail_seccomp(void)
{
	scmp_filter_ctx	 ctx;
	size_t		 i;
	int		 e;

	if ((ctx = seccomp_init(SCMP_ACT_ALLOW)) == NULL)
		fatalx("seccomp: no memory");
	for (i = 0; i < sizeof(jail_calls) / sizeof(jail_calls[0]); i++)
		if ((e = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM),
		    jail_calls[i], 0)) != 0 && e != -EDOM)
			fatalx("seccomp: rule %zu", i);
	/* Sets no_new_privs, which each run would have anyway. */
	if (seccomp_load(ctx) != 0)
		log_warnx("seccomp is not to be had here");
	seccomp_release(ctx);
}

void
jail_enter(void)
{
	jail_capabilities();
	jail_seccomp();
}
