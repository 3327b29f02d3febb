"""One thread that hands jobs to worker processes, collects answers and replaces the dead."""

import contextlib
import os
import select
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from gasp_rl.config import SandboxConfig
from gasp_rl.errors import SandboxError
from gasp_rl.sandbox import cgroups, spawn
from gasp_rl.sandbox.jobs import Layer, Result, TestResult, Verdict
from gasp_rl.sandbox.wire import Channel

ATTEMPTS = 3
WINDOW = 8
"""Jobs handed to one worker in advance; fewer towards the end, so that no worker idles."""
WORKERS_VARIABLE = "GASP_SANDBOX_WORKERS"
"""Environment variable with the most workers of a sandbox whose settings leave their number open: for
whoever runs several sandboxes on one machine. Verdicts do not depend on how many there are."""
_VERDICTS = {str(verdict): verdict for verdict in Verdict}


@dataclass(eq=False)
class Batch:
    """Jobs submitted together, and who is told of their results (from the dispatcher's thread)."""

    receive: Callable[[int, Result | SandboxError], None]
    remaining: int
    cancelled: bool = False


@dataclass(eq=False)
class _Task:
    number: int
    order: bytes
    batch: Batch
    index: int
    attempts: int = 1


@dataclass(eq=False)
class _Worker:
    process: subprocess.Popen[bytes]
    channel: Channel
    tasks: dict[int, _Task] = field(default_factory=dict)


def worker_count(config: SandboxConfig) -> int:
    """`config.workers`, else one for each core this process may use, or fewer by the environment."""
    if config.workers:
        return config.workers
    cores, most = len(os.sched_getaffinity(0)), os.environ.get(WORKERS_VARIABLE, "")
    if not most:
        return cores
    if not most.isdecimal() or not int(most):
        raise SandboxError(f"{WORKERS_VARIABLE}={most}: must be a whole number from 1 on")
    return min(cores, int(most))


