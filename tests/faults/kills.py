"""Kills runs with SIGKILL at random moments, resumes them, compares them with an unbroken run.

`python -m tests.faults.kills --kills 100` does so with the real miniature and prints a table;
`test_kills.py` does a few with a scripted policy. A kill falls inside one of five phases, at a random
call that Python makes there, or at a random time. After every kill the committed steps and the
checkpoints must be those of the unbroken run, and at the end of each run everything must be.
"""

import argparse
import contextlib
import importlib
import json
import os
import random
import signal
import sqlite3
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

from gasp_rl.config import Config, load_config
from gasp_rl.engines.protocol import Engine
from gasp_rl.methods import loop
from gasp_rl.store.checkpoints import list_checkpoints, verify_checkpoint

PHASES = {
    "sampling": ("sample",),
    "judging": ("judge", "map"),
    "training": ("forward_backward", "optim_step"),
    "committing": ("commit_step",),
    "checkpointing": ("save_checkpoint", "prune"),
}
"""Functions during which a kill counts as one inside the phase."""

MINIATURE = [
    "steps=4",
    "store.checkpoint_every=2",
    "eval.every=2",
    "eval.goalpost_samples=1",
    "data.limit=2",
    "teacher.goalposts_per_round=2",
    "teacher.proposals_per_prompt=4",
    "teacher.lemma.low=0",  # a wide band: that something is accepted and learnt in a few steps
    "teacher.lemma.high=1",
    "teacher.lift.low=0",
    "teacher.lift.high=1",
    "probe.n=4",
    "student.tasks=2",
    "student.attempts=4",
    "sandbox.workers=1",
]

MakeEngine = Callable[[], Engine | None]


class Trap:
    """A profile function that counts calls inside each phase, and ends this process at one."""

    def __init__(self, phase: str = "", countdown: int = 0) -> None:
        self.calls = dict.fromkeys(PHASES, 0)
        self._phase, self._countdown = phase, countdown
        self._inside: list[str] = []  # phases that have been entered and not left, often none
        self._phase_of = {name: phase for phase, names in PHASES.items() for name in names}

    def __call__(self, frame: FrameType, event: str, argument: object) -> None:
        if event in ("call", "return"):
            phase = self._phase_of.get(frame.f_code.co_name)
            if phase and event == "call":
                self._inside.append(phase)
            elif phase:
                self._inside.remove(phase)
        if self._inside and event in ("call", "c_call"):
            for phase in set(self._inside):
                self.calls[phase] += 1
            if self._phase and self.calls[self._phase] == self._countdown:
                os.kill(os.getpid(), signal.SIGKILL)


@dataclass
class Tally:
    """What the kills did: by phase, and what differed from the unbroken run."""

    killed: Counter[str]
    started: int = 0
    runs: int = 0
    differences: int = 0

    def table(self) -> str:
        rows = "\n".join(f"| {phase} | {count} |" for phase, count in self.killed.items())
        total = self.killed.total()
        return (
            f"| killed while | kills |\n|---|---|\n{rows}\n| all | {total} |\n\n"
            f"{self.runs} runs brought to their end by {self.started} processes, "
            f"{self.differences} differences from the unbroken run"
        )


def kill_and_compare(
    config: Config,
    make_engine: MakeEngine,
    kills: int,
    folder: Path,
    seed: int = 0,
    report: Callable[[str], None] = print,
) -> Tally:
    """Run until `kills` processes were killed and the last run has ended."""
    random_moment = random.Random(seed)
    whole = folder / "whole"
    started = time.monotonic()
    calls = _unbroken(config, make_engine, whole)
    seconds = time.monotonic() - started
    report(f"the unbroken run makes these calls: {calls}")
    tally = Tally(Counter(dict.fromkeys([*PHASES, "any time"], 0)))
    broken = folder / "run-0"
    while (enough := tally.killed.total() >= kills) is False or broken.exists():
        phase = min(tally.killed, key=lambda p: (tally.killed[p], random_moment.random()))
        if enough:  # only bring the last run to its end
            status = _child(config, make_engine, broken, None, None)
        elif phase == "any time":
            moment = random_moment.uniform(0, seconds)
            status = _child(config, make_engine, broken, None, moment)
        else:
            # Few calls are as likely as many, so that a run's first seconds are hit as well.
            countdown = int(calls[phase] ** random_moment.uniform(0.3, 1))
            status = _child(config, make_engine, broken, Trap(phase, countdown), None)
        tally.started += 1
        if os.WIFSIGNALED(status):
            tally.killed[phase] += 1
        elif os.WEXITSTATUS(status):
            raise RuntimeError(f"{broken}: a process failed with {os.WEXITSTATUS(status)}")
        tally.differences += _differs(whole, broken, phase)
        report(f"{tally.killed.total()} kills, last while {phase}, {tally.differences} differences")
        if _finished(broken):
            tally.runs += 1
            broken = folder / f"run-{tally.runs}"
    return tally


