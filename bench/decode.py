"""Sampling speed: the local engine's decode loop against transformers' `generate()`, in one run.

    python bench/decode.py --threads 1

Both sample `--prompts` x `--samples` completions from the same random model, in turns; the best
round of each counts, in completion tokens a second up to each row's stop token. The floor is the
time of the linear layers' arithmetic alone at the rate that this machine just showed.

    python bench/decode.py --qwen-layers 24 --prompts 4 --samples 4 --rounds 1

takes the shape of Qwen2.5-Coder-0.5B, its whole vocabulary included.
"""

import time
from dataclasses import replace

import torch
from gpu.shapes import SHAPES, random_model
from shape import (
    MAX_TOKENS,
    STOP_IDS,
    arguments,
    matmul_parameters,
    matmul_rate,
    miniature_shape,
    prompts,
)

from gasp_rl.engines.attention import ATTENTION
from gasp_rl.engines.decode import decode
from gasp_rl.engines.protocol import SamplingParams
from gasp_rl.types import Tokens


def ours(model, questions: list[Tokens], samples: int, seed: int) -> int:
    params = SamplingParams(max_tokens=MAX_TOKENS, seed=seed)
    rows = len(questions) * samples
    groups = decode(model, questions, samples, params, stop_ids=STOP_IDS, capacity=rows)
    return sum(len(completion.tokens_T) for group in groups for completion in group)


@torch.inference_mode()
def baseline(model, questions: list[Tokens], samples: int, seed: int) -> int:
    torch.manual_seed(seed)
    longest = max(map(len, questions))
    ids = torch.tensor([[0] * (longest - len(q)) + list(q) for q in questions])
    out = model.generate(
        input_ids=ids,
        attention_mask=(ids != 0).long(),
        do_sample=True,
        temperature=1.0,
        top_k=0,
        num_return_sequences=samples,
        max_new_tokens=MAX_TOKENS,
        eos_token_id=list(STOP_IDS),
        pad_token_id=0,
    )[:, longest:]
    stops = torch.isin(out, torch.tensor(STOP_IDS))
    after_stop = stops.cumsum(1) - stops.long() > 0
    return int((~after_stop).sum())


def main() -> None:
    options = arguments(__doc__)
    questions = prompts(options.prompts)

    def build(attention: str) -> torch.nn.Module:
        if not options.qwen_layers:
            return miniature_shape(attention, options.dtype)
        shape = replace(SHAPES["0.5b"], layers=options.qwen_layers)
        return random_model(shape, "cpu", getattr(torch, options.dtype), attention)

    contenders = {
        "ours": (ours, build(ATTENTION)),
        "generate()": (baseline, build("sdpa")),
    }
    best = dict.fromkeys(contenders, 0.0)
    clock = time.process_time if options.cpu_time else time.perf_counter
    for round_ in range(options.rounds + 1):  # the first warms up
        for name, (run, model) in contenders.items():
            begin = clock()
            tokens = run(model, questions, options.samples, round_)
            if round_:
                best[name] = max(best[name], tokens / (clock() - begin))
    counted = "CPU" if options.cpu_time else "wall"
    print(
        f"{options.prompts} prompts x {options.samples} samples, {options.threads} thread(s), "
        f"tokens in a second of {counted} time"
    )
    for name, rate in best.items():
        print(f"{name:12} {rate:9,.0f} tokens/s")
    if not options.qwen_layers:
        rate = matmul_rate(options.prompts * options.samples, options.dtype)
        floor = rate / (2 * matmul_parameters())
        print(f"{'floor':12} {floor:9,.0f} tokens/s   arithmetic of the linear layers alone")
        print(f"ours takes {floor / best['ours']:.1f} times the floor's time")
    print(f"ratio {best['ours'] / best['generate()']:.2f}")


if __name__ == "__main__":
    main()
