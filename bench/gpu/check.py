"""Everything that wants a GPU, in one slot of ten minutes. Not yet run on a GPU.

    python bench/gpu/check.py [--only matmul,samplers,training,memory,gasp,contract] [--out FOLDER]

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
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from shapes import SHAPES, write_random

from gasp_rl.config import EngineConfig, LossConfig, OptimConfig, load_config
from gasp_rl.engines.local import LocalEngine
from gasp_rl.engines.protocol import Row, SamplingParams
from gasp_rl.types import Tokens

GPU = torch.cuda.is_available()
DEVICE, DTYPE = ("cuda", "bfloat16") if GPU else ("cpu", "float32")
SAMPLED = "0.5b" if GPU else "tiny"
TRAINED = {"0.5b": 0, "1.5b": 0, "7b": 16} if GPU else {"tiny": 0}
"""Shapes that are trained, and the LoRA rank (7B with AdamW does not fit with all weights)."""

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
        with engine_of(SAMPLED, sampler=name, sample_rows=count * n) as engine:
            asked = prompts(count, length, SHAPES[SAMPLED].vocabulary)
            engine.sample(asked[:2], 2, SamplingParams(max_tokens=8, seed=1))  # warm up
            params = SamplingParams(max_tokens=tokens, seed=2)
            seconds, groups = timed(engine.sample, asked, n, params)
            pairs = [(p, c.tokens_T) for p, g in zip(asked, groups, strict=True) for c in g]
            ours = np.concatenate([c.logprobs_T for g in groups for c in g])
            theirs = np.concatenate(engine.logprobs(pairs))
            found[name] = {
                "tokens_per_second": sum(len(c) for _, c in pairs) / seconds,
                "gap_mean": float(np.abs(ours - theirs).mean()),
                "gap_max": float(np.abs(ours - theirs).max()),
            }
    return found


def training() -> Result:
    """Tokens a second and model FLOP utilisation: 6 operations for each weight and token (4 with
    frozen weights), attention not counted, against the measured ceiling."""
    ceiling = matmul()["tflops"]
    assert isinstance(ceiling, float)
    found: Result = {}
    for name, rank in TRAINED.items():
        length, count = (1024, 64) if GPU else (24, 8)
        with engine_of(name, lora_rank=rank, gradient_checkpointing=name == "7b") as engine:
            rows = rows_of(count, length, SHAPES[name].vocabulary)
            train_step(engine, rows)  # warm up
            seconds, _ = timed(train_step, engine, rows)
            tokens = sum(len(row.tokens_T) for row in rows) + len(rows[0].prompt) * (count // 8)
            operations = (4 if rank else 6) * SHAPES[name].matmul_parameters * tokens
            found[name] = {
                "lora_rank": rank,
                "tokens_per_second": tokens / seconds,
                "mfu": operations / seconds / (ceiling * 1e12),
                "peak_gib": torch.cuda.max_memory_allocated() / 2**30 if GPU else 0.0,
            }
    return found


def memory() -> Result:
    """Memory runs out for real (on a GPU), and the gradient is the same as in small batches."""
    norms, halvings = [], 0.0
    for tokens in (2048, 1 << 17) if GPU else (64, 64):
        with engine_of(SAMPLED, train_tokens=tokens) as engine, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            rows = rows_of(64, 512 if GPU else 12, SHAPES[SAMPLED].vocabulary)
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
    """GASP on the miniature, real sandbox and store."""
    from gasp_rl.methods.loop import train
    from gasp_rl.store.run import RunStore

    steps = 20 if GPU else 2
    overrides = [f"steps={steps}", f"engine.device={DEVICE}", "eval.every=0"]
    with tempfile.TemporaryDirectory() as folder:
        run = train(load_config("miniature", overrides), Path(folder) / "run")
        with RunStore.open_readonly(run) as reader:
            done = reader.steps()
    last = done[-1].metrics
    return {
        "steps": len(done),
        "seconds_per_step": sum(step.seconds for step in done) / len(done),
        "logprob_gap": last.get("policy/logprob_gap"),
        "entropy": last.get("policy/entropy"),
    }


def contract() -> Result:
    """The contract suite on this device."""
    tests = Path(__file__).parents[2] / "tests"
    folder = tests / "gpu" if GPU else tests / "engines" / "test_contract.py"
    chosen = [] if GPU else ["-k", "TestScripted or TestLocal"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *chosen, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tests.parent)
    return {"exit": done.returncode, "says": done.stdout.strip().splitlines()[-1:]}


PARTS: dict[str, Callable[[], Result]] = {
    "matmul": matmul,
    "samplers": samplers,
    "training": training,
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


def train_step(engine: LocalEngine, rows: list[Row]) -> None:
    engine.forward_backward(rows, LossConfig())
    engine.optim_step(OptimConfig(lr=1e-6))


@contextmanager
def engine_of(shape: str, **settings: object) -> Iterator[LocalEngine]:
    """An engine over random weights of a shape; its memory is free again at the end."""
    config = EngineConfig.model_validate({"device": DEVICE, "dtype": DTYPE, **settings})
    with tempfile.TemporaryDirectory() as name:
        write_random(SHAPES[shape], Path(name), DEVICE, getattr(torch, DTYPE))
        engine = LocalEngine(Path(name), config)
    if GPU:
        torch.cuda.reset_peak_memory_stats()
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


def rows_of(count: int, length: int, vocabulary: int) -> list[Row]:
    """Eight rows of unequal length to each prompt."""
    rng = np.random.default_rng(1)
    asked = prompts(-(-count // 8), length // 4, vocabulary)
    rows = []
    for i in range(count):
        size = int(rng.integers(length // 4, length))
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
        return {"failed": done.stderr.strip().splitlines()[-1:]}
    result: Result = json.loads(done.stdout.strip().splitlines()[-1])
    return result


if __name__ == "__main__":
    main()