def _unbroken(config: Config, make_engine: MakeEngine, path: Path) -> dict[str, int]:
    """The run that all others must equal; returns how many calls each phase makes in it."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        _train_or_resume(config, make_engine, path, Trap(), writer)
    os.close(writer)
    with os.fdopen(reader) as told:
        counts = told.read()
    if os.waitpid(child, 0)[1]:
        raise RuntimeError(f"{path}: the unbroken run failed")
    return dict(json.loads(counts))


def _child(
    config: Config,
    make_engine: MakeEngine,
    path: Path,
    trap: Trap | None,
    seconds: float | None,
) -> int:
    """Train, or resume what is there, in a fork of this process; returns its wait status."""
    child = os.fork()
    if child == 0:
        _train_or_resume(config, make_engine, path, trap)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1]


def _train_or_resume(
    config: Config,
    make_engine: MakeEngine,
    path: Path,
    trap: Trap | None,
    tell_calls: int | None = None,
) -> NoReturn:
    """The whole life of a child: nothing of its parent may run in it."""
    code = 1
    try:
        sys.setprofile(trap)
        if (path / "run.db").is_file():
            loop.resume(path, engine=make_engine())
        else:
            loop.train(config, path, engine=make_engine())
        sys.setprofile(None)
        if trap and tell_calls is not None:
            os.write(tell_calls, json.dumps(trap.calls).encode())
        code = 0
    finally:
        if code:
            sys.setprofile(None)
            traceback.print_exc()
        os._exit(code)


def reading(run: Path) -> AbstractContextManager[sqlite3.Connection]:
    """A run's database, read-only, closed at the end of the block."""
    return contextlib.closing(sqlite3.connect(f"file:{run / 'run.db'}?mode=ro", uri=True))


def _finished(path: Path) -> bool:
    if not (path / "run.db").is_file():
        return False
    with reading(path) as db:
        row = db.execute("select value from info where key = 'finished'").fetchone()
    return row is not None and row[0] == "yes"


def _differs(whole: Path, broken: Path, after: str) -> int:
    """Compare up to the broken run's last step; says what differs and returns 1 if anything does."""
    if not (broken / "run.db").is_file():
        return 0
    last = _last_step(broken)
    expected, found = contents(whole, last), contents(broken, last)
    wrong = [name for name in expected if expected[name] != found[name]]
    checkpoints, whole_checkpoints = weights(broken, last), weights(whole, last)
    if _finished(broken):
        same = checkpoints == whole_checkpoints
    else:  # checkpoints come and go while a run goes on; those that both have must be equal
        both = checkpoints.keys() & whole_checkpoints.keys()
        same = all(checkpoints[step] == whole_checkpoints[step] for step in both)
    wrong += ["weights"] * (not same)
    if wrong:
        print(f"{broken} after a kill while {after}: {', '.join(wrong)} differ up to step {last}")
    return int(bool(wrong))


def contents(run: Path, last: int) -> dict[str, object]:
    """Everything in a run up to a step that its configuration decides: no clock, no attempt."""
    queries = {
        "steps": "select step, version, metrics from step where step <= ? order by step",
        "proposals": "select * from proposal join proposal_body using (number) where step <= ?"
        " order by number",
        "rollouts": "select r.*, t.*, p.text from rollout r join rollout_text t using (number)"
        " join prompt p on p.key = r.prompt_key where step <= ? order by r.number",
        "tasks": "select distinct t.* from task t join rollout r on r.task_key = t.key"
        " where step <= ? order by t.key",
        "goalpost attempts": "select * from goalpost_attempt where step <= ?"
        " order by step, policy, goalpost",
        "evaluations": "select * from eval where step <= ? order by step, policy, question",
        "goalposts": "select * from goalpost where ? is not null order by id",
    }
    with reading(run) as db:
        return {name: db.execute(query, (last,)).fetchall() for name, query in queries.items()}


def weights(run: Path, last: int) -> dict[int, dict[str, str]]:
    """Checksums of the checkpoints up to a step: every one that is sealed must be sound."""
    manifests = {}
    for checkpoint in list_checkpoints(run / "checkpoints"):
        verify_checkpoint(checkpoint.path)
        manifest = json.loads((checkpoint.path / "manifest.json").read_text(encoding="utf-8"))
        if checkpoint.step <= last:
            manifests[checkpoint.step] = manifest["files"]
    return manifests


def _last_step(run: Path) -> int:
    with reading(run) as db:
        return int(db.execute("select coalesce(max(step), 0) from step").fetchone()[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    import torch

    importlib.import_module("gasp_rl.engines.local")  # once, not in each of some 130 children
    torch.set_num_threads(1)  # no thread may be alive when the children are forked
    config = load_config("demo-quick", MINIATURE)
    with tempfile.TemporaryDirectory() as folder:
        tally = kill_and_compare(
            config,
            lambda: None,
            options.kills,
            Path(folder),
            options.seed,
            lambda line: print(f"{time.strftime('%H:%M:%S')} {line}", flush=True),
        )
    print(tally.table())
    sys.exit(bool(tally.differences))


if __name__ == "__main__":
    main()
