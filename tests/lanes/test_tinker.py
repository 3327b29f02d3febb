"""The contract of engines on a real SkyRL server (JAX backend, CPU) with a tiny Qwen3."""

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the [train] extra")
pytest.importorskip("tinker", reason="needs the [tinker-selfhosted] extra")

from contract import (
    LOSS,
    EngineContract,
    Factory,
    WeightsContract,
    rows_of,
    shortened,
    with_advantage,
)
from skyrl_server import SkyRL

from gasp_rl.config import Config, LossConfig, OptimConfig, parse_config
from gasp_rl.engines.factory import build_engine
from gasp_rl.engines.protocol import Engine
from gasp_rl.errors import EngineError

STILL = OptimConfig(lr=1e-12, max_grad_norm=0)
"""A step that shows a gradient's norm and leaves the weights where they are."""


def tinker_config(server: SkyRL, **tinker: object) -> Config:
    return parse_config(
        {
            "engine": {"name": "tinker", "lora_rank": 4},
            "optim": {"max_grad_norm": 0},
            "tinker": {"url": server.url, "server": "skyrl-jax", **tinker},
        },
        "test",
    )


class TestTinker(EngineContract, WeightsContract):
    @pytest.fixture
    def make(self, skyrl: SkyRL, tiny_qwen3: Path) -> Factory:
        return lambda: build_engine(tinker_config(skyrl), tiny_qwen3)


@pytest.mark.parametrize("reduction", ["token-mean", "sequence-mean"])
def test_the_servers_reduction_is_undone_on_rows_of_unequal_length(
    skyrl: SkyRL, tiny_qwen3: Path, reduction: str
) -> None:
    """One row's gradient, alone and beside a longer row without any, is divided as the loss says."""
    engine = build_engine(tinker_config(skyrl), tiny_qwen3)
    loss = LossConfig(reduction=reduction)
    rows = sorted(rows_of(engine), key=lambda row: len(row.tokens_T))
    short, long = with_advantage(shortened(rows[-2], 3), 1.0), with_advantage(rows[-1], 0.0)
    assert len(long.tokens_T) > 6
    share = 3 / (3 + len(long.tokens_T)) if reduction == "token-mean" else 1 / 2
    alone, beside = (norm_of(engine, r, loss) for r in ([short], [short, long]))
    assert beside == pytest.approx(share * alone, rel=1e-3)
    # tokens without any gradient behind three that have some are no more than a smaller share
    length = len(long.tokens_T)
    three = replace(long, advantages_T=(1.0,) * 3 + (0.0,) * (length - 3))
    cut, whole = (norm_of(engine, [r], loss) for r in (shortened(three, 3), three))
    assert whole == pytest.approx(3 / length * cut, rel=1e-3)
    # and gradients add up until the step
    engine.forward_backward([short], loss)
    engine.forward_backward([short], loss)
    assert engine.optim_step(STILL)["policy/grad_norm"] == pytest.approx(2 * alone, rel=1e-3)


def norm_of(engine: Engine, rows: list, loss: LossConfig) -> float:
    engine.forward_backward(rows, loss)
    return engine.optim_step(STILL)["policy/grad_norm"]


def test_a_server_that_goes_away_is_one_sentence_and_its_weights_come_back(
    tiny_qwen3: Path, tmp_path: Path
) -> None:
    server = SkyRL(tiny_qwen3, tmp_path / "server")
    server.start()
    try:
        config = tinker_config(server, patience_seconds=3)
        engine = build_engine(config, tiny_qwen3)
        engine.forward_backward(rows_of(engine), LOSS)
        engine.optim_step(OptimConfig(lr=0.03, max_grad_norm=0))
        engine.publish()
        engine.save(tmp_path / "step")
        committed = rows_of(engine)
        engine.forward_backward(committed, LOSS)
        server.kill()
        with pytest.raises(EngineError, match=r"went away while training .* resume the run"):
            engine.optim_step(OptimConfig(lr=0.03, max_grad_norm=0))
        with pytest.raises(EngineError, match="no Tinker server answers"):
            build_engine(config, tiny_qwen3)
        server.start()
        resumed = build_engine(config, tiny_qwen3)
        resumed.load(tmp_path / "step")
        assert resumed.version == 1
        assert [row.tokens_T for row in rows_of(resumed)] == [r.tokens_T for r in committed]
        with pytest.raises(EngineError, match=r"the Tinker server failed while scoring"):
            engine.forward_backward(committed, LOSS)
    finally:
        server.kill()
