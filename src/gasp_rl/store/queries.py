"""The SQL that readers share: column lists, filters, and rows to views."""

import sqlite3
from collections.abc import Sequence
from typing import Any

from gasp_rl.store.codec import label_of
from gasp_rl.store.records import GUIDE, SEED, GoalpostRecord
from gasp_rl.store.rows import ACCEPTED
from gasp_rl.store.views import (
    GoalpostSummary,
    NodeSummary,
    ProposalFilter,
    RolloutFilter,
)
from gasp_rl.types import Example, PassRate, Stage

RECENT_ATTEMPTS = 16

ROOTS = (SEED, GUIDE)
"""Sources of roots that are no goalposts."""

ROOTED = (Stage.LEMMA, Stage.DEDUCTION, Stage.ABDUCTION)
GROWN = (Stage.LIFT, Stage.INDUCTION)
"""Stages of proposals that hang from a root, and of those that hang from another proposal."""

ROLLOUT = (
    'select id, step, purpose, role, kind, origin, grp as "group", task_key, verdict, reward,'
    " advantage, tokens, finish, version from rollout"
)

_RECENT = (
    "(select {what} from (select verdict from rollout where origin = p.id and purpose = 'attempt'"
    f" and kind = 'induction' order by step desc limit {RECENT_ATTEMPTS}))"
)

PROPOSAL = f"""
select p.id, p.step, p.stage, p.axis, p.parent, p.goalpost, p.verdict, p.correct, p.total,
  p.reward, p.advantage, p.nearest, p.similarity, p.label,
  (select count(*) from rollout where origin = p.id and purpose = 'attempt') as used,
  {_RECENT.format(what="sum(verdict = 'right')")} as recent_correct,
  {_RECENT.format(what="count(*)")} as recent_total,
  (select count(*) from proposal c where c.parent = p.id and c.verdict = 'accepted') as lifts,
  (select count(*) from proposal c where c.parent = p.id and c.verdict != 'accepted') as rejected
from proposal p
"""

GOALPOST_ATTEMPTS = """
select goalpost,
  sum(case when step = 0 then correct end) as base_correct,
  sum(case when step = 0 then total end) as base_total,
  sum(case when step > 0 then correct end) as correct,
  sum(case when step > 0 then total end) as total,
  sum(step > 0) as evaluated,
  sum(step > 0 and correct > 0) as solved,
  min(case when step > 0 and correct > 0 then step end) as first_solved,
  max(case when step > 0 and correct = 0 then step end) as last_missed
from goalpost_attempt group by goalpost
"""


def node_summary(row: sqlite3.Row) -> NodeSummary:
    columns = dict(row)
    probed = columns.pop("correct"), columns.pop("total")
    recent = columns.pop("recent_correct"), columns.pop("recent_total")
    return NodeSummary(**columns, pass_rate=rate(*probed), recent=rate(*recent))


def goalpost_summary(
    record: GoalpostRecord, built: dict[str, int], tried: sqlite3.Row | None
) -> GoalpostSummary:
    return GoalpostSummary(
        id=record.id,
        source=record.source,
        is_goalpost=record.source not in ROOTS,
        label=label_of(record.question),
        lemmas=sum(built.get(stage, 0) for stage in ROOTED),
        lifts=sum(built.get(stage, 0) for stage in GROWN),
        rejected=built.get("rejected", 0),
        base=rate(tried["base_correct"], tried["base_total"]) if tried else None,
        trained=rate(tried["correct"], tried["total"]) if tried else None,
        evaluated=tried["evaluated"] if tried else 0,
        solved=tried["solved"] if tried else 0,
        first_solved=tried["first_solved"] if tried else None,
        lasting=tried is not None and _lasts(tried),
    )


def _lasts(tried: sqlite3.Row) -> bool:
    missed = tried["last_missed"]
    return tried["solved"] > 1 and (missed is None or missed < tried["first_solved"])


def rate(correct: int | None, total: int | None) -> PassRate | None:
    return PassRate(correct or 0, total) if total else None


def bodies(body: dict[str, Any]) -> dict[str, Any]:
    return {
        "program": body["program"],
        "message": body["message"],
        "shown": tuple(Example(**e) for e in body["shown"]),
        "hidden": tuple(Example(**e) for e in body["hidden"]),
    }


def proposal_clause(where: ProposalFilter) -> tuple[str, list[object]]:
    tests: list[tuple[str, object]] = [
        ("p.stage = ?", where.stage),
        ("p.axis = ?", where.axis),
        ("p.goalpost = ?", where.goalpost),
        ("p.parent = ?", where.parent),
        ("p.step >= ?", where.first_step),
        ("p.step <= ?", where.last_step),
        ("instr(lower(p.label || ' ' || p.id), lower(?))", where.text),
    ]
    if where.verdict == "rejected":
        tests.append(("p.verdict != ?", ACCEPTED))
    else:
        tests.append(("p.verdict = ?", where.verdict))
    return _clause(tests)


def rollout_clause(where: RolloutFilter) -> tuple[str, list[object]]:
    return _clause(
        [
            ("purpose = ?", where.purpose),
            ("role = ?", where.role),
            ("kind = ?", where.kind),
            ("verdict = ?", where.verdict),
            ("origin = ?", where.origin),
            ("grp = ?", where.group),
            ("step >= ?", where.first_step),
            ("step <= ?", where.last_step),
            ("reward >= ?", where.min_reward),
            ("reward <= ?", where.max_reward),
        ]
    )


def _clause(tests: Sequence[tuple[str, object]]) -> tuple[str, list[object]]:
    set_tests = [(test, value) for test, value in tests if value is not None]
    if not set_tests:
        return "", []
    return "where " + " and ".join(t for t, _ in set_tests), [v for _, v in set_tests]
