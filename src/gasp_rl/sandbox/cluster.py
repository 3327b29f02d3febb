"""The sandbox on several machines: one `Sandbox` on every node of a Ray cluster, one interface.

Ray places one actor on each node, carries jobs and results, and says when a node is gone; each
actor holds the same workers, zygotes and walls as on one machine. Nothing that a program made
crosses machines: only jobs (ours) and results (built by our workers). Every node needs this package
and the extra `ray`. A job that was running on a lost node is run again on another one.
"""

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import AsyncGenerator, Generator, Iterable
from dataclasses import dataclass
from typing import Any, Self

from gasp_rl.config import SandboxConfig
from gasp_rl.errors import MissingExtraError, SandboxError
from gasp_rl.sandbox.dispatch import worker_count
from gasp_rl.sandbox.jobs import Job, Layer, Result
from gasp_rl.sandbox.pool import Sandbox

ATTEMPTS = 3
POLL_SECONDS = 0.2
JOBS_PER_WORKER = 4
"""Jobs of one parcel, for each worker of the node; two parcels are under way on a node."""


def open_sandbox(config: SandboxConfig) -> Sandbox:
    """The sandbox that `config.pool` names: on this machine, or on a Ray cluster."""
    return RaySandbox(config) if config.pool == "ray" else Sandbox(config)


@dataclass(frozen=True, slots=True)
class _Node:
    actor: Any
    layers: tuple[Layer, ...]
    workers: int


