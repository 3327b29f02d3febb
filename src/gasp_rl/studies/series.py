"""Curves of runs over their cost: learning, acceptance, depth, and how new each step's tasks were."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from gasp_rl.curriculum.novelty import HashEmbedder, NoveltyIndex
from gasp_rl.methods.budget import Spent
from gasp_rl.store.reader import RunReader
from gasp_rl.store.views import StepSummary
from gasp_rl.types import Metrics, Stage

TRIAL = "trained"
"""Policy name of the trials during training."""


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
    depth:         mean size of the accepted programs of each step, in statements.
    dissimilarity: D(B_t, M_{t-1}) over steps, by the hash embedder whatever the run's own is, so
                   that arms with and without a novelty filter can be compared.
    trials:        step to right samples of each goalpost, the goalposts in the reader's order.
    """

    validation: Series
    acceptance: Series
    depth: Series
    dissimilarity: Series
    trials: dict[int, tuple[int, ...]]


def read_series(reader: RunReader, goalposts: Sequence[str]) -> RunSeries:
    """The curves of one run. goalposts: ids that `trials` lists, in this order."""
    steps = reader.steps()
    return RunSeries(
        validation=_over_cost(steps, lambda m: m.get("eval/validation/pass@1"), before=True),
        acceptance=_over_cost(steps, _acceptance),
        depth=_over_cost(steps, _depth),
        dissimilarity=_dissimilarity(reader),
        trials=_trials(reader, goalposts),
    )


def mean_series(curves: Sequence[Series], points: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Curves of several seeds on one grid: x [points], and y [seeds, points] by interpolation.

    The grid ends where the shortest curve does, so that every point is a mean over all seeds.
    """
    curves = [curve for curve in curves if curve.x]
    if not curves:
        return np.zeros(0), np.zeros((0, 0))
    first, last = max(c.x[0] for c in curves), min(c.x[-1] for c in curves)
    grid = np.linspace(first, max(first, last), points)
    return grid, np.array([np.interp(grid, c.x, c.y) for c in curves])


def _over_cost(
    steps: Sequence[StepSummary],
    value: Callable[[Metrics], float | None],
    before: bool = False,
) -> Series:
    """y of each step that has one; x counts rollouts before or after that step."""
    spent, xs, ys = Spent(), [], []
    for step in steps:
        after = spent.after(step.seconds, step.metrics)
        y = value(step.metrics)
        if y is not None:
            xs.append(float((spent if before else after).student_rollouts))
            ys.append(float(y))
        spent = after
    return Series(tuple(xs), tuple(ys))


def _acceptance(metrics: Metrics) -> float | None:
    written = metrics.get("propose/written")
    return metrics["propose/accepted"] / written if written else None


def _depth(metrics: Metrics) -> float | None:
    sizes = [metrics[f"{stage}/size"] for stage in Stage if f"{stage}/size" in metrics]
    return sum(sizes) / len(sizes) if sizes else None


def _dissimilarity(reader: RunReader) -> Series:
    index = NoveltyIndex(HashEmbedder())
    xs, ys = [], []
    for step, nodes in groupby(reader.accepted(), key=lambda node: node.summary.step):
        batch = list(nodes)
        vectors = index.vectors([(node.message, node.program) for node in batch])
        if index.ids:
            xs.append(float(step))
            ys.append(index.mean_dissimilarity(vectors))
        for node, vector in zip(batch, vectors, strict=True):
            index.add(node.summary.id, vector)
    return Series(tuple(xs), tuple(ys))


def _trials(reader: RunReader, goalposts: Sequence[str]) -> dict[int, tuple[int, ...]]:
    right: dict[int, dict[str, int]] = {}
    for attempt in reader.goalpost_attempts():
        if attempt.policy == TRIAL:
            right.setdefault(attempt.step, {})[attempt.goalpost] = attempt.correct
    return {
        step: tuple(found.get(goalpost, 0) for goalpost in goalposts)
        for step, found in sorted(right.items())
    }
