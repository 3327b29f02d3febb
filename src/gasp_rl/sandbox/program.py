"""One program's process, seen from the trusted side: start it, feed it, bound it, reap it."""

import _socket
import array
import contextlib
import fcntl
import marshal
import os
import select
import signal
import struct
import time
from collections.abc import Callable
from typing import NamedTuple, Self

from gasp_rl.sandbox import frames, spawn
from gasp_rl.sandbox.cgroups import Group
from gasp_rl.sandbox.jobs import Verdict
from gasp_rl.sandbox.lockdown import Plan, Wall
from gasp_rl.sandbox.zygote import FORK, FORKED, REAP, REAPED, REQUEST

IDLE_SECONDS = 2.0
"""A program that has slept for this long in all is stopped: nothing will come to wake it."""
_QUICK = struct.pack("ll", 0, 20_000)  # most programs answer within one receive of 20 ms
_QUICK_READS = 2  # a teacher's program is announced, or compiled code is shared, before the answer
_CHUNK = 1 << 18
_THREADS_LOOKED_AT = 16
_LONGEST_PAUSE = 0.25  # seconds between two looks at a running program
_KERNEL_TELLS = os.path.exists("/proc/self/schedstat")


class ZygoteError(RuntimeError):
    """The zygote failed: the job is not to blame."""


class Limits(NamedTuple):
    cpu_seconds: float
    output_bytes: int

    @property
    def wall_seconds(self) -> float:
        """Only a backstop: on a busy machine a right program must still reach its CPU limit."""
        return 10 * self.cpu_seconds + 10


class Guard(NamedTuple):
    """Lets the caller stop a running program: `asks` is called when `descriptor` is readable."""

    descriptor: int = -1
    asks: Callable[[], bool] = lambda: False


_NO_GUARD = Guard()


class Run(NamedTuple):
    """What became of one process."""

    frames: list[tuple[bytes, bytes]]
    malformed: bool  # it wrote something else than frames to the job socket
    stopped: Verdict | None  # the limit that we enforced
    hung_up: bool  # its socket closed before its last word; then we kill it
    status: int  # as from wait()
    cpu_seconds: float
    stdout: bytes


class Zygote:
    """A zygote process and the socket to it. Forks one program at a time."""

    def __init__(
        self,
        plan: Plan,
        *,
        hash_seed: int,
        seed: int,
        site: tuple[str, ...],
        group: Group | None = None,
    ) -> None:
        self.group = group
        self.process, self.socket = spawn.start("zygote", hash_seed=hash_seed, seed=seed, site=site)
        try:
            if group is not None:
                group.add(self.process.pid)  # before it hears what to load: all of it is counted
            self.socket.sendall(marshal.dumps(tuple(plan)))
            answer = self.socket.recv(65536)
        except OSError:
            answer = b""
        if not answer:
            self.close()
            raise ZygoteError("a zygote died while it was locking itself down")
        self.walls = [Wall(*wall) for wall in marshal.loads(answer)]

    def close(self) -> None:
        self.socket.close()
        self.process.kill()
        self.process.wait()
        if self.group is not None:
            self.group.close()

    def fork(self, descriptors: list[int], cpu_seconds: int) -> None:
        rights = array.array("i", descriptors)
        ancillary = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)]
        try:
            self.socket.sendmsg([REQUEST.pack(FORK, cpu_seconds)], ancillary)
        except OSError as error:
            raise ZygoteError("a zygote is gone") from error

    def forked(self) -> int:
        """The pid of the program that `fork` asked for. It stays valid until `reap`."""
        pid: int = FORKED.unpack(self._answer(FORKED.size))[0]
        if pid < 0:
            raise ZygoteError(f"a zygote cannot fork: {os.strerror(-pid)}")
        return pid

    def reap(self) -> tuple[int, float]:
        """Wait status and CPU seconds of the program, which must be dead or dying."""
        try:
            self.socket.send(REQUEST.pack(REAP, 0))
        except OSError as error:
            raise ZygoteError("a zygote is gone") from error
        status, user, system, _ = REAPED.unpack(self._answer(REAPED.size))
        return status, user + system

    def _answer(self, size: int) -> bytes:
        try:
            data = self.socket.recv(size)
        except OSError as error:
            raise ZygoteError("a zygote is gone") from error
        if len(data) != size:
            raise ZygoteError("a zygote is gone")
        return data