class RaySandbox(Sandbox):
    """Like `Sandbox`, on every node of the Ray cluster at `config.address`.

    Raises MissingExtraError without Ray; SandboxError if a node cannot put up the required walls,
    if no node is left, or if one job was lost together with its node three times. Nodes that join
    are used from the next `map` or `stream` on. Thread-safe.

    Example::

        with RaySandbox(SandboxConfig(pool="ray", address="10.0.0.1:6379")) as sandbox:
            results = sandbox.map(jobs)
    """

    def __init__(self, config: SandboxConfig | None = None) -> None:
        super().__init__(config)
        try:
            import ray
        except ImportError as error:
            raise MissingExtraError("ray", "a sandbox on several machines") from error
        self._ray = ray
        self._joined_here = not ray.is_initialized()
        self._nodes: dict[str, _Node] = {}
        self._nodes_lock = threading.Lock()

    def __enter__(self) -> Self:
        self._refresh()
        return self

    def close(self) -> None:
        """End the sandboxes of all nodes; leave the cluster if this object joined it."""
        with self._nodes_lock:
            for node in self._nodes.values():
                self._ray.kill(node.actor)
            self._nodes.clear()
            if self._joined_here and self._ray.is_initialized():
                self._ray.shutdown()

    def layers(self) -> tuple[Layer, ...]:
        """The walls on every node, named node by node."""
        self._refresh()
        return tuple(
            Layer(f"{name}: {layer.name}", layer.on, layer.detail)
            for name, node in self._nodes.items()
            for layer in node.layers
        )

    def map(self, jobs: Iterable[Job]) -> list[Result]:
        """Judge all jobs; results in the order of the jobs."""
        jobs = list(jobs)
        found = dict(self._completed(jobs, threading.Event()))
        return [found[index] for index in range(len(jobs))]

    async def stream(self, jobs: Iterable[Job]) -> AsyncGenerator[tuple[int, Result], None]:
        """Yield (index, result) as parcels of jobs finish. Leaving the loop early kills the rest."""
        stop = threading.Event()
        completed = self._completed(list(jobs), stop)
        try:
            while (item := await asyncio.to_thread(next, completed, None)) is not None:
                yield item
        finally:
            stop.set()
            with contextlib.suppress(ValueError):  # still waiting in its thread: it sees `stop`
                completed.close()

    def _completed(
        self, jobs: list[Job], stop: threading.Event
    ) -> Generator[tuple[int, Result], None, None]:
        """(index, result) of every job, once each, in the order in which they finish."""
        todo = deque(range(len(jobs)))
        attempts = [0] * len(jobs)
        parcels: dict[Any, tuple[str, list[int]]] = {}
        if todo:
            self._refresh()
        try:
            while (todo or parcels) and not stop.is_set():
                self._hand_out(jobs, todo, parcels)
                for ref in self._ray.wait(list(parcels), timeout=POLL_SECONDS)[0]:
                    name, indices = parcels.pop(ref)
                    results = self._results(ref, name)
                    if results is not None:
                        yield from zip(indices, results, strict=True)
                        continue
                    for index in indices:
                        attempts[index] += 1
                        if attempts[index] >= ATTEMPTS:
                            raise SandboxError(f"one job lost its node {ATTEMPTS} times")
                    todo.extendleft(reversed(indices))
        finally:
            for ref in parcels:
                self._ray.cancel(ref)

    def _hand_out(
        self, jobs: list[Job], todo: deque[int], parcels: dict[Any, tuple[str, list[int]]]
    ) -> None:
        """Keep two parcels under way on each node; smaller ones towards the end."""
        if todo and not self._nodes:
            self._refresh()
        nodes = dict(self._nodes)
        under_way = [name for name, _ in parcels.values()]
        for turn in range(2):
            for name, node in nodes.items():
                if under_way.count(name) > turn:
                    continue
                size = min(JOBS_PER_WORKER * node.workers, -(-len(todo) // (2 * len(nodes))))
                indices = [todo.popleft() for _ in range(size)]
                if indices:
                    ref = node.actor.judge.remote([jobs[index] for index in indices])
                    parcels[ref] = (name, indices)
                    under_way.append(name)

    def _results(self, ref: Any, name: str) -> list[Result] | None:
        """What a parcel brought; None if its node is lost."""
        errors = self._ray.exceptions
        try:
            results: list[Result] = self._ray.get(ref)
            return results
        except errors.RayTaskError as error:
            raise SandboxError(f"the sandbox of node {name} failed: {error.cause}") from error
        except errors.RayError:
            with self._nodes_lock:
                lost = self._nodes.pop(name, None)
            if lost is not None:  # only out of reach, perhaps: what it still runs counts no more
                self._ray.kill(lost.actor)
            return None

    def _refresh(self) -> None:
        """Join the cluster, and start a sandbox on every node that has none."""
        ray = self._ray
        with self._nodes_lock:
            if not ray.is_initialized():
                ray.init(self.config.address, log_to_driver=False)
            alive = {node["NodeID"]: node for node in ray.nodes() if node["Alive"]}
            self._nodes = {name: node for name, node in self._nodes.items() if name in alive}
            starting = {name: self._start(name) for name in alive if name not in self._nodes}
            for name, actor in starting.items():
                try:
                    self._nodes[name] = _Node(actor, *ray.get(actor.describe.remote()))
                except ray.exceptions.RayError as error:
                    if self._is_alive(name):
                        raise SandboxError(f"no sandbox on node {name}: {error}") from error
            if not self._nodes:
                raise SandboxError("no node of the Ray cluster is left: check `ray status`")

    def _start(self, name: str) -> Any:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        there = NodeAffinitySchedulingStrategy(name, soft=False)
        # No CPU is reserved: the cluster's own placement decides what else runs on a node.
        options = {"num_cpus": 0, "max_restarts": 0, "scheduling_strategy": there}
        return self._ray.remote(**options)(_Place).remote(self.config)

    def _is_alive(self, name: str) -> bool:
        return any(node["NodeID"] == name and node["Alive"] for node in self._ray.nodes())


class _Place:
    """The actor on one node."""

    def __init__(self, config: SandboxConfig) -> None:
        self.sandbox = Sandbox(config)
        self.layers = self.sandbox.layers()

    async def describe(self) -> tuple[tuple[Layer, ...], int]:
        return self.layers, worker_count(self.sandbox.config)

    async def judge(self, jobs: list[Job]) -> list[Result]:
        """Results in order. Cancelling the call stops the programs."""
        found: dict[int, Result] = {}
        async with contextlib.aclosing(self.sandbox.stream(jobs)) as results:
            async for index, result in results:
                found[index] = result
        return [found[index] for index in range(len(jobs))]
