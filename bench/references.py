"""Judge the reference solutions of public question sets through `gasp eval --samples`.

    python bench/references.py [humaneval mbpp cruxeval code-contests humaneval+base ...]

Data: GASP_TEST_DATA, by default ../shared/data beside the repository. EvalPlus's expected outputs
are computed afresh. Each reference that is not judged right is printed with its verdict.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from gasp_rl.evals.samples import SampleStore, stored_settings
from gasp_rl.problems.load import Source, expand, load_set

DATA = Path(os.environ.get("GASP_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
SETS = "humaneval,mbpp,cruxeval,code-contests,humaneval+base,humaneval+,mbpp+base,mbpp+"


def judge_references(name: str, folder: Path) -> int:
    """How many references of one set are not judged right."""
    questions = load_set(name, Source(DATA)).loaded.questions
    answers = [{"task_id": q.id, "solution": q.reference} for q in questions if q.reference]
    file, out = folder / f"{name}.jsonl", folder / f"{name}.db"
    file.write_text("".join(json.dumps(answer) + "\n" for answer in answers), encoding="ascii")
    words = ["--on", name, "--data", str(DATA), "--samples", str(file), "--out", str(out)]
    subprocess.run(
        [sys.executable, "-m", "gasp_rl.cli", "eval", *words],
        env={**os.environ, "XDG_CACHE_HOME": str(folder)},
        check=True,
    )
    with SampleStore(out, stored_settings(out)) as store:
        graded = store.graded(name)
    wrong = [row for row in graded if not (row.judgement and row.judgement.solved)]
    print(f"{name}: {len(graded) - len(wrong)} of {len(answers)} references right")
    for row in wrong:
        print(f"  {row.sample.question}: {row.judgement}")
    return len(answers) - len(graded) + len(wrong)


def main(names: list[str]) -> int:
    with tempfile.TemporaryDirectory(prefix="references-") as folder:
        sets = expand(",".join(names) or SETS)
        return sum(judge_references(name, Path(folder)) for name in sets)


if __name__ == "__main__":
    sys.exit(min(main(sys.argv[1:]), 1))