class Program:
    """One forked program: hand it its order, wait for frames within its limits, end it.

    `stdin` given: it also gets a true standard input and output. Use as a context manager; `end`
    must be called once before leaving it normally.
    """

    def __init__(
        self,
        zygote: Zygote,
        order: bytes,
        limits: Limits,
        guard: Guard = _NO_GUARD,
        stdin: bytes | None = None,
    ) -> None:
        self.zygote, self.limits, self.guard = zygote, limits, guard
        self.frames: list[tuple[bytes, bytes]] = []
        self.stdout = bytearray()
        self.stdout_fd = -1
        self._reader = frames.Reader()
        self._malformed = self._hung_up = self._stdout_closed = False
        self._received = 0
        self._pid = 0
        self._clock: _Clock | None = None
        self._ended = False
        self._job, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_STREAM)
        descriptors = [theirs.fileno()]
        pipes: list[int] = []
        try:
            if stdin is not None:
                self.stdout_fd, pipes = _streams(stdin)
                descriptors += pipes
            self._job.setsockopt(_socket.SOL_SOCKET, _socket.SO_RCVTIMEO, _QUICK)
            zygote.fork(descriptors, min(int(limits.cpu_seconds) + 1, 60_000))
        finally:
            theirs.close()
            for pipe in pipes:
                os.close(pipe)
        self.send(order)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._ended:
            # An error of ours on the way: leave no program behind that the zygote would wait for.
            with contextlib.suppress(ZygoteError, OSError):
                self.end()
        self._job.close()
        if self.stdout_fd >= 0:
            os.close(self.stdout_fd)

    def send(self, message: bytes) -> None:
        """Hand over bytes with their length before them, as far as the program takes them."""
        rest = memoryview(len(message).to_bytes(4, "little") + message)
        with contextlib.suppress(OSError):  # it may be dead already: the wait status tells
            while rest:
                try:
                    rest = rest[self._job.send(rest, _socket.MSG_DONTWAIT) :]
                except BlockingIOError:
                    if not self._takes_more():
                        return  # `wait` says which limit it broke

    def _takes_more(self) -> bool:
        """Wait for room in its socket; False when it reaches a limit without reading."""
        clock = self._clock = self._clock or _Clock(self._known_pid(), self.limits)
        clock.wake()
        poll = select.poll()
        poll.register(self._job, select.POLLOUT)
        while True:
            verdict = clock.verdict()
            if poll.poll(0 if verdict else clock.pause_ms()):
                return True
            if verdict:
                return False

    def wait(self, *, for_any: bool = False) -> Verdict | None:
        """Collect frames up to the program's last word (`for_any`: up to any frame) or its end.

        Returns the limit that it broke, if it did.
        """
        if self._clock is None:
            try:
                for _ in range(_QUICK_READS):
                    if self._take(self._job.recv(_CHUNK), for_any):
                        return None
            except BlockingIOError:
                pass  # not a quick one
            except ConnectionError:
                self._hung_up = True
                return None
        return self._wait_long(for_any)

    def end(self, stopped: Verdict | None = None) -> Run:
        """Kill it, whatever it is doing, and report."""
        self._ended = True
        try:
            os.kill(self._known_pid(), signal.SIGKILL)
        except ProcessLookupError as error:
            raise ZygoteError("a program was reaped by someone else") from error
        status, cpu = self.zygote.reap()
        if self.stdout_fd >= 0 and stopped is None and self._drain():
            stopped = Verdict.OUTPUT_LIMIT
        return Run(
            frames=self.frames,
            malformed=self._malformed,
            stopped=stopped,
            hung_up=self._hung_up,
            status=status,
            cpu_seconds=cpu,
            stdout=bytes(self.stdout),
        )

    def _known_pid(self) -> int:
        self._pid = self._pid or self.zygote.forked()
        return self._pid

    def _take(self, data: bytes, for_any: bool) -> bool:
        """Whether what was waited for has come."""
        if not data:
            self._hung_up = True
            return True
        self._received += len(data)
        try:
            found = self._reader.feed(data)
        except frames.MalformedError:
            self._malformed = True
            return True
        self.frames += found
        return (for_any and bool(found)) or any(tag != frames.VALUE for tag, _ in found)

    def _wait_long(self, for_any: bool) -> Verdict | None:
        clock = self._clock = self._clock or _Clock(self._known_pid(), self.limits)
        clock.wake()
        poll = self._poll()
        while True:
            verdict = clock.verdict()
            if verdict is Verdict.TIMEOUT_CPU:
                return verdict
            events = poll.poll(0 if verdict else clock.pause_ms())
            if verdict and not events:
                return verdict
            for descriptor, _ in events:
                if descriptor == self.guard.descriptor:
                    if self.guard.asks():
                        return Verdict.CANCELLED
                    continue
                if descriptor == self.stdout_fd:
                    if self._drain():
                        return Verdict.OUTPUT_LIMIT
                    if self._stdout_closed:
                        poll.unregister(self.stdout_fd)
                elif self._receive(for_any):
                    clock.verdict()  # counts what it took since the last look
                    return None
                elif self._received > self.limits.output_bytes:
                    return Verdict.OUTPUT_LIMIT

    def _poll(self) -> select.poll:
        poll = select.poll()
        poll.register(self._job, select.POLLIN)
        if self.guard.descriptor >= 0:
            poll.register(self.guard.descriptor, select.POLLIN)
        if self.stdout_fd >= 0:
            poll.register(self.stdout_fd, select.POLLIN)
        return poll

    def _receive(self, for_any: bool) -> bool:
        try:
            data = self._job.recv(_CHUNK)
        except BlockingIOError:
            return False
        except ConnectionError:
            data = b""
        return self._take(data, for_any)

    def _drain(self) -> bool:
        """Read what standard output holds; whether it is more than allowed."""
        while len(self.stdout) <= self.limits.output_bytes:
            try:
                data = os.read(self.stdout_fd, _CHUNK)
            except BlockingIOError:
                return False
            if not data:
                self._stdout_closed = True
                return False
            self.stdout += data
        return True


