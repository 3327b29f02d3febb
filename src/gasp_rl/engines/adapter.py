"""LoRA through peft: trained low-rank matrices beside frozen weights (arXiv 2106.09685).

Dropout is 0 always: sampler and trainer must compute the same function, or ratios would drift.
Switched off, what remains is the base, which so serves as the reference of a KL term.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers import PreTrainedModel

from gasp_rl.errors import DataError, MissingExtraError

ADAPTER_CONFIG, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
PREFIX = "base_model.model."  # of the names in the file
SEED = 0  # of the A matrices; B begins at 0, so the policy begins as the base


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds a LoRA adapter, as a run with `engine.lora_rank` saves it."""
    return (folder / ADAPTER_CONFIG).is_file()


def base_of(folder: Path) -> Path:
    """The model folder that an adapter was trained on; a folder without adapter is its own base."""
    if not is_adapter(folder):
        return folder
    config = json.loads((folder / ADAPTER_CONFIG).read_text(encoding="utf-8"))
    base = Path(config.get("base_model_name_or_path") or "")
    if not (base / "config.json").is_file():
        raise DataError(
            f"{folder}: its base model is not at {base}; set base_model_name_or_path in "
            f"{ADAPTER_CONFIG} to where it lies"
        )
    return base


def attach(model: PreTrainedModel, rank: int, alpha: int) -> None:
    """Add fresh adapters to every linear layer but the output layer; only they are trained."""
    _require_peft("engine.lora_rank")
    from peft import LoraConfig

    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,
        lora_dropout=0.0,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        model.add_adapter(config)
    model.eval()  # adapters are made in training mode


def load_adapter(model: PreTrainedModel, folder: Path) -> None:
    """Overwrite the attached adapter's weights with those of a folder."""
    from peft import get_peft_model_state_dict, set_peft_model_state_dict

    if not is_adapter(folder):
        raise DataError(f"{folder}: no LoRA adapter here (no {ADAPTER_CONFIG})")
    try:
        weights = load_file(folder / ADAPTER_WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise DataError(f"{folder}: the adapter cannot be read: {error}") from error
    weights = {name.removeprefix(PREFIX): weight for name, weight in weights.items()}
    own = get_peft_model_state_dict(model)
    if {n: w.shape for n, w in weights.items()} != {n: w.shape for n, w in own.items()}:
        raise DataError(
            f"{folder}: weights of another model or another rank; engine.lora_rank must be the one "
            "that the adapter was trained with"
        )
    set_peft_model_state_dict(model, weights)


@contextmanager
def adapter_off(model: PreTrainedModel) -> Iterator[PreTrainedModel]:
    """The base: the same weights without the adapter."""
    model.disable_adapters()
    try:
        yield model
    finally:
        model.enable_adapters()


def merge(model: PreTrainedModel, folder: Path) -> PreTrainedModel:
    """A plain model: the adapter of a folder added into the weights of its base."""
    _require_peft(f"{folder} is a LoRA adapter, which")
    from peft import PeftModel

    merged: PreTrainedModel = PeftModel.from_pretrained(model, str(folder)).merge_and_unload()
    merged.requires_grad_(True)
    return merged


def _require_peft(needed_for: str) -> None:
    if find_spec("peft") is None:
        raise MissingExtraError("lora", needed_for)
