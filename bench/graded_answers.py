"""The graded LiveCodeBench answers: extraction, grades on public tests, pass@1 on the windows.

    python bench/graded_answers.py

Data: GASP_TEST_DATA, by default ../shared/data beside the repository: one raw answer of two models
to each question, the code that LiveCodeBench extracted, and its grade on the hidden tests. Here the
raw answers go through `gasp eval --samples` under LiveCodeBench's rules. The hidden tests are not
at hand, so the claim on grades is one-sided: what is right on them must pass the public tests.
"""

import gzip
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from gasp_rl.evals.extract import Extraction, extract
from gasp_rl.evals.passk import mean_pass_at_k
from gasp_rl.evals.samples import SampleStore, stored_settings
from gasp_rl.problems.load import Source, load_set
from gasp_rl.types import PassRate

DATA = Path(os.environ.get("GASP_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
WINDOWS = ("lcb", "lcb-v5-train", "lcb-v5")
Answers = dict[str, dict]


def read_answers() -> dict[str, Answers]:
    """The rows of each model by question id."""
    models: dict[str, Answers] = {}
    with gzip.open(DATA / "livecodebench" / "graded_solutions.jsonl.gz", "rt") as stream:
        for row in map(json.loads, stream):
            models.setdefault(row["model"], {})[row["question_id"]] = row
    return models


def grade(model: str, answers: Answers, folder: Path) -> Counter[str]:
    """Grade the raw answers of one model through the command line; count what came of them."""
    items = [{"question_id": name, "output_list": [row["output"]]} for name, row in answers.items()]
    file, out = folder / f"{model}.json", folder / f"{model}.db"
    file.write_text(json.dumps(items), encoding="ascii")
    words = ["--on", "lcb", "--data", str(DATA), "--samples", str(file), "--out", str(out)]
    rules = ["--stdin-grader", "lcb_compat", "--cpu-seconds", "6", "--json"]
    subprocess.run(
        [sys.executable, "-m", "gasp_rl.cli", "eval", *words, *rules],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    counts: Counter[str] = Counter()
    with SampleStore(out, stored_settings(out)) as store:
        for item in store.graded("lcb"):
            row = answers[item.sample.question]
            passes = item.judgement is not None and item.judgement.solved
            grade = "right" if row["graded"] else "wrong"
            counts[f"{grade} on hidden tests, {'pass' if passes else 'fail'} public ones"] += 1
            if row["graded"] and not passes:
                print(f"  right, but {item.sample.question}: {item.judgement}")
    return counts


def main() -> int:
    failures = 0
    windows = {name: load_set(name, Source(DATA)) for name in WINDOWS}
    with tempfile.TemporaryDirectory(prefix="graded-") as folder:
        for model, answers in read_answers().items():
            counts = grade(model, answers, Path(folder))
            print(f"{model}: {len(answers)} answers")
            for words, count in sorted(counts.items()):
                print(f"  {words}: {count}")
            same = sum(
                extract(row["output"], Extraction.LAST_FENCE) == row["code"]
                for row in answers.values()
            )
            print(f"  extracted as LiveCodeBench does: {same}")
            failures += len(answers) - same
            failures += counts["right on hidden tests, fail public ones"]
            for found in windows.values():
                asked = [q.id for q in found.loaded.questions]
                stored = [PassRate(int(answers[name]["graded"]), 1) for name in asked]
                print(
                    f"  stored pass@1 on {found.name}: {mean_pass_at_k(stored, 1)} ({len(asked)})"
                )
    return failures


if __name__ == "__main__":
    sys.exit(min(main(), 1))
