"""Embedders of the novelty filter that need a model: the policy before training, or an encoder.

Each text is embedded alone. In a batch its numbers would depend, in the last digits, on what else
is in it, and a resumed run, which embeds every accepted task again, would not be exactly the same.
"""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import torch
from safetensors import SafetensorError
from transformers import AutoModel, AutoTokenizer

from gasp_rl.engines.protocol import Tokenizer
from gasp_rl.errors import DataError
from gasp_rl.types import Tokens

SOME_TEXT = "def f(x):\n    return x"
UNLIMITED = 1 << 20
"""Tokenizers that know no longest text say a number above this."""


@runtime_checkable
class HiddenStates(Protocol):
    """What of an engine the policy's embedder needs; `LocalEngine` has it."""

    tokenizer: Tokenizer

    def hidden_means(
        self, texts: Sequence[Tokens], of: Literal["policy", "reference"] = "policy"
    ) -> np.ndarray: ...


class PolicyEmbedder:
    """Mean of the last hidden states of the policy as it was before training.

    Training must not move the vectors that lie in the buffers already, so the reference weights
    embed. Such means all point in a similar direction: choose `novelty.threshold` for them.
    """

    def __init__(self, engine: HiddenStates) -> None:
        self._engine = engine
        self.fingerprint = _fingerprint("policy", self.embed([SOME_TEXT]))

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        return _each_alone(texts, self._mean)

    def _mean(self, text: str) -> np.ndarray:
        tokens = self._engine.tokenizer.encode(text or " ")
        (mean,) = self._engine.hidden_means([tokens], of="reference")
        return np.asarray(mean)


class EncoderEmbedder:
    """Mean of the last hidden states of a Hugging Face encoder, on the CPU, cut at its longest text.

    Raises `DataError` when the folder holds no encoder with its tokenizer. Runs no code from it.
    """

    def __init__(self, path: str | Path) -> None:
        folder = Path(path)
        if not (folder / "config.json").is_file():
            raise DataError(f"{folder}: not a Hugging Face model folder (no config.json)")
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            self._model = AutoModel.from_pretrained(
                folder, local_files_only=True, dtype=torch.float32
            ).eval()
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            raise DataError(f"{folder}: the encoder cannot be loaded: {error}") from error
        self._longest = self._tokenizer.model_max_length
        if self._longest > UNLIMITED:
            self._longest = getattr(self._model.config, "max_position_embeddings", 512)
        self.fingerprint = _fingerprint("encoder", self.embed([SOME_TEXT]))

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        return _each_alone(texts, self._mean)

    @torch.inference_mode()
    def _mean(self, text: str) -> np.ndarray:
        batch = self._tokenizer(
            text or " ", truncation=True, max_length=self._longest, return_tensors="pt"
        )
        hidden_TW = self._model(**batch).last_hidden_state[0]
        mask_T = batch["attention_mask"][0].bool()
        mean: np.ndarray = hidden_TW[mask_T].mean(0).numpy()
        return mean


def _each_alone(texts: Sequence[str], mean: Callable[[str], np.ndarray]) -> np.ndarray:
    """float32 [texts, width], each row of length 1."""
    vectors = np.stack([mean(text) for text in texts]).astype(np.float32)
    unit: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def _fingerprint(kind: str, vectors: np.ndarray) -> str:
    """Another model gives some text another vector: its hash names the model."""
    return f"{kind}-{hashlib.blake2b(vectors.tobytes(), digest_size=6).hexdigest()}"
