"""Runs of a study in parallel processes: resumed after a kill, skipped when done."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from gasp_rl.errors import StoreError
from gasp_rl.methods.budget import Spent, spent_by
from gasp_rl.sandbox.dispatch import WORKERS_VARIABLE
from gasp_rl.store.folder import RunLock, holder_of
from gasp_rl.store.reader import RunReader
from gasp_rl.studies.measured import read_done
from gasp_rl.studies.study import Plan, Run, run_folder
from gasp_rl.wording import counted

POLL_SECONDS = 0.2
SAY_EVERY_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """Where a run is. stage: waiting, training, stopped, measuring, done or failed."""

    run: Run
    stage: str
    step: int
    spent: Spent
    detail: str = ""


def run_study(
    plan: Plan,
    folder: Path,
    jobs: int,
    say: Callable[[str], None],
    wanted: Sequence[Run] | None = None,
) -> list[RunState]:
    """Bring the wanted runs of a planned study, else all, to their end; returns how each ended.

    A run that fails is reported and stops no other. Ctrl-C asks the runs to finish their step.
    Raises `StoreError` when another process works on the study.
    """
    runs = plan.runs if wanted is None else wanted
    lock = RunLock(folder)
    try:
        _forget_failures(folder)
        waiting = [run for run in runs if state_of(plan, run, folder).stage != "done"]
        say(
            f"{plan.study.name}: {counted(len(runs), 'run')}, {len(waiting)} to do, {jobs} at a time"
        )
        _Schedule(plan, folder, jobs, say).run(waiting)
    finally:
        lock.release()
    return [state_of(plan, run, folder) for run in runs]


class _Schedule:
    def __init__(self, plan: Plan, folder: Path, jobs: int, say: Callable[[str], None]) -> None:
        self.plan = plan
        self.folder = folder
        self.jobs = jobs
        self.active: dict[str, subprocess.Popen[bytes]] = {}
        self._say = say

    def say(self, text: str) -> None:
        self._say(f"{datetime.now():%H:%M:%S} {text}")

    def run(self, waiting: list[Run]) -> None:
        waiting = list(waiting)
        said = time.monotonic()
        try:
            while waiting or self.active:
                while waiting and len(self.active) < self.jobs:
                    self._start(waiting.pop(0))
                time.sleep(POLL_SECONDS)
                self._collect()
                if self.active and time.monotonic() - said > SAY_EVERY_SECONDS:
                    said = time.monotonic()
                    self._say_where(len(waiting))
        except KeyboardInterrupt:
            self.say("stopping: each run finishes its step; once more stops now")
            self._stop(signal.SIGTERM)
            raise
        finally:
            self._stop(signal.SIGKILL)

    def _start(self, run: Run) -> None:
        logs = self.folder / "logs"
        logs.mkdir(exist_ok=True)
        # Not a setting: how busy a machine is says nothing about a run, which is compared by them.
        workers = max(1, len(os.sched_getaffinity(0)) // self.jobs)
        shares = {"OMP_NUM_THREADS": "1", WORKERS_VARIABLE: str(workers)}
        with (logs / f"{run.name}.txt").open("ab") as log:
            # Its own session, so that Ctrl-C reaches it through us alone.
            self.active[run.name] = subprocess.Popen(
                [sys.executable, "-m", "gasp_rl.studies.worker", str(self.folder), run.name],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **shares},
                start_new_session=True,
            )
        self.say(f"{run.name}: started")

    def _collect(self) -> None:
        for name, process in list(self.active.items()):
            code = process.poll()
            if code is None:
                continue
            del self.active[name]
            assert process.stdin is not None
            process.stdin.close()
            if code == 0:
                self.say(f"{name}: done")
            else:
                reason = _last_line(self.folder / "logs" / f"{name}.txt")
                how = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
                _note_failure(self.folder, name, f"{how}; {reason}")
                self.say(f"{name}: FAILED ({how}): {reason}")

    def _say_where(self, waiting: int) -> None:
        states = [state_of(self.plan, self.plan.run(name), self.folder) for name in self.active]
        between = {"waiting": "starting", "stopped": "starting"}
        where = ", ".join(
            f"{s.run.name} {between.get(s.stage, s.stage)} step {s.step}" for s in states
        )
        self.say(f"{where}; {waiting} waiting")

    def _stop(self, number: signal.Signals) -> None:
        for process in self.active.values():
            process.send_signal(number)
        for process in self.active.values():
            process.wait()
        self.active.clear()


def state_of(plan: Plan, run: Run, folder: Path) -> RunState:
    """Read a run's stage from its folder."""
    if measured := read_done(plan, run, folder):
        return RunState(run=run, stage="done", step=measured.steps, spent=measured.spent)
    path = run_folder(folder, run)
    failure = failures(folder).get(run.name)
    running = path.is_dir() and holder_of(path) is not None
    if not (path / "run.db").is_file():
        stage = "failed" if failure else "waiting"
        return RunState(run=run, stage=stage, step=0, spent=Spent(), detail=failure or "")
    with RunReader.open(path) as reader:
        info, step, spent = reader.info(), reader.last_step(), spent_by(reader)
    trained = not run.train or info.get("finished") == "yes"
    if running:
        stage, failure = "measuring" if trained else "training", None
    else:
        stage = "failed" if failure else "stopped"
    return RunState(run=run, stage=stage, step=step, spent=spent, detail=failure or "")


def states(plan: Plan, folder: Path) -> Sequence[RunState]:
    """Every run's state, in the order of the plan."""
    return [state_of(plan, run, folder) for run in plan.runs]


def failures(folder: Path) -> dict[str, str]:
    """Why runs failed the last time that the study was run."""
    path = folder / "failures.json"
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(f"{path}: cannot be read: {error}; remove it") from None
    return {str(name): str(reason) for name, reason in found.items()}


def _note_failure(folder: Path, name: str, reason: str) -> None:
    temporary = folder / "failures.json.tmp"
    temporary.write_text(json.dumps({**failures(folder), name: reason}, indent=1), "utf-8")
    temporary.replace(folder / "failures.json")


def _forget_failures(folder: Path) -> None:
    (folder / "failures.json").unlink(missing_ok=True)


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    return next((line for line in reversed(lines) if line.strip()), "no word in its log")[:300]
