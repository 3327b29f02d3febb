"""The system-call filter: an allowlist in classic BPF, installed once and inherited by fork.

No library is needed: a filter is an array of 8-byte instructions handed to `seccomp(2)`. Anything
that is not named here kills the process. Arguments are checked where a call has a harmless and a
harmful use. The low 32 bits of an argument suffice: every argument tested is an int to the kernel.
"""

import ctypes
import errno
import os
import struct

from gasp_rl.sandbox.syscalls import AUDIT_ARCH, number

_words = str.split
Body = list[tuple[int, int, int, int]]
"""Instructions: operation, value or index, jump if true, jump if false."""

KILL = 0x80000000
ALLOW = 0x7FFF0000
ERRNO = 0x00050000

LD, JEQ, JGE, AND, RET = 0x20, 0x15, 0x35, 0x54, 0x06
NR, ARCH = 0, 4
FORK_FLAGS_MASK = 0x00010000 | 0x00000100 | 0x7E020080  # CLONE_THREAD, CLONE_VM, any namespace
THREAD_FLAGS = 0x00010000 | 0x00000100
SECCOMP_SET_MODE_FILTER, SPEC_ALLOW = 1, 1 << 2  # without SPEC_ALLOW old kernels slow the process
PR_SET_NO_NEW_PRIVS = 38

_ALLOWED = _words("""
read write close close_range fstat lseek munmap brk rt_sigaction rt_sigprocmask rt_sigreturn
sigaltstack pread64 readv writev sched_yield mremap madvise dup dup2 dup3 nanosleep
clock_nanosleep alarm setitimer getitimer getpid gettid getppid getuid geteuid getgid getegid
exit exit_group wait4 getrlimit setrlimit getrusage times
gettimeofday time clock_gettime clock_getres futex sched_getaffinity getrandom poll ppoll select
pselect6 set_robust_list rseq restart_syscall uname getcpu""")

_EVENTS = _words("epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2 eventfd2 pipe2")

# An honest program may try these and live: they answer an error without being carried out.
_REFUSED = {
    errno.ENOENT: _words("""
    open openat stat lstat statx access faccessat faccessat2 readlink readlinkat
    getcwd chdir unlink unlinkat"""),
    errno.EACCES: _words("socket mkdir mkdirat connect bind"),
    errno.EBADF: ["getdents64"],
    errno.ENOSYS: _words("clone3 membarrier openat2 sysinfo mincore mbind get_mempolicy"),
    # No sendmsg: a descriptor on its way in a socket is kernel code that nobody here needs.
    errno.EPERM: _words(
        "sendmsg fadvise64 fsync msync ftruncate setsockopt getsockopt getsockname"
    ),
}
_FLAGS_OF_MESSAGES = {"sendto": 3, "recvfrom": 3, "recvmsg": 2}  # name -> which argument
_MSG_OOB = 0x1


class _Program:
    """Instructions of one filter. Jumps go forward only, by at most 255."""

    def __init__(self, machine: str) -> None:
        self.machine = machine
        self.code: list[bytes] = []

    def emit(self, op: int, value: int, if_true: int = 0, if_false: int = 0) -> None:
        self.code.append(struct.pack("<HBBI", op, if_true, if_false, value & 0xFFFFFFFF))

    def rule(self, name: str, body: Body) -> None:
        """Run `body` if the call is `name`; the body must return."""
        nr = number(name, self.machine)
        if nr is not None:
            self.emit(JEQ, nr, 0, len(body))
            for instruction in body:
                self.emit(*instruction)

    def on(self, name: str, action: int) -> None:
        self.rule(name, [(RET, action, 0, 0)])


def _argument(index: int) -> tuple[int, int, int, int]:
    return (LD, 16 + 8 * index, 0, 0)


def _if_bits(index: int, mask: int, wanted: int, then: int, otherwise: int) -> Body:
    """`then` if (argument & mask) == wanted."""
    return [
        _argument(index),
        (AND, mask, 0, 0),
        (JEQ, wanted, 0, 1),
        (RET, then, 0, 0),
        (RET, otherwise, 0, 0),
    ]


def _if_one_of(index: int, values: tuple[int, ...], then: int, otherwise: int) -> Body:
    tests = [(JEQ, v, len(values) - i, 0) for i, v in enumerate(values)]
    return [_argument(index), *tests, (RET, otherwise, 0, 0), (RET, then, 0, 0)]


