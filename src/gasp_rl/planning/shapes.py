"""Dimensions of a model and what follows from them alone, and data sheets of devices."""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from gasp_rl.errors import ConfigError, DataError

BIASED = {"qwen2": True, "qwen3": False, "llama": False, "mistral": False, "smollm3": False}
"""Model types whose parameters are counted, and whether queries, keys and values have a bias
without being asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A decoder with gated feed-forward layers and grouped queries.

    width: of the residual stream; inner: of the feed-forward layers; tied: the output layer is the
    embedding; qkv_bias, out_bias, mlp_bias: of linear layers; head_norms: Qwen3's norms of queries
    and keys; positions: the longest sequence, 0 where nothing says.
    """

    layers: int
    width: int
    inner: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    tied: bool
    qkv_bias: bool = False
    out_bias: bool = False
    mlp_bias: bool = False
    head_norms: bool = False
    positions: int = 0

    @property
    def linears(self) -> tuple[tuple[int, int], ...]:
        """(inputs, outputs) of one layer's seven linear layers: q, k, v, o, gate, up, down."""
        queries, keys = self.heads * self.head_dim, self.kv_heads * self.head_dim
        return (
            (self.width, queries),
            (self.width, keys),
            (self.width, keys),
            (queries, self.width),
            (self.width, self.inner),
            (self.width, self.inner),
            (self.inner, self.width),
        )

    @property
    def matmul_parameters(self) -> int:
        """Weights that each token is multiplied by, the output layer included, embeddings not."""
        layer = sum(inputs * outputs for inputs, outputs in self.linears)
        return self.layers * layer + self.width * self.vocabulary

    @property
    def parameters(self) -> int:
        """All weights. Qwen2.5-Coder-0.5B: 494,032,768; 7B: 7,615,616,512."""
        q, k, v, o, gate, up, down = (outputs for _, outputs in self.linears)
        biases = self.qkv_bias * (q + k + v) + self.out_bias * o
        biases += self.mlp_bias * (gate + up + down)
        norms = 2 * self.width + self.head_norms * 2 * self.head_dim
        embedding = 0 if self.tied else self.vocabulary * self.width
        return self.matmul_parameters + self.layers * (biases + norms) + self.width + embedding

    @property
    def tensors(self) -> int:
        """How many tensors hold the weights."""
        layer = 9 + 3 * self.qkv_bias + self.out_bias + 3 * self.mlp_bias + 2 * self.head_norms
        return self.layers * layer + (2 if self.tied else 3)

    def lora_parameters(self, rank: int) -> int:
        """Of adapters on all linear layers but the output layer: rank * (inputs + outputs) each
        (arXiv 2106.09685, section 4.1)."""
        return self.layers * sum(rank * (inputs + outputs) for inputs, outputs in self.linears)

    def kv_bytes(self, number: int) -> int:
        """Keys and values of one token, with `number` bytes for each element:
        2 * layers * kv_heads * head_dim elements. 7B in bfloat16: 57,344 bytes."""
        return 2 * self.layers * self.kv_heads * self.head_dim * number


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """memory: bytes, 0 where unknown; flops: dense bfloat16 operations a second; bandwidth: bytes a
    second."""

    name: str
    memory: float
    flops: float
    bandwidth: float


def parse_shape(config: Mapping[str, Any], origin: str) -> Shape:
    """The shape that a model folder's config.json describes; `DataError` for other architectures."""
    kind = config.get("model_type")
    if kind not in BIASED:
        raise DataError(
            f"{origin}: model_type {kind!r}: a plan knows {', '.join(BIASED)}; memory of other "
            "architectures is not reckoned"
        )
    try:
        width, heads = int(config["hidden_size"]), int(config["num_attention_heads"])
        asked = bool(config.get("attention_bias", False))
        return Shape(
            layers=int(config["num_hidden_layers"]),
            width=width,
            inner=int(config["intermediate_size"]),
            heads=heads,
            kv_heads=int(config.get("num_key_value_heads") or heads),
            head_dim=int(config.get("head_dim") or width // heads),
            vocabulary=int(config["vocab_size"]),
            tied=bool(config.get("tie_word_embeddings", False)),
            qkv_bias=BIASED[kind] or asked,
            out_bias=asked and kind != "qwen2",
            mlp_bias=bool(config.get("mlp_bias", False)),
            head_norms=kind == "qwen3",
            positions=int(config.get("max_position_embeddings") or 0),
        )
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise DataError(f"{origin}: no dimensions of a model: {error!r}") from None


def read_shape(folder: Path) -> Shape:
    """The shape of a model folder, or of the published model that its last name stands for.

    Example: `models/Qwen2.5-Coder-7B`, be it there or not.
    """
    file = folder / "config.json"
    if file.is_file():
        try:
            config = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise DataError(f"{file}: cannot be read as JSON: {error}") from None
        if not isinstance(config, dict):
            raise DataError(f"{file}: not a JSON object")
        return parse_shape(config, str(file))
    known = _table("shapes.toml")
    key = folder.name.lower().removesuffix("-instruct").replace(".", "_")
    if key not in known:
        names = ", ".join(name.replace("_", ".") for name in known)
        raise DataError(
            f"{folder}: no model folder here (no config.json), and its name is none of {names}"
        )
    return parse_shape(known[key], key)


def device_names() -> list[str]:
    """Devices whose data sheets are known."""
    return list(_table("devices.toml"))


def find_device(name: str) -> Device:
    """The device of that name; `ConfigError` lists the known ones."""
    known = _table("devices.toml")
    if name not in known:
        raise ConfigError(f"plan.device={name}: known devices are {', '.join(known)}")
    sheet = known[name]
    return Device(
        name=name,
        memory=sheet["memory_gib"] * 2.0**30,
        flops=sheet["teraflops"] * 1e12,
        bandwidth=sheet["bandwidth"] * 1e9,
    )


def _table(file: str) -> dict[str, dict[str, Any]]:
    text = (resources.files("gasp_rl.planning") / file).read_text(encoding="utf-8")
    return tomllib.loads(text)