def _streams(stdin: bytes) -> tuple[int, list[int]]:
    """A sealed memory file to read from and a pipe to write to."""
    source = os.memfd_create("stdin", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    view, written = memoryview(stdin), 0
    while written < len(view):
        written += os.pwrite(source, view[written:], written)  # its position stays at the start
    fcntl.fcntl(source, 1033, 0xF)  # F_ADD_SEALS: seal, shrink, grow, write
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    return reading, [source, writing]


class _Clock:
    """Decides when a running program has had enough CPU or wall time.

    Wall time counts only while somebody waits for the program, and neither while the program nor
    while the worker stands in the queue for a core: a busy machine is no fault of the program's.
    The kernel books a stretch in the queue at its end (`/proc/PID/schedstat`), so what a program
    that wants a core did not use since it last ran is `unsure`: it may have queued, or slept. Where
    the kernel does not tell, wanting a core counts as having queued.
    """

    def __init__(self, pid: int, limits: Limits) -> None:
        self.pid, self.limits = pid, limits
        self.clock_id = (~pid << 3) | 2  # the kernel's name for the CPU clock of a process
        self.cpu = self.queued = self.wall = self.idle = self.unsure = 0.0
        self.wake()

    def wake(self) -> None:
        """A new wait begins: the time since the last look was not the program's."""
        self.looked, self.ours = time.monotonic(), _queued("/proc/self")

    def verdict(self) -> Verdict | None:
        now, cpu, queued, ours = time.monotonic(), self.cpu, self.queued, self.ours
        try:
            self.cpu = time.clock_gettime(self.clock_id)
        except OSError:
            return None  # it is dead; the socket will say so
        if self.cpu >= self.limits.cpu_seconds:
            return Verdict.TIMEOUT_CPU
        states = self._look_at_threads()
        wants_core = b"R" in states
        self.ours = _queued("/proc/self")
        passed = min(now - self.looked - (self.ours - ours), _LONGEST_PAUSE)
        passed -= self.queued - queued
        unused = passed - (self.cpu - cpu)
        if b"D" in states or (wants_core and not _KERNEL_TELLS):
            unused = 0.0
        self.wall = max(self.wall + passed, 0.0)
        self.idle = max(self.idle + unused, 0.0)
        if not wants_core or self.cpu > cpu:
            self.unsure = 0.0
        if wants_core:
            self.unsure += max(unused, 0.0)
        self.looked = now
        over = self.wall >= self.limits.wall_seconds or self.idle - self.unsure >= IDLE_SECONDS
        return Verdict.TIMEOUT_WALL if over else None

    def pause_ms(self) -> float:
        return 1000 * min(max(self.limits.cpu_seconds - self.cpu, 0.002), _LONGEST_PAUSE)

    def _look_at_threads(self) -> set[bytes]:
        """Note how long they queued; the states that they are in (R: wants a core, D: the disk)."""
        folder = f"/proc/{self.pid}/task"
        states = set()
        with contextlib.suppress(OSError, IndexError):
            for thread in sorted(os.listdir(folder), key=int)[:_THREADS_LOOKED_AT]:
                states.add(_kernel_text(f"{folder}/{thread}/stat").rpartition(b")")[2].split()[0])
                self.queued = max(self.queued, _queued(f"{folder}/{thread}"))
        return states


def _queued(task: str) -> float:
    """Seconds that a task was ready to run but had no core; 0 where the kernel does not tell."""
    try:
        return int(_kernel_text(f"{task}/schedstat").split()[1]) / 1e9
    except (OSError, IndexError):
        return 0.0


def _kernel_text(path: str) -> bytes:
    """A small file of the kernel's, by three system calls where `open` makes nine."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, 4096)
    finally:
        os.close(descriptor)
