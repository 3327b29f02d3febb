"""The contract on a GPU; skipped where there is none."""

from importlib.util import find_spec
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs the [train] extra")
if not torch.cuda.is_available():
    pytest.skip("needs a GPU", allow_module_level=True)

from contract import (  # noqa: E402
    LOSS,
    BitsContract,
    EngineContract,
    Factory,
    WeightsContract,
    rows_of,
)

from gasp_rl.config import EngineConfig  # noqa: E402
from gasp_rl.engines.local import LocalEngine  # noqa: E402

SETTINGS: dict[str, dict[str, object]] = {
    "full": {},
    "lora": {"lora_rank": 4},
    "checkpointed": {"gradient_checkpointing": True},
    "offloaded": {"offload_optimizer": True},
}


def factory(folder: Path, **settings: object) -> Factory:
    fixed = {"device": "cuda", "sample_rows": 6, "train_tokens": 50} | settings
    return lambda: LocalEngine(folder, EngineConfig.model_validate(fixed))


class TestGpu(EngineContract, WeightsContract):
    @pytest.fixture(params=SETTINGS)
    def make(self, request: pytest.FixtureRequest, gpu_models: dict[str, Path]) -> Factory:
        return factory(gpu_models["qwen2"], **SETTINGS[request.param])

    def test_it_promises_no_bits(self, make: Factory) -> None:
        assert not make().caps.exact_resume


class TestGpuDeterministic(EngineContract, WeightsContract, BitsContract):
    @pytest.fixture(params=SETTINGS)
    def make(self, request: pytest.FixtureRequest, gpu_models: dict[str, Path]) -> Factory:
        return factory(gpu_models["qwen2"], deterministic=True, **SETTINGS[request.param])


class TestGpuContinuous(EngineContract, WeightsContract):
    @pytest.fixture
    def make(self, gpu_models: dict[str, Path]) -> Factory:
        return factory(gpu_models["qwen2"], sampler="continuous")


@pytest.mark.skipif(find_spec("vllm") is None, reason="needs the [vllm] extra")
class TestGpuVllm(EngineContract, WeightsContract):
    @pytest.fixture
    def make(self, gpu_models: dict[str, Path]) -> Factory:
        return factory(gpu_models["qwen2"], sampler="vllm")


def test_bfloat16_sampler_and_trainer_agree(gpu_models: dict[str, Path]) -> None:
    engine = factory(gpu_models["qwen2"], dtype="bfloat16")()
    assert engine.forward_backward(rows_of(engine), LOSS)["policy/logprob_gap"] < 0.05


def test_memory_that_runs_out_for_real(gpu_models: dict[str, Path]) -> None:
    engine = factory(gpu_models["qwen2"], train_tokens=1 << 22)()
    rows = rows_of(engine) * 2000
    torch.cuda.set_per_process_memory_fraction(0.01)
    try:
        with pytest.warns(UserWarning, match="halved"):
            metrics = engine.forward_backward(rows, LOSS)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert metrics["train/out_of_memory"] >= 1
