"""The walls of a zygote, put up once after its imports; every program inherits them by fork.

Each function tries one wall and returns a `Wall`: a wall that this place does not allow is a
value, with the errno and what to change, never an exception. Only the caller decides what is
required. Order matters: namespaces and the empty root need privileges that the drop of ids gives
up, and the filter comes last because it forbids the others.
"""

import ctypes
import errno
import os
import resource
from typing import NamedTuple

from gasp_rl.sandbox import seccomp
from gasp_rl.sandbox.syscalls import AUDIT_ARCH, number


class Wall(NamedTuple):
    """Like `jobs.Layer`, but plain enough to cross a pipe as a tuple."""

    name: str
    on: bool
    detail: str


class Plan(NamedTuple):
    """What a zygote should put up."""

    memory_bytes: int
    uid: int  # wanted when the caller is root
    empty_root: str  # an empty folder to be locked into, or ""
    rich: bool  # threads, epoll and socket pairs, for programs on stdin
    skip: tuple[str, ...]  # walls left out on purpose (tests and measurements)


CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x00020000, 0x04000000, 0x08000000
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
PR_SET_PDEATHSIG, PR_SET_DUMPABLE = 1, 4
SIGKILL = 9  # a plain int: the enumeration would be touched in every program
_MACHINE = os.uname().machine
_libc = ctypes.PyDLL(None, use_errno=True)


def _error() -> str:
    code = ctypes.get_errno()
    return f"{errno.errorcode.get(code, code)} ({os.strerror(code)})"


def lock(plan: Plan) -> tuple[list[Wall], bool]:
    """Put up every wall except the filter; returns them and whether children need a second filter.

    A child needs one where RLIMIT_NPROC cannot stop a fork: for uid 0, and where threads are
    allowed.
    """
    _set_oom_first()
    walls = [_namespaces(plan), _empty_root(plan), _uid_drop(plan), _capabilities()]
    walls.append(_rlimits(plan))
    seccomp.set_no_new_privs()
    walls.append(_landlock(plan))
    die_with_parent()
    _libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    return walls, plan.rich or os.getuid() == 0


def install_filter(plan: Plan, *, again: bool) -> Wall:
    """The mandatory wall. Never raises: an off wall makes the parent refuse to go on."""
    name = "seccomp"
    if "seccomp" in plan.skip:
        return Wall(name, False, "left out on purpose")
    if _MACHINE not in AUDIT_ARCH:
        return Wall(name, False, f"no system-call table for {_MACHINE}: use x86_64 or aarch64")
    try:
        seccomp.Installer(
            seccomp.build(_MACHINE, fork=True, again=again, threads=plan.rich, events=plan.rich)
        )()
    except OSError as error:
        return Wall(
            name,
            False,
            f"{errno.errorcode.get(error.errno or 0)}: the kernel or an outer container refuses "
            "seccomp(2); use a kernel with CONFIG_SECCOMP_FILTER and a profile that allows it",
        )
    return Wall(name, True, "allowlist of system calls; anything else kills the program")


def die_with_parent() -> None:
    """Be killed when the parent dies. Changing ids clears this, so it comes after them."""
    _libc.prctl(PR_SET_PDEATHSIG, SIGKILL)


def _namespaces(plan: Plan) -> Wall:
    name = "namespaces"
    if name in plan.skip:
        return Wall(name, False, "left out on purpose")
    flags = CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS
    if _libc.unshare(flags) == 0:
        return Wall(name, True, "no network, own IPC and host name (by privilege)")
    if _libc.unshare(flags | CLONE_NEWUSER) == 0:
        return Wall(name, True, "no network, own IPC and host name (by a user namespace)")
    return Wall(
        name,
        False,
        f"unshare: {_error()}; allow user namespaces (sysctl user.max_user_namespaces, "
        "kernel.apparmor_restrict_unprivileged_userns=0) or add CAP_SYS_ADMIN",
    )


def _empty_root(plan: Plan) -> Wall:
    name = "empty root"
    if not plan.empty_root or "namespaces" in plan.skip:
        return Wall(name, False, "left out on purpose")
    if _libc.chroot(plan.empty_root.encode()) == 0:
        os.chdir("/")
        return Wall(name, True, "no path leads anywhere")
    return Wall(name, False, f"chroot: {_error()}; needs CAP_SYS_CHROOT or user namespaces")


def _uid_drop(plan: Plan) -> Wall:
    name = "uid drop"
    if os.getuid() != 0:
        return Wall(name, True, f"runs as uid {os.getuid()}, not root")
    if name in plan.skip:
        return Wall(name, False, "left out on purpose")
    last = ""
    for uid in (plan.uid, 65534):
        try:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
        except OSError as error:
            last = f"{errno.errorcode.get(error.errno or 0)} ({error.strerror})"
            continue
        return Wall(name, True, f"runs as uid {uid}")
    return Wall(
        name, False, f"setresuid: {last}; add CAP_SETUID and CAP_SETGID, or do not use root"
    )


def _capabilities() -> Wall:
    """Drop every capability: matters for uid 0 and inside a fresh user namespace."""
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    data = (ctypes.c_uint32 * 6)()
    if _libc.syscall(number("capset", _MACHINE), header, data):
        return Wall("capabilities", False, f"capset: {_error()}")
    return Wall("capabilities", True, "none left")


def _rlimits(plan: Plan) -> Wall:
    limits = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_NOFILE: 64,
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_MSGQUEUE: 0,
        resource.RLIMIT_SIGPENDING: 64,
        resource.RLIMIT_AS: plan.memory_bytes,
    }
    try:
        for which, wanted in limits.items():
            hard = resource.getrlimit(which)[1]
            value = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
            resource.setrlimit(which, (value, value))
        hard = resource.getrlimit(resource.RLIMIT_STACK)[1]
        stack = 64 << 20
        stack = stack if hard == resource.RLIM_INFINITY else min(stack, hard)
        resource.setrlimit(resource.RLIMIT_STACK, (stack, stack))
    except (OSError, ValueError) as error:
        return Wall("rlimits", False, f"setrlimit: {error}; raise the hard limits of this shell")
    return Wall("rlimits", True, f"{plan.memory_bytes >> 20} MB, CPU time, no files, no processes")


def _set_oom_first() -> None:
    """When memory runs out, the kernel shall take a program, not the trainer."""
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("1000")
    except OSError:
        return  # /proc is not mounted or read-only: the other limits stand


def _landlock(plan: Plan) -> Wall:
    """Handle every right of this kernel's Landlock and allow none."""
    name = "landlock"
    if name in plan.skip:
        return Wall(name, False, "left out on purpose")
    create = number("landlock_create_ruleset", _MACHINE)
    abi = _libc.syscall(create, None, 0, 1)
    if abi < 1:
        return Wall(name, False, f"{_error()}; needs Linux 5.13 with the Landlock module enabled")
    files = (1 << (13 + (abi >= 2) + (abi >= 3) + (abi >= 5))) - 1
    network = 0b11 if abi >= 4 else 0
    scoped = 0b11 if abi >= 6 else 0
    rules = (ctypes.c_uint64 * 3)(files, network, scoped)
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8
    ruleset = _libc.syscall(create, rules, size, 0)
    if ruleset < 0:
        return Wall(name, False, f"landlock_create_ruleset: {_error()}")
    failed = _libc.syscall(number("landlock_restrict_self", _MACHINE), ruleset, 0)
    os.close(ruleset)
    if failed:
        return Wall(name, False, f"landlock_restrict_self: {_error()}")
    return Wall(name, True, f"ABI {abi}: no file, no TCP, no signal or abstract socket outside")
