"""The explorer's questions and their answers as JSON-ready values; the page and the report share
them. Read-only, no network."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from gasp_rl.errors import StoreError
from gasp_rl.store.folder import list_runs
from gasp_rl.store.names import HEADLINE, describe
from gasp_rl.store.reader import RunReader
from gasp_rl.store.views import ProposalFilter, RolloutFilter
from gasp_rl.types import PassRate
from gasp_rl.ui.compare import compare_runs
from gasp_rl.ui.status import status

PAGE = 200
LONGEST_TEXT = 100_000
"""Longer texts are cut in answers: a page stays usable whatever a model writes."""


def plain(value: Any) -> Any:
    """Any answer as JSON-ready data: pass rates with their interval, no NaN, long texts cut.

    Example::

        plain(PassRate(3, 10))   # {"correct": 3, "total": 10, "low": 0.1078, "high": 0.6032}
    """
    if isinstance(value, PassRate):
        low, high = value.interval()
        return {"correct": value.correct, "total": value.total, "low": low, "high": high}
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Enum):
        return str(value)
    if isinstance(value, str):
        if len(value) <= LONGEST_TEXT:
            return value
        return f"{value[:LONGEST_TEXT]}\n[cut here: {len(value):,} characters in all]"
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


@dataclass(frozen=True, slots=True)
class Library:
    """The runs under one folder. A run is found by its name in a listing, never by a path."""

    root: Path

    def names(self) -> list[str]:
        return [path.name for path in list_runs(self.root)]

    def path(self, name: str) -> Path:
        """Folder of a run; anything but the exact name of a listed run is refused."""
        for path in list_runs(self.root):
            if path.name == name:
                return path
        raise StoreError(f"no run named {name!r} under {self.root}")


def run_line(reader: RunReader) -> dict[str, Any]:
    """One run in the list of runs."""
    state = status(reader)
    return {
        "run": state.run,
        "method": state.method,
        "step": state.step,
        "steps": state.steps,
        "finished": state.finished,
        "health": str(state.health),
        "nodes": state.nodes,
        "goalposts": state.goalposts,
        "solved": state.goalposts_solved,
    }


def overview(reader: RunReader) -> dict[str, Any]:
    """Everything of the front page but the curves."""
    return {
        "status": plain(status(reader)),
        "info": plain(reader.info()),
        "config": plain(reader.config()),
        "environment": plain(reader.environment()),
        "counts": reader.counts(),
        "goalposts": reader.goalpost_ids(),
        "controls": plain(_controls(reader)),
    }


def _controls(reader: RunReader) -> str:
    """The comparison with controls that `gasp controls` wrote beside the run, empty without one."""
    try:
        return (reader.path / "controls.md").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def steps(reader: RunReader, after: int = 0) -> list[dict[str, Any]]:
    """Steps later than `after` with their metrics; `seconds`, `time/*` and `group/dead` with them."""
    rows = []
    for step in reader.steps(after):
        metrics = {**step.metrics, **step.times, "seconds": step.seconds}
        if {"group/all_right", "group/all_wrong"} <= metrics.keys():
            metrics["group/dead"] = metrics["group/all_right"] + metrics["group/all_wrong"]
        rows.append({"step": step.step, "attempt": step.attempt, "metrics": plain(metrics)})
    return rows


def names(metrics: Sequence[str]) -> dict[str, Any]:
    """The headline names, and the unit and meaning of each metric asked for."""
    known = sorted({*metrics, *HEADLINE})
    return {"headline": list(HEADLINE), "about": {name: asdict(describe(name)) for name in known}}


def goalposts(reader: RunReader, query: Mapping[str, str]) -> list[dict[str, Any]]:
    """The board; `last_step` looks at an earlier state."""
    return plain(reader.goalposts(_number(query, "last_step") or None))  # type: ignore[no-any-return]


def trials(reader: RunReader) -> dict[str, list[dict[str, Any]]]:
    """Every evaluation of the goalposts that have been solved, by goalpost: as long as the run, so
    no page asks for it unless somebody opens it."""
    tries: dict[str, list[dict[str, Any]]] = {}
    for a in reader.goalpost_attempts(solutions=False):
        point = {"step": a.step, "policy": a.policy, "rate": plain(PassRate(a.correct, a.total))}
        tries.setdefault(a.goalpost, []).append(point)
    return {id: points for id, points in tries.items() if any(p["rate"]["correct"] for p in points)}


def goalpost(reader: RunReader, id: str) -> dict[str, Any]:
    """One goalpost: statement, attempts, first solution, and the nodes accepted towards it."""
    attempts = reader.goalpost_attempts(id)
    solution = next((a for a in attempts if a.solution is not None and a.step > 0), None)
    built = reader.proposals(ProposalFilter(goalpost=id, verdict="accepted"), limit=PAGE)
    return {
        **plain(reader.goalpost(id)),
        "attempts": [
            {
                "step": a.step,
                "policy": a.policy,
                "temperature": a.temperature,
                "rate": plain(PassRate(a.correct, a.total)),
            }
            for a in attempts
        ],
        "solution": plain(solution and {"step": solution.step, "text": solution.solution}),
        "nodes": plain(built),
    }


def goalpost_line(reader: RunReader, id: str) -> dict[str, Any] | None:
    """One goalpost on the board of another run; None where that run does not have it."""
    found = reader.goalposts(only=id) if id else []
    return plain(found[0]) if found else None


def proposals(reader: RunReader, query: Mapping[str, str]) -> dict[str, Any]:
    """A page of proposals and how many there are."""
    where = ProposalFilter(**_filters(query, ProposalFilter))
    rows = reader.proposals(
        where, limit=_number(query, "limit", PAGE), offset=_number(query, "offset")
    )
    return {"total": reader.count_proposals(where), "rows": plain(rows)}


def node(reader: RunReader, id: str) -> dict[str, Any]:
    """One proposal with its lineage, its parent's program, its nearest neighbour, its use and how its
    goalpost stands."""
    detail = reader.node(id)
    summary = detail.summary
    lineage = reader.lineage(id)
    parent = reader.node(summary.parent).program if summary.stage == "lift" else None
    nearest = None
    if summary.nearest and reader.has_proposal(summary.nearest):
        near = reader.node(summary.nearest)
        nearest = {"id": near.summary.id, "label": near.summary.label, "program": near.program}
    return {
        **plain(detail),
        "lineage": plain([reader.summary(step) for step in lineage]),
        "parent_program": plain(parent),
        "nearest_node": plain(nearest),
        "uses": plain(reader.uses(id)),
        "goalpost_line": goalpost_line(reader, summary.goalpost),
    }


def funnel(reader: RunReader, query: Mapping[str, str]) -> list[dict[str, Any]]:
    """Counts of proposals by stage, axis and verdict over a range of steps."""
    last = _number(query, "last_step", 0) or None
    return plain(reader.funnel(_number(query, "first_step"), last))  # type: ignore[no-any-return]


def drift(reader: RunReader) -> list[dict[str, Any]]:
    """Pass rate at acceptance against later, for every node with later attempts."""
    return plain(reader.drift())  # type: ignore[no-any-return]


def rollouts(reader: RunReader, query: Mapping[str, str]) -> dict[str, Any]:
    """A page of rollouts and how many there are."""
    where = RolloutFilter(**_filters(query, RolloutFilter))
    rows = reader.rollouts(
        where, limit=_number(query, "limit", PAGE), offset=_number(query, "offset")
    )
    return {"total": reader.count_rollouts(where), "rows": plain(rows)}


def rollout(reader: RunReader, id: str) -> dict[str, Any]:
    """One rollout with its texts, its task and its token trace."""
    return plain(reader.rollout(id))  # type: ignore[no-any-return]


def group(reader: RunReader, id: str) -> list[dict[str, Any]]:
    """The rollouts of one group with their completions, right ones first; at most 16."""
    rows = reader.rollouts(RolloutFilter(group=id), limit=16)
    best = sorted(rows, key=lambda row: row.verdict not in ("right", "accepted"))
    return [{**plain(row), "completion": plain(reader.rollout(row.id).completion)} for row in best]


def evals(reader: RunReader) -> list[dict[str, Any]]:
    """Every evaluated question."""
    return [
        {**plain(row), "rate": plain(PassRate(row.correct, row.total))} for row in reader.evals()
    ]


def compare(readers: Sequence[RunReader]) -> dict[str, Any]:
    """The comparison of `gasp compare`, with the runs' curves."""
    comparison: dict[str, Any] = plain(compare_runs(readers))
    comparison["steps"] = {reader.path.name: steps(reader) for reader in readers}
    return comparison


_INTEGERS = {"first_step", "last_step"}
_FLOATS = {"min_reward", "max_reward"}


def _filters(query: Mapping[str, str], kind: type) -> dict[str, Any]:
    """The fields of a filter that a query sets, in their types; unknown names are ignored."""
    found: dict[str, Any] = {}
    for field in fields(kind):
        text = query.get(field.name, "")
        if text:
            read = int if field.name in _INTEGERS else float if field.name in _FLOATS else str
            found[field.name] = _read(field.name, text, read)
    return found


def _number(query: Mapping[str, str], name: str, default: int = 0) -> int:
    number: int = _read(name, query.get(name, "") or str(default), int)
    return min(max(0, number), 2**31)


def _read(name: str, text: str, kind: type) -> Any:
    try:
        value = kind(text)
    except ValueError:
        raise StoreError(f"{name} {text[:40]!r}: not a number") from None
    if isinstance(value, float) and not math.isfinite(value):
        raise StoreError(f"{name} {text[:40]!r}: not a finite number")
    return value
