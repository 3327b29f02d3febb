"""report.md, report.json and figures of a study, complete or not yet."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gasp_rl.errors import MissingExtraError
from gasp_rl.evals.seeds import ENOUGH_SEEDS
from gasp_rl.studies.figures import write_figures
from gasp_rl.studies.paper import PAPER
from gasp_rl.studies.results import Results, gather
from gasp_rl.studies.schedule import states
from gasp_rl.studies.study import Plan, Selection
from gasp_rl.studies.tables import (
    VERDICTS,
    ArmRow,
    Contrast,
    DriftRow,
    FunnelShares,
    SplitRow,
    arm_rows,
    contrasts,
    drift_rows,
    funnel_rows,
    split_rows,
)

MOST_NAMED = 8
"""Missing runs that the head of a report names one by one."""

Tables = dict[Selection, tuple[list[ArmRow], list[Contrast]]]


def write_study_report(plan: Plan, folder: Path, to: Path | None = None) -> list[Path]:
    """Write the report of what is measured so far; returns the files.

    to: where to write it, the study's folder when none is given.
    Without matplotlib there are no figures, and the report says how to get them.
    """
    to = to or folder
    results = gather(plan, folder)
    tables: Tables = {
        s: (arm_rows(results, s), contrasts(results, s)) for s in plan.study.selections
    }
    figures: list[Path] = []
    missing = ""
    if results.runs:
        try:
            differences = tables[plan.study.selections[0]][1]
            figures = write_figures(results, differences, to / "figures")
        except MissingExtraError as error:
            missing = f"No figures: {error}"
    parts = [*_head(plan, folder), *_body(results, tables)]
    parts += [f"![{path.stem}](figures/{path.name})" for path in figures]
    parts += [part for part in (missing, _paper_table(results)) if part]
    files = {
        to / "report.md": "\n\n".join(parts) + "\n",
        to / "report.json": json.dumps(_json(results, tables), indent=1) + "\n",
    }
    to.mkdir(parents=True, exist_ok=True)
    for path, text in files.items():
        path.write_text(text, encoding="utf-8")
    return [*files, *figures]


def _head(plan: Plan, folder: Path) -> list[str]:
    study, found = plan.study, states(plan, folder)
    budget = {k: v for k, v in study.budget.model_dump().items() if v is not None}
    limits = ", ".join(f"{v:,} {k.replace('_', ' ')}" for k, v in budget.items())
    missing = [f"{s.run.name} ({s.stage})" for s in found if s.stage != "done"]
    parts = [
        f"# Study {study.name}",
        study.about,
        f"Seeds {', '.join(map(str, study.seeds))}. Budget of each run: {limits or 'its steps'}.",
    ]
    if missing:
        done = f"{len(found) - len(missing)} of {len(found)} runs are measured"
        named = f", without {', '.join(missing)}" if len(missing) <= MOST_NAMED else ""
        parts.append(f"**Not complete**: {done}{named}.")
    return [part for part in parts if part]


def _few_seeds(results: Results) -> str:
    """Where an interval has to take the spread of seeds from other arms, or has none."""
    seeds = {
        arm.name: len(results.of(arm.name))
        for arm in results.plan.study.arms
        if arm.train and arm.name in results.arms
    }
    few = [arm for arm, count in seeds.items() if count < ENOUGH_SEEDS]
    if not few:
        return ""
    if all(count == 1 for count in seeds.values()):
        return (
            "**One seed alone of every trained arm**: intervals and p cover the questions, not the "
            "spread of seeds, which is as wide as that of arms. Orientation, no result."
        )
    return (
        f"**Too few seeds of {', '.join(few)}** to tell how far seeds spread: their intervals take "
        "the spread within all trained arms together."
    )


def _body(results: Results, tables: Tables) -> list[str]:
    if not results.runs:
        return ["No run is measured yet."]
    parts = []
    chosen = len(results.unvalidated) < len(results.arms)
    for selection, (rows, differences) in list(tables.items())[: None if chosen else 1]:
        parts += [f"## {_TITLES[selection if chosen else 'last']}", _how(results, rows)]
        parts += [warning] if (warning := _few_seeds(results)) else []
        if groups := list(results.groups()):
            heads = ["arm", *(f"pass@{k} {group}" for group in groups for k in results.ks())]
            cells = [
                [row.arm, *(_mean_cell(row, (g, k)) for g in groups for k in results.ks())]
                for row in rows
            ]
            parts.append(_table(heads, cells))
        heads = ["arm", "seeds", "goalposts solved by each", "union"]
        heads += ["in trials", "union", "in two trials running"]
        heads += ["checkpoint", "temperature", "student rollouts", "tokens", "hours"]
        parts.append(_table(heads, [_cost_cells(row) for row in rows]))
        k = results.ks()[-1]
        if splits := split_rows(results, selection, k):
            parts += [f"### pass@{k}, split by what a statement leaves open", _split_table(splits)]
        if differences:
            parts += ["### Paired differences", _difference_table(differences)]
    if funnels := funnel_rows(results):
        parts += ["## What became of proposals", _FUNNEL, _funnel_table(funnels)]
    if drift := drift_rows(results):
        parts += ["## What was accepted", _DRIFT, _drift_table(drift)]
    return parts


_TITLES: dict[Selection, str] = {
    "pass@20": "Checkpoint with the best validation pass@20",
    "pass@1": "Checkpoint with the best validation pass@1",
    "last": "Last checkpoint",
}


def _how(results: Results, rows: Sequence[ArmRow]) -> str:
    """What a selection's tables show. A choice that nothing was there to make is not claimed."""
    samples, unvalidated = results.samples(), results.unvalidated
    what = "Test questions and goalposts" if results.labels else "Goalposts"
    parts = [f"{what}, {samples} samples of each, every policy at its best validation temperature."]
    if unvalidated:
        used = {t for row in rows if row.arm in unvalidated for t in row.temperatures}
        of = "" if len(unvalidated) == len(results.arms) else f" of {', '.join(unvalidated)}"
        parts = parts if of else [f"{what}, {samples} samples of each."]
        parts.append(
            f"**No validation questions{of}**: nothing was chosen, shown is the last checkpoint at "
            f"temperature {', '.join(map(str, sorted(used)))}, the first of `eval.temperatures`."
        )
    if not results.labels:
        parts.append("There were no test questions (`data.test`).")
    return " ".join([*parts, _COLUMNS])


