"""LoRA: the adapter, its absence, its file."""

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the [train] extra")
pytest.importorskip("peft", reason="needs the [lora] extra")

from contract import LOSS, OPTIM, pairs_of, rows_of  # noqa: E402
from tiny import tiny_model  # noqa: E402

from gasp_rl.config import Config, EngineConfig, ModelConfig  # noqa: E402
from gasp_rl.engines.factory import build_engine  # noqa: E402
from gasp_rl.engines.local import LocalEngine  # noqa: E402
from gasp_rl.errors import ConfigError, DataError  # noqa: E402

PLAIN = EngineConfig(device="cpu", train_tokens=64)
LORA = EngineConfig(device="cpu", train_tokens=64, lora_rank=4, lora_alpha=16)


@pytest.fixture(scope="module")
def trained(model_folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of an adapter that has made a step."""
    engine = LocalEngine(model_folders["qwen2"], LORA)
    engine.forward_backward(rows_of(engine), LOSS)
    engine.optim_step(OPTIM)
    folder = tmp_path_factory.mktemp("adapter")
    engine.save(folder)
    return folder


def test_without_its_adapter_a_policy_is_the_base(
    model_folders: dict[str, Path], trained: Path
) -> None:
    base = LocalEngine(model_folders["qwen2"], PLAIN)
    pairs = pairs_of(rows_of(base))
    policy = LocalEngine(model_folders["qwen2"], LORA, trained)
    assert policy.logprobs(pairs, of="reference") == base.logprobs(pairs)
    assert policy.logprobs(pairs) != base.logprobs(pairs)


def test_a_step_leaves_the_base_weights(model_folders: dict[str, Path]) -> None:
    engine = LocalEngine(model_folders["qwen2"], LORA)
    engine.forward_backward(rows_of(engine), LOSS)
    engine.optim_step(OPTIM)
    start = tiny_model("qwen2").state_dict()
    now = {name.replace(".base_layer", ""): w for name, w in engine._model.state_dict().items()}
    assert all(torch.equal(now[name], weight) for name, weight in start.items())


def test_a_checkpoint_holds_the_adapter_and_opens_as_a_model(
    model_folders: dict[str, Path], trained: Path
) -> None:
    assert not (trained / "model.safetensors").exists()
    policy = LocalEngine(model_folders["qwen2"], LORA, trained)
    pairs = pairs_of(rows_of(policy))
    merged = LocalEngine(trained, PLAIN)
    for ours, theirs in zip(policy.logprobs(pairs), merged.logprobs(pairs), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_an_adapter_of_another_rank_is_an_error(
    model_folders: dict[str, Path], trained: Path
) -> None:
    with pytest.raises(DataError, match="another rank"):
        LocalEngine(model_folders["qwen2"], LORA.model_copy(update={"lora_rank": 2}), trained)
    with pytest.raises(DataError, match="no LoRA adapter here"):
        LocalEngine(model_folders["qwen2"], LORA, model_folders["qwen2"])


def test_an_adapter_needs_a_rank(model_folders: dict[str, Path], trained: Path) -> None:
    config = Config(model=ModelConfig(adapter=trained), engine=PLAIN)
    with pytest.raises(ConfigError, match=r"set engine\.lora_rank"):
        build_engine(config, model_folders["qwen2"])


def test_a_base_that_moved_is_an_error(trained: Path, tmp_path: Path) -> None:
    for file in trained.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = str(tmp_path / "gone")
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    with pytest.raises(DataError, match="its base model is not at"):
        LocalEngine(tmp_path, PLAIN)
