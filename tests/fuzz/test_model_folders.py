"""Model folders that cannot be used: refused in one sentence, before anything is sampled."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="the local engine needs the train extra")

from safetensors.torch import load_file, save_file  # noqa: E402

from gasp_rl.config import EngineConfig  # noqa: E402
from gasp_rl.engines.local import LocalEngine  # noqa: E402
from gasp_rl.errors import GaspError  # noqa: E402
from gasp_rl.miniature.assets import model_folder  # noqa: E402
from tests.engines.tiny import save_tiny  # noqa: E402

Spoil = Callable[[Path], object]


def _json(name: str, **changes: object) -> Spoil:
    def change(folder: Path) -> None:
        content = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(content | changes))

    return change


def _weights(change: Callable[[dict[str, "torch.Tensor"]], object]) -> Spoil:
    def rewrite(folder: Path) -> None:
        tensors = load_file(folder / "model.safetensors")
        change(tensors)
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})

    return rewrite


def _nan(tensors: dict[str, "torch.Tensor"]) -> None:
    tensors["model.layers.1.mlp.up_proj.weight"][0, 0] = torch.nan


def _larger_vocabulary(folder: Path) -> None:
    content = json.loads((folder / "tokenizer.json").read_text())
    content["model"]["vocab"] |= {f"extra{i}": 100 + i for i in range(50)}
    (folder / "tokenizer.json").write_text(json.dumps(content))


SPOILT: dict[str, tuple[Spoil, str]] = {
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), "has no tokenizer.json"),
    "tokenizer cut": (lambda f: (f / "tokenizer.json").write_text('{"a"'), "not a tokenizer"),
    "tokenizer of another model": (_larger_vocabulary, "do not belong together"),
    "weights not finite": (_weights(_nan), "up_proj.weight holds numbers that are not finite"),
    "weights cut": (
        lambda f: (f / "model.safetensors").write_bytes(
            (f / "model.safetensors").read_bytes()[:-9]
        ),
        "cannot be loaded",
    ),
    "weights of another shape": (_json("config.json", vocab_size=41), "cannot be loaded"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "cannot be loaded"),
    "no config": (lambda f: (f / "config.json").unlink(), "no config.json"),
    "config cut": (lambda f: (f / "config.json").write_text("{"), "cannot be loaded"),
    "config of nothing known": (_json("config.json", model_type="perceptron"), "cannot be loaded"),
    "no end of turn": (
        lambda f: (
            _json("config.json", eos_token_id=None)(f),
            _json("generation_config.json", eos_token_id=None)(f),
        ),
        "names no eos_token_id",
    ),
    "adapter without its base": (
        lambda f: (f / "adapter_config.json").write_text('{"base_model_name_or_path": "/nowhere"}'),
        "its base model is not at /nowhere",
    ),
}


@pytest.mark.parametrize("name", SPOILT)
def test_a_spoilt_folder_is_one_sentence(name: str, tmp_path: Path) -> None:
    spoil, sentence = SPOILT[name]
    folder = save_tiny("qwen2", tmp_path / "model")
    spoil(folder)
    with pytest.raises(GaspError, match=sentence) as caught:
        LocalEngine(model_folder(str(folder)), EngineConfig(device="cpu", threads=1))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000
