"""The miniature's base as a Llama that computes the same.

SkyRL's JAX backend knows Llama and Qwen3, and the miniature is a SmolLM3 without rotary embedding. So
each head gets twice its dimensions, and its own ones lie where a large `rope_theta` turns them by less
than a float can say.
"""

import json
import shutil
from pathlib import Path

import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from gasp_rl.engines.pretrained import load_policy
from gasp_rl.miniature.assets import model_folder

TOKENIZER = {
    "tokenizer_class": "PreTrainedTokenizerFast",
    "eos_token": "<eos>",
    "pad_token": "<pad>",
}
"""What the server's own tokenizer wants beside tokenizer.json."""

THETA = 1e38  # the largest power of ten that float32 holds


def as_llama(model: PreTrainedModel) -> LlamaForCausalLM:
    """The same function as the miniature's SmolLM3, all of whose layers are without rotation."""
    old = model.config
    narrow = old.hidden_size // old.num_attention_heads
    wide, half = 2 * narrow, narrow // 2
    # the first half of pairs turns, however large theta is; the second half stands still
    kept = torch.cat([torch.arange(half, narrow), torch.arange(narrow + half, wide)])
    config = LlamaConfig(
        vocab_size=old.vocab_size,
        hidden_size=old.hidden_size,
        intermediate_size=old.intermediate_size,
        num_hidden_layers=old.num_hidden_layers,
        num_attention_heads=old.num_attention_heads,
        num_key_value_heads=old.num_key_value_heads,
        head_dim=wide,
        rms_norm_eps=old.rms_norm_eps,
        max_position_embeddings=old.max_position_embeddings,
        tie_word_embeddings=old.tie_word_embeddings,
        rope_parameters={"rope_type": "default", "rope_theta": THETA},
        bos_token_id=old.bos_token_id,
        eos_token_id=old.eos_token_id,
        pad_token_id=old.pad_token_id,
    )

    def widened(weight: Tensor) -> Tensor:
        heads = weight.unflatten(0, (-1, narrow))
        out = weight.new_zeros(heads.shape[0], wide, weight.shape[1])
        out[:, kept] = heads
        return out.flatten(0, 1)

    state = {}
    for name, weight in model.state_dict().items():
        if name.endswith("q_proj.weight"):
            weight = widened(weight) * 2**0.5  # attention divides by the root of the dimensions
        elif name.endswith(("k_proj.weight", "v_proj.weight")):
            weight = widened(weight)
        elif name.endswith("o_proj.weight"):
            weight = widened(weight.T).T.contiguous()
        state[name] = weight
    llama = LlamaForCausalLM(config)
    llama.load_state_dict(state)
    return llama.eval()


@torch.inference_mode()
def write_llama(folder: Path) -> float:
    """The base as a Llama's folder; returns the largest difference of its logits."""
    folder.mkdir(parents=True)
    base = model_folder("miniature")
    model = load_policy(base, torch.device("cpu"), torch.float32)
    llama = as_llama(model)
    llama.save_pretrained(folder)
    for name in ("tokenizer.json", "prompts.toml"):
        shutil.copyfile(base / name, folder / name)
    (folder / "tokenizer_config.json").write_text(json.dumps(TOKENIZER), encoding="utf-8")
    ids = torch.randint(0, model.config.vocab_size, (4, 256), generator=torch.Generator())
    return float((model(ids).logits - llama(ids).logits).abs().max())
