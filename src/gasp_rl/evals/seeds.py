"""Policies trained over several seeds: means and paired differences, intervals over both seeds
and questions."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gasp_rl.evals.passk import solve
from gasp_rl.rng import rng
from gasp_rl.types import PassRate

RESAMPLES = 4000
"""Bootstrap resamples: the standard error is then stable to about a hundredth."""

ENOUGH_SEEDS = 3
"""From here on an arm's own seeds say how far they spread. Two do not: their variance has one degree
of freedom, and Student's t at one is 12.7."""

EQUAL = 1e-12
"""Scores that differ by less differ by rounding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedEstimate:
    """A mean over seeds and questions, or a difference of two, with its 95% interval.

    error:   standard error, on the side where the interval is wider.
    seeds:   of the arm, or of both arms of a difference, as (first, second).
    p_value: two-sided, for the value being 0.
    """

    value: float
    low: float
    high: float
    error: float
    p_value: float
    questions: int
    seeds: tuple[int, ...]

    @property
    def verdict(self) -> str:
        """Of a difference: `better`, `worse`, or `no difference shown`."""
        if self.low > 0:
            return "better"
        return "worse" if self.high < 0 else "no difference shown"


@dataclass(frozen=True, slots=True)
class Spread:
    """How far one seed's mean lies from its arm's: a variance, and its degrees of freedom."""

    variance: float
    freedom: int


def pooled_spread(arms: Sequence[np.ndarray]) -> Spread | None:
    """The variance of seeds within arms, common to all; None when no arm has two seeds.

    arms: [seeds of the arm, questions] each.
    """
    several = [arm_SQ.mean(axis=1) for arm_SQ in arms if len(arm_SQ) > 1]
    freedom = sum(len(means_S) - 1 for means_S in several)
    if not freedom:
        return None
    return Spread(sum(float(((m - m.mean()) ** 2).sum()) for m in several) / freedom, freedom)


def mean_over_seeds(
    values_SQ: np.ndarray, lent: Spread | None = None, seed: int = 0
) -> SeedEstimate:
    """Mean of one arm. values_SQ: what each seed's policy scores on each question (pass@k).

    lent: how far seeds spread in all arms together; looked at when this one has too few of its own.
    """
    return _estimate([values_SQ], [1.0], [lent], seed)


def difference_over_seeds(
    first_SQ: np.ndarray,
    second_SQ: np.ndarray,
    lent: tuple[Spread | None, Spread | None] = (None, None),
    seed: int = 0,
) -> SeedEstimate:
    """Mean of the second arm minus mean of the first, on the same questions.

    Hierarchical bootstrap: each resample draws seeds of each arm, then questions, once for both
    arms. Seeds are drawn apart, since seed 0 of one arm has no more to do with seed 0 of another
    than with any; questions are drawn together, since what makes one hard is common to both. As
    every seed answers every question the two factors are crossed (the pigeonhole bootstrap, Owen
    2007, arXiv 0712.1111, errs to the safe side).

    Few seeds make a bootstrap too sure of itself twice: its variance is low by (n - 1) / n, and its
    quantiles are a normal distribution's. So each seed's deviation from its arm's mean is scaled by
    sqrt(n / (n - 1)), and the interval is the value -+ t times the bootstrap's standard error, with
    Student's t at the Welch-Satterthwaite degrees of freedom of the three sources of variance.
    An arm with one seed says nothing about how seeds spread, one with two next to nothing. Below
    `ENOUGH_SEEDS` an arm takes `lent`, the spread that all arms show together; without it two seeds
    speak for themselves, and the interval of one is over questions alone.

    Where nothing varies, for instance where neither arm solved any question, no resample differs
    from another, and a bootstrap would be certain. But up to a share u of all questions may be of
    another kind than those that were asked, u being the upper end of Wilson's interval for none of
    as many (1927; the rule of three): that moves a mean v by at most u (1 - v) upwards and u v
    downwards, from 0 of 143 to 2.6%, and a difference d by u (1 - d) and u (1 + d). These reaches join
    those of seeds by the root of the sum of squares. One arm that varies is enough to leave them
    out: the questions on which two arms differ are then seen.
    """
    if first_SQ.shape[1] != second_SQ.shape[1]:
        raise ValueError(f"arms need the same questions: {first_SQ.shape}, {second_SQ.shape}")
    return _estimate([first_SQ, second_SQ], [-1.0, 1.0], lent, seed)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Adjusted p-values of a family of tests (Holm 1979), each at most 1.

    Example::

        holm({"a": 0.01, "b": 0.04, "c": 0.03})   # {"a": 0.03, "b": 0.06, "c": 0.06}
    """
    adjusted, largest = {}, 0.0
    for rank, name in enumerate(sorted(p_values, key=lambda n: p_values[n])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[name]))
        adjusted[name] = largest
    return {name: adjusted[name] for name in p_values}


