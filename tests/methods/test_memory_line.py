"""A run whose engine measures its memory says once how that compares with the plan."""

import json
from pathlib import Path

from gasp_rl.config import Config, PlanConfig
from gasp_rl.engines.scripted import ScriptedEngine
from gasp_rl.methods import loop
from gasp_rl.store.progress import Silent
from gasp_rl.types import Metrics
from tests.methods.conftest import write

QWEN2 = {
    "model_type": "qwen2",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 257,
}


class Measured(ScriptedEngine):
    """Reports a peak, as an engine on a GPU may."""

    def memory_peak(self) -> Metrics:
        return {"gpu/memory_peak": 2.0**31}


class Listener(Silent):
    """Remembers what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


def test_a_run_says_it_once_after_three_steps(config: Config, tmp_path: Path) -> None:
    (Path(config.model.path) / "config.json").write_text(json.dumps(QWEN2))
    config = config.model_copy(update={"steps": 4, "plan": PlanConfig(device="h200")})
    said = {}
    for engine in (Measured(write), ScriptedEngine(write)):
        listener = Listener()
        loop.train(config, tmp_path / type(engine).__name__, progress=listener, engine=engine)
        said[type(engine)] = [text for text in listener.said if "memory peak" in text]
    assert len(said[Measured]) == 1
    assert said[Measured][0].startswith("memory peak 2.00 GiB, planned")
    assert said[ScriptedEngine] == []
