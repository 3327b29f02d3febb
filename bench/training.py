"""Training speed: packed rows with shared prompts against one padded row for each sequence.

    python bench/training.py --threads 1
    python bench/training.py --threads 1 --step    the rows of one real GASP step on the miniature

Both compute the gradient of the same token-mean loss on the same rows (`--prompts` x `--samples`),
in turns; the best round of each counts, and for the padded one the better of two micro-batches.
Speed is in tokens of prompts and completions a second as they lie in the rows, so that sharing a
prompt shows. The floor is the arithmetic of the linear layers (forward and backward, prompts
computed once) at the rate that this machine just showed.
"""

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from shape import (
    MAX_TOKENS,
    VOCABULARY,
    arguments,
    matmul_parameters,
    matmul_rate,
    miniature_shape,
    prompts,
)
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from gasp_rl.config import EngineConfig, LossConfig, load_config
from gasp_rl.engines.local import LocalEngine
from gasp_rl.engines.protocol import Row
from gasp_rl.methods.loop import train
from gasp_rl.miniature import assets
from gasp_rl.types import Metrics

LOSS = LossConfig(name="policy-gradient")


def rows_of(questions: list[tuple[int, ...]], samples: int) -> list[Row]:
    """Completions of 10 to 48 tokens, about 30 on average."""
    rng = np.random.default_rng(1)
    rows = []
    for question in questions:
        for length in rng.integers(10, MAX_TOKENS + 1, samples):
            tokens = tuple(rng.integers(5, VOCABULARY, length).tolist())
            advantage = float(rng.normal())
            rows.append(
                Row(
                    prompt=question,
                    tokens_T=tokens,
                    logprobs_T=(-np.log(VOCABULARY),) * len(tokens),
                    advantages_T=(advantage,) * len(tokens),
                )
            )
    return rows


def rows_of_a_step() -> list[Row]:
    """What the first step of the recipe `miniature` trains on."""
    kept: list[Row] = []

    class Keeping(LocalEngine):
        def forward_backward(self, rows: Sequence[Row], loss: LossConfig) -> Metrics:
            kept.extend(rows)
            return super().forward_backward(rows, loss)

    config = load_config("miniature", ["steps=1", "eval.every=0"])
    engine = Keeping(assets.model_folder("miniature"), config.engine)
    with tempfile.TemporaryDirectory() as name:
        train(config, Path(name) / "run", engine=engine)
    return kept


def baseline(model, rows: list[Row], micro_batch: int) -> None:
    """The usual layout: a padded row for each sequence, its prompt padded on the left and its
    completion on the right to the longest of the batch; logits at completion positions."""
    total = sum(len(row.tokens_T) for row in rows)
    prompt_length = max(len(row.prompt) for row in rows)
    length = max(len(row.tokens_T) for row in rows)
    for begin in range(0, len(rows), micro_batch):
        chunk = rows[begin : begin + micro_batch]
        ids = torch.zeros(len(chunk), prompt_length + length, dtype=torch.long)
        advantages, old = torch.zeros(2, len(chunk), length)
        for i, row in enumerate(chunk):
            end = prompt_length + len(row.tokens_T)
            ids[i, prompt_length - len(row.prompt) : end] = torch.tensor(row.prompt + row.tokens_T)
            advantages[i, : len(row.tokens_T)] = torch.tensor(row.advantages_T)
            old[i, : len(row.tokens_T)] = torch.tensor(row.logprobs_T)
        out = model(input_ids=ids, attention_mask=(ids != 0).long(), logits_to_keep=length + 1)
        logprobs = out.logits[:, :-1].float().log_softmax(-1)
        logprobs = logprobs.gather(2, ids[:, prompt_length:, None])[..., 0]
        (-(advantages * (logprobs - old).exp()).sum() / total).backward()


def engine_over(model) -> LocalEngine:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model.save_pretrained(folder)
        Tokenizer(WordLevel({"a": 0}, "a")).save(str(folder / "tokenizer.json"))
        return LocalEngine(folder, EngineConfig(device="cpu", train_tokens=2048))


def main() -> None:
    options = arguments(__doc__)
    rows = rows_of(prompts(options.prompts), options.samples)
    if options.step:
        rows = rows_of_a_step()
    tokens = sum(len(row.prompt) + len(row.tokens_T) for row in rows)
    distinct = {row.prompt for row in rows}
    packed = sum(map(len, distinct)) + sum(len(row.tokens_T) - 1 for row in rows)
    model = miniature_shape("sdpa")
    engine = engine_over(model)
    contenders = {
        "ours": lambda: engine.forward_backward(rows, LOSS),
        "padded, 16": lambda: baseline(model, rows, 16),
        "padded, 64": lambda: baseline(model, rows, 64),
    }
    best = dict.fromkeys(contenders, 0.0)
    for round_ in range(options.rounds + 1):  # the first warms up
        for name, run in contenders.items():
            begin = time.perf_counter()
            run()
            if round_:
                best[name] = max(best[name], tokens / (time.perf_counter() - begin))
    operations = 3 * 2 * matmul_parameters() * packed
    floor = tokens / (operations / matmul_rate(8192, options.dtype))
    print(f"{len(rows)} rows of {len(distinct)} prompts, {options.threads} thread(s)")
    for name, rate in best.items():
        print(f"{name:12} {rate:9,.0f} tokens/s   {rate / floor:5.0%} of the floor")
    print(f"{'floor':12} {floor:9,.0f} tokens/s   arithmetic of the linear layers alone")
    print(f"ratio {best['ours'] / max(best['padded, 16'], best['padded, 64']):.2f}")


if __name__ == "__main__":
    main()
