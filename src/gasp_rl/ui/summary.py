"""A run's facts without its texts: what report.json holds and report.md says."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from gasp_rl.store.names import HEADLINE
from gasp_rl.store.reader import RunReader
from gasp_rl.types import PassRate, Rejection, Stage
from gasp_rl.ui import api
from gasp_rl.ui.safe import one_line
from gasp_rl.ui.status import status

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
    parts.append(_funnel_markdown(run["funnel"]))
    if run["evals"]:
        last = max(e["step"] for e in run["evals"])
        rows = [
            [
                e["benchmark"],
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
        heads = ["benchmark", "policy", "step", "label", "questions", "share right", "pass@k"]
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
    """Means over questions by benchmark, policy, step, temperature and label."""
    groups: dict[tuple[str, str, int, float, str], list[Any]] = {}
    for row in reader.evals():
        key = (row.benchmark, row.policy, row.step, row.temperature, row.label)
        groups.setdefault(key, []).append(row)
    return [
        {
            "benchmark": key[0],
            "policy": key[1],
            "step": key[2],
            "temperature": key[3],
            "label": key[4],
            "questions": len(rows),
            "share": fmean(row.correct / row.total for row in rows),
            "pass_at": {
                str(k): fmean(row.pass_at[k] for row in rows)
                for k in sorted(set.intersection(*(set(row.pass_at) for row in rows)))
            },
        }
        for key, rows in sorted(groups.items())
    ]


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
