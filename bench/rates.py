"""Learning rates of a recipe compared on validation questions alone.

    python bench/rates.py miniature-azr 1e-4 2e-4 4e-4 --seed 1 --to build/rates

Trains the recipe once for each rate, to the same student rollouts, on a seed that no result is
reported on, and samples every validation question at each trial. Test questions are never read. The
table shows each rate's best trial by pass@20, the rule by which a study chooses checkpoints, and
its last one. A run that was stopped is resumed, one that is done is read.
"""

import argparse
from pathlib import Path
from statistics import fmean

from gasp_rl.config import load_config
from gasp_rl.evals.passk import pass_at_k
from gasp_rl.methods.loop import resume, train
from gasp_rl.store.progress import LinesOnly
from gasp_rl.store.reader import RunReader
from gasp_rl.store.records import EvalRecord

GROUPS = {"depth 1-3": "123", "4": "4", "5": "5", "6-9": "6789"}


def trained(recipe: str, rate: str, seed: int, rollouts: int, folder: Path) -> Path:
    """The run's folder, brought to its end."""
    path = folder / f"{recipe}-{rate}-s{seed}"
    config = load_config(
        recipe,
        [
            f"optim.lr={rate}",
            f"seed={seed}",
            "steps=1000",
            f"budget.student_rollouts={rollouts}",
            "eval.every=10",
            "eval.validation_samples=20",
            "eval.goalpost_samples=1",
            "store.keep_rollouts=false",
        ],
    )
    return resume(path, LinesOnly()) if path.is_dir() else train(config, path, progress=LinesOnly())


def cells(rows: list[EvalRecord]) -> list[str]:
    """pass@1 and pass@20 of one trial, and pass@20 by depth."""
    whole = [fmean(pass_at_k(r.total, r.correct, k) for r in rows) for k in (1, 20)]
    depths = [
        fmean(pass_at_k(r.total, r.correct, 20) for r in rows if r.label in labels)
        for labels in GROUPS.values()
    ]
    return [f"{value:.3f}" for value in whole + depths]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("recipe")
    parser.add_argument("rates", nargs="+")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rollouts", type=int, default=100_000)
    parser.add_argument("--to", type=Path, default=Path("build/rates"))
    options = parser.parse_args()
    lines = []
    for rate in options.rates:
        run = trained(options.recipe, rate, options.seed, options.rollouts, options.to)
        with RunReader.open(run) as reader:
            trials: dict[int, list[EvalRecord]] = {}
            for row in reader.evals("validation"):
                trials.setdefault(row.step, []).append(row)
            last = reader.last_step()
        best = max(
            trials, key=lambda s: fmean(pass_at_k(r.total, r.correct, 20) for r in trials[s])
        )
        for what, step in (("best", best), ("last", max(trials))):
            lines.append(
                f"| {rate} | {what}: {step} of {last} | {' | '.join(cells(trials[step]))} |"
            )
    heads = ["rate", "trial at step", "pass@1", "pass@20", *(f"pass@20 {name}" for name in GROUPS)]
    print(f"\n{options.recipe}, seed {options.seed}, {options.rollouts:,} student rollouts")
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
