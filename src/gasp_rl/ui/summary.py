"""A run's facts without its texts: what report.json holds and report.md says."""

import re
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from gasp_rl.evals.passk import pass_at_k
from gasp_rl.store.names import HEADLINE
from gasp_rl.store.reader import RunReader
from gasp_rl.store.records import EvalRecord
from gasp_rl.store.views import StepSummary
from gasp_rl.types import PassRate, Rejection, Stage
from gasp_rl.ui import api
from gasp_rl.ui.compare import question_tags
from gasp_rl.ui.safe import one_line
from gasp_rl.ui.status import status

COUNTED_K = (1, 20)
"""pass@k that the counts of any evaluation give, where it has as many samples."""

_HEADS = {Stage.LEMMA: "lemmas", Stage.LIFT: "lifts"}


def run_summary(reader: RunReader) -> dict[str, Any]:
    """Status, settings, last metrics, funnel, evaluation table and goalposts of one run."""
    steps = api.steps(reader)
    environment = reader.environment()
    return {
        "status": api.plain(status(reader)),
        "info": reader.info(),
        "config": reader.config(),
        "environment": {k: environment.get(k) for k in ("python", "platform", "cpu", "gpu", "git")},
        "last": {k: steps[-1]["metrics"].get(k) for k in HEADLINE} if steps else {},
        "seconds": time_by_phase(reader.steps()),
        "funnel": api.plain(reader.funnel()),
        "evals": _eval_table(reader),
        "goalposts": [
            {
                "id": g.id,
                "solved": g.solved,
                "evaluated": g.evaluated,
                "first_solved": g.first_solved,
                "base": api.plain(g.base),
                "trained": api.plain(g.trained),
            }
            for g in reader.goalposts()
            if g.is_goalpost
        ],
    }


def time_by_phase(steps: Sequence[StepSummary]) -> dict[str, float]:
    """Mean seconds of a step by phase and part, over all steps; empty where none were kept."""
    names = dict.fromkeys(name for step in steps for name in step.times)
    return {
        name.removeprefix("time/"): sum(s.times.get(name, 0.0) for s in steps) / len(steps)
        for name in names
    }


def report_markdown(summary: Mapping[str, Any]) -> str:
    """The report as Markdown. Text that a model may have written is on one line and escaped."""
    parts = ["# gasp report"]
    parts += [_run_markdown(run) for run in summary["runs"]]
    comparison = summary.get("comparison")
    if comparison:
        rows = [
            [name, str(solved), ", ".join(only) or "none"]
            for name, solved, only in zip(
                comparison["runs"], comparison["solved"], comparison["only"], strict=True
            )
        ]
        parts += ["## Comparison", _table(["run", "goalposts solved", "only by this run"], rows)]
        keys = [[d["key"], *d["values"]] for d in comparison["differences"]]
        if keys:
            parts.append(_table(["setting", *comparison["runs"]], keys))
    return "\n\n".join(parts) + "\n"


