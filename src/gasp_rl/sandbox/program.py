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
from typing import NamedTuple

from gasp_rl.sandbox import frames, spawn
from gasp_rl.sandbox.jobs import Verdict
from gasp_rl.sandbox.lockdown import Plan, Wall
from gasp_rl.sandbox.zygote import FORK, FORKED, REAP, REAPED, REQUEST

IDLE_SECONDS = 2.0
"""A program that uses no CPU for this long is stopped: nothing will come to wake it."""
_QUICK = struct.pack("ll", 0, 20_000)  # most programs answer within one receive of 20 ms
_CHUNK = 1 << 18


class ZygoteError(RuntimeError):
    """The zygote failed: the job is not to blame."""


class Limits(NamedTuple):
    cpu_seconds: float
    output_bytes: int

    @property
    def wall_seconds(self) -> float:
        """Only a backstop: on a busy machine a right program must still reach its CPU limit."""
        return 10 * self.cpu_seconds + 10


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

    def __init__(self, plan: Plan, *, hash_seed: int, seed: int, site: tuple[str, ...]) -> None:
        self.process, self.socket = spawn.start("zygote", hash_seed=hash_seed, seed=seed, site=site)
        try:
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

    def fork(self, descriptors: list[int], cpu_seconds: int) -> None:
        rights = array.array("i", descriptors)
        ancillary = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)]
        try:
            self.socket.sendmsg([REQUEST.pack(FORK, cpu_seconds)], ancillary)
        except OSError as error:
            raise ZygoteError("a zygote is gone") from error

    def forked(self) -> int:
        """The pid of the program that `fork` asked for. It stays valid until `reap`."""
        (pid,) = FORKED.unpack(self._answer(FORKED.size))
        if pid < 0:
            raise ZygoteError(f"a zygote cannot fork: {os.strerror(-pid)}")
        return pid

    def reap(self) -> tuple[int, float]:
        """Wait status and CPU seconds of the program, which must be dead or dying."""
        self.socket.send(REQUEST.pack(REAP, 0))
        status, user, system, _ = REAPED.unpack(self._answer(REAPED.size))
        return status, user + system

    def _answer(self, size: int) -> bytes:
        data = self.socket.recv(size)
        if len(data) != size:
            raise ZygoteError("a zygote is gone")
        return data


def run(
    zygote: Zygote,
    order: bytes,
    limits: Limits,
    *,
    stdin: bytes | None = None,
    interrupted: Callable[[], bool] = lambda: False,
    control: int = -1,
) -> Run:
    """Fork one program, hand it its order, and collect what it says within its limits.

    `stdin` given: the program also gets a true standard input and output. `interrupted` is asked
    when `control` becomes readable; true stops the program as CANCELLED.
    """
    ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_STREAM)
    watch = _Watch(zygote, ours, limits, interrupted, control)
    descriptors = [theirs.fileno()]
    pipes: list[int] = []
    try:
        if stdin is not None:
            watch.stdout_fd, pipes = _streams(stdin)
            descriptors += pipes
        ours.setsockopt(_socket.SOL_SOCKET, _socket.SO_RCVTIMEO, _QUICK)
        zygote.fork(descriptors, min(int(limits.cpu_seconds) + 1, 60_000))
        theirs.close()
        for pipe in pipes:
            os.close(pipe)
        pipes = []
        with contextlib.suppress(OSError):  # it may die early; the wait status tells
            ours.sendall(len(order).to_bytes(4, "little") + order)
        return watch.finish()
    finally:
        ours.close()
        theirs.close()
        for pipe in pipes:
            os.close(pipe)
        if watch.stdout_fd >= 0:
            os.close(watch.stdout_fd)


