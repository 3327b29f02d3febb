"""Where a GASP step on the miniature spends its time, phase by phase and part by part.

    python bench/step.py [STEPS]

Wall seconds of the phases come from the run itself; the parts (sampling, judging, training) are
timed around the calls that do them. Everything is in one process with one torch thread.
"""

import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gasp_rl.config import load_config
from gasp_rl.engines.local import LocalEngine
from gasp_rl.methods.loop import train
from gasp_rl.sandbox import Sandbox
from gasp_rl.store.progress import Silent
from gasp_rl.store.run import RunStore
from gasp_rl.types import Metrics

PARTS = (
    (LocalEngine, "sample", "sampling"),
    (Sandbox, "map", "judging"),
    (LocalEngine, "forward_backward", "training"),
    (LocalEngine, "optim_step", "optimiser"),
    (RunStore, "commit_step", "store"),
)


class Collect(Silent):
    """Sums the metrics of all steps."""

    def __init__(self) -> None:
        self.totals: Counter[str] = Counter()
        self.seconds = 0.0

    def step_committed(self, step: int, seconds: float, metrics: Metrics) -> None:
        self.seconds += seconds
        self.totals.update(metrics)


def timed(call: Callable[..., Any], name: str, spent: Counter[str]) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        start = time.perf_counter()
        result = call(*args, **kwargs)
        spent[name] += time.perf_counter() - start
        return result

    return wrapper


def main() -> None:
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    spent: Counter[str] = Counter()
    for owner, method, name in PARTS:
        setattr(owner, method, timed(getattr(owner, method), name, spent))
    config = load_config("miniature", [f"steps={steps}", "eval.every=0"])
    watcher = Collect()
    with tempfile.TemporaryDirectory() as folder:
        train(config, Path(folder) / "run", progress=watcher)
    rollouts, tokens = watcher.totals["rollouts/student"], watcher.totals["tokens/sampled"]
    print(f"{steps} steps, {watcher.seconds / steps:.2f} s each")
    print(f"{rollouts / steps:.0f} student rollouts and {tokens / steps:.0f} tokens a step")
    spent["everything else"] = watcher.seconds - sum(spent.values())
    for name, seconds in spent.most_common():
        print(f"  {name:<16} {seconds / steps:7.3f} s  {100 * seconds / watcher.seconds:5.1f}%")
    print(f"sampling: {tokens / spent['sampling']:.0f} tokens/s")
    for name in sorted(n for n in watcher.totals if n.startswith("time/")):
        print(f"  {name:<16} {watcher.totals[name] / steps:7.3f} s")


if __name__ == "__main__":
    main()
