"""The study's figures, as SVG and PNG (matplotlib, an extra). Equal results give equal files."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gasp_rl.errors import MissingExtraError
from gasp_rl.evals.seeds import mean_over_seeds
from gasp_rl.studies.results import Results
from gasp_rl.studies.series import RunSeries, Series, mean_series
from gasp_rl.studies.study import Selection
from gasp_rl.studies.tables import Contrast

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

KS = (1, 2, 5, 10, 20, 50, 100)
COLOURS = (
    "#555555",
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#e69f00",
    "#56b4e9",
    "#000000",
    "#994f00",
    "#7f7f00",
)
"""Okabe and Ito's palette and three more, in the order of the study's arms."""

Curves = Mapping[str, Sequence[RunSeries]]
"""Arm to the curves of its runs, in the order of its seeds."""


def write_figures(results: Results, contrasts: Sequence[Contrast], folder: Path) -> list[Path]:
    """Write every figure that the results allow; returns the SVG files in the report's order.

    Raises `MissingExtraError` without matplotlib.
    """
    try:
        import matplotlib
    except ImportError:
        raise MissingExtraError("figures", "drawing a study's figures") from None
    selection = results.plan.study.selections[0]
    curves = {arm: [run.series for run in results.of(arm)] for arm in results.arms}
    drawn = {
        "learning": _learning(curves),
        "curriculum": _curriculum(curves),
        "pass-at-k": _pass_at_k(results, selection),
        "differences": _differences(contrasts),
        "dissimilarity": _dissimilarity(curves),
        "goalposts": _goalposts(results, selection),
    }
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    with matplotlib.rc_context({"svg.hashsalt": "gasp", "svg.fonttype": "none"}):
        for name, figure in drawn.items():
            if figure is not None:
                figure.savefig(folder / f"{name}.png", dpi=110, metadata={"Software": None})
                figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
                paths.append(folder / f"{name}.svg")
    return paths


def _learning(curves: Curves) -> "Figure | None":
    """Validation pass@1 and both roles' rewards against student rollouts."""
    return _over_rollouts(
        curves,
        {
            "validation pass@1": lambda run: run.validation,
            "mean reward of proposals": lambda run: run.teacher,
            "pass rate of trained rollouts": lambda run: run.student,
        },
    )


def _curriculum(curves: Curves) -> "Figure | None":
    """Acceptance, depth and drift of what the teacher wrote, against student rollouts."""
    return _over_rollouts(
        curves,
        {
            "accepted proposals": lambda run: run.acceptance,
            "statements of accepted programs": lambda run: run.depth,
            "share of rare families in them": lambda run: run.rare,
        },
    )


def _over_rollouts(
    curves: Curves, wanted: Mapping[str, Callable[[RunSeries], Series]]
) -> "Figure | None":
    """One panel for each curve: mean and range of seeds."""
    panels = {
        title: pick
        for title, pick in wanted.items()
        if any(pick(run).x for runs in curves.values() for run in runs)
    }
    if not panels:
        return None
    figure, axes = _panels(len(panels))
    for ax, (title, pick) in zip(axes, panels.items(), strict=True):
        for number, (arm, runs) in enumerate(curves.items()):
            grid, values = mean_series([pick(run) for run in runs])
            if len(grid):
                _band(ax, grid, values, arm, COLOURS[number % len(COLOURS)])
        ax.set_title(title)
        ax.set_xlabel("student rollouts")
    _legend(figure, axes)
    return figure


def _dissimilarity(curves: Curves) -> "Figure | None":
    """D(B_t, M_{t-1}) over steps."""
    if not any(run.dissimilarity.x for runs in curves.values() for run in runs):
        return None
    figure, axes = _panels(1)
    for number, (arm, runs) in enumerate(curves.items()):
        grid, values = mean_series([run.dissimilarity for run in runs])
        if len(grid):
            _band(axes[0], grid, values, arm, COLOURS[number % len(COLOURS)])
    axes[0].set_title("dissimilarity of accepted tasks to those before")
    axes[0].set_xlabel("step")
    _legend(figure, axes)
    return figure


