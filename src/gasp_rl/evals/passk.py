"""pass@k with its uncertainty: the unbiased estimator, and 95% intervals over questions."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from gasp_rl.rng import rng
from gasp_rl.types import PassRate

RESAMPLES = 10_000
"""Bootstrap resamples: the interval's ends are then stable to about a hundredth of its width."""


def pass_at_k(total: int, correct: int, k: int) -> float:
    """Chance that at least one of k samples is right, estimated without bias from `total` samples.

    1 - C(total - correct, k) / C(total, k) (Chen et al. 2021, arXiv 2107.03374, equation 1).

    Example::

        pass_at_k(10, 3, 1)  # 0.3
        pass_at_k(4, 2, 2)   # 1 - C(2,2)/C(4,2) = 5/6
    """
    if not 0 <= correct <= total or not 1 <= k <= total:
        raise ValueError(f"pass@{k} of {correct}/{total}: needs correct <= total and k <= total")
    if total - correct < k:
        return 1.0
    return 1.0 - math.comb(total - correct, k) / math.comb(total, k)


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Mean over questions, with a 95% interval.

    interval_of: `wilson` where each question's value is 0 or 1 (greedy, or nobody solved any:
                 a bootstrap of equal values would claim certainty), else `bootstrap`.
    """

    value: float
    low: float
    high: float
    questions: int
    interval_of: Literal["wilson", "bootstrap"]

    def __str__(self) -> str:
        return f"{100 * self.value:.2f} [{100 * self.low:.2f}, {100 * self.high:.2f}]"


def mean_pass_at_k(counts: Sequence[PassRate], k: int, seed: int = 0) -> Estimate:
    """pass@k averaged over questions. The interval is over the draw of questions.

    The bootstrap (Efron 1979, percentile method) resamples questions, so it covers which questions
    were asked and, through their estimates, the noise of the samples.
    """
    if not counts:
        raise ValueError("pass@k over no questions is undefined")
    if (short := min(rate.total for rate in counts)) < k:
        raise ValueError(f"pass@{k} needs {k} samples of every question; one has {short}")
    values = np.array([pass_at_k(rate.total, rate.correct, k) for rate in counts])
    return mean_with_interval(values, seed)


def mean_with_interval(values: np.ndarray, seed: int = 0) -> Estimate:
    """Mean of per-question values in [0, 1] with its 95% interval over questions."""
    n, mean = len(values), float(values.mean())
    if bool(np.isin(values, (0.0, 1.0)).all()):
        low, high = PassRate(int(values.sum()), n).interval()
        method: Literal["wilson", "bootstrap"] = "wilson"
    else:
        draws = rng(seed, n, "evals/bootstrap").integers(0, n, size=(RESAMPLES, n))
        means = values[draws].mean(axis=1)
        low, high = (float(q) for q in np.quantile(means, (0.025, 0.975)))
        method = "bootstrap"
    return Estimate(value=mean, low=low, high=high, questions=n, interval_of=method)


def clopper_pearson(correct: int, total: int, confidence: float = 0.95) -> tuple[float, float]:
    """Exact two-sided interval of a pass rate (Clopper and Pearson 1934).

    With no success the upper end is 1 - (alpha/2)^(1/total): 0 of 100 leaves up to 3.62% (95%).
    """
    PassRate(correct, total)
    tail = (1 - confidence) / 2
    low = 0.0 if correct == 0 else solve(lambda p: _at_least(correct, total, p) - tail)
    high = 1.0 if correct == total else solve(lambda p: tail - _at_most(correct, total, p))
    return low, high


def upper_bound(correct: int, total: int, confidence: float = 0.95) -> float:
    """One-sided Clopper-Pearson upper bound: 0 of 100 gives 2.95% (the rule of three, exact)."""
    if correct == total:
        return 1.0
    return clopper_pearson(correct, total, 2 * confidence - 1)[1]


def _at_least(correct: int, total: int, p: float) -> float:
    return 1.0 - _at_most(correct - 1, total, p)


def _at_most(correct: int, total: int, p: float) -> float:
    """P(X <= correct) of a binomial, summed in logarithms so that 10^5 samples do not underflow."""
    if p <= 0.0:
        return 1.0
    if p >= 1.0:
        return 0.0
    log_p, log_q = math.log(p), math.log1p(-p)
    return min(
        1.0,
        math.fsum(
            math.exp(
                math.lgamma(total + 1)
                - math.lgamma(i + 1)
                - math.lgamma(total - i + 1)
                + i * log_p
                + (total - i) * log_q
            )
            for i in range(correct + 1)
        ),
    )


def solve(rising: Callable[[float], float], low: float = 0.0, high: float = 1.0) -> float:
    """Root between `low` and `high` of a rising function, by bisection to double precision."""
    for _ in range(80):
        middle = (low + high) / 2
        if rising(middle) < 0:
            low = middle
        else:
            high = middle
    return (low + high) / 2
