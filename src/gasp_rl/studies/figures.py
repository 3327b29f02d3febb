"""The study's figures, as SVG and PNG (matplotlib, an extra). Equal results give equal files."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gasp_rl.errors import MissingExtraError
from gasp_rl.studies.results import Results
from gasp_rl.studies.series import RunSeries, Series, mean_series
from gasp_rl.studies.study import Selection
from gasp_rl.studies.tables import GOALPOSTS, Contrast, means

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.ticker import Locator

KS = (1, 2, 5, 10, 20, 50, 100)
TOGETHER = 4
"""Arms that share a figure with the base and the main arm; more could not be told apart."""
BASE_COLOUR, MAIN_COLOUR = "#555555", "#d55e00"
COLOURS = ("#0072b2", "#009e73", "#cc79a7", "#e69f00")
"""Okabe and Ito's palette: the other arms of a figure."""
BETTER, WORSE, NEITHER = "#009e73", "#d55e00", "#777777"

STYLE = {
    "svg.hashsalt": "gasp",
    "svg.fonttype": "none",
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#888888",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e8e8e8",
    "xtick.color": "#444444",
    "ytick.color": "#444444",
    "legend.frameon": False,
    "lines.linewidth": 1.6,
}

Curves = Mapping[str, Sequence[RunSeries]]
"""Arm to the curves of its runs, in the order of its seeds."""

Palette = Mapping[str, str]
"""Arms of one figure to their colours."""


def write_figures(results: Results, contrasts: Sequence[Contrast], folder: Path) -> list[Path]:
    """Write every figure that the results allow; returns the SVG files in the report's order.

    Raises `MissingExtraError` without matplotlib.
    """
    try:
        import matplotlib
    except ImportError:
        raise MissingExtraError("figures", "drawing a study's figures") from None
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    with matplotlib.rc_context(STYLE):
        for name, figure in _drawn(results, contrasts):
            if figure is not None:
                figure.savefig(folder / f"{name}.png", dpi=110, metadata={"Software": None})
                figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
                paths.append(folder / f"{name}.svg")
    return paths


def _drawn(
    results: Results, contrasts: Sequence[Contrast]
) -> Iterator[tuple[str, "Figure | None"]]:
    selection = results.plan.study.selections[0]
    curves = {arm: [run.series for run in results.of(arm)] for arm in results.arms}
    yield "differences", _differences(results, contrasts)
    for number, palette in enumerate(_palettes(results), 1):
        suffix = "" if number == 1 else f"-{number}"
        yield f"pass-at-k{suffix}", _pass_at_k(results, selection, palette)
        yield f"learning{suffix}", _learning(curves, palette)
        yield f"curriculum{suffix}", _curriculum(curves, palette)
        yield f"dissimilarity{suffix}", _dissimilarity(curves, palette)
    yield "goalposts", _goalposts(results, selection)


def _palettes(results: Results) -> list[Palette]:
    """A few arms at a time, each time beside the base and the main arm."""
    fixed = {results.plan.study.base_arm: BASE_COLOUR, results.plan.study.main: MAIN_COLOUR}
    shared = {arm: fixed[arm] for arm in results.arms if arm in fixed}
    others = [arm for arm in results.arms if arm not in fixed]
    starts = range(0, max(1, len(others)), TOGETHER)
    return [
        {**shared, **dict(zip(others[start : start + TOGETHER], COLOURS, strict=False))}
        for start in starts
    ]


def _learning(curves: Curves, palette: Palette) -> "Figure | None":
    """Validation pass@1 and both roles' rewards against student rollouts."""
    return _over_rollouts(
        curves,
        palette,
        {
            "validation pass@1": lambda run: run.validation,
            "reward of proposals, mean over stages": lambda run: run.teacher,
            "pass rate of trained rollouts, mean over kinds": lambda run: run.student,
        },
    )


