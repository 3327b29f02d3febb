"""Metrics to experiment trackers: TensorBoard, Weights & Biases, trackio. None of them stops a run.

Each tracker lives on a thread of its own behind a bounded queue. Whatever it raises ends the tracker
with one line to the person who watches; a full queue drops points rather than wait.
"""

import hashlib
import importlib
import importlib.util
import queue
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from gasp_rl.config import Config
from gasp_rl.errors import MissingExtraError
from gasp_rl.store.progress import Progress
from gasp_rl.types import Metrics

PROJECT = "gasp-rl"
WAITING = 1000
"""Steps that may wait for a tracker before points are dropped."""

CLOSE_SECONDS = 30.0
"""How long the end of a run waits for a tracker to send what it still holds."""


class Tracker(Protocol):
    """Takes one run's metrics. Any call may raise."""

    def log(self, step: int, metrics: Metrics) -> None: ...

    def close(self) -> None: ...


class TensorBoard:
    """Event files under the run's folder. Steps after `done`, of an attempt that did not last, are
    purged by TensorBoard when it reads the folder."""

    def __init__(self, run: Path, config: Config, done: int) -> None:
        events = importlib.import_module("tensorboard.compat.proto.event_pb2")
        summaries = importlib.import_module("tensorboard.compat.proto.summary_pb2")
        writer = importlib.import_module("tensorboard.summary.writer.event_file_writer")
        self._event, self._session = events.Event, events.SessionLog
        self._summary = summaries.Summary
        self._writer = writer.EventFileWriter(str(run / "tensorboard"))
        start = self._session(status=self._session.START)
        self._add(done + 1, session_log=start)

    def log(self, step: int, metrics: Metrics) -> None:
        values = [self._summary.Value(tag=k, simple_value=v) for k, v in metrics.items()]
        self._add(step, summary=self._summary(value=values))

    def close(self) -> None:
        self._writer.close()

    def _add(self, step: int, **what: Any) -> None:
        self._writer.add_event(self._event(step=step, wall_time=time.time(), **what))
        self._writer.flush()


class WandB:
    """Weights & Biases. Where it sends to, and whether at all, is its own environment's matter
    (`WANDB_MODE=offline` writes under the run's folder alone)."""

    def __init__(self, run: Path, config: Config, done: int) -> None:
        place = hashlib.sha256(str(run.resolve()).encode()).hexdigest()[:8]
        self._run = importlib.import_module("wandb").init(
            project=PROJECT,
            name=run.name,
            id=f"{run.name[:100]}-{place}",
            resume="allow",
            dir=str(run),
            config=config.model_dump(mode="json"),
        )

    def log(self, step: int, metrics: Metrics) -> None:
        self._run.log(metrics, step=step)

    def close(self) -> None:
        self._run.finish()


class Trackio:
    """trackio: local first, in its own folder. It forgets no point, so the steps that a resumed run
    goes through again, to the same end, are not sent again: a file in the run says how far it is."""

    def __init__(self, run: Path, config: Config, done: int) -> None:
        self._sent_file = run / "trackio.step"
        again = done > 0 and self._sent_file.is_file()
        self._sent = int(self._sent_file.read_text(encoding="ascii")) if again else 0
        self._trackio = importlib.import_module("trackio")
        self._trackio.init(
            project=PROJECT,
            name=run.name,
            resume="allow" if again else "never",
            config=config.model_dump(mode="json"),
        )

    def log(self, step: int, metrics: Metrics) -> None:
        if step > self._sent:
            self._trackio.log(metrics, step=step)
            self._sent_file.write_text(f"{step}", encoding="ascii")

    def close(self) -> None:
        self._trackio.finish()


TRACKERS: Mapping[str, Any] = {"tensorboard": TensorBoard, "wandb": WandB, "trackio": Trackio}


class Tracked:
    """A watcher that shows a run to another watcher and sends its metrics to trackers.

    Raises MissingExtraError before the run begins when a tracker is not installed.
    """

    def __init__(
        self, inner: Progress, names: Sequence[str], run: Path, config: Config, done: int
    ) -> None:
        for name in names:
            if importlib.util.find_spec(name) is None:
                raise MissingExtraError(name, f"track = {name!r}")
        self._inner = inner
        self._lines = [_Line(name, TRACKERS[name], run, config, done) for name in names]

    def start_run(self, name: str, steps: int, done: int = 0) -> None:
        self._inner.start_run(name, steps, done)

    def start_phase(self, name: str, total: int | None = None) -> None:
        self._inner.start_phase(name, total)

    def advance(self, units: int = 1, tokens: int = 0) -> None:
        self._inner.advance(units, tokens)

    def step_committed(self, step: int, seconds: float, metrics: Metrics) -> None:
        self._inner.step_committed(step, seconds, metrics)
        for line in self._lines:
            line.put(step, {**metrics, "seconds": seconds})
            self._tell(line)

    def say(self, text: str) -> None:
        self._inner.say(text)

    def close(self) -> None:
        for line in self._lines:
            line.close()
            self._tell(line)
        self._inner.close()

    def _tell(self, line: "_Line") -> None:
        for sentence in line.news():
            self._inner.say(sentence)


class _Line:
    """One tracker on its thread. A daemon thread: a tracker that hangs cannot hold the process."""

    def __init__(self, name: str, kind: Any, run: Path, config: Config, done: int) -> None:
        self._name = name
        self._points: queue.Queue[tuple[int, Metrics] | None] = queue.Queue(WAITING)
        self._news: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._dropped = 0
        self._thread = threading.Thread(
            target=self._work, args=(kind, run, config, done), name=f"track-{name}", daemon=True
        )
        self._thread.start()

    def put(self, step: int, metrics: Metrics) -> None:
        if not self._thread.is_alive():
            return
        try:
            self._points.put_nowait((step, metrics))
        except queue.Full:
            self._dropped += 1
            if self._dropped == 1:
                self._news.put(f"tracker {self._name} does not keep up: points are dropped")

    def close(self) -> None:
        if not self._thread.is_alive():
            return
        try:
            self._points.put(None, timeout=CLOSE_SECONDS)
            self._thread.join(CLOSE_SECONDS)
        except queue.Full:
            pass  # it is alive and stuck, which the next line says
        if self._thread.is_alive():
            self._news.put(
                f"tracker {self._name} did not end in {CLOSE_SECONDS:.0f} s: left behind"
            )

    def news(self) -> list[str]:
        """Sentences that nobody has been told yet."""
        found = []
        while not self._news.empty():
            found.append(self._news.get())
        return found

    def _work(self, kind: Any, run: Path, config: Config, done: int) -> None:
        try:
            tracker: Tracker = kind(run, config, done)
            while (point := self._points.get()) is not None:
                tracker.log(*point)
            tracker.close()
        except Exception as error:
            # Foreign code on a thread of its own: whatever it raises ends it and not the run.
            reason = (str(error).splitlines() or [""])[0][:200]
            self._news.put(
                f"tracker {self._name} failed and is off; the run goes on: "
                f"{type(error).__name__}: {reason}"
            )
