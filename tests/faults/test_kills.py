"""SIGKILL inside every phase of a run; resumed each time, it equals the unbroken run."""

from pathlib import Path

from gasp_rl.config import Config, override_config
from gasp_rl.engines.scripted import ScriptedEngine
from tests.faults.kills import PHASES, kill_and_compare
from tests.methods.conftest import config, write

__all__ = ["config"]

SMALL = [
    "steps=3",
    "probe.n=4",
    "teacher.goalposts_per_round=1",
    "teacher.max_attempts=1",
    "student.tasks=3",
    "student.attempts=1",
    "eval.goalpost_samples=1",
    "sandbox.workers=1",
]


def test_twelve_kills(config: Config, tmp_path: Path) -> None:
    config = override_config(config, SMALL, "test")
    tally = kill_and_compare(config, lambda: ScriptedEngine(write), 12, tmp_path)
    assert tally.differences == 0
    assert tally.runs >= 1
    assert all(tally.killed[phase] >= 1 for phase in PHASES)
