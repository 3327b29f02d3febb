"""Broken files: a clear error with file and line, or a counted skip; never a traceback."""

import base64
import gzip
import json
import pickle
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gasp_rl.errors import DataError
from gasp_rl.problems import livecodebench, rows
from gasp_rl.problems.livecodebench import (
    decode_private_tests,
    encode_private_tests,
    load_livecodebench,
)
from gasp_rl.problems.schema import load_questions
from gasp_rl.problems.sets import load_apps, load_code_contests, load_humaneval, load_mbpp

TEST = {"input": "1\n", "output": "1\n", "testtype": "stdin"}


def lcb_row(**changes: Any) -> dict[str, Any]:
    row = {
        "question_title": "A",
        "question_content": "Print the number.",
        "platform": "atcoder",
        "question_id": "abc1_a",
        "contest_id": "abc1",
        "contest_date": "2024-08-03T00:00:00",
        "starter_code": "",
        "difficulty": "easy",
        "public_test_cases": json.dumps([TEST]),
        "private_test_cases": encode_private_tests([TEST]),
        "metadata": "{}",
    }
    return {k: v for k, v in (row | changes).items() if v is not None}


def packed(data: bytes) -> str:
    return base64.b64encode(zlib.compress(data)).decode()


class Bomb:
    """Unpickling one of these would write a file."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return open, ("/tmp/gasp-pickle-bomb-went-off", "w")


def nested_tuples() -> bytes:
    """A pickle that doubles a tuple forty times: harmless to load, deadly to print."""
    return b"\x80\x04)" + b"\x94h\x00h\x00\x86" * 40 + b"."


OWN = {"schema": 1, "id": "a", "source": "s", "form": "function", "statement": "x"}
GOOD_LCB = lcb_row()

BROKEN_LCB: dict[str, tuple[dict[str, Any], str]] = {
    "bad base64": (lcb_row(private_test_cases="!!!"), "neither JSON nor base64"),
    "base64 of no zlib": (
        lcb_row(private_test_cases=base64.b64encode(b"plain").decode()),
        "not zlib",
    ),
    "zlib cut short": (
        lcb_row(private_test_cases=base64.b64encode(zlib.compress(b"x" * 999)[:-9]).decode()),
        "ends early",
    ),
    "not a pickle": (lcb_row(private_test_cases=packed(b"\xff\xfe rubbish")), "not a pickle"),
    "empty pickle": (lcb_row(private_test_cases=packed(b"")), "not a pickle"),
    "pickle cut short": (
        lcb_row(private_test_cases=packed(pickle.dumps("[]")[:-3])),
        "not a pickle",
    ),
    "pickle that opens a file": (
        lcb_row(private_test_cases=packed(pickle.dumps(Bomb()))),
        "refused",
    ),
    "pickle of bytes": (lcb_row(private_test_cases=packed(pickle.dumps(b"[]"))), "refused"),
    "pickle of a list": (lcb_row(private_test_cases=packed(pickle.dumps(["[]"]))), "refused"),
    "pickle of doubling tuples": (lcb_row(private_test_cases=packed(nested_tuples())), "refused"),
    "pickle with a giant length": (
        lcb_row(private_test_cases=packed(b"\x80\x04\x8d" + struct.pack("<Q", 1 << 60) + b"x.")),
        "not a pickle",
    ),
    "pickled text that is no JSON": (
        lcb_row(private_test_cases=packed(pickle.dumps("tests"))),
        "not valid JSON",
    ),
    "private tests an object": (lcb_row(private_test_cases="{}"), "must hold a list"),
    "private tests null": (lcb_row(private_test_cases="null"), "must hold a list"),
    "JSON nested to death": (lcb_row(private_test_cases="[" * 100_000), "nested too deeply"),
    "test without output": (
        lcb_row(public_test_cases=json.dumps([{"input": "", "testtype": "stdin"}])),
        "must be strings",
    ),
    "test output a number": (
        lcb_row(public_test_cases=json.dumps([TEST | {"output": 5}])),
        "must be strings",
    ),
    "test of the other type": (
        lcb_row(public_test_cases=json.dumps([TEST | {"testtype": "functional"}])),
        "needs stdin tests",
    ),
    "test a string": (lcb_row(public_test_cases='["1"]'), "needs stdin tests"),
    "public tests no JSON": (lcb_row(public_test_cases="[{"), "not valid JSON"),
    "public tests missing": (lcb_row(public_test_cases=None), "no field 'public_test_cases'"),
    "statement missing": (lcb_row(question_content=None), "no field 'question_content'"),
    "statement a list": (lcb_row(question_content=["x"]), "must be a string"),
    "NUL in the statement": (lcb_row(question_content="a\x00b"), "NUL"),
    "NUL in a test": (
        lcb_row(public_test_cases=json.dumps([TEST | {"input": "\x00"}])),
        "NUL",
    ),
    "half a surrogate pair": (lcb_row(question_content="\ud800"), "surrogate"),
    "id a number": (lcb_row(question_id=7), "must be a string"),
    "id empty": (lcb_row(question_id=""), "question_id is empty"),
    "date in words": (lcb_row(contest_date="yesterday"), "contest_date"),
    "starter without a method": (lcb_row(starter_code="class Solution:\n    pass",
        public_test_cases="[]", private_test_cases="[]"), "no method name"),
    "metadata a list": (lcb_row(starter_code="def f(self):", metadata="[]",
        public_test_cases="[]", private_test_cases="[]"), "metadata must hold an object"),
    "method name an injection": (lcb_row(starter_code="x", metadata='{"func_name": "a b()"}',
        public_test_cases="[]", private_test_cases="[]"), "no method name"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN_LCB)
def test_broken_livecodebench_row_is_an_error_with_file_and_line(tmp_path: Path, name: str) -> None:
    row, message = BROKEN_LCB[name]
    path = tmp_path / "questions.jsonl"
    path.write_text(json.dumps(lcb_row(question_id="good")) + "\n" + json.dumps(row) + "\n")
    with pytest.raises(DataError, match=message) as caught:
        load_livecodebench(path)
    assert f"{path}:2" in str(caught.value)
    assert len(str(caught.value)) < 600
    loaded = load_livecodebench(path, skip_broken=True)
    assert [q.id for q in loaded.questions] == ["good"]
    assert loaded.skip_counts() == {"broken row": 1}


def test_no_pickle_code_ran() -> None:
    with pytest.raises(DataError):
        decode_private_tests(packed(pickle.dumps(Bomb())), "here")
    assert not Path("/tmp/gasp-pickle-bomb-went-off").exists()


def test_zip_bomb_stops_at_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = packed(pickle.dumps("0" * (64 << 20)))
    assert len(bomb) < 100_000
    with pytest.raises(DataError, match="more than 1048576 bytes"):
        decode_private_tests(bomb, "here", max_bytes=1 << 20)
    monkeypatch.setattr(livecodebench, "MAX_TEST_BYTES", 1 << 20)
    with pytest.raises(DataError, match="more than 1048576 bytes"):
        decode_private_tests(bomb, "here")


BROKEN_LINES: dict[str, tuple[bytes, str]] = {
    "not JSON": (b"{oops}", "not valid JSON"),
    "an array": (b"[1, 2]", "must be a JSON object"),
    "a bare number": (b"7", "must be a JSON object"),
    "not UTF-8": (b'{"a": "\xff"}', "not UTF-8"),
    "raw NUL": (b'{"a": "\x00"}', "not valid JSON"),
    "nested to death": (b"[" * 200_000, "nested too deeply"),
    "a number of 5000 digits": (b'{"a": ' + b"9" * 5000 + b"}", "not valid JSON"),
    "cut in the middle": (b'{"schema": 1, "id": "a', "not valid JSON"),
}


@pytest.mark.parametrize("name", BROKEN_LINES)
def test_broken_line_is_an_error_with_file_and_line(tmp_path: Path, name: str) -> None:
    line, message = BROKEN_LINES[name]
    path = tmp_path / "questions.jsonl"
    path.write_bytes(json.dumps(OWN).encode() + b"\n\n" + line + b"\n")
    with pytest.raises(DataError, match=message) as caught:
        load_questions(path)
    assert f"{path}:3" in str(caught.value)
    assert load_questions(path, skip_broken=True).skip_counts() == {"broken row": 1}


BROKEN_OWN: dict[str, tuple[dict[str, Any], str]] = {
    "no schema": ({"schema": None}, "schema must be 1"),
    "next schema": ({"schema": 2}, "schema must be 1"),
    "unknown field": ({"statment": "x"}, "did you mean statement"),
    "unknown form": ({"form": "riddle"}, "form must be one of"),
    "form a number": ({"form": 3}, "form must be a string"),
    "shown a dictionary": ({"shown": {}}, "shown must be a list"),
    "shown triples": ({"shown": [["1", "2", "3"]]}, "texts"),
    "hidden numbers": ({"hidden": [[1, 2]]}, "texts"),
    "input no literal": ({"hidden": [["__import__('os')", "1"]]}, "no literal"),
    "output no literal": ({"hidden": [["1", "open('x')"]]}, "no literal"),
    "output a call": ({"hidden": [["1", "print(1)"]]}, "no literal"),
    "entry no name": ({"entry": "f; import os"}, "entry must be a name"),
    "id empty": ({"id": ""}, "id is empty"),
    "tags numbers": ({"tags": [1]}, "tags must be a list of strings"),
    "asserts on a function": ({"asserts": "assert f(1)"}, "asserts belong to form asserts"),
    "match unknown": ({"match": "fuzzy"}, "match must be one of"),
    "match on stdin": ({"form": "stdin", "match": "set"}, "belongs to form function"),
    "tolerance negative": ({"atol": -1}, "not negative"),
    "tolerance infinite": ({"atol": float("inf")}, "not negative"),
    "prediction without a pair": ({"form": "output"}, "exactly one hidden pair"),
    "prediction with two": (
        {"form": "input", "hidden": [["1", "1"], ["2", "2"]]},
        "exactly one hidden pair",
    ),
    "reference null": ({"reference": None}, "reference must be a string"),
}


@pytest.mark.parametrize("name", BROKEN_OWN)
def test_broken_own_row_is_an_error_with_file_and_line(tmp_path: Path, name: str) -> None:
    changes, message = BROKEN_OWN[name]
    path = tmp_path / "questions.jsonl"
    path.write_text(json.dumps(OWN | changes))
    with pytest.raises(DataError, match=message) as caught:
        load_questions(path)
    assert f"{path}:1" in str(caught.value)


def test_broken_rows_of_other_sets(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"

    def fails(load: Callable[[Path], Any], row: dict[str, Any], message: str) -> None:
        path.write_text(json.dumps(row))
        with pytest.raises(DataError, match=message) as caught:
            load(path)
        assert f"{path}:1" in str(caught.value)

    human = {"task_id": "H/1", "prompt": "", "entry_point": "a-b", "test": ""}
    fails(load_humaneval, human, "entry_point must be a name")
    fails(load_humaneval, human | {"prompt": 3}, "prompt must be a string")
    fails(load_mbpp, {"task_id": "1", "text": "", "code": "", "test_list": []}, "an integer")
    fails(load_mbpp, {"task_id": 1, "text": "", "code": "", "test_list": "assert"}, "a list")
    contest = {"id": "a", "description": "", "tests": [], "reference": "", "public_test_idx": [3]}
    fails(load_code_contests, contest, "public_test_idx must index the 0 tests")
    app = {"id": 1, "description": "", "difficulty": "", "sample_io": [], "test_list": []}
    fails(load_apps, app | {"kind": "quiz"}, "kind must be")
    fails(load_apps, app | {"kind": "functional"}, "needs a def")
    app |= {"kind": "stdin"}
    fails(load_apps, app | {"test_list": [{"input": "", "output": []}]}, "one output")
    fails(load_apps, app | {"test_list": [{"input": "", "output": ""}]}, "a list")


def test_broken_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        load_questions(tmp_path / "absent.jsonl")
    with pytest.raises(DataError, match="cannot be read"):
        load_questions(tmp_path)
    whole = gzip.compress(json.dumps(OWN).encode() * 100)
    cut = tmp_path / "cut.jsonl.gz"
    cut.write_bytes(whole[:-20])
    with pytest.raises(DataError, match="cannot be read"):
        load_questions(cut)
    plain = tmp_path / "plain.jsonl.gz"
    plain.write_text(json.dumps(OWN))  # the first bytes decide, not the name
    compressed = tmp_path / "compressed.jsonl"
    compressed.write_bytes(gzip.compress(plain.read_bytes()))
    assert load_questions(plain) == load_questions(compressed)
    damaged = tmp_path / "damaged.jsonl.gz"
    damaged.write_bytes(whole[:15] + b"\xff\xff" + whole[17:])
    with pytest.raises(DataError, match=r"cannot be read|not valid|not UTF-8"):
        load_questions(damaged)
    monkeypatch.setattr(rows, "MAX_LINE_BYTES", 1 << 16)
    bomb = tmp_path / "bomb.jsonl.gz"
    bomb.write_bytes(gzip.compress(b" " * (32 << 20)))
    with pytest.raises(DataError, match="longer than 65536 bytes"):
        load_questions(bomb)


def test_two_questions_with_one_id(tmp_path: Path) -> None:
    path = tmp_path / "twice.jsonl"
    path.write_text(json.dumps(OWN) + "\n" + json.dumps(OWN) + "\n")
    with pytest.raises(DataError, match=r"twice.jsonl:2: a second question with id 'a'"):
        load_questions(path)


def test_empty_tests_load_but_cannot_be_judged(tmp_path: Path) -> None:
    path = tmp_path / "questions.jsonl"
    path.write_text(json.dumps(lcb_row(public_test_cases="[]", private_test_cases="[]")))
    (question,) = load_livecodebench(path).questions
    assert not question.gradable
    with pytest.raises(DataError, match="no tests"):
        question.job("print(1)")


def test_good_row_is_good(tmp_path: Path) -> None:
    path = tmp_path / "test5.jsonl"
    path.write_text(json.dumps(GOOD_LCB))
    (question,) = load_livecodebench(path).questions
    assert (question.date, question.tags) == ("2024-08-03", ("v5",))
    assert len(question.shown) == len(question.hidden) == 1
