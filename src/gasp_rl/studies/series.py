"""Curves of runs over their cost: learning, rewards, acceptance, drift, and how new tasks were."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import fmean

import numpy as np

from gasp_rl.curriculum.novelty import HashEmbedder, NoveltyIndex
from gasp_rl.methods.budget import Spent
from gasp_rl.miniature.world import rare_share
from gasp_rl.store.reader import RunReader
from gasp_rl.store.records import TRAINED
from gasp_rl.store.views import StepSummary
from gasp_rl.types import Stage, TaskKind

Text = tuple[str, str]
"""Message and program of an accepted task."""


@dataclass(frozen=True, slots=True)
class Series:
    """One run's curve: x in student rollouts (or steps, where said), y."""

    x: tuple[float, ...]
    y: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSeries:
    """Curves of one run.

    validation:    pass@1 on validation questions at each trial, before that step's updates.
    acceptance:    accepted among written proposals of each step.
    depth:         mean size of the accepted programs of each step, in statements; the mean over stages
                   of each stage's mean.
    rare:          share of the steps of each step's accepted programs that are of a family which
                   is rare in the base's corpus; empty outside the miniature.
    teacher, student: mean reward of the step's proposals, mean pass rate of its student rollouts
                   that were trained on; means over stages and over kinds of each one's mean, so that
                   a kind with many rollouts does not hide the others.
    dissimilarity: D(B_t, M_{t-1}) over steps, by the hash embedder whatever the run's own is, so
                   that arms with and without a novelty filter can be compared.
    trials:        step to right samples of each goalpost, the goalposts in the reader's order.
    """

    validation: Series
    acceptance: Series
    depth: Series
    rare: Series
    teacher: Series
    student: Series
    dissimilarity: Series
    trials: dict[int, tuple[int, ...]]


def read_series(reader: RunReader, goalposts: Sequence[str]) -> RunSeries:
    """The curves of one run. goalposts: ids that `trials` lists, in this order."""
    steps = reader.steps()
    accepted = {
        step: [(node.message, node.program) for node in nodes]
        for step, nodes in groupby(reader.accepted(), key=lambda node: node.summary.step)
    }
    return RunSeries(
        validation=_over_cost(steps, lambda s: s.metrics.get("eval/validation/pass@1"), True),
        acceptance=_over_cost(steps, _acceptance),
        depth=_over_cost(steps, lambda s: _mean_of(s, [f"{stage}/size" for stage in Stage])),
        rare=_over_cost(steps, lambda s: _rare_share(accepted.get(s.step, []))),
        teacher=_over_cost(
            steps, lambda s: _mean_of(s, [f"teacher/reward/{stage}" for stage in Stage])
        ),
        student=_over_cost(
            steps, lambda s: _mean_of(s, [f"student/correct/{kind}" for kind in TaskKind])
        ),
        dissimilarity=_dissimilarity(accepted),
        trials=_trials(reader, goalposts),
    )


def mean_series(curves: Sequence[Series], points: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Curves of several seeds on one grid: x [points], and y [seeds, points].

    y is the mean of a curve around the grid's point, and between its values where it has none
    there. The grid ends where the shortest curve does, so that every point has all seeds.
    """
    curves = [curve for curve in curves if curve.x]
    if not curves:
        return np.zeros(0), np.zeros((0, 0))
    first, last = max(c.x[0] for c in curves), min(c.x[-1] for c in curves)
    grid = np.linspace(first, max(first, last), points)
    return grid, np.array([_on_grid(curve, grid) for curve in curves])


def _on_grid(curve: Series, grid: np.ndarray) -> np.ndarray:
    half = (grid[1] - grid[0]) / 2 if len(grid) > 1 else 0.0
    low, high = (
        np.searchsorted(curve.x, grid - half),
        np.searchsorted(curve.x, grid + half, "right"),
    )
    sums, count = np.concatenate([[0.0], np.cumsum(curve.y)]), high - low
    between = np.interp(grid, curve.x, curve.y)
    around: np.ndarray = (sums[high] - sums[low]) / np.maximum(count, 1)
    return np.where(count > 0, around, between)


def _over_cost(
    steps: Sequence[StepSummary],
    value: Callable[[StepSummary], float | None],
    before: bool = False,
) -> Series:
    """y of each step that has one; x counts rollouts before or after that step."""
    spent, xs, ys = Spent(), [], []
    for step in steps:
        after = spent.after(step.seconds, step.metrics)
        y = value(step)
        if y is not None and math.isfinite(y):
            xs.append(float((spent if before else after).student_rollouts))
            ys.append(round(float(y), 5))
        spent = after
    return Series(tuple(xs), tuple(ys))


def _acceptance(step: StepSummary) -> float | None:
    written = step.metrics.get("propose/written")
    return step.metrics["propose/accepted"] / written if written else None


def _mean_of(step: StepSummary, names: Sequence[str]) -> float | None:
    """Mean of those of the metrics that the step has; a stage without proposals has none."""
    values = [step.metrics[name] for name in names if name in step.metrics]
    values = [value for value in values if math.isfinite(value)]
    return fmean(values) if values else None


def _rare_share(accepted: Sequence[Text]) -> float | None:
    shares = [share for _, program in accepted if (share := rare_share(program)) is not None]
    return fmean(shares) if shares else None


def _dissimilarity(accepted: Mapping[int, Sequence[Text]]) -> Series:
    index = NoveltyIndex(HashEmbedder())
    xs, ys = [], []
    for step, batch in accepted.items():
        vectors = index.vectors(batch)
        if index.ids:
            xs.append(float(step))
            ys.append(round(index.mean_dissimilarity(vectors), 5))
        for number, vector in enumerate(vectors):
            index.add(f"{step}.{number}", vector)
    return Series(tuple(xs), tuple(ys))


def _trials(reader: RunReader, goalposts: Sequence[str]) -> dict[int, tuple[int, ...]]:
    right: dict[int, dict[str, int]] = {}
    for attempt in reader.goalpost_attempts():
        if attempt.policy == TRAINED:
            right.setdefault(attempt.step, {})[attempt.goalpost] = attempt.correct
    return {
        step: tuple(found.get(goalpost, 0) for goalpost in goalposts)
        for step, found in sorted(right.items())
    }
