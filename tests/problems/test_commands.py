"""`gasp problems` as a user types it."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gasp_rl.cli import build_app
from gasp_rl.errors import DataError
from gasp_rl.problems.schema import load_questions, write_questions
from gasp_rl.tasks.question import Form, Question
from gasp_rl.types import Example
from tests.problems.test_broken_rows import lcb_row


def gasp(*words: object) -> tuple[int, str]:
    """Exit code and standard output; an error of the package is raised as it is."""
    result = CliRunner().invoke(build_app(), [str(word) for word in words])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout


def lcb(folder: Path, *rows: dict[str, object]) -> Path:
    path = folder / "test5.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_sets_names_every_set_with_its_window() -> None:
    _, out = gasp("problems", "sets")
    assert "lcb-v5 (release_v5, from 2024-08-01): livecodebench or " in out
    assert "humaneval+" in out
    assert "miniature:test, " in out


def test_show_counts_what_is_there_and_what_was_left_out(tmp_path: Path) -> None:
    path = lcb(tmp_path, lcb_row(), lcb_row(question_id="b", difficulty="hard"), {"oops": 1})
    with pytest.raises(DataError, match=r"test5.jsonl:3: no field 'starter_code'"):
        gasp("problems", "show", f"lcb={path}")
    code, out = gasp("problems", "show", f"lcb={path}", "--skip-broken")
    assert code == 0
    for words in ("2 questions", "difficulty: easy 1, hard 1", "left out, broken row: 1"):
        assert words in out


def test_convert_writes_our_format(tmp_path: Path) -> None:
    path, out = lcb(tmp_path, lcb_row()), tmp_path / "own.jsonl.gz"
    gasp("problems", "convert", f"lcb={path}", out)
    (question,) = load_questions(out).questions
    assert (question.id, question.form, len(question.tests)) == ("abc1_a", Form.STDIN, 2)


def test_overlap_lists_the_pairs_and_exits_with_1(tmp_path: Path) -> None:
    text = "Given a list of n integers, print the largest sum of any contiguous part of the list."
    questions = [
        Question(id=name, source="s", form=Form.STDIN, statement=words, hidden=(Example("1", "1"),))
        for name, words in (("a", text), ("b", text + " n is at most 5."), ("c", "Count the trees"))
    ]
    for question in questions:
        write_questions(tmp_path / f"{question.id}.jsonl", [question])
    code, out = gasp("problems", "overlap", tmp_path / "a.jsonl", tmp_path / "b.jsonl")
    assert (code, out.splitlines()[0]) == (1, "s/a = s/b (n-gram, 1.00)")
    code, out = gasp("problems", "overlap", tmp_path / "a.jsonl", tmp_path / "c.jsonl", "--json")
    assert (code, json.loads(out)) == (0, [])