def _estimate(
    arms: Sequence[np.ndarray],
    signs: Sequence[float],
    lent: Sequence[Spread | None],
    seed: int,
) -> SeedEstimate:
    """Shapes: each arm [its seeds S, questions Q]; resamples are B rows."""
    questions = arms[0].shape[1]
    if questions == 0 or any(len(arm) == 0 for arm in arms):
        raise ValueError("a mean over no seeds or no questions is undefined")
    draw = rng(seed, questions, "evals/seeds")
    questions_BQ = _shares(draw, questions)
    total_B = np.zeros(RESAMPLES)
    sources: list[tuple[float, int]] = []
    value, question_means_Q = 0.0, np.zeros(questions)
    for arm_SQ, sign, spread in zip(arms, signs, lent, strict=True):
        mean_Q, count = arm_SQ.mean(axis=0), len(arm_SQ)
        value += sign * float(mean_Q.mean())
        question_means_Q += sign * mean_Q
        own = count > 1 and (spread is None or count >= ENOUGH_SEEDS)
        scale = math.sqrt(count / (count - 1)) if own else 0.0
        spread_SQ = scale * (arm_SQ - mean_Q)
        resampled_BQ = mean_Q + _shares(draw, count) @ spread_SQ
        total_B += sign * (resampled_BQ * questions_BQ).sum(axis=1)
        if own:
            sources.append((float(arm_SQ.mean(axis=1).var(ddof=1)) / count, count - 1))
        elif spread is not None:
            variance = spread.variance / count
            total_B += draw.normal(0.0, math.sqrt(variance), RESAMPLES)
            sources.append((variance, spread.freedom))
    if questions > 1:
        sources.append((float(question_means_Q.var(ddof=1)) / questions, questions - 1))
    error = float(total_B.std())
    freedom = _satterthwaite(sources)
    t = t_quantile(0.975, freedom)
    down, up = _unseen(arms, signs, value, error)
    towards_zero = down if value > 0 else up
    return SeedEstimate(
        value=value,
        low=value - math.hypot(t * error, down),
        high=value + math.hypot(t * error, up),
        error=math.hypot(error, max(down, up) / t),
        p_value=_p_value(value, math.hypot(error, towards_zero / t), freedom),
        questions=questions,
        seeds=tuple(len(arm) for arm in arms),
    )


def _unseen(
    arms: Sequence[np.ndarray], signs: Sequence[float], value: float, error: float
) -> tuple[float, float]:
    """How far down and up questions that were not asked may move a value of which no question shows
    any variation; (0, 0) where there is some."""
    if error >= EQUAL and any(np.ptp(arm_SQ) >= EQUAL for arm_SQ in arms):
        return 0.0, 0.0
    share = PassRate(0, arms[0].shape[1]).interval()[1]
    least, most = (sum(f(sign, 0.0) for sign in signs) for f in (min, max))
    return share * max(0.0, value - least), share * max(0.0, most - value)


def _shares(draw: np.random.Generator, count: int) -> np.ndarray:
    """[B, count]: how often each item is drawn in a resample, as a share of the resample."""
    return draw.multinomial(count, np.full(count, 1 / count), size=RESAMPLES) / count


def _satterthwaite(sources: Sequence[tuple[float, int]]) -> float:
    """Degrees of freedom of a sum of independent variance estimates (Welch 1947)."""
    total = sum(variance for variance, _ in sources)
    if total == 0:
        return math.inf
    return total**2 / sum(variance**2 / freedom for variance, freedom in sources)


def _p_value(value: float, error: float, freedom: float) -> float:
    return max(0.0, 2 * (1 - t_distribution(abs(value) / error, freedom)))


def t_distribution(t: float, freedom: float) -> float:
    """P(T <= t) of Student's t, by its density's integral; freedom may be fractional or infinite.

    With u = atan(t / sqrt(freedom)) the density is proportional to cos(u)^(freedom - 1), which is
    smooth on a finite interval: Simpson's rule is then exact to about 1e-9.
    """
    if freedom > 1e5:
        return 0.5 * (1 + math.erf(t / math.sqrt(2)))
    log_constant = math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)
    upper_u = math.atan(t / math.sqrt(freedom))
    angles = np.linspace(0.0, upper_u, 2001)
    heights = np.exp(log_constant + (freedom - 1) * np.log(np.cos(angles))) / math.sqrt(math.pi)
    weights = np.full(2001, 2.0)
    weights[1::2], weights[0], weights[-1] = 4.0, 1.0, 1.0
    return float(0.5 + (heights * weights).sum() * upper_u / 2000 / 3)


def t_quantile(probability: float, freedom: float) -> float:
    """The t with P(T <= t) = probability, for instance 2.776 for 0.975 and 4 degrees."""
    return solve(lambda t: t_distribution(t, freedom) - probability, -1e3, 1e3)
