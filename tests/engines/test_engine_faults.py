"""Engines that fail in the middle of a step: a clear error, and the last committed step intact."""

from pathlib import Path
from typing import Any

import pytest
from tests.methods.conftest import config, write  # noqa: F401  a fixture

from gasp_rl.config import Config
from gasp_rl.engines.scripted import ScriptedEngine
from gasp_rl.errors import EngineError
from gasp_rl.methods import loop
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
