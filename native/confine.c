#define _GNU_SOURCE
#include "confine.h"

#include <errno.h>

#if defined(__linux__) && (defined(__x86_64__) || defined(__aarch64__)) && defined(__LP64__)

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define NVR_ARCH AUDIT_ARCH_X86_64
#else
#define NVR_ARCH AUDIT_ARCH_AARCH64
#endif

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define IF(value, yes, no) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (value), (yes), (no))
#define END(action) BPF_STMT(BPF_RET | BPF_K, (action))
#define ALLOW(call) IF(SYS_##call, 0, 1), END(SECCOMP_RET_ALLOW)
/* The low half of the third argument: both are little-endian. */
#define ALLOW_UNLESS_EXECUTABLE(call)                                                                  \
  IF(SYS_##call, 0, 4), LOAD(args[2]), BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 0, 1),          \
      END(SECCOMP_RET_ERRNO | EPERM), END(SECCOMP_RET_ALLOW)

static struct sock_filter filter[] = {
    LOAD(arch),
    IF(NVR_ARCH, 1, 0),
    END(SECCOMP_RET_KILL_PROCESS),
    LOAD(nr),
    ALLOW(read),
    ALLOW(write),
    ALLOW(futex),
    ALLOW(munmap),
    ALLOW(madvise),
    ALLOW(brk),
    ALLOW(mremap),
    ALLOW(clock_gettime),
    ALLOW(gettimeofday),
    ALLOW(clock_nanosleep),
    ALLOW(sched_yield),
    ALLOW(sched_getaffinity),
    ALLOW(getrandom),
    ALLOW(getpid),
    ALLOW(gettid),
    ALLOW(lseek),
    ALLOW(fstat),
    ALLOW(close),
    ALLOW(rt_sigaction),
    ALLOW(rt_sigprocmask),
    ALLOW(rt_sigreturn),
    ALLOW(sigaltstack),
    ALLOW(restart_syscall),
    ALLOW(exit),
    ALLOW(exit_group),
    ALLOW_UNLESS_EXECUTABLE(mmap),
    ALLOW_UNLESS_EXECUTABLE(mprotect),
    END(SECCOMP_RET_ERRNO | EPERM),
};

int nvr_confine(void) {
  struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) || prctl(PR_SET_DUMPABLE, 0) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    return errno;
  long failed = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program);
  if (failed > 0) return ESRCH; /* a thread could not be confined with us */
  return failed ? errno : 0;
}

#else

int nvr_confine(void) { return ENOSYS; }

#endif
