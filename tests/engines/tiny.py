"""Random tiny models of the architectures that the engine is used with."""

import torch
from transformers import (
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
    SmolLM3Config,
    SmolLM3ForCausalLM,
)

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

ARCHITECTURES = ("smollm3-nope", "smollm3-rope", "qwen2")


def tiny_model(architecture: str, seed: int = 0) -> PreTrainedModel:
    """Weights are drawn wide, so that logits are far from uniform and mistakes are visible."""
    torch.manual_seed(seed)
    if architecture == "qwen2":
        model: PreTrainedModel = Qwen2ForCausalLM(Qwen2Config(**_SHAPE))
    else:
        rope = int(architecture == "smollm3-rope")
        model = SmolLM3ForCausalLM(SmolLM3Config(**_SHAPE, no_rope_layers=[rope] * 2))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.2)
    return model.eval()
