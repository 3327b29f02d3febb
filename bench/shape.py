"""What both benchmarks share: a random model of the miniature's shape, prompts, matmul rate."""

import argparse
import math
import time

import numpy as np
import torch
from transformers import SmolLM3Config, SmolLM3ForCausalLM

from gasp_rl.types import Tokens

VOCABULARY, WIDTH, FEED_FORWARD, LAYERS, HEADS, KV_HEADS = 120, 128, 384, 4, 4, 2
STOP_IDS = (1, 3, 4)  # of 120 near-uniform tokens: completions of about 30 tokens, 48 at most
MAX_TOKENS = 48


def arguments(description: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds; the best counts")
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument(
        "--qwen-layers",
        type=int,
        default=0,
        help="decode: so many layers of Qwen2.5-Coder-0.5B's shape (24: all) instead",
    )
    parser.add_argument(
        "--cpu-time",
        action="store_true",
        help="decode: count this process's CPU seconds, for a machine with other work on it",
    )
    parser.add_argument("--step", action="store_true", help="training: the rows of a real step")
    parsed = parser.parse_args()
    torch.set_num_threads(parsed.threads)
    return parsed


def miniature_shape(attention: str, dtype: str = "float32") -> SmolLM3ForCausalLM:
    """Random weights: speed does not depend on them."""
    torch.manual_seed(0)
    config = SmolLM3Config(
        vocab_size=VOCABULARY,
        hidden_size=WIDTH,
        intermediate_size=FEED_FORWARD,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=KV_HEADS,
        no_rope_layers=[0] * LAYERS,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=list(STOP_IDS),
        tie_word_embeddings=True,
        attn_implementation=attention,
    )
    return SmolLM3ForCausalLM(config).to(getattr(torch, dtype)).eval()


def prompts(count: int) -> list[Tokens]:
    """Between 20 and 40 tokens each."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(20, 41, count)
    return [tuple(rng.integers(5, VOCABULARY, length).tolist()) for length in lengths]


def matmul_parameters() -> int:
    """Weights that each token is multiplied by (the embedding once, as the output layer)."""
    head_dim = WIDTH // HEADS
    attention = 2 * WIDTH * WIDTH + 2 * WIDTH * KV_HEADS * head_dim
    return LAYERS * (attention + 3 * WIDTH * FEED_FORWARD) + WIDTH * VOCABULARY


def matmul_rate(rows: int, dtype: str) -> float:
    """Floating-point operations a second of the feed-forward product of `rows` tokens."""
    x = torch.randn(rows, WIDTH, dtype=getattr(torch, dtype))
    weight = torch.randn(FEED_FORWARD, WIDTH, dtype=x.dtype)
    best = math.inf
    for _ in range(50):
        begin = time.perf_counter()
        torch.nn.functional.linear(x, weight)
        best = min(best, time.perf_counter() - begin)
    return 2 * rows * WIDTH * FEED_FORWARD / best
