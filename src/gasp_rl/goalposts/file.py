"""The goalposts file: questions that nothing solved, with the counts that say so.

JSON Lines. The first line is a header with the provenance (what was mined, by which policies, with
which command); each further line is a question in our own format with its draws.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gasp_rl.errors import DataError
from gasp_rl.evals.passk import upper_bound
from gasp_rl.problems.overlap import find_overlaps
from gasp_rl.problems.rows import Row, read_rows
from gasp_rl.problems.schema import question_fields, question_line, question_of_row
from gasp_rl.tasks.question import Question

VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Draws:
    """What one policy did on one question.

    mined:     samples of the stages that selected the question (none was right).
    confirmed: fresh samples drawn after the selection (none was right). Only these bound the pass
               rate: a question chosen for 0 of 100 has been chosen for its luck as well.
    """

    policy: str
    mined: int
    confirmed: int = 0

    def bound(self, confidence: float = 0.95) -> float:
        """One-sided Clopper-Pearson upper bound of the policy's pass rate on this question, from
        the confirmation samples where there are any, else from all (and then optimistic)."""
        return upper_bound(0, self.confirmed or self.mined, confidence)


@dataclass(frozen=True, slots=True)
class Goalpost:
    """A question that no policy solved, and how often each tried."""

    question: Question
    draws: tuple[Draws, ...] = ()

    def bound(self) -> float:
        """The largest of the policies' upper bounds: what can still be hidden."""
        return max((draws.bound() for draws in self.draws), default=1.0)


@dataclass(frozen=True, slots=True)
class GoalpostFile:
    """Goalposts and where they come from."""

    goalposts: tuple[Goalpost, ...]
    provenance: dict[str, Any] = field(default_factory=dict)


def write_goalposts(path: Path, content: GoalpostFile) -> None:
    """Write a goalposts file; `read_goalposts` gives it back equal."""
    count = len(content.goalposts)
    lines = [json.dumps({"goalposts": VERSION, "count": count, "provenance": content.provenance})]
    for goalpost in content.goalposts:
        question_line(goalpost.question)  # refuses what could not be read back
        draws = [
            {
                "policy": d.policy,
                "correct": 0,
                "mined": d.mined,
                "confirmed": d.confirmed,
                "upper_bound": round(d.bound(), 6),
            }
            for d in goalpost.draws
        ]
        lines.append(json.dumps(question_fields(goalpost.question) | {"draws": draws}))
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text("\n".join(lines) + "\n", encoding="ascii")
    part.replace(path)


def read_goalposts(path: Path) -> GoalpostFile:
    """Read a goalposts file; a plain questions file counts as goalposts without draws."""
    header: Row | None = None
    goalposts: list[Goalpost] = []
    for row in read_rows(path):
        if header is None and not goalposts and "goalposts" in row.fields:
            header = row
            if row.integer("goalposts") != VERSION:
                row.fail(f"goalposts version must be {VERSION}, got {row.fields['goalposts']}")
            continue
        draws = tuple(_draws(row, item) for item in row.array("draws", []))
        fields = {name: value for name, value in row.fields.items() if name != "draws"}
        goalposts.append(Goalpost(question_of_row(Row(row.where, fields)), draws))
    if not goalposts and header is None:
        raise DataError(f"{path}: holds no goalposts")
    if header and header.integer("count") != len(goalposts):
        raise DataError(
            f"{path}: header says {header.fields['count']} goalposts, the file holds "
            f"{len(goalposts)}: it was cut or edited"
        )
    provenance = header.fields.get("provenance", {}) if header else {}
    if not isinstance(provenance, dict):
        raise DataError(f"{path}: provenance must be an object, got {provenance!r:.100}")
    return GoalpostFile(tuple(goalposts), provenance)


def _draws(row: Row, item: object) -> Draws:
    if not isinstance(item, dict):
        row.fail(f"draws must be a list of objects, got {item!r:.100}")
    inner = Row(f"{row.where}: draws", item)
    draws = Draws(
        policy=inner.text("policy"),
        mined=inner.integer("mined"),
        confirmed=inner.integer("confirmed"),
    )
    if draws.mined < 0 or draws.confirmed < 0 or draws.mined + draws.confirmed == 0:
        inner.fail(f"mined {draws.mined} and confirmed {draws.confirmed} must be sample counts")
    return draws


def guard_against_leakage(
    training: Sequence[Question], evaluation: Sequence[Question], names: tuple[str, str]
) -> None:
    """Raise `DataError` that lists the pairs when a goalpost is an evaluation question, by id or by
    nearly equal text. A number on questions that were trained toward is no evaluation."""
    overlaps = find_overlaps(training, evaluation)
    if overlaps:
        listed = "\n".join(f"  {overlap}" for overlap in overlaps[:20])
        more = f"\n  and {len(overlaps) - 20} more" if len(overlaps) > 20 else ""
        count = len({overlap.left for overlap in overlaps})
        raise DataError(
            f"{count} questions of {names[0]} are also in {names[1]}; drop them from one "
            f"side:\n{listed}{more}"
        )