_COLUMNS = (
    "Mean and standard deviation over seeds. Goalposts: solved in fresh samples of the shown "
    "checkpoint, by each seed and by any; in trials: solved at any trial during training, and at two in "
    "a row. Costs are means over seeds, evaluations not counted."
)


_FUNNEL = (
    "Percent of the proposals of each stage that fell for each reason, in the order of the checks, "
    "and that were accepted; means over seeds."
)

_DRIFT = (
    "First and last tenth of each run, means over seeds: accepted among written proposals, "
    "statements of accepted programs (of each step the mean over stages), the share of their steps "
    "that are of families rare in the base's corpus and common in the goalposts, and the dissimilarity "
    "of a step's accepted tasks to those before."
)


def _mean_cell(row: ArmRow, column: tuple[str, int]) -> str:
    """As the paper writes it: mean, and where there are several seeds their standard deviation."""
    mean, deviation = row.scores[column].value, row.deviations[column]
    return f"{mean:.3f}" if deviation is None else f"{mean:.3f} +- {deviation:.3f}"


def _split_table(rows: Sequence[SplitRow]) -> str:
    labels = list(dict.fromkeys(label for row in rows for label in row.scores))
    cells = [
        [
            row.tag or "none",
            row.arm,
            *(f"{row.scores[la]:.3f}" if la in row.scores else "" for la in labels),
        ]
        for row in rows
    ]
    return _table(["questions", "arm", *labels], cells)


