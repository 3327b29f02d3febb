"""Everything that wants a GPU, in one slot of ten minutes.

    python bench/gpu/check.py [--only matmul,samplers,plan-0.5b,memory,gasp,contract,...] [--out FOLDER]

Without a GPU it runs in a reduced form (tiny shapes, float32), to show that it works. Each part is a
line on the screen and an entry of `gpu.json` in the folder.
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from shapes import SHAPES, config_of, write_random
from torch.nn.attention import SDPBackend

from gasp_rl.config import EngineConfig, LossConfig, OptimConfig, load_config
from gasp_rl.engines.attention import KERNELS
from gasp_rl.engines.local import LocalEngine
from gasp_rl.engines.protocol import Row, SamplingParams
from gasp_rl.planning.hours import sampling_seconds, training_seconds
from gasp_rl.planning.machine import gpus
from gasp_rl.planning.memory import Load, reckon
from gasp_rl.planning.plan import like
from gasp_rl.planning.shapes import find_device, parse_shape
from gasp_rl.planning.work import Draw
from gasp_rl.types import Tokens

GPU = torch.cuda.is_available()
DEVICE, DTYPE = ("cuda", "bfloat16") if GPU else ("cpu", "float32")
SAMPLED = "0.5b" if GPU else "tiny"
CASES: dict[str, tuple[str, dict[str, object]]] = {
    "0.5b": ("0.5b", {}),
    "0.5b-cudnn": ("0.5b", {}),
    "0.5b-deterministic": ("0.5b", {"deterministic": True}),
    "1.5b": ("1.5b", {}),
    "7b-lora": ("7b", {"lora_rank": 16, "gradient_checkpointing": True}),
}
"""What is sampled and trained beside its plan: a shape and settings (7B with AdamW does not fit with
all weights)."""
if not GPU:
    CASES = {"tiny": ("tiny", {})}

Result = dict[str, object]


def matmul() -> Result:
    """The ceiling: operations a second of one large product."""
    size = 8192 if GPU else 512
    a, b = torch.randn(2, size, size, device=DEVICE, dtype=getattr(torch, DTYPE))
    best = math.inf
    for _ in range(20):
        best = min(best, timed(torch.matmul, a, b)[0])
    return {"tflops": 2 * size**3 / best / 1e12, "size": size}


def samplers() -> Result:
    """Tokens a second of each sampler, and how far its log-probabilities are from the trainer's."""
    count, n, length, tokens = (64, 8, 256, 256) if GPU else (4, 2, 12, 12)
    found: Result = {}
    names = ["native", "continuous"] + (["vllm"] if find_spec("vllm") else [])
    for name in names:
        with engine_of(SAMPLED, settings(sampler=name, sample_rows=count * n)) as engine:
            whole = prompts(count, length, SHAPES[SAMPLED].vocabulary)
            asked = [prompt[i % (length // 2) :] for i, prompt in enumerate(whole)]
            engine.sample(asked[:2], 2, SamplingParams(max_tokens=8, seed=1))  # warm up
            params = SamplingParams(max_tokens=tokens, seed=2)
            seconds, groups = timed(engine.sample, asked, n, params)
            pairs = [(p, c.tokens_T) for p, g in zip(asked, groups, strict=True) for c in g]
            ours = np.concatenate([c.logprobs_T for g in groups for c in g])
            theirs = np.concatenate(engine.logprobs(pairs))
            found[name] = {
                "tokens_per_second": sum(len(c) for _, c in pairs) / seconds,
                "logprob_mean": float(ours.mean()),
                "gap_mean": float(np.abs(ours - theirs).mean()),
                "gap_max": float(np.abs(ours - theirs).max()),
            }
    return found


def plan(case: str) -> Result:
    """Seconds and memory of sampling and training, beside what `gasp plan` reckons for the same work.

    Model FLOP utilisation: 6 operations for each weight and token (4 with frozen weights), attention
    and recomputation not counted, against the measured ceiling."""
    ceiling = matmul()["tflops"]
    assert isinstance(ceiling, float)
    device = like(gpus()[0]) if GPU else find_device("cpu")
    prompt, completion, rows = (256, 768, 256) if GPU else (8, 16, 8)
    name, changed = CASES[case]
    if case.endswith("cudnn"):  # kernels that the engine leaves out
        KERNELS.append(SDPBackend.CUDNN_ATTENTION)
    config = settings(sample_rows=rows, **changed)
    shape = parse_shape(config_of(SHAPES[name]).to_dict(), name)
    with engine_of(name, config) as engine:
        asked = prompts(rows // 8, prompt, shape.vocabulary)
        params = SamplingParams(max_tokens=completion // 4, seed=1)
        engine.sample(asked[:2], 2, SamplingParams(max_tokens=8, seed=1))  # warm up
        reset_peak()
        sampling, groups = timed(engine.sample, asked, 8, params)
        sampling_peak = peak_gib()
        training_rows = rows_of(rows, prompt, completion, shape.vocabulary)
        train_step(engine, training_rows[:8])  # warm up
        reset_peak()
        training, _ = timed(train_step, engine, training_rows)
        training_peak = peak_gib()
        again, _ = timed(train_step, engine, training_rows)  # shapes that it has met
    sampled = sum(len(c.tokens_T) for group in groups for c in group)
    trained = sum(len(row.tokens_T) for row in training_rows)
    tokens = trained + len(asked) * prompt
    operations = (4 if config.lora_rank else 6) * shape.matmul_parameters * tokens
    draw = Draw(
        name=name, prompts=len(asked), completions=rows, trained=rows, max_tokens=completion
    )
    load = Load(
        prompt=prompt,
        completion=completion,
        rows=rows,
        prompts=len(asked),
        train_tokens=config.train_tokens,
    )
    memory = reckon(shape, load, config)
    short = reckon(shape, replace(load, completion=completion // 4), config)
    means = round(sampled / rows), round(trained / rows)
    return {
        "sampling_seconds": sampling,
        "sampling_planned": sampling_seconds(shape, draw, prompt, means[0], config, device),
        "sampled_per_second": sampled / sampling,
        "sampling_gib": sampling_peak,
        "sampling_gib_planned": short.sampling / 2**30,
        "training_seconds": training,
        "training_seconds_again": again,
        "training_planned": training_seconds(shape, draw, prompt, means[1], config, device),
        "trained_per_second": tokens / training,
        "mfu": operations / training / (ceiling * 1e12),
        "training_gib": training_peak,
        "training_gib_planned": max(memory.backward, memory.step) / 2**30,
    }


def memory() -> Result:
    """Memory runs out for real (on a GPU), and the gradient is the same as in small batches."""
    norms, halvings = [], 0.0
    for tokens in (2048, 1 << 17) if GPU else (64, 64):
        with engine_of(SAMPLED, settings(train_tokens=tokens)) as engine, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            prompt, completion = (128, 512) if GPU else (3, 12)
            rows = rows_of(64, prompt, completion, SHAPES[SAMPLED].vocabulary)
            if GPU and tokens > 2048:
                free, total = torch.cuda.mem_get_info()
                used = total - free
                torch.cuda.set_per_process_memory_fraction(min(1.0, (used + (24 << 30)) / total))
            metrics = engine.forward_backward(rows, LossConfig())
            halvings += metrics.get("train/out_of_memory", 0.0)
            norms.append(engine.optim_step(OptimConfig())["policy/grad_norm"])
            if GPU:
                torch.cuda.set_per_process_memory_fraction(1.0)
    return {"halvings": halvings, "norm": norms[0], "norm_after_retries": norms[1]}


def gasp() -> Result:
    """GASP on the miniature, real sandbox and store, there and on the CPU beside it."""
    from gasp_rl.methods.loop import train
    from gasp_rl.store.run import RunStore

    steps, found = 20 if GPU else 2, {}
    for device in dict.fromkeys([DEVICE, "cpu"]):
        overrides = [f"steps={steps}", f"engine.device={device}", "eval.every=0"]
        with tempfile.TemporaryDirectory() as folder:
            run = train(load_config("miniature", overrides), Path(folder) / "run")
            with RunStore.open_readonly(run) as reader:
                done = reader.steps()
        last = done[-1].metrics
        found[device] = {
            "steps": len(done),
            "seconds_per_step": sum(step.seconds for step in done) / len(done),
            "logprob_gap": last.get("policy/logprob_gap"),
            "entropy": last.get("policy/entropy"),
        }
    return found


def contract() -> Result:
    """The contract suite on this device."""
    tests = Path(__file__).parents[2] / "tests"
    folder = tests / "gpu" if GPU else tests / "engines" / "test_contract.py"
    chosen = [] if GPU else ["-k", "TestScripted or TestLocal"]
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *chosen, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tests.parent)
    return {
        "exit": done.returncode,
        "says": done.stdout.strip().splitlines()[-25 if done.returncode else -1 :],
    }


PARTS: dict[str, Callable[[], Result]] = {
    "matmul": matmul,
    "samplers": samplers,
    **{f"plan-{case}": partial(plan, case) for case in CASES},
    "memory": memory,
    "gasp": gasp,
    "contract": contract,
}


def timed(work: Callable[..., Any], *arguments: Any) -> tuple[float, Any]:
    """Seconds, and what came back."""
    if GPU:
        torch.cuda.synchronize()
    begin = time.perf_counter()
    result = work(*arguments)
    if GPU:
        torch.cuda.synchronize()
    return time.perf_counter() - begin, result


def reset_peak() -> None:
    if GPU:
        torch.cuda.reset_peak_memory_stats()


def peak_gib() -> float:
    return torch.cuda.max_memory_allocated() / 2**30 if GPU else 0.0


def train_step(engine: LocalEngine, rows: list[Row]) -> None:
    engine.forward_backward(rows, LossConfig())
    engine.optim_step(OptimConfig(lr=1e-6))


def settings(**changed: object) -> EngineConfig:
    return EngineConfig.model_validate({"device": DEVICE, "dtype": DTYPE, **changed})


@contextmanager
def engine_of(shape: str, config: EngineConfig) -> Iterator[LocalEngine]:
    """An engine over random weights of a shape; its memory is free again at the end."""
    with tempfile.TemporaryDirectory() as name:
        write_random(SHAPES[shape], Path(name), DEVICE, getattr(torch, DTYPE))
        engine = LocalEngine(Path(name), config)
    try:
        yield engine
    finally:
        engine.close()
        del engine
        if GPU:
            torch.cuda.empty_cache()


def prompts(count: int, length: int, vocabulary: int) -> list[Tokens]:
    rng = np.random.default_rng(0)
    return [tuple(rng.integers(1, vocabulary, length).tolist()) for _ in range(count)]


def rows_of(count: int, prompt: int, completion: int, vocabulary: int) -> list[Row]:
    """Eight rows of unequal length to each prompt, the longest of them of `completion` tokens."""
    rng = np.random.default_rng(1)
    asked = prompts(-(-count // 8), prompt, vocabulary)
    rows = []
    for i in range(count):
        size = completion if i % 8 == 0 else int(rng.integers(completion // 4, completion))
        rows.append(
            Row(
                prompt=asked[i // 8],
                tokens_T=tuple(rng.integers(1, vocabulary, size).tolist()),
                logprobs_T=(-math.log(vocabulary),) * size,
                advantages_T=(float(rng.normal()),) * size,
            )
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default=",".join(PARTS))
    parser.add_argument("--out", type=Path, default=Path("."))
    parser.add_argument("--seconds", type=float, default=560.0, help="for all parts together")
    parser.add_argument("--here", choices=PARTS, help="run one part in this process")
    options = parser.parse_args()
    if options.here:
        print(json.dumps(PARTS[options.here]()))
        return
    begin, results = time.perf_counter(), {}
    device = torch.cuda.get_device_name() if GPU else "CPU, reduced form"
    print(f"{device}, torch {torch.__version__}", flush=True)
    for name in options.only.split(","):
        results[name] = in_own_process(name, options.seconds - (time.perf_counter() - begin))
        print(f"{name}: {json.dumps(results[name])}", flush=True)
        report = {"device": device, "torch": torch.__version__, "parts": results}
        (options.out / "gpu.json").write_text(json.dumps(report, indent=1) + "\n")
    if any("failed" in result for result in results.values()):
        raise SystemExit(1)


def in_own_process(part: str, seconds: float) -> Result:
    """A part that crashes or hangs takes no other one with it, and leaves no memory behind."""
    command = [sys.executable, "-W", "ignore", __file__, "--here", part]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=max(seconds, 1))
    except subprocess.TimeoutExpired:
        return {"failed": f"{seconds:.0f} s were left, and it took longer"}
    if done.returncode:
        return {"failed": done.stderr.strip().splitlines()[-6:]}
    result: Result = json.loads(done.stdout.strip().splitlines()[-1])
    return result


if __name__ == "__main__":
    main()
