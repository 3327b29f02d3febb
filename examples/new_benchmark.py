"""A benchmark of your own: questions in this package's format, asked and judged like any other.

Run it: python examples/new_benchmark.py sums.jsonl && gasp eval MODEL --on sums.jsonl -n 20
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from gasp_rl.evals.judge import Grading
from gasp_rl.evals.prompts import Style, load_prompter
from gasp_rl.evals.runner import Benchmark, Report, evaluate, settings_of
from gasp_rl.evals.sampler import Ask, Reply, Sampler, Sampling
from gasp_rl.evals.samples import SampleStore
from gasp_rl.problems.schema import load_questions, write_questions
from gasp_rl.sandbox import Sandbox
from gasp_rl.tasks import Form, Question
from gasp_rl.types import Example


def questions(count: int = 5) -> list[Question]:
    return [
        Question(
            id=f"sum-{k}",
            source="sums",
            form=Form.FUNCTION,
            statement=f"Add up every number of the list x that {k} divides.",
            shown=(Example(f"[{k}, {k + 1}]", str(k)),),
            hidden=(Example("[]", "0"), Example(f"{[*range(20)]}", f"{sum(range(0, 20, k))}")),
            difficulty="easy" if k < 4 else "hard",
        )
        for k in range(2, 2 + count)
    ]


class AlwaysTwo:
    """Stands for a model: it takes every divisor for 2."""

    name = "always-two"

    def sample(self, asks: Sequence[Ask], sampling: Sampling) -> Iterator[tuple[int, Reply]]:
        code = "```python\ndef f(x):\n    return sum(v for v in x if v % 2 == 0)\n```"
        return ((i, Reply(code, "stop")) for i, _ in enumerate(asks))


def measure(file: Path, sampler: Sampler, out: Path, n: int = 1) -> Report:
    """pass@k of a sampler; `out` keeps every sample and lets a second call go on from there."""
    benchmark = Benchmark("sums", load_questions(file).questions, str(file))
    prompter, sampling, grading = load_prompter(Style.CHAT), Sampling(max_tokens=512), Grading()
    settings = settings_of(sampler, prompter, sampling, grading, 0)
    with Sandbox() as sandbox, SampleStore(out, settings) as store:
        return evaluate(benchmark, n, sampler, prompter, sampling, store, sandbox, grading=grading)


if __name__ == "__main__":
    write_questions(Path(sys.argv[1]), questions())