def _curriculum(curves: Curves, palette: Palette) -> "Figure | None":
    """Acceptance, depth and drift of what the teacher wrote, against student rollouts."""
    return _over_rollouts(
        curves,
        palette,
        {
            "accepted share of proposals": lambda run: run.acceptance,
            "statements in an accepted program, mean over stages": lambda run: run.depth,
            "share of rare families in them": lambda run: run.rare,
        },
    )


def _over_rollouts(
    curves: Curves, palette: Palette, wanted: Mapping[str, Callable[[RunSeries], Series]]
) -> "Figure | None":
    """One panel for each curve: mean and range of seeds."""
    panels = {
        title: pick
        for title, pick in wanted.items()
        if any(pick(run).x for arm in palette for run in curves[arm])
    }
    if not panels:
        return None
    figure, axes = _panels(len(panels))
    for ax, (title, pick) in zip(axes, panels.items(), strict=True):
        for arm, colour in palette.items():
            _band(ax, [pick(run) for run in curves[arm]], arm, colour)
        ax.set_title(title)
        ax.set_xlabel("student rollouts")
        ax.xaxis.set_major_locator(_few_ticks())
        ax.xaxis.set_major_formatter(_thousands)
    _legend(figure, axes)
    return figure


def _dissimilarity(curves: Curves, palette: Palette) -> "Figure | None":
    """D(B_t, M_{t-1}) over steps."""
    if not any(run.dissimilarity.x for arm in palette for run in curves[arm]):
        return None
    figure, axes = _panels(1)
    for arm, colour in palette.items():
        _band(axes[0], [run.dissimilarity for run in curves[arm]], arm, colour)
    axes[0].set_title("dissimilarity of accepted tasks to those before")
    axes[0].set_xlabel("step")
    _legend(figure, axes, columns=3)
    return figure


def _pass_at_k(results: Results, selection: Selection, palette: Palette) -> "Figure | None":
    """pass@k of each group of questions, with 95% intervals over seeds and questions."""
    groups = results.groups()
    if not groups:
        return None
    figure, axes = _panels(len(groups))
    ks = [k for k in KS if k <= results.samples()]
    for ax, (group, labels) in zip(axes, groups.items(), strict=True):
        found = [means(results, selection, labels, k) for k in ks]
        for arm, colour in palette.items():
            own = [of_arms[arm] for of_arms in found]
            low, high = ([getattr(e, end) for e in own] for end in ("low", "high"))
            ax.plot(ks, [e.value for e in own], color=colour, label=arm, marker=".")
            ax.fill_between(
                ks, np.clip(low, 0, 1), np.clip(high, 0, 1), color=colour, alpha=0.12, linewidth=0
            )
        ax.set_xscale("log")
        ax.set_xticks(ks, [str(k) for k in ks])
        ax.minorticks_off()
        ax.set_title(f"pass@k, {group}")
        ax.set_xlabel("k")
        ax.set_ylim(bottom=0)
    _legend(figure, axes)
    return figure


def _differences(results: Results, contrasts: Sequence[Contrast]) -> "Figure | None":
    """The main arm minus every other, one panel for each measure, with 95% intervals.

    Of pass@k the largest k alone; the report's table has the other ones.
    """
    main, k = results.plan.study.main, max(results.ks(), default=1)
    against = [c for c in contrasts if main in (c.first, c.second)]
    shown = [c for c in against if c.measure.startswith(f"pass@{k} ") or c.measure == GOALPOSTS]
    measures = list(dict.fromkeys(c.measure for c in shown))
    if not measures:
        return None
    arms = list(dict.fromkeys(c.first for c in shown if c.second == main))
    figure, axes = _panels(len(measures), height=1.0 + 0.22 * len(arms))
    for ax, measure in zip(axes, measures, strict=True):
        rows = {c.first: c.difference for c in shown if (c.measure, c.second) == (measure, main)}
        for row, arm in enumerate(arms):
            d = rows[arm]
            colour = {"better": BETTER, "worse": WORSE}.get(d.verdict, NEITHER)
            ax.plot([d.low, d.high], [row, row], color=colour)
            ax.plot(d.value, row, "o", color=colour, markersize=4)
        ax.axvline(0, color="#555555", linewidth=0.8)
        ax.set_yticks(range(len(arms)), arms)
        ax.set_ylim(len(arms) - 0.5, -0.5)
        ax.xaxis.set_major_locator(_few_ticks())
        ax.set_title(f"{measure}: {main} minus")
    return figure


