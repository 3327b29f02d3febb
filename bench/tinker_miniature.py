"""GASP on the miniature, `engine.name=local` beside `engine.name=tinker` on a real SkyRL server.

    GASP_SKYRL=build/skyrl python bench/tinker_miniature.py runs/tinker --steps 6 --seeds 0 1

SkyRL's JAX backend knows Llama and Qwen3, and the miniature is a SmolLM3 without rotary embedding. So
its base is written as a Llama that computes the same: each head gets twice its dimensions, and its own
ones lie where a large `rope_theta` turns them by less than a float can say. Both engines train an
adapter on that Llama, with the same settings. Printed: means over steps and seeds of each metric,
their difference, and how many standard errors that is.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from gasp_rl.config import load_config
from gasp_rl.engines.pretrained import load_policy
from gasp_rl.methods.loop import train
from gasp_rl.miniature.assets import model_folder
from gasp_rl.store.run import RunStore

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "lanes"))

from skyrl_server import SkyRL

from conftest import TOKENIZER

THETA = 1e38  # the largest power of ten that float32 holds
BACKEND = {
    "max_lora_adapters": 10,
    "max_lora_rank": 16,
    "train_micro_batch_size": 32,
    "sample_max_num_sequences": 64,
}
SETTINGS = [
    "engine.lora_rank=16",
    "engine.train_tokens=8192",
    "optim.lr=1e-3",
    "optim.max_grad_norm=0",
    "eval.every=0",
    "probe.n=8",
    "teacher.goalposts_per_round=4",
    "teacher.proposals_per_prompt=6",
    "student.tasks=8",
    "student.attempts=4",
]
METRICS = [
    "lemma/accept_rate",
    "lemma/pass_rate",
    "lift/pass_rate",
    "student/correct/induction",
    "student/correct/deduction",
    "student/correct/abduction",
    "policy/entropy",
    "policy/logprob_gap",
    "policy/grad_norm",
    "tokens/completion_mean",
]


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
    base = model_folder("miniature")
    model = load_policy(base, torch.device("cpu"), torch.float32)
    llama = as_llama(model)
    llama.save_pretrained(folder)
    for name in ("tokenizer.json", "prompts.toml"):
        shutil.copyfile(base / name, folder / name)
    (folder / "tokenizer_config.json").write_text(json.dumps(TOKENIZER), encoding="utf-8")
    ids = torch.randint(0, model.config.vocab_size, (4, 256), generator=torch.Generator())
    return float((model(ids).logits - llama(ids).logits).abs().max())


@contextmanager
def serving(model: Path, folder: Path) -> Iterator[str]:
    server = SkyRL(model.resolve(), folder.resolve(), json.dumps(BACKEND))
    server.start()
    try:
        yield server.url
    finally:
        server.kill()


def metrics_of(run: Path) -> dict[str, list[float]]:
    with RunStore.open_readonly(run) as reader:
        steps = reader.steps()
    return {n: [s.metrics[n] for s in steps if n in s.metrics] for n in METRICS}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    options = parser.parse_args()
    model = options.out / "model"
    model.mkdir(parents=True)
    print(f"logits differ by at most {write_llama(model):.1e}", flush=True)
    seen: dict[str, dict[str, list[float]]] = {}
    with serving(model, options.out / "server") as url:
        tinker = ["engine.name=tinker", f"tinker.url={url}", "tinker.server=skyrl-jax"]
        for arm, more in (("local", []), ("tinker", tinker)):
            seen[arm] = {name: [] for name in METRICS}
            for seed in options.seeds:
                asked = [f"seed={seed}", f"steps={options.steps}", f"model.path={model.resolve()}"]
                config = load_config("miniature", [*asked, *SETTINGS, *more])
                run = train(config, options.out / f"{arm}-{seed}")
                for name, values in metrics_of(run).items():
                    seen[arm][name] += values
                print(f"{run}: done", flush=True)
    print(f"{'':28}{'local':>10}{'tinker':>10}{'difference':>12}{'errors':>8}")
    for name in METRICS:
        ours, theirs = (np.array(seen[arm][name]) for arm in ("local", "tinker"))
        if len(ours) < 2 or len(theirs) < 2:
            continue
        error = np.hypot(*(x.std(ddof=1) / len(x) ** 0.5 for x in (ours, theirs)))
        apart = theirs.mean() - ours.mean()
        errors = apart / error if error else 0.0
        print(f"{name:28}{ours.mean():10.3g}{theirs.mean():10.3g}{apart:12.2g}{errors:8.1f}")


if __name__ == "__main__":
    main()
