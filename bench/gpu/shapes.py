"""Qwen2.5-Coder's shapes with random weights, and a tiny one for the reduced form."""

from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import Qwen2Config, Qwen2ForCausalLM
from transformers.initialization import no_init_weights


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Of a Qwen2 model (config.json of Qwen/Qwen2.5-Coder-*)."""

    width: int
    feed_forward: int
    layers: int
    heads: int
    kv_heads: int
    vocabulary: int = 151_936
    tied: bool = True

    @property
    def matmul_parameters(self) -> int:
        """Weights that each token is multiplied by; the output layer counts once."""
        head_dim = self.width // self.heads
        attention = 2 * self.width * (self.width + self.kv_heads * head_dim)
        layer = attention + 3 * self.width * self.feed_forward
        return self.layers * layer + self.width * self.vocabulary


SHAPES = {
    "tiny": Shape(width=64, feed_forward=128, layers=2, heads=4, kv_heads=2, vocabulary=512),
    "0.5b": Shape(width=896, feed_forward=4864, layers=24, heads=14, kv_heads=2),
    "1.5b": Shape(width=1536, feed_forward=8960, layers=28, heads=12, kv_heads=2),
    "7b": Shape(
        width=3584,
        feed_forward=18_944,
        layers=28,
        heads=28,
        kv_heads=4,
        vocabulary=152_064,
        tied=False,
    ),
}


def config_of(shape: Shape, attention: str = "sdpa") -> Qwen2Config:
    """What transformers calls the shape."""
    return Qwen2Config(
        vocab_size=shape.vocabulary,
        hidden_size=shape.width,
        intermediate_size=shape.feed_forward,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        tie_word_embeddings=shape.tied,
        max_position_embeddings=32_768,
        bos_token_id=None,
        eos_token_id=0,
        pad_token_id=0,
        attn_implementation=attention,
    )


def random_model(
    shape: Shape, device: str, dtype: torch.dtype, attention: str = "sdpa"
) -> Qwen2ForCausalLM:
    """Normal weights of deviation 0.02: speed does not depend on them."""
    config = config_of(shape, attention)
    config.dtype = dtype
    generator = torch.Generator(device).manual_seed(0)
    with torch.device(device), no_init_weights():
        model = Qwen2ForCausalLM(config).to(dtype)
    model.tie_weights()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim == 2:
                weight.normal_(0, 0.02, generator=generator)
            else:
                weight.fill_(1.0 if "norm" in name else 0.0)
    return model.eval()


def write_random(shape: Shape, folder: Path, device: str, dtype: torch.dtype) -> None:
    """A model folder of `random_model` and a tokenizer of one word for each token."""
    random_model(shape, device, dtype).save_pretrained(folder)
    words = Tokenizer(WordLevel({f"w{i}": i for i in range(shape.vocabulary)}, "w0"))
    words.save(str(folder / "tokenizer.json"))
