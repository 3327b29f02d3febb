"""A whole run on a real SkyRL server, which is switched off in the middle of a step."""

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the [train] extra")
pytest.importorskip("tinker", reason="needs the [tinker-selfhosted] extra")

from llama import write_llama
from skyrl_server import SkyRL

from gasp_rl.config import LossConfig, load_config
from gasp_rl.engines.factory import build_engine
from gasp_rl.engines.protocol import Row
from gasp_rl.errors import EngineError
from gasp_rl.methods.loop import resume, train
from gasp_rl.miniature.assets import model_folder
from gasp_rl.store.run import RunStore
from gasp_rl.types import Metrics

SETTINGS = [
    "steps=2",
    "eval.every=0",
    "engine.name=tinker",
    "tinker.server=skyrl-jax",
    "tinker.patience_seconds=3",
    "engine.lora_rank=8",
    "optim.max_grad_norm=0",
    "optim.lr=1e-2",
    "rlvr.questions=6",
    "rlvr.attempts=4",
    "store.checkpoint_every=1",
]


def test_a_server_that_goes_away_in_a_step_costs_that_step_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, run = tmp_path / "model", tmp_path / "run"
    write_llama(model)
    server = SkyRL(model, tmp_path / "server")
    server.start()
    try:
        named = [f"model.path={model}", f"tinker.url={server.url}"]
        config = load_config("miniature-rlvr", [*SETTINGS, *named])
        engine = build_engine(config, model_folder(config.model.path))
        backward = engine.forward_backward

        def switched_off_after(rows: list[Row], loss: LossConfig) -> Metrics:
            """The gradient of the second update is computed; its step never comes."""
            metrics = backward(rows, loss)
            if engine.version == 1:
                server.kill()
            return metrics

        monkeypatch.setattr(engine, "forward_backward", switched_off_after)
        with pytest.raises(EngineError, match=r"went away while training .* resume the run"):
            train(config, run, engine=engine)
        first = committed(run)
        assert [step for step, _ in first] == [1]
        with pytest.raises(EngineError, match="no Tinker server answers"):
            resume(run)
        assert committed(run) == first
        server.start()
        resume(run)
        assert committed(run)[:1] == first
        assert [step for step, _ in committed(run)] == [1, 2]
    finally:
        server.kill()


def committed(run: Path) -> list[tuple[int, Metrics]]:
    with RunStore.open_readonly(run) as reader:
        return [(step.step, step.metrics) for step in reader.steps()]