def build(machine: str, *, fork: bool, again: bool, threads: bool, events: bool) -> bytes:
    """The filter's instructions.

    `fork` allows a plain fork (the zygote needs it; its children lose it by RLIMIT_NPROC or by a
    second filter, which `again` allows); `threads` allows new threads; `events` what asyncio needs.
    """
    p = _Program(machine)
    p.emit(LD, ARCH)
    p.emit(JEQ, AUDIT_ARCH[machine], 1, 0)
    p.emit(RET, KILL)
    p.emit(LD, NR)
    if machine == "x86_64":  # the x32 ABI shares the architecture but not the numbers
        p.emit(JGE, 0x40000000, 0, 1)
        p.emit(RET, KILL)
    for name in _ALLOWED:
        p.on(name, ALLOW)
    if events:
        for name in _EVENTS:
            p.on(name, ALLOW)
        # Local streams only: a datagram socket may send to any name, connected or not.
        stream = _if_bits(1, 0xF, 1, ALLOW, ERRNO | errno.EACCES)
        p.rule("socketpair", [_argument(0), (JEQ, 1, 1, 0), (RET, KILL, 0, 0), *stream])
        p.on("getsockname", ERRNO | errno.EPERM)
    for number_, names in _REFUSED.items():
        for name in names:
            p.on(name, ERRNO | number_)
    refused = ERRNO | errno.EPERM
    # Urgent bytes of local sockets have been a way into the kernel (CVE-2025-38236).
    for name, index in _FLAGS_OF_MESSAGES.items():
        p.rule(name, _if_bits(index, _MSG_OOB, 0, ALLOW, ERRNO | errno.EOPNOTSUPP))
    writable_code = 0x4  # PROT_EXEC
    p.rule("mmap", _if_bits(2, writable_code, 0, ALLOW, ERRNO | errno.EACCES))
    p.rule("mprotect", _if_bits(2, writable_code, 0, ALLOW, ERRNO | errno.EACCES))
    # fstat of an open descriptor; AT_EMPTY_PATH is how C libraries spell it
    p.rule("newfstatat", _if_bits(3, 0x1000, 0x1000, ALLOW, ERRNO | errno.ENOENT))
    # F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC: no owners, leases, locks, seals
    p.rule("fcntl", _if_one_of(1, (0, 1, 2, 3, 4, 1030), ALLOW, refused))
    # FIONBIO, which sockets need; everything else as if no descriptor were a terminal
    p.rule("ioctl", _if_one_of(1, (0x5421,), ALLOW, ERRNO | errno.ENOTTY))
    p.rule("prlimit64", _if_bits(0, 0xFFFFFFFF, 0, ALLOW, refused))
    # PR_SET_PDEATHSIG with SIGKILL, and nothing else: it cannot be switched off again
    kill_only = [_argument(0), (JEQ, 1, 0, 3), _argument(1), (JEQ, 9, 0, 1), (RET, ALLOW, 0, 0)]
    p.rule("prctl", [*kill_only, (RET, refused, 0, 0)])
    if again:
        p.on("seccomp", ALLOW)
    p.rule("clone", _clone_rule(fork=fork, threads=threads))
    p.emit(RET, KILL)
    return b"".join(p.code)


def _clone_rule(*, fork: bool, threads: bool) -> Body:
    again = ERRNO | errno.EAGAIN  # what a full process table would answer
    plain_fork = (JEQ, 0, 0, 1)
    return [
        _argument(0),
        (AND, FORK_FLAGS_MASK, 0, 0),
        plain_fork,
        (RET, ALLOW if fork else again, 0, 0),
        (JEQ, THREAD_FLAGS, 0, 1),
        (RET, ALLOW if threads else again, 0, 0),
        (RET, KILL, 0, 0),
    ]


def no_fork_filter(machine: str, *, threads: bool) -> bytes:
    """A second, small filter for a child: no new process, no further filter."""
    p = _Program(machine)
    p.emit(LD, NR)
    p.rule("clone", _clone_rule(fork=False, threads=threads))
    p.on("seccomp", KILL)
    p.emit(RET, ALLOW)
    return b"".join(p.code)


class _Fprog(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


class Installer:
    """A filter made ready before it is needed: installing it is one system call.

    Raises OSError where the kernel refuses.
    """

    def __init__(self, program: bytes) -> None:
        self._buffer = ctypes.create_string_buffer(program, len(program))
        self._fprog = _Fprog(len(program) // 8, ctypes.addressof(self._buffer))
        self._libc = ctypes.PyDLL(None, use_errno=True)
        self._number = number("seccomp", os.uname().machine)

    def __call__(self) -> None:
        """Install for this thread and all that it will start."""
        for flags in (SPEC_ALLOW, 0):
            if not self._libc.syscall(
                self._number, SECCOMP_SET_MODE_FILTER, flags, ctypes.byref(self._fprog)
            ):
                return
            code = ctypes.get_errno()
            if code != errno.EINVAL:
                break
        raise OSError(code, f"seccomp: {os.strerror(code)}")


def set_no_new_privs() -> None:
    """Give up gaining privileges; without it an unprivileged process may not install a filter."""
    libc = ctypes.PyDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        code = ctypes.get_errno()
        raise OSError(code, f"no_new_privs: {os.strerror(code)}")
