"""GASP on the miniature, `engine.name=local` beside `engine.name=tinker` on a real SkyRL server.

    GASP_SKYRL=build/skyrl python bench/tinker_miniature.py runs/tinker --steps 6 --seeds 0 1

Both engines train an adapter on the base written as a Llama (`tests/lanes/llama.py`), with the same
settings. Printed: means over steps and seeds of each metric,
their difference, and how many standard errors that is.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from gasp_rl.config import load_config
from gasp_rl.methods.loop import train
from gasp_rl.store.run import RunStore

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "lanes"))

from llama import write_llama
from skyrl_server import SkyRL

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