def _funnel_table(rows: Sequence[FunnelShares]) -> str:
    verdicts = [v for v in VERDICTS if any(v in row.shares for row in rows)]
    cells = [
        [
            row.arm,
            row.stage,
            f"{row.written:,.0f}",
            *(f"{100 * row.shares.get(v, 0.0):.1f}" for v in verdicts),
        ]
        for row in rows
    ]
    return _table(["arm", "stage", "written", *verdicts], cells)


def _drift_table(rows: Sequence[DriftRow]) -> str:
    heads = ["arm", "accepted", "statements", "rare families", "dissimilarity"]
    cells = [
        [row.arm, *map(_change, (row.acceptance, row.depth, row.rare, row.dissimilarity))]
        for row in rows
    ]
    return _table(heads, cells)


def _change(ends: tuple[float | None, float | None]) -> str:
    first, last = ends
    return "" if first is None or last is None else f"{first:.2f} -> {last:.2f}"


def _cost_cells(row: ArmRow) -> list[str]:
    return [
        row.arm,
        " ".join(map(str, row.seeds)),
        "/".join(map(str, row.solved)),
        str(row.union),
        "/".join(map(str, row.reached)),
        str(row.reached_union),
        "/".join(map(str, row.kept)),
        "/".join(map(str, row.steps)),
        "/".join(map(str, row.temperatures)),
        f"{row.student_rollouts:,.0f}",
        f"{row.generated_tokens:,.0f}",
        f"{row.hours:.2f}",
    ]


def _difference_table(differences: Sequence[Contrast]) -> str:
    rows = []
    for contrast in differences:
        d = contrast.difference
        rows.append(
            [
                f"{contrast.second} - {contrast.first}",
                contrast.measure,
                f"{d.value:+.3f} [{d.low:+.3f}, {d.high:+.3f}]",
                f"{contrast.adjusted:.3f}",
                d.verdict,
            ]
        )
    return _table(["arms", "measure", "difference, 95%", "p (Holm)", "says"], rows)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _paper_table(results: Results) -> str:
    """The same systems in the paper, None of them when the study has other ones."""
    rows = [
        [arm, p.by_pass_1, p.by_pass_20, p.goalposts, p.union, p.greedy]
        for arm in results.arms
        if (p := PAPER.get(arm))
    ]
    if not rows:
        return ""
    heads = ["arm", "pass@1 / pass@20, chosen by pass@1", "chosen by pass@20"]
    heads += ["goalposts for each seed", "union", "greedy pass@1 LCB v5 / HumanEval+ / MBPP+"]
    return (
        "## The same systems in the paper\n\nLiveCodeBench v5 with Qwen2.5-Coder-7B, 146 goalposts "
        "(arXiv 2603.15957), percent, mean +- standard deviation of three seeds: another model and "
        "other questions, so that directions can be compared and figures cannot.\n\n"
        + _table(heads, rows)
    )


def _json(results: Results, tables: Tables) -> dict[str, Any]:
    return {
        "study": results.plan.study.model_dump(mode="json"),
        "samples": results.samples(),
        "unvalidated": results.unvalidated,
        "selections": {
            selection: {
                "arms": [
                    {
                        **{k: v for k, v in asdict(row).items() if k != "deviations"},
                        "scores": [
                            {
                                "group": group,
                                "k": k,
                                "deviation": row.deviations[group, k],
                                **asdict(estimate),
                            }
                            for (group, k), estimate in row.scores.items()
                        ],
                    }
                    for row in rows
                ],
                "contrasts": [asdict(contrast) for contrast in differences],
            }
            for selection, (rows, differences) in tables.items()
        },
        "funnel": [asdict(row) for row in funnel_rows(results)],
        "drift": [asdict(row) for row in drift_rows(results)],
        "curves": {arm: [asdict(r.series) for r in results.of(arm)] for arm in results.arms},
    }
