"""The part that users hold: one verdict for each job, in a call, a batch or a stream."""

import asyncio
import marshal
import threading
from collections.abc import AsyncGenerator, Iterable, Sequence
from dataclasses import fields
from types import TracebackType
from typing import Self

from gasp_rl.config import SandboxConfig
from gasp_rl.errors import SandboxError
from gasp_rl.sandbox.dispatch import Batch, Dispatcher
from gasp_rl.sandbox.jobs import (
    Abduct,
    Asserts,
    Call,
    Check,
    Deduct,
    Func,
    Job,
    Layer,
    Result,
    Stdio,
    Validate,
)

_FIELDS = {
    kind: tuple(f.name for f in fields(kind) if f.name != "cpu_seconds")
    for kind in (Func, Check, Validate, Abduct, Deduct, Stdio, Call, Asserts)
}


class Sandbox:
    """Runs untrusted Python programs in locked-down processes, one per program.

    Raises SandboxError at the start if the walls that `config.require` names cannot be put up, and
    later if the sandbox itself fails three times on one job. Thread-safe. Closing it, or the death
    of this process, ends every helper process.

    Example::

        with Sandbox() as sandbox:
            result = sandbox.run(Func("def f(x): return sorted(x)", ("[3, 1]",)))
            result.outputs   # (b"[1, 3]",)
    """

    def __init__(self, config: SandboxConfig | None = None, *, skip: Sequence[str] = ()) -> None:
        """`skip` leaves walls out on purpose, by name: for tests and measurements only."""
        self.config = config or SandboxConfig()
        self._skip = tuple(skip)
        self._dispatcher: Dispatcher | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._started()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all helper processes; unfinished jobs raise in whoever waits for them."""
        with self._lock:
            if self._dispatcher is not None:
                self._dispatcher.close()
                self._dispatcher = None

    def layers(self) -> tuple[Layer, ...]:
        """The walls around every program on this machine, on or off."""
        return self._started().layers

    def run(self, job: Job) -> Result:
        """Judge one job."""
        return self.map([job])[0]

    def map(self, jobs: Iterable[Job]) -> list[Result]:
        """Judge all jobs; results in the order of the jobs. Equal jobs are run once."""
        orders = [_order(job) for job in jobs]
        places: dict[bytes, int] = {}
        for order in orders:
            places.setdefault(order, len(places))
        if not orders:
            return []
        results: list[Result | None] = [None] * len(places)
        done = threading.Event()
        problems: list[SandboxError] = []

        def receive(index: int, answer: Result | SandboxError) -> None:
            if isinstance(answer, SandboxError):
                problems.append(answer)
                done.set()
                return
            results[index] = answer
            batch.remaining -= 1
            if not batch.remaining:
                done.set()

        batch = Batch(receive, len(places))
        dispatcher = self._started()
        dispatcher.submit(batch, list(places))
        try:
            done.wait()
        finally:
            dispatcher.cancel(batch)
        if problems:
            raise problems[0]
        return [results[places[order]] for order in orders]  # type: ignore[misc]

    async def stream(self, jobs: Iterable[Job]) -> AsyncGenerator[tuple[int, Result], None]:
        """Yield (index, result) as jobs finish. Leaving the loop early kills what still runs."""
        loop = asyncio.get_running_loop()
        answers: asyncio.Queue[tuple[int, Result | SandboxError]] = asyncio.Queue()

        def receive(index: int, answer: Result | SandboxError) -> None:
            loop.call_soon_threadsafe(answers.put_nowait, (index, answer))

        orders = [_order(job) for job in jobs]
        batch = Batch(receive, len(orders))
        dispatcher = await asyncio.to_thread(self._started)
        dispatcher.submit(batch, orders)
        try:
            for _ in orders:
                index, answer = await answers.get()
                if isinstance(answer, SandboxError):
                    raise answer
                yield index, answer
        finally:
            dispatcher.cancel(batch)

    def _started(self) -> Dispatcher:
        with self._lock:
            if self._dispatcher is None:
                self._dispatcher = Dispatcher(self.config, self._skip)
            return self._dispatcher


def _order(job: Job) -> bytes:
    names = _FIELDS.get(type(job))
    if names is None:
        raise TypeError(f"not a sandbox job: {type(job).__name__}")
    values = [getattr(job, name) for name in names]
    return marshal.dumps((type(job).__name__, job.cpu_seconds, *values))
