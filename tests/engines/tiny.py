"""Random tiny models of the architectures that the engine is used with."""

from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer
from tokenizers.decoders import Fuse
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Split
from transformers import (
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
    SmolLM3Config,
    SmolLM3ForCausalLM,
)

from gasp_rl.engines.attention import ATTENTION

VOCABULARY = 40
EOS = 1

_SHAPE = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "bos_token_id": 2,
    "eos_token_id": EOS,
    "pad_token_id": 0,
    "tie_word_embeddings": True,
}

ARCHITECTURES = ("smollm3-nope", "smollm3-rope", "qwen2", "qwen3")


def tiny_model(
    architecture: str, *, attention: str = ATTENTION, **overrides: object
) -> PreTrainedModel:
    """Weights are drawn wide, so that logits are far from uniform and mistakes are visible."""
    torch.manual_seed(0)
    shape = _SHAPE | {"attn_implementation": attention} | overrides
    if architecture == "qwen2":
        model: PreTrainedModel = Qwen2ForCausalLM(Qwen2Config(**shape))
    elif architecture == "qwen3":
        model = Qwen3ForCausalLM(Qwen3Config(**shape, head_dim=8))
    else:
        rope = int(architecture == "smollm3-rope")
        model = SmolLM3ForCausalLM(SmolLM3Config(**shape, no_rope_layers=[rope] * 2))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.normal_(0, 0.3)
    return model.eval()


def save_tiny(architecture: str, folder: Path) -> Path:
    """A model folder: random weights, and a tokenizer of one character a token."""
    tiny_model(architecture).save_pretrained(folder)
    pieces = ["<pad>", "<eos>", "<bos>", *"abcdefghijklmnopqrstuvwxyz0123456789 "]
    tokenizer = Tokenizer(WordLevel({piece: i for i, piece in enumerate(pieces)}, "<pad>"))
    tokenizer.pre_tokenizer = Split(Regex("."), "isolated")
    tokenizer.decoder = Fuse()
    tokenizer.add_special_tokens(pieces[:3])
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder
