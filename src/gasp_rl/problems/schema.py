"""Our own file format of questions: JSON Lines, one question a line, every field of `Question`.

Example line::

    {"schema": 1, "id": "sum", "source": "mine", "form": "function", "statement": "Add up x.",
     "shown": [["[1, 2]", "3"]], "hidden": [["[]", "0"]], "reference": "def f(x): return sum(x)"}

Fields with their default value are left out. `docs/data.md` describes each field.
"""

import difflib
import gzip
import json
from collections.abc import Iterable
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from gasp_rl.errors import DataError
from gasp_rl.problems.rows import Loaded, Row, collect
from gasp_rl.sandbox.canonical import LiteralError, parse_arguments, parse_literal
from gasp_rl.tasks.question import Form, Match, Question
from gasp_rl.types import Example

SCHEMA_VERSION = 1
"""Stands in every line; a file of another version is refused rather than misread."""

_TEXTS = ("id", "source", "statement", "starter_code", "entry", "asserts", "platform", "difficulty")
_NAMES = tuple(field.name for field in fields(Question))
_DEFAULTS = {
    field.name: field.default for field in fields(Question) if field.default is not MISSING
}


def load_questions(path: Path, skip_broken: bool = False) -> Loaded:
    """Questions of a .jsonl or .jsonl.gz file in our own format, be they goalposts or not: of a
    goalposts file the header and the counts of samples are passed over."""
    return collect(path, _question_of_goalpost, skip_broken)


def _question_of_goalpost(row: Row) -> Question | None:
    if "goalposts" in row.fields and "schema" not in row.fields:
        return None
    fields_ = {name: value for name, value in row.fields.items() if name != "draws"}
    return question_of_row(Row(row.where, fields_))


def write_questions(path: Path, questions: Iterable[Question]) -> None:
    """Write questions so that `load_questions` gives them back equal; .gz compresses."""
    text = "".join(question_line(question) + "\n" for question in questions)
    data = text.encode("ascii")
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)


def question_line(question: Question) -> str:
    """One question as one line of JSON. Raises `DataError` for text that cannot be read back."""
    fields_ = question_fields(question)
    question_of_row(Row(f"question {question.id!r:.60}", fields_))
    return json.dumps(fields_, ensure_ascii=True)


def question_fields(question: Question) -> dict[str, Any]:
    """A question as a JSON object, without the fields that hold their default."""
    row: dict[str, Any] = {"schema": SCHEMA_VERSION}
    for name in _NAMES:
        value = getattr(question, name)
        if name in _DEFAULTS and value == _DEFAULTS[name]:
            continue
        if name in ("shown", "hidden"):
            value = [[example.input, example.output] for example in value]
        row[name] = list(value) if name == "tags" else value
    return row


def question_of_row(row: Row) -> Question:
    """Read one line back. Unknown fields, wrong types and impossible values are `DataError`s."""
    if row.fields.get("schema") != SCHEMA_VERSION:
        row.fail(
            f"schema must be {SCHEMA_VERSION}, got {row.fields.get('schema')!r:.60}; is this a "
            "file of another format?"
        )
    for name in row.fields:
        if name not in _NAMES and name != "schema":
            near = difflib.get_close_matches(name, _NAMES, 1)
            row.fail(f"unknown field {name!r:.60}" + (f"; did you mean {near[0]}?" if near else ""))
    texts = {name: row.text(name, _DEFAULTS.get(name)) for name in _TEXTS}
    question = Question(
        **texts,
        form=Form(_member(row, "form", tuple(Form))),
        shown=_pairs(row, "shown"),
        hidden=_pairs(row, "hidden"),
        match=Match(_member(row, "match", tuple(Match), Match.EXACT)),
        atol=row.number("atol", 0.0),
        cpu_seconds=row.number("cpu_seconds", 0.0) if "cpu_seconds" in row.fields else None,
        date=row.text("date") if "date" in row.fields else None,
        tags=row.texts("tags", []),
        reference=row.text("reference") if "reference" in row.fields else None,
    )
    _check(row, question)
    return question


def _member(row: Row, name: str, members: tuple[str, ...], default: str | None = None) -> str:
    value = row.text(name, default)
    if value not in members:
        row.fail(f"{name} must be one of {', '.join(members)}, got {value!r:.60}")
    return value


def _pairs(row: Row, name: str) -> tuple[Example, ...]:
    pairs = row.array(name, [])
    for pair in pairs:
        if not (
            isinstance(pair, list) and len(pair) == 2 and all(isinstance(t, str) for t in pair)
        ):
            row.fail(f"{name} must be a list of [input, output] texts, got {pair!r:.100}")
    return tuple(Example(row.clean(a, name), row.clean(b, name)) for a, b in pairs)


def _check(row: Row, question: Question) -> None:
    """What a type cannot say: an id, a callable name, tests that fit the form."""
    if not question.id:
        row.fail("id is empty")
    if not question.entry.isidentifier():
        row.fail(f"entry must be a name, got {question.entry!r:.60}")
    predicts = question.form in (Form.OUTPUT, Form.INPUT)
    if predicts and (len(question.hidden) != 1 or question.shown):
        row.fail(f"form {question.form} needs exactly one hidden pair and no shown ones")
    if question.asserts and question.form is not Form.ASSERTS:
        row.fail(f"asserts belong to form asserts, not {question.form}")
    if question.match is not Match.EXACT and question.form is not Form.FUNCTION:
        row.fail(f"match {question.match} belongs to form function, not {question.form}")
    if question.form is Form.FUNCTION:
        for example in question.tests:
            check_literals(example, row.where)


def check_literals(example: Example, where: str) -> None:
    """Raise `DataError` unless a pair is the literal arguments of a call and a literal output."""
    try:
        parse_arguments(example.input)
        parse_literal(example.output)
    except LiteralError as error:
        pair = f"{example.input!r:.80} -> {example.output!r:.80}"
        raise DataError(f"{where}: a test is no literal: {pair}: {error}") from None