def _pass_at_k(results: Results, selection: Selection) -> "Figure | None":
    """pass@k of each group of questions, with 95% intervals over seeds and questions."""
    groups = results.groups()
    if not groups:
        return None
    figure, axes = _panels(len(groups))
    ks = [k for k in KS if k <= results.samples()]
    for ax, (group, labels) in zip(axes, groups.items(), strict=True):
        for number, arm in enumerate(results.arms):
            found = [mean_over_seeds(results.scores_SQ(arm, selection, labels, k)) for k in ks]
            colour = COLOURS[number % len(COLOURS)]
            ax.plot(ks, [e.value for e in found], color=colour, label=arm, marker=".")
            low, high = [e.low for e in found], [e.high for e in found]
            ax.fill_between(ks, np.clip(low, 0, 1), np.clip(high, 0, 1), color=colour, alpha=0.12)
        ax.set_xscale("log")
        ax.set_xticks(ks, [str(k) for k in ks])
        ax.minorticks_off()
        ax.set_title(f"pass@k, {group}")
        ax.set_xlabel("k")
        ax.set_ylim(bottom=0)
    _legend(figure, axes)
    return figure


def _differences(contrasts: Sequence[Contrast]) -> "Figure | None":
    """Every paired difference with its interval, one panel for each pair of arms."""
    pairs = list(dict.fromkeys((c.first, c.second) for c in contrasts))
    if not pairs:
        return None
    measures = list(dict.fromkeys(c.measure for c in contrasts))
    figure, axes = _panels(len(pairs), height=1.2 + 0.22 * len(measures))
    for ax, pair in zip(axes, pairs, strict=True):
        own = [c for c in contrasts if (c.first, c.second) == pair]
        for row, contrast in enumerate(own):
            d = contrast.difference
            colour = {"better": "#009e73", "worse": "#d55e00"}.get(d.verdict, "#777777")
            ax.plot([d.low, d.high], [row, row], color=colour)
            ax.plot(d.value, row, "o", color=colour, markersize=4)
        ax.axvline(0, color="#999999", linewidth=0.8)
        ax.set_yticks(range(len(own)), [c.measure for c in own])
        ax.invert_yaxis()
        ax.set_title(f"{pair[1]} - {pair[0]}")
    return figure


def _goalposts(results: Results, selection: Selection) -> "Figure | None":
    """Checkpoint x goalpost for each arm: trials of each seed from top to bottom, and under them
    its fresh samples. Columns are the goalposts that any arm solved anywhere."""
    rows: dict[str, list[np.ndarray]] = {}
    for arm in results.arms:
        for run in results.of(arm):
            fresh = np.array(run.of(selection).goalposts)
            trials = run.series.trials.values()
            rows.setdefault(arm, []).extend(np.array(right) > 0 for right in trials)
            rows[arm].append(2 * (fresh > 0))
    if not rows:
        return None
    solved = np.any([row > 0 for arm in rows.values() for row in arm], axis=0)
    if not solved.any():
        return None
    figure, axes = _panels(len(rows), height=1.5 + 0.05 * max(len(r) for r in rows.values()))
    from matplotlib.colors import ListedColormap

    colours = ListedColormap(["#f2f2f2", "#56b4e9", "#d55e00"])
    for ax, (arm, found) in zip(axes, rows.items(), strict=True):
        grid = np.array(found)[:, solved]
        ax.imshow(grid, aspect="auto", interpolation="nearest", cmap=colours, vmin=0, vmax=2)
        ax.set_title(f"{arm}: trials, and (orange) fresh samples")
        ax.set_xlabel("goalposts solved by any arm")
        ax.set_yticks([])
    return figure


def _panels(count: int, height: float = 3.0) -> tuple["Figure", "Sequence[Axes]"]:
    """Up to three panels in a row, without pyplot and its global state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(3, count)
    lines = -(-count // columns)
    figure = Figure(figsize=(4.2 * columns, height * lines), layout="constrained")
    FigureCanvasAgg(figure)
    axes = [figure.add_subplot(lines, columns, number + 1) for number in range(count)]
    return figure, axes


def _band(ax: "Axes", grid: np.ndarray, values: np.ndarray, label: str, colour: str) -> None:
    ax.plot(grid, values.mean(axis=0), color=colour, label=label)
    ax.fill_between(grid, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.15)


def _legend(figure: "Figure", axes: "Sequence[Axes]") -> None:
    """One legend for all panels, since their arms have the same colours."""
    known: dict[str, Artist] = {}
    for ax in axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            known.setdefault(label, handle)
    if known:
        figure.legend(list(known.values()), list(known), loc="outside lower center", ncols=5)