def _streams(stdin: bytes) -> tuple[int, list[int]]:
    """A sealed memory file to read from and a pipe to write to."""
    source = os.memfd_create("stdin", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    view = memoryview(stdin)
    while view:
        view = view[os.write(source, view) :]
    os.lseek(source, 0, os.SEEK_SET)
    fcntl.fcntl(source, 1033, 0xF)  # F_ADD_SEALS: seal, shrink, grow, write
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    return reading, [source, writing]


class _Watch:
    """Collects frames and output of one process until it ends or must end."""

    def __init__(
        self,
        zygote: Zygote,
        job: _socket.socket,
        limits: Limits,
        interrupted: Callable[[], bool],
        control: int,
    ) -> None:
        self.zygote, self.job, self.limits = zygote, job, limits
        self.interrupted, self.control = interrupted, control
        self.reader = frames.Reader()
        self.frames: list[tuple[bytes, bytes]] = []
        self.malformed = self.hung_up = self.stdout_closed = False
        self.received = 0
        self.stdout = bytearray()
        self.stdout_fd = -1
        self.pid = 0

    def finish(self) -> Run:
        stopped = self._quick() if self.stdout_fd < 0 else False
        if stopped is False:
            stopped = self._slow()
        pid = self.pid or self.zygote.forked()
        try:
            os.kill(pid, signal.SIGKILL)  # it has said its last word, or has hidden its socket
        except ProcessLookupError as error:
            raise ZygoteError("a program was reaped by someone else") from error
        status, cpu = self.zygote.reap()
        if self.stdout_fd >= 0 and stopped is None and self._drain():
            stopped = Verdict.OUTPUT_LIMIT
        return Run(
            frames=self.frames,
            malformed=self.malformed,
            stopped=stopped,
            hung_up=self.hung_up,
            status=status,
            cpu_seconds=cpu,
            stdout=bytes(self.stdout),
        )

    def _quick(self) -> Verdict | bool | None:
        """One blocking receive; False if the program needs more than that."""
        try:
            data = self.job.recv(_CHUNK)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        return None if self._take(data) else False

    def _take(self, data: bytes) -> bool:
        """Whether the program has said its last word."""
        if not data:
            self.hung_up = True
            return True
        self.received += len(data)
        try:
            found = self.reader.feed(data)
        except frames.MalformedError:
            self.malformed = True
            return True
        self.frames += found
        return any(tag not in (frames.VALUE, frames.CALL) for tag, _ in found)

    def _slow(self) -> Verdict | None:
        self.pid = self.zygote.forked()
        poll = select.poll()
        poll.register(self.job, select.POLLIN)
        if self.control >= 0:
            poll.register(self.control, select.POLLIN)
        if self.stdout_fd >= 0:
            poll.register(self.stdout_fd, select.POLLIN)
        clock = _Clock(self.pid, self.limits)
        while True:
            verdict = clock.verdict()
            if verdict is not None:
                return verdict
            for descriptor, _ in poll.poll(clock.pause_ms()):
                if descriptor == self.control:
                    if self.interrupted():
                        return Verdict.CANCELLED
                elif descriptor == self.stdout_fd:
                    if self._drain():
                        return Verdict.OUTPUT_LIMIT
                    if self.stdout_closed:
                        poll.unregister(self.stdout_fd)
                elif self._receive():
                    return None
                elif self.received > self.limits.output_bytes:
                    return Verdict.OUTPUT_LIMIT

    def _receive(self) -> bool:
        try:
            data = self.job.recv(_CHUNK)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        return self._take(data)

    def _drain(self) -> bool:
        """Read what standard output holds; whether it is more than allowed."""
        while len(self.stdout) <= self.limits.output_bytes:
            try:
                data = os.read(self.stdout_fd, _CHUNK)
            except BlockingIOError:
                return False
            if not data:
                self.stdout_closed = True
                return False
            self.stdout += data
        return True


class _Clock:
    """Decides when a running program has had enough CPU or wall time."""

    def __init__(self, pid: int, limits: Limits) -> None:
        self.pid, self.limits = pid, limits
        self.clock_id = (~pid << 3) | 2  # the kernel's name for the CPU clock of a process
        self.started = self.moved = time.monotonic()
        self.cpu = self.cpu_then = 0.0

    def verdict(self) -> Verdict | None:
        now = time.monotonic()
        try:
            self.cpu = time.clock_gettime(self.clock_id)
        except OSError:
            return None  # it is dead; the socket will say so
        if self.cpu >= self.limits.cpu_seconds:
            return Verdict.TIMEOUT_CPU
        if now - self.started >= self.limits.wall_seconds:
            return Verdict.TIMEOUT_WALL
        if self.cpu - self.cpu_then > 1e-3 or self._is_runnable():
            self.cpu_then, self.moved = self.cpu, now
        elif now - self.moved >= IDLE_SECONDS:
            return Verdict.TIMEOUT_WALL
        return None

    def pause_ms(self) -> float:
        return 1000 * min(max(self.limits.cpu_seconds - self.cpu, 0.002), 0.25)

    def _is_runnable(self) -> bool:
        """Wants CPU but gets none: other work on this machine is no fault of the program's."""
        try:
            with open(f"/proc/{self.pid}/stat", "rb") as file:
                state = file.read().rpartition(b")")[2].split()[0]
        except (OSError, IndexError):
            return False
        return state in (b"R", b"D")
