"""Two policies on the same questions: estimates for each group of questions, paired differences."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from gasp_rl.evals.passk import RESAMPLES, Estimate, mean_pass_at_k, pass_at_k
from gasp_rl.rng import rng
from gasp_rl.types import PassRate


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Mean over questions of (second policy - first policy), with a 95% interval over questions."""

    value: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """`better` or `worse` where the interval leaves 0 out, else `no difference shown`."""
        if self.low > 0:
            return "better"
        return "worse" if self.high < 0 else "no difference shown"


def paired_difference(
    first: Sequence[PassRate], second: Sequence[PassRate], k: int, seed: int = 0
) -> Difference:
    """Difference in pass@k of two policies on the same questions; both resampled together.

    Paired percentile bootstrap over questions (Efron 1979): what makes a question hard is common
    to both policies and drops out. Where all questions differ alike, as where nobody solved any, a
    bootstrap would claim certainty; questions that were not asked may still differ by anything, and
    Wilson's interval for none of as many says how large their share may be.

    Example: nobody solved any of 40 questions: 0 [-.088, +.088].
    """
    if len(first) != len(second) or not first:
        raise ValueError(f"paired policies need the same questions: {len(first)}, {len(second)}")
    gains = np.array(
        [
            pass_at_k(b.total, b.correct, k) - pass_at_k(a.total, a.correct, k)
            for a, b in zip(first, second, strict=True)
        ]
    )
    value = float(gains.mean())
    if np.ptp(gains) == 0:
        unseen = PassRate(0, len(gains)).interval()[1]
        return Difference(
            value=value, low=value - unseen * (value + 1), high=value + unseen * (1 - value)
        )
    draws = rng(seed, len(gains), "evals/paired").integers(0, len(gains), (RESAMPLES, len(gains)))
    low, high = np.quantile(gains[draws].mean(axis=1), (0.025, 0.975))
    return Difference(value=value, low=float(low), high=float(high))


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupResult:
    """One group of questions (a depth, a tag) under two policies."""

    label: str
    k: int
    base: Estimate
    trained: Estimate
    difference: Difference


def group_title(label: str, labels: Collection[str]) -> str:
    """What tables call the questions with a label; a set may label some of its questions, or none."""
    return label or ("no label" if any(labels) else "all")


def by_label(
    labels: Sequence[str], base: Sequence[PassRate], trained: Sequence[PassRate], k: int
) -> list[GroupResult]:
    """The comparison for each label, in order of first appearance."""
    results = []
    for label in dict.fromkeys(labels):
        chosen = [i for i, other in enumerate(labels) if other == label]
        first, second = [base[i] for i in chosen], [trained[i] for i in chosen]
        results.append(
            GroupResult(
                label=group_title(label, labels),
                k=k,
                base=mean_pass_at_k(first, k),
                trained=mean_pass_at_k(second, k),
                difference=paired_difference(first, second, k),
            )
        )
    return results
