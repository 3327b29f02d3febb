"""Trackers: TensorBoard read back by its own reader; trackers that fail, hang or are missing."""

import importlib.util
import json
import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gasp_rl.config import Config
from gasp_rl.errors import MissingExtraError
from gasp_rl.store import trackers
from gasp_rl.store.progress import Silent
from gasp_rl.store.trackers import Tracked


class Spoken(Silent):
    """Remembers what was said and which steps came."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.steps: list[int] = []

    def say(self, text: str) -> None:
        self.lines.append(text)

    def step_committed(self, step: int, seconds: float, metrics: dict[str, float]) -> None:
        self.steps.append(step)


def watch(run: Path, *names: str, done: int = 0, steps: range = range(1, 4)) -> Spoken:
    spoken = Spoken()
    tracked = Tracked(spoken, names, run, Config(), done)
    tracked.start_run("run", 3, done)
    for step in steps:
        tracked.step_committed(step, 1.5, {"policy/entropy": step / 4})
    tracked.close()
    return spoken


def scalars(run: Path, tag: str) -> list[tuple[int, float]]:
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = reader.EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    return [(event.step, event.value) for event in events.Scalars(tag)]


def test_tensorboard_holds_every_metric_and_a_resumed_run_replaces_lost_steps(
    tmp_path: Path,
) -> None:
    pytest.importorskip("tensorboard", reason='pip install "gasp-rl[tensorboard]"')
    spoken = watch(tmp_path, "tensorboard")
    assert spoken.lines == []
    assert scalars(tmp_path, "policy/entropy") == [(1, 0.25), (2, 0.5), (3, 0.75)]
    assert scalars(tmp_path, "seconds") == [(1, 1.5), (2, 1.5), (3, 1.5)]
    watch(tmp_path, "tensorboard", done=1, steps=range(2, 3))
    assert scalars(tmp_path, "policy/entropy") == [(1, 0.25), (2, 0.5)]


TRACKED_RUN = """
import os, signal, sys, time
from pathlib import Path
from gasp_rl.config import Config
from gasp_rl.store.progress import LinesOnly
from gasp_rl.store.trackers import Tracked

def children():
    found = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    return [int(pid) for path in found for pid in path.read_text().split()]

class Steps(LinesOnly):
    def step_committed(self, step, seconds, metrics):
        print("step", step)

name, run, done, kill = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "kill"
tracked = Tracked(Steps(), [name], run, Config(), done)
tracked.start_run("run", 3, done)
for step in range(done + 1, done + 4):
    tracked.step_committed(step, 1.5, {"policy/entropy": step / 4, "time/lemma": 0.5})
    if kill and step == 1:
        line = tracked._lines[0]
        while not (line._points.empty() and children()):
            time.sleep(0.01)
        for pid in children():
            os.kill(pid, signal.SIGKILL)
tracked.close()
"""


def real_run(name: str, run: Path, *, done: int = 0, kill: bool = False) -> list[str]:
    """A run in a process of its own: these trackers start services and read their settings once."""
    pytest.importorskip(name, reason=f'pip install "gasp-rl[{name}]"')
    here = {"WANDB_MODE": "offline", "WANDB_SILENT": "true", "TRACKIO_DIR": str(run / "trackio")}
    done = subprocess.run(
        [sys.executable, "-c", TRACKED_RUN, name, str(run), str(done), "kill" if kill else ""],
        env={**os.environ, **here},
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    return done.stdout.splitlines()


def test_wandb_offline_holds_every_metric(tmp_path: Path) -> None:
    assert [line for line in real_run("wandb", tmp_path) if line.startswith("tracker")] == []
    records = importlib.import_module("wandb.proto.wandb_internal_pb2")
    (path,) = tmp_path.glob("wandb/offline-run-*/run-*.wandb")
    data, at, found = path.read_bytes(), 7, []
    while at + 7 <= len(data):  # a header of 7 bytes, then records: checksum, length, kind, content
        length = int.from_bytes(data[at + 4 : at + 6], "little")
        record = records.Record()
        record.ParseFromString(data[at + 7 : at + 7 + length])
        at += 7 + length
        if record.history.item:
            row = {i.key or "/".join(i.nested_key): i.value_json for i in record.history.item}
            found.append({k: json.loads(row[k]) for k in ("_step", "policy/entropy", "seconds")})
    assert found == [
        {"_step": step, "policy/entropy": step / 4, "seconds": 1.5} for step in (1, 2, 3)
    ]


def test_trackio_holds_every_metric_of_a_resumed_run_once(tmp_path: Path) -> None:
    for done in (0, 1):
        lines = real_run("trackio", tmp_path, done=done)
        assert [line for line in lines if line.startswith("tracker")] == []
    with sqlite3.connect(tmp_path / "trackio" / "gasp-rl.db") as db:
        rows = db.execute("select run_name, step, metrics from metrics order by step").fetchall()
    assert [(name, step, json.loads(values)["policy/entropy"]) for name, step, values in rows] == [
        (tmp_path.name, step, step / 4) for step in (1, 2, 3, 4)
    ]


def test_a_tracker_whose_service_is_killed_does_not_stop_the_run(tmp_path: Path) -> None:
    lines = real_run("wandb", tmp_path, kill=True)
    assert [line for line in lines if line.startswith("step")] == ["step 1", "step 2", "step 3"]
    assert [line for line in lines if line.startswith("tracker wandb")]


class Failing:
    def __init__(self, run: Path, config: Config, done: int) -> None: ...

    def log(self, step: int, metrics: dict[str, float]) -> None:
        raise OSError("disk full\nand more")

    def close(self) -> None: ...


class Hanging(Failing):
    released = threading.Event()

    def log(self, step: int, metrics: dict[str, float]) -> None:
        self.released.wait(60)


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under the names of modules that exist, so that they count as installed."""
    kinds = {"json": Failing, "csv": Hanging}
    monkeypatch.setattr(trackers, "TRACKERS", kinds)
    monkeypatch.setattr(trackers, "CLOSE_SECONDS", 0.2)
    monkeypatch.setattr(trackers, "WAITING", 1)


@pytest.mark.usefixtures("fakes")
def test_a_failing_tracker_is_one_line() -> None:
    spoken = watch(Path("."), "json")
    assert spoken.steps == [1, 2, 3]
    failed = [line for line in spoken.lines if "failed" in line]
    assert failed == ["tracker json failed and is off; the run goes on: OSError: disk full"]


@pytest.mark.usefixtures("fakes")
def test_a_hanging_tracker_neither_blocks_steps_nor_the_end() -> None:
    spoken = watch(Path("."), "csv", steps=range(1, 6))
    Hanging.released.set()
    assert spoken.steps == [1, 2, 3, 4, 5]
    assert [line.split(" ", 2)[2] for line in spoken.lines] == [
        "does not keep up: points are dropped",
        "did not end in 0 s: left behind",
    ]


def test_a_tracker_that_is_not_installed_says_how_to_get_it(tmp_path: Path) -> None:
    if importlib.util.find_spec("wandb"):
        pytest.skip("wandb is installed here")
    with pytest.raises(MissingExtraError, match=r'pip install "gasp-rl\[wandb\]"'):
        Tracked(Silent(), ["wandb"], tmp_path, Config(), 0)


def test_only_known_trackers_can_be_configured() -> None:
    assert Config.model_validate({"track": ["tensorboard"]}).track == ("tensorboard",)
    with pytest.raises(ValueError, match="track"):
        Config.model_validate({"track": ["mlflow"]})