def _goalposts(results: Results, selection: Selection) -> "Figure | None":
    """Checkpoint x goalpost for each arm. Columns are the goalposts that any arm solved anywhere;
    of each seed, its trials from top to bottom and under them its fresh samples."""
    rows: dict[str, list[np.ndarray]] = {}
    for arm in results.arms:
        for run in results.of(arm):
            trials = [np.array(right) > 0 for right in run.series.trials.values()]
            fresh = np.array(run.of(selection).goalposts) > 0
            rows.setdefault(arm, []).append(np.array([*trials, 2 * fresh], dtype=int))
    if not rows:
        return None
    solved = np.any([(grid > 0).any(axis=0) for grids in rows.values() for grid in grids], axis=0)
    rows = {arm: grids for arm, grids in rows.items() if any((g > 0).any() for g in grids)}
    if not rows:
        return None
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    tallest = max(sum(len(grid) for grid in grids) for grids in rows.values())
    figure, axes = _panels(len(rows), height=0.9 + 0.045 * tallest)
    colours = ListedColormap(["#f2f2f2", "#56b4e9", "#d55e00"])
    for ax, (arm, grids) in zip(axes, rows.items(), strict=True):
        grid = np.concatenate(grids)[:, solved]
        ax.imshow(grid, aspect="auto", interpolation="nearest", cmap=colours, vmin=0, vmax=2)
        ends = np.cumsum([len(g) for g in grids])
        for end in ends[:-1]:
            ax.axhline(end - 0.5, color="white", linewidth=2)
        centres = [end - len(g) / 2 - 0.5 for end, g in zip(ends, grids, strict=True)]
        ax.set_yticks(centres, [f"seed {run.seed}" for run in results.of(arm)])
        ax.grid(visible=False)
        ax.set_title(arm)
        ax.set_xlabel("goalpost")
        ax.xaxis.set_major_locator(_few_ticks())
    patches = [
        Patch(color="#56b4e9", label="solved in a trial while training (early on top)"),
        Patch(color="#d55e00", label="solved in fresh samples of the chosen checkpoint"),
    ]
    figure.legend(handles=patches, loc="outside lower center", ncols=2)
    return figure


def _panels(count: int, height: float = 2.6) -> tuple["Figure", "Sequence[Axes]"]:
    """Up to three panels in a row, without pyplot and its global state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(3, count)
    lines = -(-count // columns)
    width = 3.6 * columns if columns > 1 else 5.0
    figure = Figure(figsize=(width, height * lines + 0.3), layout="constrained")
    FigureCanvasAgg(figure)
    axes = [figure.add_subplot(lines, columns, number + 1) for number in range(count)]
    return figure, axes


def _band(ax: "Axes", curves: Sequence[Series], label: str, colour: str) -> None:
    """Mean and range of an arm's seeds."""
    grid, values = mean_series(curves)
    if len(grid):
        low, high = values.min(axis=0), values.max(axis=0)
        ax.plot(grid, values.mean(axis=0), color=colour, label=label)
        ax.fill_between(grid, low, high, color=colour, alpha=0.15, linewidth=0)


def _few_ticks() -> "Locator":
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(5)


def _thousands(value: float, _: float) -> str:
    return f"{value / 1000:g}k" if value else "0"


def _legend(figure: "Figure", axes: "Sequence[Axes]", columns: int = 6) -> None:
    """One legend for all panels, since their arms have the same colours."""
    known: dict[str, Artist] = {}
    for ax in axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            known.setdefault(label, handle)
    if known:
        figure.legend(list(known.values()), list(known), loc="outside lower center", ncols=columns)
