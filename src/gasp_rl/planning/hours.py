"""Seconds that a step's sampling and training take on a device, by arithmetic.

The sandbox, trials and Python are not counted, and efficiencies are assumed, so read the result as
an order of magnitude.
"""

from collections.abc import Sequence

from gasp_rl.config import EngineConfig
from gasp_rl.planning.memory import BYTES
from gasp_rl.planning.shapes import Device, Shape
from gasp_rl.planning.work import Draw

TRAIN_SHARE = 0.4
"""Share of the device's peak that training's matrix products reach."""

TOKEN_SECONDS = 2e-5
"""Of each trained token on a GPU beside them, whatever the model's size: logits, attention, copies.
This and the share are fitted to three shapes, 0.5B to 7B, on an H200 (docs/log.md, 2026-11-26)."""

DECODE_SHARE = 0.3
"""Assumed share of its bandwidth, or of its peak, that decoding reaches."""

LAYER_SECONDS = 0.0008
"""Of one layer in one pass of the decode loop on a GPU, however little it computes: Python and the
launches of its kernels. Measured on an H200: .8 ms for a 0.5B model, 1.9 ms for a 7B one with LoRA,
whose adapters are launches of their own."""


def forward_flops(shape: Shape, tokens: float, context: float) -> float:
    """Two operations for each weight and token (arXiv 2001.08361, section 2.1), and for attention
    4 * heads * head_dim in each layer for each pair of a token and one of its `context` earlier
    ones."""
    attention = 4 * shape.layers * shape.heads * shape.head_dim * context
    return tokens * (2 * shape.matmul_parameters + attention)


def training_flops(shape: Shape, tokens: float, context: float, engine: EngineConfig) -> float:
    """Forward once, backward twice as much; LoRA leaves out the weights' half of the backward;
    checkpointing adds another forward. All weights without checkpointing: 6 for each weight and
    token."""
    passes = 3 - bool(engine.lora_rank) + engine.gradient_checkpointing
    return passes * forward_flops(shape, tokens, context)


def sampling_seconds(
    shape: Shape, draw: Draw, prompt: int, completion: int, engine: EngineConfig, device: Device
) -> float:
    """Prompts once, then one pass over weights and cache for each token of the rows in flight:
    bound by launches, by bandwidth while rows are few, by operations when they are many."""
    rows = min(draw.completions, engine.sample_rows)
    passes = draw.completions * completion / rows
    number = BYTES[engine.dtype]
    context = prompt + completion / 2
    read = shape.parameters * number + rows * context * shape.kv_bytes(number)
    computed = forward_flops(shape, rows, context)
    once = max(read / device.bandwidth, computed / device.flops) / DECODE_SHARE
    if engine.sampler != "vllm" and device.name != "cpu":
        once = max(once, shape.layers * LAYER_SECONDS * (2 if engine.lora_rank else 1))
    prefill = forward_flops(shape, draw.prompts * prompt, prompt / 2)
    return passes * once + prefill / (device.flops * TRAIN_SHARE)


def training_seconds(
    shape: Shape, draw: Draw, prompt: int, completion: int, engine: EngineConfig, device: Device
) -> float:
    """Packed rows: a prompt that several completions share is computed once. Deterministic training
    on a GPU, 2.6 times as long for 0.5B, is not told apart."""
    if not draw.trained:
        return 0.0
    tokens = draw.prompts * prompt + draw.trained * completion
    flops = training_flops(shape, tokens, prompt + completion / 2, engine)
    beside = tokens * TOKEN_SECONDS if device.name != "cpu" else 0.0
    return flops / (device.flops * TRAIN_SHARE) + beside


def step_seconds(
    shape: Shape,
    draws: Sequence[Draw],
    prompt: int,
    share: float,
    engine: EngineConfig,
    device: Device,
    devices: int = 1,
) -> tuple[float, float]:
    """(sampling, training) of one step, as the mean of the run's steps where some take more; `share`
    is the mean length of completions in parts of max_tokens. Several devices divide the work
    evenly."""
    sampling = training = 0.0
    for draw in draws:
        completion = max(1, round(share * draw.max_tokens))
        each = (shape, draw, prompt, completion, engine, device)
        sampling += draw.frequency * sampling_seconds(*each)
        training += draw.frequency * training_seconds(*each)
    return sampling / devices, training / devices
