"""Loaders of HumanEval, MBPP, CRUXEval, CodeContests and APPS rows."""

import re
from pathlib import Path
from typing import Literal

from gasp_rl.problems.rows import Loaded, Row, Skipped, collect
from gasp_rl.sandbox.canonical import LiteralError, parse_literal
from gasp_rl.tasks.question import Form, Question
from gasp_rl.types import Example


def load_humaneval(path: Path, skip_broken: bool = False) -> Loaded:
    """HumanEval (arXiv 2107.03374): `prompt` is code to complete, `test` defines `check`.

    The reference is the prompt followed by the canonical solution: a whole program.
    """
    return collect(path, _humaneval, skip_broken)


def load_mbpp(path: Path, skip_broken: bool = False) -> Loaded:
    """MBPP (arXiv 2108.07732): the statement ends with the asserts, as its authors prompt with."""
    return collect(path, _mbpp, skip_broken)


def load_cruxeval(
    path: Path, side: Literal["output", "input"], skip_broken: bool = False
) -> Loaded:
    """CRUXEval (arXiv 2401.03065): predict the output of a program, or find an input for one."""
    return collect(path, lambda row: _cruxeval(row, side), skip_broken)


def load_code_contests(path: Path, exact: bool = False, skip_broken: bool = False) -> Loaded:
    """CodeContests problems with stdin tests (Li et al. 2022).

    exact: leave out what one expected output cannot judge, counted: a reference that fails its own
           tests, and statements that allow several answers.
    """
    return collect(path, lambda row: _code_contests(row, exact), skip_broken)


def load_apps(path: Path, skip_broken: bool = False) -> Loaded:
    """APPS test problems (arXiv 2105.09938) with `test_list`.

    Functional rows hold one argument a line, strings often bare. Where a line is no Python literal
    the string "123" and the number 123 cannot be told apart: such rows are left out, counted.
    """
    return collect(path, _apps, skip_broken)


def _humaneval(row: Row) -> Question | Skipped:
    prompt, entry = row.text("prompt"), row.text("entry_point")
    if not entry.isidentifier():
        row.fail(f"entry_point must be a name, got {entry!r:.60}")
    return Question(
        id=row.text("task_id"),
        source="humaneval",
        form=Form.ASSERTS,
        statement="",
        starter_code=prompt,
        entry=entry,
        asserts=f"{row.text('test')}\n\ncheck({entry})\n",
        reference=prompt + row.text("canonical_solution"),
    )


def _mbpp(row: Row) -> Question | Skipped:
    asserts = row.texts("test_list")
    setup = row.text("test_setup_code", "")
    reference = row.text("code").replace("\r\n", "\n")
    statement = row.text("text").strip()
    if asserts:
        statement += "\n\n" + "\n".join(asserts)
    return Question(
        id=f"Mbpp/{row.integer('task_id')}",
        source="mbpp",
        form=Form.ASSERTS,
        statement=statement,
        entry=_entry_of(asserts, reference),
        asserts="\n".join([setup, *asserts]).strip("\n") + "\n" if asserts else "",
        reference=reference,
    )


def _entry_of(asserts: tuple[str, ...], reference: str) -> str:
    """The function under test: defined by the reference and called by the first assert."""
    defined = re.findall(r"^def\s+(\w+)", reference, re.MULTILINE)
    called = re.findall(r"(\w+)\s*\(", asserts[0]) if asserts else []
    return next((name for name in called if name in defined), defined[-1] if defined else "f")


def _cruxeval(row: Row, side: Literal["output", "input"]) -> Question | Skipped:
    return Question(
        id=f"{row.text('id')}/{side}",
        source="cruxeval",
        form=Form.OUTPUT if side == "output" else Form.INPUT,
        statement="",
        starter_code=row.text("code"),
        entry="f",
        hidden=(Example(row.text("input"), row.text("output")),),
        reference=row.text("output" if side == "output" else "input"),
    )


def _code_contests(row: Row, exact: bool) -> Question | Skipped:
    tests = [row.example(pair, "tests") for pair in row.array("tests")]
    public = row.array("public_test_idx", [])
    if not all(isinstance(i, int) and 0 <= i < len(tests) for i in public):
        row.fail(f"public_test_idx must index the {len(tests)} tests, got {public!r:.60}")
    if exact and not row.flag("reference_ok"):
        return Skipped(row.where, "reference fails its tests")
    if exact and row.flag("maybe_multi"):
        return Skipped(row.where, "several answers allowed")
    return Question(
        id=row.text("id"),
        source="code_contests",
        form=Form.STDIN,
        statement=row.text("description"),
        shown=tuple(tests[i] for i in public),
        hidden=tuple(test for i, test in enumerate(tests) if i not in public),
        platform=row.text("source", "").lower(),
        difficulty="" if row.fields.get("difficulty") is None else str(row.integer("difficulty")),
        tags=row.texts("tags", []),
        reference=row.text("reference"),
    )


def _apps(row: Row) -> Question | Skipped:
    kind = row.text("kind")
    if kind not in ("stdin", "functional"):
        row.fail(f"kind must be stdin or functional, got {kind!r:.60}")
    starter = row.text("starter_code", "")
    names = re.findall(r"^\s*def\s+(\w+)", starter, re.MULTILINE)
    if kind == "functional" and not names:
        row.fail("a functional row needs a def in starter_code")
    shown, hidden = (
        [_apps_test(row, test, kind) for test in row.array(name)]
        for name in ("sample_io", "test_list")
    )
    if None in shown or None in hidden:
        return Skipped(row.where, "arguments are not literals")
    return Question(
        id=str(row.integer("id")),
        source="apps",
        form=Form.STDIN if kind == "stdin" else Form.FUNCTION,
        statement=row.text("description"),
        starter_code=starter,
        entry=names[-1] if kind == "functional" else "f",
        shown=tuple(test for test in shown if test and test not in hidden),
        hidden=tuple(test for test in hidden if test),
        difficulty=row.text("difficulty"),
    )


def _apps_test(row: Row, test: object, kind: str) -> Example | None:
    """One test; None where the arguments cannot be read back as literals."""
    if not isinstance(test, dict) or not isinstance(test.get("output"), list):
        row.fail(f"a test needs input and a list as output, got {test!r:.100}")
    given, outputs = test.get("input"), test["output"]
    if not isinstance(given, str) or len(outputs) != 1:
        row.fail(f"a test needs text as input and one output, got {test!r:.100}")
    if kind == "stdin":
        return row.example({"input": given, "output": outputs[0]}, "test")
    lines = given.split("\n")
    if not all(is_literal(line) for line in lines):
        return None
    return Example(", ".join(line.strip() for line in lines), repr(outputs[0]))


def is_literal(text: str) -> bool:
    """Whether a text is one Python literal."""
    try:
        parse_literal(text)
    except LiteralError:
        return False
    return True
