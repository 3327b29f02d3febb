"""Bytes that training and sampling of the `local` engine need, by arithmetic: no weights are read.

Three moments of a step are reckoned, since they do not coincide: sampling (cache and logits of the
rows being decoded), the backward pass (activations and a chunk of logits), the optimiser's step
(float32 copies of the gradient). The largest of them is what the device must hold.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gasp_rl.config import EngineConfig
from gasp_rl.planning.shapes import Shape

BYTES = {"float32": 4, "bfloat16": 2}
LOGITS_AT_ONCE = 1 << 25
"""Elements of one chunk of the trainer's logits (`engines/scoring.py` has the same bound)."""

GROWTH = 16
"""Columns that the decode loop's cache opens at a time (`engines/cache.py`)."""

PREFILL_TOKENS = 16384
"""Prompt tokens in one forward pass (`engines/decode.py` has the same bound)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is held at once. prompt, completion: tokens, the longest; rows: decoded together;
    prompts: distinct ones among them; train_tokens: of one packed micro-batch; reference: whether a
    KL term keeps a frozen copy."""

    prompt: int
    completion: int
    rows: int
    prompts: int
    train_tokens: int
    reference: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Bytes on each device, and `host` in CPU memory. train_logits: with them the sums of the output
    layer's gradient; other: weights and optimiser of the policy that rests, where teacher and student
    have weights of their own."""

    weights: float
    optimizer: float
    gradients: float
    step_copies: float
    activations: float
    train_logits: float
    prompts: float
    cache: float
    sample_logits: float
    host: float
    other: float = 0.0

    @property
    def resident(self) -> float:
        """Held all the time: weights and optimiser."""
        return self.weights + self.optimizer + self.other

    @property
    def sampling(self) -> float:
        """While completions are decoded."""
        return self.resident + self.prompts + self.cache + self.sample_logits

    @property
    def backward(self) -> float:
        """In the backward pass."""
        return self.resident + self.gradients + self.activations + self.train_logits

    @property
    def step(self) -> float:
        """While the optimiser steps."""
        return self.resident + self.gradients + self.step_copies

    @property
    def peak(self) -> float:
        """The largest of the three."""
        return max(self.sampling, self.backward, self.step)


def trained_parameters(shape: Shape, engine: EngineConfig) -> int:
    """All weights, or those of the adapters."""
    if engine.lora_rank:
        return shape.lora_parameters(engine.lora_rank)
    return shape.parameters


def optimizer_bytes(parameters: int, engine: EngineConfig) -> float:
    """AdamW's two moments, and a float32 master of each weight that is not float32 itself.

    Moments take 2 * 4 bytes, or with 8 bits 2 * 1 byte and a float32 scale for each block of 256
    (Dettmers et al., arXiv 2110.02861). AdamW in bfloat16: 12 bytes for each weight; ZeRO counts the
    same 12 (arXiv 1910.02054, section 3.1). Offloaded, a master is a copy even of float32 weights.
    """
    moments = 8.0 if engine.optimizer == "adamw" else 2 * (1 + 4 / 256)
    has_master = engine.dtype != "float32" or engine.offload_optimizer
    return parameters * (moments + 4 * has_master)


def cache_bytes(shape: Shape, load: Load, engine: EngineConfig) -> float:
    """Keys and values of the rows decoded together, at their longest.

    The decode loop moves its cache to a larger one every 16 columns, and holds both meanwhile.
    """
    one = load.rows * shape.kv_bytes(BYTES[engine.dtype])
    width = load.prompt + load.completion
    moves = 2 if engine.sampler == "native" else 1
    return float(one * (width + GROWTH) * moves)


def prompt_bytes(shape: Shape, load: Load, engine: EngineConfig) -> float:
    """Keys and values of the prompts, kept for rows that still wait; and of the prompts that are
    being computed once more, with the widest tensors of a layer."""
    number = BYTES[engine.dtype]
    tokens = load.prompts * load.prompt
    chunk = min(tokens, max(PREFILL_TOKENS, load.prompt))
    layer = number * (3 * shape.inner + 3 * shape.width)
    return float(tokens * shape.kv_bytes(number) + chunk * (shape.kv_bytes(number) + layer))


def sampling_logits_bytes(shape: Shape, rows: int, engine: EngineConfig) -> float:
    """Logits of one token of each row, and what drawing makes of them: float32 log-probabilities
    twice, and a cumulative sum in float64 twice."""
    return float(rows * shape.vocabulary * (BYTES[engine.dtype] + 2 * 4 + 2 * 8))


def training_logits_bytes(shape: Shape, tokens: int, engine: EngineConfig) -> float:
    """A chunk of logits with its float32 copy, its log-softmax and the gradients of both; other
    chunks are computed again when their turn comes."""
    elements = min(LOGITS_AT_ONCE, tokens * shape.vocabulary)
    return float(elements * (2 * BYTES[engine.dtype] + 4 * 4))


def head_gradient_bytes(shape: Shape, engine: EngineConfig) -> float:
    """While gradients of the output layer's chunks are added up, beside the one that is kept: the sum
    so far, the next part and their new sum. Frozen under LoRA."""
    return 0.0 if engine.lora_rank else 3.0 * shape.vocabulary * shape.width * BYTES[engine.dtype]


def layer_activation_bytes(shape: Shape, load: Load, engine: EngineConfig) -> float:
    """What one layer keeps for the backward pass of one packed micro-batch.

    Of each token, counted as in arXiv 2205.05198 (section 4.1) but for gated feed-forward layers,
    grouped queries and the layers of this engine: two norms (a float32 input and what it becomes),
    the inputs of q, k, v and of gate, up; queries, attention's output before and after it is put in
    order; four tensors of the feed-forward layer's width. Keys and values are gathered for each
    completion with its prompt's; the additive mask is kept once for each query head that shares a
    key/value head. LoRA adds `rank` numbers in each of seven layers. On a CPU this is .90 to 1.00 of
    what autograd keeps.
    """
    number = BYTES[engine.dtype]
    queries, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    tokens = load.train_tokens
    longest = load.prompt + load.completion
    norms = 2 * shape.width * (number if engine.dtype == "float32" else 4 + number)
    linear = number * (2 * shape.width + 3 * queries + 4 * shape.inner + 7 * engine.lora_rank)
    segments = tokens / max(load.completion, 1)
    gathered = number * 2 * keys * segments * longest
    share = shape.heads // shape.kv_heads
    mask = number * share * tokens * longest
    return tokens * (norms + linear) + gathered + mask


def activation_bytes(shape: Shape, load: Load, engine: EngineConfig) -> float:
    """Of all layers, or with checkpointing each layer's input and one layer's whole
    (arXiv 1604.06174)."""
    layer = layer_activation_bytes(shape, load, engine)
    inputs = load.train_tokens * shape.width * BYTES[engine.dtype]
    if engine.gradient_checkpointing:
        return shape.layers * inputs + layer
    return shape.layers * layer + inputs


def worst(moments: Sequence[Memory]) -> Memory:
    """The largest sampling, backward pass and optimiser's step: calls of the engines follow each
    other. Of two policies the larger gradients and copies count, whichever the rest is from."""
    sampling = max(moments, key=lambda memory: memory.sampling)
    backward = max(moments, key=lambda memory: memory.backward)
    return replace(
        sampling,
        activations=backward.activations,
        train_logits=backward.train_logits,
        gradients=max(memory.gradients for memory in moments),
        step_copies=max(memory.step_copies for memory in moments),
    )


def beside(memory: Memory, resting: Memory) -> Memory:
    """What one policy needs while the other is held beside it and neither samples nor trains."""
    return replace(memory, other=resting.resident, host=memory.host + resting.host)


def reckon(shape: Shape, load: Load, engine: EngineConfig, devices: int = 1) -> Memory:
    """Memory of each of `devices` devices.

    With several, float32 shards of weights, gradients and moments are divided by FSDP2
    (arXiv 2304.11277), each device keeps a whole copy for sampling, and gathers one layer at a time.
    """
    number = BYTES[engine.dtype]
    trained = trained_parameters(shape, engine)
    whole = shape.parameters * number + (trained * number if engine.lora_rank else 0)
    frozen = shape.parameters * number if load.reference and not engine.lora_rank else 0
    optimizer = optimizer_bytes(trained, engine)
    if devices > 1:
        gathered = 2 * number * shape.parameters / shape.layers
        weights, gradients = whole + gathered, 4.0 * trained / devices
        optimizer, copies, host = 12.0 * trained / devices, 0.0, 0.0
    else:
        weights, gradients = float(whole), float(trained * number)
        own = engine.dtype == "float32" and not engine.offload_optimizer
        copies = 0.0 if own else 4.0 * trained
        host = optimizer + copies if engine.offload_optimizer else 0.0
    second = whole if engine.sampler == "vllm" else 0
    offloaded = engine.offload_optimizer and devices == 1
    return Memory(
        weights=weights + frozen,
        optimizer=0.0 if offloaded else optimizer,
        gradients=gradients,
        step_copies=0.0 if offloaded else copies,
        activations=activation_bytes(shape, load, engine),
        train_logits=training_logits_bytes(shape, load.train_tokens, engine)
        + head_gradient_bytes(shape, engine),
        prompts=prompt_bytes(shape, load, engine),
        cache=cache_bytes(shape, load, engine) + second,
        sample_logits=sampling_logits_bytes(shape, load.rows, engine),
        host=host,
    )
