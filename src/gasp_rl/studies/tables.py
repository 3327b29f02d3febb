"""The study's tables: arms beside each other, and paired differences with their intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

import numpy as np

from gasp_rl.evals.seeds import (
    SeedEstimate,
    Spread,
    difference_over_seeds,
    holm,
    mean_over_seeds,
    pooled_spread,
)
from gasp_rl.store.rows import ACCEPTED
from gasp_rl.studies.results import Results
from gasp_rl.studies.series import Series
from gasp_rl.studies.study import Selection
from gasp_rl.types import Rejection

VERDICTS = (*map(str, Rejection), ACCEPTED)
"""What becomes of a proposal, in the order of the checks."""

GOALPOSTS = "goalposts solved"
"""The measure of a contrast that is no pass@k."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmRow:
    """One arm at one selection.

    scores: (group, k) to the mean pass@k over seeds and questions.
    deviations: of these means the standard deviation over seeds, None where there is one seed.
    solved: goalposts solved in fresh samples, for each seed; union: by any seed.
    reached: goalposts with a right sample in any trial during training, for each seed.
    kept:    those with a right sample in two trials in a row: solves come and go.
    """

    arm: str
    selection: Selection
    seeds: tuple[int, ...]
    steps: tuple[int, ...]
    temperatures: tuple[float, ...]
    scores: Mapping[tuple[str, int], SeedEstimate]
    deviations: Mapping[tuple[str, int], float | None]
    solved: tuple[int, ...]
    union: int
    reached: tuple[int, ...]
    reached_union: int
    kept: tuple[int, ...]
    student_rollouts: float
    generated_tokens: float
    hours: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitRow:
    """pass@k of one arm on the questions of one tag, by label; means over seeds and questions."""

    tag: str
    arm: str
    scores: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class FunnelShares:
    """What became of an arm's proposals of one stage, means over seeds.

    written: proposals of a run. shares: of them by verdict; those that never occurred are left out.
    """

    arm: str
    stage: str
    written: float
    shares: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftRow:
    """What an arm accepted in the first and in the last tenth of its runs, means over seeds.

    None where it accepted nothing, or where a curve has no meaning.
    """

    arm: str
    acceptance: tuple[float | None, float | None]
    depth: tuple[float | None, float | None]
    rare: tuple[float | None, float | None]
    dissimilarity: tuple[float | None, float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """Second arm minus first in one measure; `adjusted` is Holm's p over the measure's contrasts."""

    first: str
    second: str
    measure: str
    difference: SeedEstimate
    adjusted: float


def arm_rows(results: Results, selection: Selection) -> list[ArmRow]:
    """A row for each arm that has measured runs."""
    columns = {(g, k): labels for g, labels in results.groups().items() for k in results.ks()}
    scores = {(g, k): means(results, selection, columns[g, k], k) for g, k in columns}
    rows = []
    for arm in results.arms:
        runs = results.of(arm)
        solved = results.solved_SH(arm, selection)
        rows.append(
            ArmRow(
                arm=arm,
                selection=selection,
                seeds=tuple(r.seed for r in runs),
                steps=tuple(r.chosen[selection].step for r in runs),
                temperatures=tuple(r.chosen[selection].temperature for r in runs),
                scores={column: of_arms[arm] for column, of_arms in scores.items()},
                deviations={
                    (g, k): _deviation(results.scores_SQ(arm, selection, labels, k))
                    for (g, k), labels in columns.items()
                },
                solved=tuple(int(n) for n in solved.sum(axis=1)),
                union=int(solved.any(axis=0).sum()),
                reached=tuple(len(r.reached) for r in runs),
                reached_union=len(frozenset().union(*(r.reached for r in runs))),
                kept=tuple(kept(r.series.trials) for r in runs),
                student_rollouts=fmean(r.spent.student_rollouts for r in runs),
                generated_tokens=fmean(r.spent.generated_tokens for r in runs),
                hours=fmean(r.spent.hours for r in runs),
            )
        )
    return rows


def means(
    results: Results, selection: Selection, labels: Sequence[str], k: int
) -> dict[str, SeedEstimate]:
    """Every arm's mean pass@k over seeds and the questions with these labels."""
    scores = {arm: results.scores_SQ(arm, selection, labels, k) for arm in results.arms}
    lent = _lent_spreads(results, scores)
    return {arm: mean_over_seeds(scores_SQ, lent[arm]) for arm, scores_SQ in scores.items()}


def _lent_spreads(results: Results, scores: Mapping[str, np.ndarray]) -> dict[str, Spread | None]:
    """The spread of seeds that an arm takes if it has too few of its own: that of all trained arms.

    Seeds of an arm that does not train differ by their samples alone, so that it has none.
    """
    trained = {arm.name for arm in results.plan.study.arms if arm.train}
    common = pooled_spread([scores[arm] for arm in results.arms if arm in trained])
    return {arm: common if arm in trained else None for arm in results.arms}


def _deviation(scores_SQ: np.ndarray) -> float | None:
    return float(scores_SQ.mean(axis=1).std(ddof=1)) if len(scores_SQ) > 1 else None


def kept(trials: Mapping[int, Sequence[int]]) -> int:
    """Goalposts that two trials in a row solved. trials: step to right samples of each."""
    right = [np.array(trials[step]) > 0 for step in sorted(trials)]
    if len(right) < 2:
        return 0
    both = [first & second for first, second in pairwise(right)]
    return int(np.any(both, axis=0).sum())


def split_rows(results: Results, selection: Selection, k: int) -> list[SplitRow]:
    """Each arm on the questions of each tag; none when there is nothing to tell apart."""
    tags = sorted(set(results.tags))
    labels = list(dict.fromkeys(results.labels))
    rows = []
    for tag in tags if len(tags) > 1 else ():
        for arm in results.arms:
            found = {label: results.scores_SQ(arm, selection, [label], k, tag) for label in labels}
            scores = {label: float(s.mean()) for label, s in found.items() if s.size}
            rows.append(SplitRow(tag=tag, arm=arm, scores=scores))
    return rows


def funnel_rows(results: Results) -> list[FunnelShares]:
    """A row for each stage of each arm that wrote proposals and whose runs noted what became of them."""
    rows = []
    for arm in results.arms:
        funnels = [run.funnel for run in results.of(arm) if run.funnel]
        for stage in dict.fromkeys(stage for funnel in funnels for stage in funnel):
            counts = [funnel.get(stage, {}) for funnel in funnels]
            written = [sum(count.values()) for count in counts]
            verdicts = {verdict for count in counts for verdict in count}
            shares = {
                verdict: fmean(
                    count.get(verdict, 0) / n for count, n in zip(counts, written, strict=True) if n
                )
                for verdict in VERDICTS
                if verdict in verdicts
            }
            rows.append(FunnelShares(arm=arm, stage=stage, written=fmean(written), shares=shares))
    return rows


def drift_rows(results: Results) -> list[DriftRow]:
    """How each arm's curriculum began and ended; arms without one are left out."""
    rows = []
    for arm in results.arms:
        series = [run.series for run in results.of(arm)]
        if any(s.acceptance.x for s in series):
            rows.append(
                DriftRow(
                    arm=arm,
                    acceptance=_ends([s.acceptance for s in series]),
                    depth=_ends([s.depth for s in series]),
                    rare=_ends([s.rare for s in series]),
                    dissimilarity=_ends([s.dissimilarity for s in series]),
                )
            )
    return rows


def _ends(curves: Sequence[Series]) -> tuple[float | None, float | None]:
    """Mean over curves of the mean of their first and of their last tenth."""
    found = [curve.y for curve in curves if curve.y]
    if not found:
        return None, None
    tenths = [max(1, len(y) // 10) for y in found]
    return (
        fmean(fmean(y[:n]) for y, n in zip(found, tenths, strict=True)),
        fmean(fmean(y[-n:]) for y, n in zip(found, tenths, strict=True)),
    )


def contrasts(results: Results, selection: Selection) -> list[Contrast]:
    """Every arm against the base, and the main arm against every other, in every measure.

    Measures: pass@k of each group, and the share of goalposts solved in fresh samples. Holm's
    correction is over the contrasts of one measure.
    """
    measures = {
        f"pass@{k} {group}": {
            arm: results.scores_SQ(arm, selection, labels, k) for arm in results.arms
        }
        for group, labels in results.groups().items()
        for k in results.ks()
    }
    measures[GOALPOSTS] = {arm: results.solved_SH(arm, selection) for arm in results.arms}
    rows: list[Contrast] = []
    for measure, scores in measures.items():
        lent = _lent_spreads(results, scores)
        differences = {
            (a, b): difference_over_seeds(scores[a], scores[b], (lent[a], lent[b]))
            for a, b in _pairs(results)
        }
        rows += _corrected(differences, measure)
    return rows


def _pairs(results: Results) -> list[tuple[str, str]]:
    base, main = results.plan.study.base_arm, results.plan.study.main
    arms = results.arms
    pairs = [(base, arm) for arm in arms if base in arms and arm != base]
    if main in arms:
        pairs += [(arm, main) for arm in arms if arm not in (base, main)]
    return [(first, second) for first, second in pairs if first is not None]


def _corrected(differences: Mapping[tuple[str, str], SeedEstimate], measure: str) -> list[Contrast]:
    adjusted = holm({f"{a}\0{b}": d.p_value for (a, b), d in differences.items()})
    return [
        Contrast(
            first=first,
            second=second,
            measure=measure,
            difference=difference,
            adjusted=adjusted[f"{first}\0{second}"],
        )
        for (first, second), difference in differences.items()
    ]