def _run_markdown(run: Mapping[str, Any]) -> str:
    state, cpu = run["status"], run["environment"].get("cpu") or {}
    git = run["environment"].get("git") or {}
    parts = [
        f"## {_cell(state['run'])}",
        f"Method {_cell(state['method'])}, step {state['step']} of {state['steps']}, "
        f"{state['seconds'] / 3600:.2f} h of steps, seed {run['config'].get('seed')}. "
        f"Hardware: {_cell(run['environment'].get('gpu') or cpu.get('model') or 'unknown')}. "
        f"Commit {_cell(git.get('commit') or 'unknown')}"
        f"{' with changes' if git.get('changed') else ''}.",
    ]
    if run["info"].get("synthetic"):
        parts.append(f"**Synthetic data:** {_cell(run['info']['synthetic'])}")
    parts.append(
        f"{state['goalposts_solved']} of {state['goalposts']} goalposts solved; {state['nodes']} "
        f"nodes from {state['proposals']} proposals; {state['rollouts']} rollouts. "
        f"Health: {state['health']}."
    )
    parts.append(_table(["metric", "last"], [[k, _number(v)] for k, v in run["last"].items()]))
    if run["seconds"]:
        rows = [[k, _number(v)] for k, v in run["seconds"].items()]
        parts.append(_table(["where the time goes", "seconds a step"], rows))
    parts.append(_funnel_markdown(run["funnel"]))
    if run["evals"]:
        last = max(e["step"] for e in run["evals"])
        rows = [
            [
                e["benchmark"],
                e["tag"] or "all",
                e["policy"],
                str(e["step"]),
                e["label"],
                str(e["questions"]),
                _number(e["share"]),
                ", ".join(f"@{k} {_number(v)}" for k, v in e["pass_at"].items()),
            ]
            for e in run["evals"]
            if e["step"] in (0, last)
        ]
        heads = ["benchmark", "questions", "policy", "step", "label", "n", "right", "pass@k"]
        parts.append(_table(heads, rows))
    solved = [g for g in run["goalposts"] if g["solved"]]
    if solved:
        rows = [
            [
                g["id"],
                str(g["first_solved"]),
                f"{g['solved']} of {g['evaluated']}",
                _rate(g["base"]),
                _rate(g["trained"]),
            ]
            for g in solved
        ]
        parts.append(_table(["goalpost", "first at step", "evaluations", "base", "trained"], rows))
    return "\n\n".join(parts)


def _eval_table(reader: RunReader) -> list[dict[str, Any]]:
    """Means over questions by benchmark, policy, step, temperature, label and tag (empty: all)."""
    groups: dict[tuple[str, str, int, float, str, str], list[EvalRecord]] = {}
    rows = reader.evals()
    tags = question_tags(rows)
    for row in rows:
        key = (row.benchmark, row.policy, row.step, row.temperature, row.label)
        for tag in {"", tags.get((row.benchmark, row.question), "")}:
            groups.setdefault((*key, tag), []).append(row)
    return [
        {
            "benchmark": key[0],
            "policy": key[1],
            "step": key[2],
            "temperature": key[3],
            "label": key[4],
            "tag": key[5],
            "questions": len(rows),
            "share": fmean(row.correct / row.total for row in rows),
            "pass_at": _pass_at(rows),
        }
        for key, rows in sorted(groups.items(), key=lambda item: _order(item[0]))
    ]


def _pass_at(rows: Sequence[EvalRecord]) -> dict[str, float]:
    """Unbiased pass@k by k: those that were stored with every question, and 1 and 20 from counts."""
    stored = set.intersection(*(set(row.pass_at) for row in rows))
    counted = {k for k in COUNTED_K if k <= min(row.total for row in rows)}
    return {
        str(k): fmean(
            row.pass_at[k] if k in stored else pass_at_k(row.total, row.correct, k) for row in rows
        )
        for k in sorted(stored | counted)
    }


def _order(key: tuple[str, str, int, float, str, str]) -> tuple[object, ...]:
    """Tables read by benchmark, tag, step, policy and then label, numbers as numbers."""
    benchmark, policy, step, temperature, label, tag = key
    depth = [int(part) if part.isdigit() else -1 for part in re.split(r"(\d+)", label)]
    return (benchmark, tag, step, policy, temperature, depth, label)


def _funnel_markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    used = {r["stage"] for r in rows}
    stages = [s for s in Stage if s in used] or [Stage.LEMMA, Stage.LIFT]
    table = []
    for verdict in (*Rejection, "accepted"):
        counts = [
            sum(r["count"] for r in rows if r["verdict"] == verdict and r["stage"] == stage)
            for stage in stages
        ]
        table.append([str(verdict), *map(str, counts)])
    return _table(["proposals", *(_HEADS.get(s, str(s)) for s in stages)], table)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(text: object) -> str:
    line = one_line(str(text), 300)
    for sign in "\\`*_[]<>|":
        line = line.replace(sign, "\\" + sign)
    return line


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _rate(rate: Mapping[str, Any] | None) -> str:
    return "-" if not rate else str(PassRate(rate["correct"], rate["total"]))
