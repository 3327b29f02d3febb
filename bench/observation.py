"""What remembering and showing a run costs, as a share of the training process's CPU time.

    python bench/observation.py [--steps 5] [--view plain|live] [--track tensorboard] [--profile]

Trains the miniature in this process (`miniature eval.every=0`) and times by CPU, inside the run, every
call of the journal (records, metrics, token traces), of the store (`commit_step`) and of the view, and
what trackers do on their threads. The first step, with the start of everything, is left out. Shares are
of the training process alone, and of it with the sandbox's workers, which are processes of their own.
Also prints how long a commit takes by the wall, the database's size, and with --profile where the time
of the journal and the store goes (which slows them down).
"""

import argparse
import cProfile
import io
import os
import pstats
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gasp_rl.config import load_config
from gasp_rl.methods.journal import Journal
from gasp_rl.methods.loop import train
from gasp_rl.store.run import RunStore
from gasp_rl.store.trackers import TRACKERS
from gasp_rl.ui.console import LiveView, PlainView

VIEW = ("start_phase", "advance", "step_committed", "say")
OBSERVERS: dict[str, tuple[tuple[type, tuple[str, ...]], ...]] = {
    "journal": ((Journal, ("proposals", "attempts", "goalposts_tested", "updated", "record")),),
    "store": ((RunStore, ("commit_step",)),),
    "view": ((PlainView, VIEW), (LiveView, (*VIEW, "render"))),
    "trackers": tuple((kind, ("log",)) for kind in TRACKERS.values()),
}


class Meter:
    """CPU seconds of the calling thread inside the observers' calls, outermost call alone."""

    def __init__(self, profile: bool) -> None:
        self.seconds: Counter[str] = Counter()
        self.commits: list[float] = []
        self.profiler = cProfile.Profile() if profile else None
        self._inside = threading.local()

    def watch(self, owner: type, method: str, name: str) -> None:
        call: Callable[..., Any] = getattr(owner, method)

        def timed(*args: Any, **kwargs: Any) -> Any:
            with self._timing(name):
                return call(*args, **kwargs)

        setattr(owner, method, timed)

    @contextmanager
    def _timing(self, name: str) -> Iterator[None]:
        if getattr(self._inside, "name", None):
            yield
            return
        self._inside.name = name
        profiled = self.profiler if name in ("journal", "store") else None
        if profiled:
            profiled.enable()
        wall, cpu = time.perf_counter(), time.thread_time()
        try:
            yield
        finally:
            self.seconds[name] += time.thread_time() - cpu
            if name == "store":
                self.commits.append(time.perf_counter() - wall)
            if profiled:
                profiled.disable()
            self._inside.name = None


def _workers_cpu(pid: str = "self") -> float:
    """CPU seconds of a process's descendants, with those that have ended and were waited for."""
    seconds = 0.0
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text(encoding="utf-8").split():
            line = Path(f"/proc/{child}/stat").read_text(encoding="utf-8")
            ticks = sum(int(field) for field in line.rpartition(")")[2].split()[11:15])
            seconds += ticks / os.sysconf("SC_CLK_TCK") + _workers_cpu(child)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--view", choices=("plain", "live"), default="plain")
    parser.add_argument("--track", choices=sorted(TRACKERS))
    parser.add_argument("--profile", action="store_true")
    arguments = parser.parse_args()
    if arguments.steps < 2:
        parser.error("--steps: at least 2, since the first is left out")
    meter = Meter(arguments.profile)
    for name, parts in OBSERVERS.items():
        for owner, methods in parts:
            for method in methods:
                meter.watch(owner, method, name)
    overrides = [f"steps={arguments.steps}", "eval.every=0"]
    if arguments.track:
        overrides.append(f'track=["{arguments.track}"]')
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        _measure(meter, run, overrides, arguments.view)
        print(f"run.db: {(run / 'run.db').stat().st_size / 1e6:.2f} MB")
    if meter.profiler:
        report = io.StringIO()
        pstats.Stats(meter.profiler, stream=report).sort_stats("tottime").print_stats(30)
        print(report.getvalue())


def _measure(meter: Meter, run: Path, overrides: list[str], view: str) -> None:
    """Train, and print the shares of all steps but the first."""
    begun: dict[str, float] = {}
    counted: Counter[str] = Counter()
    commit = RunStore.commit_step

    def commit_step(store: RunStore, record: Any) -> None:
        commit(store, record)
        if record.step == 1:
            meter.seconds.clear()
            meter.commits.clear()
            begun["cpu"], begun["wall"] = time.process_time(), time.perf_counter()
            begun["workers"] = _workers_cpu()
            return
        counted["completions"] += len(record.proposals) + len(record.rollouts)
        counted["traced"] += sum(r.trace is not None for r in (*record.proposals, *record.rollouts))
        begun["cpu used"] = time.process_time() - begun["cpu"]
        begun["workers used"] = _workers_cpu() - begun["workers"]
        begun["wall used"] = time.perf_counter() - begun["wall"]
        begun["observed"] = sum(meter.seconds.values())

    setattr(RunStore, "commit_step", commit_step)  # noqa: B010  (mypy refuses the assignment)
    with open("/dev/null", "w", encoding="utf-8") as stream:
        train(
            load_config("miniature", overrides),
            run,
            progress=LiveView(stream) if view == "live" else PlainView(stream),
        )
    steps, cpu, workers = len(meter.commits), begun["cpu used"], begun["workers used"]
    print(
        f"{steps} steps, CPU {cpu / steps:.2f} s and {workers / steps:.2f} s of the sandbox's workers, "
        f"wall {begun['wall used'] / steps:.2f} s each"
    )
    print(
        f"{counted['completions'] / steps:.0f} completions a step, "
        f"{counted['traced'] / steps:.0f} with a trace"
    )
    for name, seconds in [*meter.seconds.most_common(), ("all", begun["observed"])]:
        print(
            f"  {name:<9} {1000 * seconds / steps:6.1f} ms  {100 * seconds / cpu:5.2f}%  "
            f"with workers {100 * seconds / (cpu + workers):5.2f}%"
        )
    print(
        f"commit, wall: median {1000 * sorted(meter.commits)[steps // 2]:.0f} ms, "
        f"worst {1000 * max(meter.commits):.0f} ms"
    )


if __name__ == "__main__":
    main()