class Dispatcher:
    """The worker processes of one sandbox, and the thread that serves them.

    Raises SandboxError if the walls that `config.require` names cannot be put up.
    """

    def __init__(self, config: SandboxConfig, skip: tuple[str, ...]) -> None:
        self.config, self.skip = config, skip
        self.site = tuple(p for p in sys.path if p.endswith("-packages"))
        self.queue: deque[_Task] = deque()
        self.inbox: deque[tuple[str, Any]] = deque()
        self.number = 0
        self.closing = False
        self.wake_reader, self.wake_writer = socket.socketpair()
        self.wake_writer.setblocking(False)
        self.poll = select.poll()
        self.poll.register(self.wake_reader, select.POLLIN)
        self.workers: dict[int, _Worker] = {}
        self.layers: tuple[Layer, ...] = ()
        self.cgroup = cgroups.open_base()
        count = worker_count(config)
        try:
            starting = [self._spawn(index) for index in range(count)]
            for worker in starting:
                self._greet(worker)
        except BaseException:
            self._end_workers()
            raise
        self.stamp = self._stamp()
        self.thread = threading.Thread(target=self._serve, name="gasp-sandbox", daemon=True)
        self.thread.start()

    # -- called from any thread

    def submit(self, batch: Batch, orders: list[bytes]) -> None:
        self._tell("submit", (batch, orders))

    def cancel(self, batch: Batch) -> None:
        batch.cancelled = True
        if batch.remaining:
            self._tell("cancel", batch)

    def close(self) -> None:
        self._tell("close", None)
        self.thread.join()

    def _tell(self, what: str, content: Any) -> None:
        self.inbox.append((what, content))
        try:
            self.wake_writer.send(b"!")
        except BlockingIOError:
            return  # it has plenty of reasons to wake up already
        except OSError as error:
            raise SandboxError("the sandbox is closed; open a new one") from error

    # -- workers

    def _spawn(self, index: int) -> _Worker:
        process, end = spawn.start("worker", site=self.site)
        worker = _Worker(process, Channel(end))
        self.workers[end.fileno()] = worker
        config = self.config
        worker.channel.send(
            (
                index,
                config.cpu_seconds,
                config.memory_mb << 20,
                config.output_bytes,
                config.unsafe,
                self.skip,
                -1,
                *self.cgroup,
            )
        )
        return worker

    def _greet(self, worker: _Worker) -> None:
        """Wait until the worker's walls stand; SandboxError if they do not."""
        try:
            kind, content, walls = worker.channel.receive()
        except EOFError:
            raise SandboxError("a sandbox worker ended at its start; is Python intact?") from None
        layers = tuple(Layer(*wall) for wall in walls)
        if kind == "broken":
            raise SandboxError(
                f"the sandbox cannot protect this machine: {content}. "
                "unsafe=true in [sandbox] runs without protection and stamps every result"
            )
        self.layers = self.layers or layers
        self._require(layers)
        self.poll.register(worker.channel, select.POLLIN)

    def _require(self, layers: tuple[Layer, ...]) -> None:
        require = self.config.require
        for layer in layers:
            needed = require == "all" or (require == "namespaces" and layer.name == "namespaces")
            if needed and not layer.on:
                raise SandboxError(
                    f"sandbox.require={require}, but {layer.name} is off: {layer.detail}"
                )

    def _stamp(self) -> Result:
        """What every result says about the walls around its program."""
        standing = " ".join(layer.name for layer in self.layers if layer.on)
        return Result(verdict=Verdict.OK, layers=standing, unsafe=self.config.unsafe)

    def _end_workers(self) -> None:
        for worker in self.workers.values():
            worker.channel.socket.close()
        for worker in self.workers.values():
            try:
                worker.process.wait(timeout=2)
            except subprocess.TimeoutExpired:
                worker.process.kill()
                worker.process.wait()
        self.workers.clear()
        cgroups.close_base(self.cgroup.path)

    # -- the dispatcher's thread

    def _serve(self) -> None:
        try:
            while not self.closing:
                for descriptor, events in self.poll.poll():
                    if descriptor == self.wake_reader.fileno():
                        self.wake_reader.recv(4096)
                        continue
                    worker = self.workers.get(descriptor)
                    if worker and events & select.POLLOUT:
                        with contextlib.suppress(OSError):  # reading says that it is dead
                            worker.channel.flush()
                        self._watch(worker)
                    if worker and events & ~select.POLLOUT:
                        self._collect(descriptor)
                while self.inbox:
                    self._handle(*self.inbox.popleft())
                self._hand_out()
        except SandboxError as error:
            self._fail_all(error)
        finally:
            self.closing = True
            self.wake_writer.close()  # from here on, submitting raises
            self._fail_all(SandboxError("the sandbox was closed before this job was done"))
            self._end_workers()
            self.wake_reader.close()

    def _handle(self, what: str, content: Any) -> None:
        if what == "submit":
            batch, orders = content
            for index, order in enumerate(orders):
                self.number += 1
                self.queue.append(_Task(self.number, order, batch, index))
        elif what == "cancel":
            self.queue = deque(task for task in self.queue if task.batch is not content)
            for worker in self.workers.values():
                numbers = [n for n, task in worker.tasks.items() if task.batch is content]
                for number in numbers:
                    del worker.tasks[number]
                if numbers:
                    self._send(worker, ("cancel", numbers))
        else:
            self.closing = True

    def _hand_out(self) -> None:
        if not self.queue:
            return
        window = max(1, min(WINDOW, len(self.queue) // (2 * len(self.workers))))
        for worker in list(self.workers.values()):
            room = min(window - len(worker.tasks), len(self.queue))
            if room <= 0:
                continue
            tasks = [self.queue.popleft() for _ in range(room)]
            worker.tasks.update((task.number, task) for task in tasks)
            self._send(worker, ("jobs", [(task.number, task.order) for task in tasks]))

    def _send(self, worker: _Worker, message: Any) -> None:
        # Never wait for a worker: it may be waiting for us to read a large result.
        try:
            worker.channel.post(message)
        except OSError:
            return  # it is dead: reading from it says so, and its tasks are run again
        self._watch(worker)

    def _watch(self, worker: _Worker) -> None:
        events = select.POLLIN | (select.POLLOUT if worker.channel.unsent else 0)
        self.poll.register(worker.channel, events)

    def _collect(self, descriptor: int) -> None:
        worker = self.workers[descriptor]
        try:
            worker.channel.fill()
        except EOFError:
            self._replace(descriptor)
            return
        while (message := worker.channel.next_buffered()) is not None:
            for number, *answer in message[1]:
                task = worker.tasks.pop(number, None)
                if task is not None:
                    self._deliver(task, self._result(task, answer))

    def _result(self, task: _Task, answer: list[Any]) -> Result | SandboxError:
        verdict, tests, outputs, detail, cpu_ms, wall_ms, attempts = answer
        if verdict == "INTERNAL":
            return SandboxError(f"the sandbox failed {attempts} times on one job: {detail}")
        return replace(
            self.stamp,
            verdict=_VERDICTS[verdict],
            tests=tuple(TestResult(_VERDICTS[v], text) for v, text in tests),
            outputs=tuple(outputs),
            detail=detail,
            cpu_ms=cpu_ms,
            wall_ms=wall_ms,
            attempts=attempts + task.attempts - 1,
        )

    def _deliver(self, task: _Task, answer: Result | SandboxError) -> None:
        if not task.batch.cancelled:
            task.batch.receive(task.index, answer)

    def _replace(self, descriptor: int) -> None:
        """A worker died: start another one and run its tasks again, a few times."""
        dead = self.workers.pop(descriptor)
        self.poll.unregister(descriptor)
        dead.channel.socket.close()
        dead.process.kill()
        dead.process.wait()
        self._greet(self._spawn(len(self.workers)))
        for task in reversed(dead.tasks.values()):
            task.attempts += 1
            if task.attempts > ATTEMPTS:
                message = f"a sandbox worker died {ATTEMPTS} times on one job"
                self._deliver(task, SandboxError(message))
            else:
                self.queue.appendleft(task)

    def _fail_all(self, error: SandboxError) -> None:
        waiting = [*self.queue]
        for worker in self.workers.values():
            waiting += worker.tasks.values()
            worker.tasks.clear()
        waiting += [
            _Task(0, b"", content[0], 0) for what, content in self.inbox if what == "submit"
        ]
        self.queue.clear()
        for task in waiting:
            self._deliver(task, error)
