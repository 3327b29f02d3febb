"""Adaptive mining against exhaustive mining: the same goalposts? for how many samples?

    python bench/mining.py [N [DEPTH]]

Mines the miniature's test questions up to DEPTH (5) with its base model, N (100) samples a question.
A goalpost costs all N whatever is done, so the share of goalposts is the floor of the cost: about a
sixth up to depth 5 (the paper's 146 of 601 are a quarter), more than half up to depth 9. First on the
very samples of the exhaustive run, dealt out one after the other: the goalposts must be the same.
Then on fresh samples: only questions whose pass rate is near 1/N may come out otherwise.
"""

import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gasp_rl.evals.models import ModelPolicy
from gasp_rl.evals.prompts import Style, prompter_for
from gasp_rl.evals.sampler import Sampling
from gasp_rl.goalposts.mining import DrawLog, MiningPolicy, Stage, mine
from gasp_rl.problems.load import Source, load_set
from gasp_rl.sandbox import Sandbox
from gasp_rl.tasks.question import Question


@dataclass
class Recorded:
    """Deals out samples that were drawn before."""

    name: str
    samples: dict[str, list[bool]]
    dealt: Counter[str] = field(default_factory=Counter)

    def attempt(self, questions: Sequence[Question], n: int, seed: int) -> list[list[bool]]:
        parts = []
        for question in questions:
            start = self.dealt[question.key]
            parts.append(self.samples[question.key][start : start + n])
            self.dealt[question.key] += n
        return parts


def adaptive(policy: MiningPolicy, questions: Sequence[Question], n: int) -> tuple[set[str], str]:
    """Goalposts' keys, and the cost in words."""
    with tempfile.TemporaryDirectory(prefix="mining-") as folder:
        log = DrawLog(Path(folder) / "draws")
        mined = mine(questions, [Stage("base", (policy,), n)], log, confirm=0)
    share = 100 * mined.samples / mined.naive
    found = {goalpost.question.key for goalpost in mined.goalposts}
    return found, f"{mined.samples} of {mined.naive} samples ({share:.1f}%)"


def main(n: int = 100, depth: int = 5) -> int:
    found = load_set("miniature:test", Source())
    questions = [q for q in found.loaded.questions if int(q.difficulty) <= depth]
    with Sandbox() as sandbox:
        policy = ModelPolicy(
            name="base",
            model="miniature",
            prompter=prompter_for("miniature", Style.OWN),
            sampling=Sampling(temperature=1.0, max_tokens=96),
            sandbox=sandbox,
        )
        attempts = policy.attempt(questions, n, seed=1)
        samples = {q.key: a for q, a in zip(questions, attempts, strict=True)}
        exhaustive = {key for key, results in samples.items() if not any(results)}
        share = 100 * len(exhaustive) / len(questions)
        print(
            f"{found.described}, {len(questions)} up to depth {depth}: exhaustive mining finds "
            f"{len(exhaustive)} goalposts, {share:.1f}%: the floor"
        )
        same, cost = adaptive(Recorded("base", samples), questions, n)
        print(f"on the same samples: {len(same)} goalposts, equal: {same == exhaustive}; {cost}")
        fresh, cost = adaptive(policy, questions, n)
    differ = sorted(sum(samples[key]) for key in fresh ^ exhaustive)
    print(f"on fresh samples: {len(fresh)} goalposts, {len(fresh & exhaustive)} in common; {cost}")
    print(f"  right samples of the exhaustive run on those that differ: {differ}")
    return int(same != exhaustive)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
