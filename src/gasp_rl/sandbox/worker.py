"""The trusted process that owns one set of zygotes: takes jobs, runs programs, grades bytes.

One for each core. It is not sandboxed and never runs, unpickles, evaluates or formats anything
that a program said. Expected outputs come this far and no further.
"""

import _socket
import marshal
import os
import select
import tempfile
import time
from collections import deque
from typing import Any, NamedTuple

from gasp_rl.sandbox import cgroups, judge
from gasp_rl.sandbox.jobs import Verdict
from gasp_rl.sandbox.lockdown import Plan, Wall
from gasp_rl.sandbox.program import Guard, Limits, Program, Run, Zygote, ZygoteError
from gasp_rl.sandbox.wire import Channel

ATTEMPTS = 3
FLUSH_SECONDS = 0.005
MANDATORY = ("seccomp", "rlimits", "capabilities")


class Settings(NamedTuple):
    """What the pool tells a worker at its start."""

    place: int  # of this worker among the workers
    cpu_seconds: float
    memory_bytes: int
    output_bytes: int
    unsafe: bool
    skip: tuple[str, ...]
    core: int  # -1: not pinned
    cgroup: str  # folder to make groups in, or ""
    cgroup_detail: str  # why there is none


def main(control: int, seed: int, site: list[str]) -> None:
    """Entry of the process. Ends when the pool closes the socket or dies."""
    channel = Channel(_socket.socket(fileno=control))
    settings = Settings(*channel.receive())
    if settings.core >= 0:
        os.sched_setaffinity(0, {settings.core})
    worker = Worker(channel, settings, tuple(site))
    try:
        worker.serve()
    except EOFError:
        os._exit(0)


class Worker:
    """Serves jobs in order of arrival; implements `judge.Runner` on three kinds of zygotes."""

    def __init__(self, channel: Channel, settings: Settings, site: tuple[str, ...]) -> None:
        self.channel, self.settings, self.site = channel, settings, site
        self.queue: deque[tuple[int, bytes]] = deque()
        self.cancelled: set[int] = set()
        self.current = -1
        self.zygotes: dict[str, Zygote] = {}
        self.finished: list[tuple[Any, ...]] = []
        self.cpu = 0.0

    def serve(self) -> None:
        try:
            zygote = self.zygote("first")
        except ZygoteError as error:
            self.channel.send(("broken", str(error), []))
            return
        self.channel.send(("ready", "", [tuple(wall) for wall in zygote.walls]))
        flushed = time.monotonic()
        while True:
            self.read(block=not self.queue)
            while self.queue:
                number, order = self.queue.popleft()
                if number in self.cancelled:
                    self.cancelled.discard(number)
                    continue
                self.finished.append((number, *self.answer(number, order)))
                if not self.queue or time.monotonic() - flushed > FLUSH_SECONDS:
                    break
            if self.finished:
                self.channel.send(("done", self.finished))
                self.finished = []
                flushed = time.monotonic()

    def read(self, *, block: bool) -> None:
        """Take in what the pool sent; EOFError when the pool is gone."""
        while block or _readable(self.channel.fileno()):
            kind, content = self.channel.receive()
            if kind == "jobs":
                self.queue.extend(content)
            else:
                self.cancelled.update(content)
            block = False

    def interrupted(self) -> bool:
        self.read(block=False)
        return self.current in self.cancelled

    def answer(self, number: int, order: bytes) -> tuple[Any, ...]:
        """Judge one job; a failure of our own is tried again, then reported as INTERNAL."""
        self.current, self.cpu = number, 0.0
        started = time.monotonic()
        attempt = 0
        ruling = judge.Ruling(Verdict.INTERNAL)
        while ruling.verdict is Verdict.INTERNAL and attempt < ATTEMPTS:
            attempt += 1
            try:
                ruling = judge.judge(self, marshal.loads(order))
            except ZygoteError as error:
                ruling = judge.Ruling(Verdict.INTERNAL, detail=str(error))
                self.close_zygotes()
        self.current = -1
        self.cancelled.discard(number)
        wall_ms = 1000 * (time.monotonic() - started)
        return (
            str(ruling.verdict),
            [(str(verdict), detail[:500]) for verdict, detail in ruling.tests],
            list(ruling.outputs),
            ruling.detail[:500],
            1000 * self.cpu,
            wall_ms,
            attempt,
        )

    # -- judge.Runner

    def limits(self, cpu_seconds: float | None) -> Limits:
        return Limits(cpu_seconds or self.settings.cpu_seconds, self.settings.output_bytes)

    def open(
        self, flavour: str, order: bytes, limits: Limits, stdin: bytes | None = None
    ) -> Program:
        guard = Guard(self.channel.fileno(), self.interrupted)
        return Program(self.zygote(flavour), order, limits, guard, stdin)

    def spend(self, cpu_seconds: float) -> None:
        self.cpu += cpu_seconds

    def run(self, flavour: str, order: bytes, limits: Limits, stdin: bytes | None = None) -> Run:
        with self.open(flavour, order, limits, stdin) as program:
            result = program.end(program.wait())
        self.cpu += result.cpu_seconds
        return result

    # -- zygotes

    def zygote(self, flavour: str) -> Zygote:
        """`first` and `second` differ in hash seed and random numbers; `rich` has more modules."""
        if flavour not in self.zygotes:
            self.zygotes[flavour] = self.start_zygote(flavour)
        return self.zygotes[flavour]

    def start_zygote(self, flavour: str) -> Zygote:
        root = tempfile.mkdtemp(prefix="gasp-empty-")
        os.chmod(root, 0o555)
        plan = Plan(
            memory_bytes=self.settings.memory_bytes,
            uid=60_000 + self.settings.place,
            empty_root=root,
            rich=flavour == "rich",
            skip=self.settings.skip,
        )
        which = ("first", "second", "rich").index(flavour)
        group, bounded = self.group(flavour)
        try:
            zygote = Zygote(
                plan,
                hash_seed=(0, 4_242, 0)[which],
                seed=(1, 2, 1)[which],
                site=self.site if flavour == "rich" else (),
                group=group,
            )
        finally:
            os.rmdir(root)  # whoever is locked into it keeps it, empty for ever
        zygote.walls.append(bounded)
        off = [wall for wall in zygote.walls if wall.name in MANDATORY and not wall.on]
        if off and not self.settings.unsafe:
            zygote.close()
            raise ZygoteError(f"{off[0].name}: {off[0].detail}")
        return zygote

    def group(self, flavour: str) -> tuple[cgroups.Group | None, Wall]:
        if cgroups.NAME in self.settings.skip:
            return None, Wall(cgroups.NAME, False, "left out on purpose")
        if not self.settings.cgroup:
            return None, Wall(cgroups.NAME, False, self.settings.cgroup_detail)
        try:
            name = f"{os.getpid()}-{flavour}"
            group = cgroups.Group(self.settings.cgroup, name, self.settings.memory_bytes)
            return group, group.wall()
        except OSError as error:
            return None, Wall(cgroups.NAME, False, f"{error.strerror} at {error.filename}")

    def close_zygotes(self) -> None:
        for zygote in self.zygotes.values():
            zygote.close()
        self.zygotes.clear()


def _readable(descriptor: int) -> bool:
    return bool(select.select([descriptor], [], [], 0)[0])
