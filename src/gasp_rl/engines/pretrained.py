"""Loads a policy: a Hugging Face model folder and the `tokenizer.json` in it."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError
from tokenizers import Tokenizer as RawTokenizer
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as hf_logging

from gasp_rl.engines.adapter import base_of, is_adapter, merge
from gasp_rl.engines.attention import ATTENTION
from gasp_rl.errors import DataError, EngineError
from gasp_rl.types import Tokens

CHAT_TEMPLATE = "chat_template.jinja"
GENERATION = "generation_config.json"


class FolderTokenizer:
    """The `tokenizer.json` of a model folder (the format of the `tokenizers` library)."""

    def __init__(self, folder: Path, eos_id: int) -> None:
        path = folder / "tokenizer.json"
        if not path.is_file():
            raise DataError(
                f"{folder}: has no tokenizer.json; save the model's fast tokenizer there with "
                "transformers' save_pretrained"
            )
        self.eos_id = eos_id
        try:
            self._raw = RawTokenizer.from_file(str(path))
        except Exception as error:  # tokenizers raises nothing narrower
            raise DataError(f"{path}: not a tokenizer: {_one_line(error)}") from error
        self._chat = _chat_tokenizer(folder)

    def encode(self, text: str) -> Tokens:
        return tuple(self._raw.encode(text, add_special_tokens=False).ids)

    def encode_prompt(self, text: str) -> Tokens:
        """One user's turn in the folder's chat template where it has one, else the plain text."""
        if self._chat is None:
            return self.encode(text)
        turn = [{"role": "user", "content": text}]
        rendered = self._chat.apply_chat_template(turn, add_generation_prompt=True, tokenize=False)
        return self.encode(str(rendered))

    def decode(self, tokens: Sequence[int]) -> str:
        return self._raw.decode(list(tokens), skip_special_tokens=True)

    def __len__(self) -> int:
        return self._raw.get_vocab_size()


def _chat_tokenizer(folder: Path) -> PreTrainedTokenizerBase | None:
    """transformers' tokenizer of the folder if it brings a chat template: it renders turns."""
    if not any((folder / name).is_file() for name in ("tokenizer_config.json", CHAT_TEMPLATE)):
        return None
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    return tokenizer if tokenizer.chat_template else None


def load_policy(folder: Path, device: torch.device, dtype: torch.dtype) -> PreTrainedModel:
    """The model of a folder, in evaluation mode (dropout off, in training too: with it, ratios of
    policy to sampler would not be 1). A LoRA adapter's folder gives its base with it merged in."""
    if not (folder / "config.json").is_file():
        raise DataError(f"{folder}: not a Hugging Face model folder (no config.json)")
    hf_logging.disable_progress_bar()  # runs have their own display
    try:
        model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
            base_of(folder), dtype=dtype, attn_implementation=ATTENTION, local_files_only=True
        )
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise DataError(f"{folder}: the model cannot be loaded: {_one_line(error)}") from error
    if is_adapter(folder):
        model = merge(model, folder)
    for name, weight in model.named_parameters():
        if not weight.isfinite().all():
            raise DataError(
                f"{folder}: {name} holds numbers that are not finite; it cannot be used"
            )
    torch.nn.Module.to(model, device).eval()  # in place; transformers wraps `to` for quantised ones
    _require_plain_decoder(model)
    return model


def load_weights(model: PreTrainedModel, folder: Path, dtype: torch.dtype) -> None:
    """Overwrite a model's weights with those of a folder."""
    loaded = load_policy(folder, torch.device("cpu"), dtype)
    try:
        model.load_state_dict(loaded.state_dict())
    except RuntimeError as error:
        raise DataError(f"{folder}: weights of another model: {error}") from error


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """A full disk as the `OSError` that it is: safetensors and torch raise errors of their own."""
    try:
        yield
    except (SafetensorError, RuntimeError) as error:
        raise OSError(f"{path}: {_one_line(error)}") from error


def copy_tokenizer(source: Path, target: Path) -> None:
    """Copy what `FolderTokenizer` reads."""
    if source.resolve() == target.resolve():
        return
    for name in ("tokenizer.json", "tokenizer_config.json", CHAT_TEMPLATE):
        if (source / name).is_file():
            shutil.copyfile(source / name, target / name)


def read_config(folder: Path) -> tuple[PreTrainedConfig, GenerationConfig | None]:
    """A model folder's settings, without its weights."""
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        if not (folder / GENERATION).is_file():
            return config, None
        return config, GenerationConfig.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder}: its settings cannot be read: {_one_line(error)}") from error


def stop_ids(config: PreTrainedConfig, generation: GenerationConfig | None) -> tuple[int, ...]:
    """Tokens that end a turn, the model's own first: generation settings may name several."""
    ids: dict[int, None] = {}
    for source in (config, generation):
        eos = getattr(source, "eos_token_id", None)
        ids |= dict.fromkeys([eos] if isinstance(eos, int) else eos or [])
    if not ids:
        raise DataError("the model's config.json names no eos_token_id: sampling would never stop")
    return tuple(ids)


def embedding_rows(model: PreTrainedModel) -> int:
    """How many tokens the model embeds."""
    weight = model.get_input_embeddings().weight
    assert isinstance(weight, torch.Tensor)
    return weight.shape[0]


def require_rows(rows: int, tokenizer: FolderTokenizer, folder: Path) -> None:
    """Refuse a tokenizer that may write a token which the model, of `rows` embeddings, has none for."""
    if len(tokenizer) > rows:
        raise DataError(
            f"{folder}: its tokenizer has {len(tokenizer)} tokens, its model embeds {rows}; they "
            "do not belong together"
        )


def _one_line(error: Exception) -> str:
    return f"{' '.join(str(error).split()):.300}"


@torch.inference_mode()
def _require_plain_decoder(model: PreTrainedModel) -> None:
    """Refuse what sampler and trainer do not model: windows, and logits that are not head(hidden).

    Both run the base model and the head apart, so that only needed logits are computed.
    """
    kinds = set(getattr(model.config, "layer_types", None) or ["full_attention"])
    if kinds != {"full_attention"}:
        raise EngineError(
            f"{model.config.model_type}: layers of kind {', '.join(sorted(kinds))}; the local "
            "engine takes full attention only"
        )
    ids = torch.arange(4, device=model.device)[None] % model.config.vocab_size
    logits = model(input_ids=ids).logits
    hidden = model.base_model(input_ids=ids).last_hidden_state
    apart = model.get_output_embeddings()(hidden)
    if not torch.allclose(logits, apart, rtol=1e-2, atol=1e-2):
        raise EngineError(
            f"{model.config.model_type}: changes its logits after the output layer (softcapping or "
            "scaling), which the local engine does not model"
        )
