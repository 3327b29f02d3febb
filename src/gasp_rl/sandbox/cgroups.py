"""Memory and processes bounded by the kernel's accounts (cgroup v2), where this place delegates one.

`RLIMIT_AS` bounds the address space of one process; a cgroup also counts kernel memory, such as
that of thousands of threads, and holds for everything that one zygote ever forks. Groups are made
beneath the caller's own, so limits around the caller keep holding. The kernel wants processes only
in leaves: where the caller's own group holds nothing but the caller and its children, they are
moved into a leaf of it.
"""

import contextlib
import errno
import os
import time
from pathlib import Path
from typing import NamedTuple

from gasp_rl.sandbox.lockdown import Wall

NAME = "cgroup"
CALLER = "gasp-caller"
INTERPRETER_BYTES = 384 << 20
"""What a zygote with all its modules may need beyond the memory of one program."""
MAX_TASKS = 512
_WANTED = ("memory", "pids")
_LOOKS_AT_THE_DYING = 500
_REMEDY = "start it with `systemd-run --user --scope -p Delegate=yes`, or set limits around it"


class Base(NamedTuple):
    """A group of this sandbox beneath which workers make theirs; no path where there is none."""

    path: str
    detail: str


def open_base() -> Base:
    """Make a group for this process's sandbox, or say why that cannot be done here."""
    try:
        own = own_group(
            Path("/proc/self/mountinfo").read_text(), Path("/proc/self/cgroup").read_text()
        )
        if own is None:
            return Base("", f"ENOENT: cgroup v2 is not mounted; {_REMEDY}")
        return Base(str(_make(own)), "")
    except OSError as error:
        name = errno.errorcode.get(error.errno or 0, "?")
        return Base("", f"{name} ({error.strerror}) at {error.filename}; {_REMEDY}")


def own_group(mountinfo: str, cgroup: str) -> Path | None:
    """The folder of this process's cgroup v2, from the texts of the two files in /proc/self."""
    path = next((line[3:] for line in cgroup.splitlines() if line.startswith("0::")), None)
    if path is None:
        return None
    for line in mountinfo.splitlines():
        fields, _, kind = line.partition(" - ")
        if kind.startswith("cgroup2 "):
            root, mounted = fields.split()[3:5]
            inside = os.path.relpath(path, root)
            folder = Path(os.path.normpath(f"{mounted}/{inside}"))
            return folder.parent if folder.name == CALLER else folder
    return None


def _make(own: Path) -> Path:
    available = (own / "cgroup.controllers").read_text().split()
    missing = [name for name in _WANTED if name not in available]
    if missing:
        what = f"no {' and '.join(missing)} controller (not delegated, or bound to cgroup v1)"
        raise OSError(errno.ENOTSUP, what, str(own))
    base = own / f"gasp-sandbox-{os.getpid()}"
    base.mkdir(exist_ok=True)
    try:
        try:
            _enable(own)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            _move_caller(own)
            _enable(own)
        _enable(base)
    except OSError:
        base.rmdir()
        raise
    return base


def _enable(group: Path) -> None:
    (group / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in _WANTED))


def _move_caller(own: Path) -> None:
    """Move this process and its children into a leaf; refuse where others live in the group."""
    pids = [int(pid) for pid in (own / "cgroup.procs").read_text().split()]
    if any(pid != os.getpid() and os.getpid() not in _ancestors(pid) for pid in pids):
        raise OSError(errno.EBUSY, "other processes share this cgroup", str(own))
    leaf = own / CALLER
    leaf.mkdir(exist_ok=True)
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            (leaf / "cgroup.procs").write_text(str(pid))


def _ancestors(pid: int) -> set[int]:
    found: set[int] = set()
    while pid > 1 and pid not in found:
        found.add(pid)
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            break
    return found


class Group:
    """The group of one zygote and its programs."""

    def __init__(self, base: str, name: str, memory_bytes: int) -> None:
        """Raises OSError where the kernel refuses."""
        self.path = Path(base, name)
        self.path.mkdir(exist_ok=True)
        limits = {"memory.max": memory_bytes + INTERPRETER_BYTES, "pids.max": MAX_TASKS}
        for file, value in limits.items():
            (self.path / file).write_text(str(value))
        with contextlib.suppress(OSError):  # a kernel without swap accounts
            (self.path / "memory.swap.max").write_text("0")

    def add(self, pid: int) -> None:
        (self.path / "cgroup.procs").write_text(str(pid))

    def wall(self) -> Wall:
        megabytes = int((self.path / "memory.max").read_text()) >> 20
        return Wall(NAME, True, f"{megabytes} MB and {MAX_TASKS} tasks for each zygote, counted")

    def close(self) -> None:
        """Its processes must be dead; a group that is still busy is left to `close_base`."""
        with contextlib.suppress(OSError):
            self.path.rmdir()


def close_base(path: str) -> None:
    """Remove a sandbox's group and what dead workers left in it, once their zygotes are gone too."""
    if not path:
        return
    base = Path(path)
    with contextlib.suppress(OSError):  # since Linux 5.14; they die with their parents anyway
        (base / "cgroup.kill").write_text("1")
    for _ in range(_LOOKS_AT_THE_DYING):
        try:
            for group in base.iterdir():
                if group.is_dir():
                    group.rmdir()
            base.rmdir()
        except OSError as error:
            if error.errno == errno.EBUSY:
                time.sleep(0.01)
                continue
        return
