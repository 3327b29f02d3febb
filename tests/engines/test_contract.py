"""The contract on the engines of this package."""

from pathlib import Path

import pytest
from contract import LOSS, OPTIM, BitsContract, EngineContract, Factory, WeightsContract, rows_of

from gasp_rl.config import Config, EngineConfig, LossConfig
from gasp_rl.engines.factory import build_engine, require
from gasp_rl.engines.protocol import Caps, Engine
from gasp_rl.engines.scripted import ScriptedEngine
from gasp_rl.errors import EngineError


def scripted(**_: object) -> Engine:
    return ScriptedEngine(lambda prompt, sample, rng: f"{rng.integers(10**9)}"[: sample + 3])


def local_factory(folder: Path, **fixed: object) -> Factory:
    def make(**settings: object) -> Engine:
        defaults = {"device": "cpu", "sample_rows": 6, "train_tokens": 50, "threads": 1}
        engine = EngineConfig.model_validate(defaults | fixed | settings)
        return build_engine(Config(engine=engine), folder)

    return make


class TestScripted(EngineContract):
    @pytest.fixture
    def make(self) -> Factory:
        return scripted


class TestLocal(EngineContract, WeightsContract, BitsContract):
    """Full weights; rows packed by 50 tokens, so that prompts are shared and batches divided."""

    @pytest.fixture(params=["smollm3-nope", "smollm3-rope", "qwen2"])
    def make(self, request: pytest.FixtureRequest, model_folders: dict[str, Path]) -> Factory:
        return local_factory(model_folders[request.param])


class TestLora(EngineContract, WeightsContract, BitsContract):
    """An adapter on frozen weights."""

    @pytest.fixture
    def make(self, model_folders: dict[str, Path]) -> Factory:
        pytest.importorskip("peft", reason="needs the [lora] extra")
        return local_factory(model_folders["qwen2"], lora_rank=4)


class TestContinuous(EngineContract, WeightsContract):
    """transformers' continuous batching instead of the engine's own loop."""

    @pytest.fixture
    def make(self, model_folders: dict[str, Path]) -> Factory:
        return local_factory(model_folders["qwen2"], sampler="continuous")


@pytest.mark.parametrize(
    ("caps", "loss"),
    [
        (("policy-gradient",), LossConfig(name="ppo")),
        (("ppo",), LossConfig(reduction="sequence-mean")),
        (("ppo",), LossConfig(kl_coef=0.1)),
    ],
)
def test_caps_refuse_before_anything_runs(caps: tuple[str, ...], loss: LossConfig) -> None:
    engine = scripted()
    engine.caps = Caps(
        losses=frozenset(caps),
        reductions=frozenset({"token-mean"}),
        reference_logprobs=False,
        exact_resume=False,
    )
    with pytest.raises(EngineError, match="this engine"):
        require(engine, Config(loss=loss))


def test_gradients_add_up_over_calls_and_micro_batches(model_folders: dict[str, Path]) -> None:
    norms = []
    for train_tokens, calls in ((16, 1), (4096, 1), (50, 2)):
        engine = local_factory(model_folders["qwen2"], train_tokens=train_tokens)()
        rows = rows_of(engine)
        for _ in range(calls):
            engine.forward_backward(rows, LOSS)
        norms.append(engine.optim_step(OPTIM)["policy/grad_norm"])
    assert norms[1] == pytest.approx(norms[0], rel=1e-5)
    assert norms[2] == pytest.approx(2 * norms[0], rel=1e-5)
