"""Engines that fail in the middle of a step: a clear error, and the last committed step intact."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs the [train] extra")

from contract import LOSS, OPTIM, rows_of
from tests.methods.conftest import config, write  # noqa: F401  a fixture

from gasp_rl.config import Config, EngineConfig, ModelConfig
from gasp_rl.engines.local import LocalEngine
from gasp_rl.engines.scripted import ScriptedEngine
from gasp_rl.errors import EngineError
from gasp_rl.methods import loop
from gasp_rl.store.checkpoints import list_checkpoints, verify_checkpoint
from gasp_rl.store.progress import Silent
from gasp_rl.store.run import RunStore

METRICS = tuple[dict[str, float], ...]


class Dying(ScriptedEngine):
    """Fails in one verb after its first update, as a sampler does whose process is gone."""

    def __init__(self, verb: str) -> None:
        super().__init__(write)
        self._verb = verb

    def __getattribute__(self, name: str) -> Any:
        if name == object.__getattribute__(self, "__dict__").get("_verb") and self.version == 1:
            raise EngineError("the sampler is gone; resume the run")
        return super().__getattribute__(name)


def metrics_of(run: Path) -> METRICS:
    with RunStore.open_readonly(run) as reader:
        return tuple(dict(step.metrics) for step in reader.steps())


@pytest.mark.parametrize("verb", ["sample", "optim_step"])
def test_what_was_committed_stays_and_the_run_goes_on(
    config: Config,  # noqa: F811
    verb: str,
    tmp_path: Path,
) -> None:
    whole = metrics_of(loop.train(config, tmp_path / "whole", engine=ScriptedEngine(write)))
    broken = tmp_path / "broken"
    with pytest.raises(EngineError, match="the sampler is gone"):
        loop.train(config, broken, engine=Dying(verb))
    assert metrics_of(broken) == whole[: len(metrics_of(broken))]
    loop.resume(broken, engine=ScriptedEngine(write))
    assert metrics_of(broken) == whole


_FULL = """
import resource, signal, sys
from pathlib import Path
from gasp_rl.config import EngineConfig
from gasp_rl.engines.local import LocalEngine
from gasp_rl.errors import StoreError
from gasp_rl.store.checkpoints import write_checkpoint
folder, most = Path(sys.argv[2]), int(sys.argv[3])
engine = LocalEngine(Path(sys.argv[1]), EngineConfig(device="cpu"))
engine.load(Path(sys.argv[1]))
write_checkpoint(folder, 1, engine.save)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
try:
    write_checkpoint(folder, 2, engine.save)
except StoreError as error:
    print(error)
"""


@pytest.mark.parametrize("room", [1_000, 50_000, 100_000])  # before, in and after the weights
def test_weights_that_find_no_room_leave_the_checkpoint_before(
    room: int, tmp_path: Path, model_folders: dict[str, Path]
) -> None:
    engine = LocalEngine(model_folders["qwen2"], EngineConfig(device="cpu"))
    engine.forward_backward(rows_of(engine), LOSS)
    engine.optim_step(OPTIM)  # now there are moments, and training.pt is larger than the weights
    engine.save(tmp_path / "trained")
    sizes = {file.name: file.stat().st_size for file in (tmp_path / "trained").iterdir()}
    assert 50_000 < sizes["model.safetensors"] < 100_000 < sizes["training.pt"]
    folder = tmp_path / "checkpoints"
    asked = [str(tmp_path / "trained"), str(folder), str(room)]
    done = subprocess.run([sys.executable, "-c", _FULL, *asked], capture_output=True, text=True)
    assert "checkpoint not written" in done.stdout, done.stderr
    assert "earlier checkpoints are untouched" in done.stdout
    assert len(done.stdout.splitlines()) == 1
    assert [checkpoint.step for checkpoint in list_checkpoints(folder)] == [1]
    verify_checkpoint(folder / "step_000001")


class Measured(ScriptedEngine):
    """Knows its memory, as engines do that hold weights."""

    def memory_peak(self) -> dict[str, float]:
        return {"gpu/memory_peak": 2.0**30 + self.version}


class Watcher(Silent):
    """Keeps what is said and what each step's trackers get."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.peaks: list[float] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def step_committed(self, step: int, seconds: float, metrics: dict[str, float]) -> None:
        self.peaks.append(metrics["gpu/memory_peak"])


def test_the_measured_peak_stands_beside_the_plan_after_step_3(
    config: Config,  # noqa: F811
    tmp_path: Path,
) -> None:
    watcher = Watcher()
    known = ModelConfig(path="miniature")  # whose memory can be reckoned
    longer = config.model_copy(update={"steps": 3, "model": known})
    loop.train(longer, tmp_path / "run", progress=watcher, engine=Measured(write))
    assert len(watcher.peaks) == 3
    (line,) = [text for text in watcher.said if "memory peak" in text]
    assert line.startswith("memory peak 1.00 GiB, planned ")
    assert all("gpu/memory_peak" not in metrics for metrics in metrics_of(tmp_path / "run"))
