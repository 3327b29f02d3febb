"""Real data: counts that must come out; our own format gives back what it was given."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gasp_rl.errors import DataError
from gasp_rl.problems.livecodebench import (
    decode_private_tests,
    encode_private_tests,
    load_livecodebench,
    releases,
)
from gasp_rl.problems.load import Source, expand, load_set
from gasp_rl.problems.overlap import find_overlaps
from gasp_rl.problems.rows import Row, parse_json, read_rows
from gasp_rl.problems.schema import load_questions, question_line, question_of_row, write_questions
from gasp_rl.problems.selection import Selection, read_ids
from gasp_rl.tasks.question import Form, Match, Question
from gasp_rl.types import Example

DATA = Path(os.environ.get("GASP_TEST_DATA", Path(__file__).parents[2] / ".." / "shared" / "data"))
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"no question sets in {DATA}")

TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00"), max_size=40)
LITERAL = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5), st.lists, max_leaves=5
).map(repr)


@st.composite
def questions(draw: st.DrawFn) -> Question:
    form = draw(st.sampled_from(Form))
    predicts = form in (Form.OUTPUT, Form.INPUT)
    side = LITERAL if form is Form.FUNCTION else TEXT
    pairs = st.lists(st.builds(Example, side, side), max_size=3).map(tuple)
    one = st.builds(Example, side, side).map(lambda e: (e,))
    return Question(
        id=draw(TEXT.filter(bool)),
        source=draw(TEXT),
        form=form,
        statement=draw(TEXT),
        starter_code=draw(TEXT),
        entry=draw(st.sampled_from(["f", "solve", "longestSubarray"])),
        shown=() if predicts else draw(pairs),
        hidden=draw(one if predicts else pairs),
        asserts=draw(TEXT) if form is Form.ASSERTS else "",
        match=draw(st.sampled_from(Match)) if form is Form.FUNCTION else Match.EXACT,
        atol=draw(st.floats(0, 1)),
        cpu_seconds=draw(st.none() | st.floats(0.1, 100)),
        date=draw(st.none() | st.just("2024-08-01")),
        platform=draw(TEXT),
        difficulty=draw(TEXT),
        tags=tuple(draw(st.lists(TEXT, max_size=2))),
        reference=draw(st.none() | TEXT),
    )


@given(questions())
def test_own_format_round_trip(question: Question) -> None:
    line = question_line(question)
    assert "\n" not in line
    assert question_of_row(Row("here", parse_json(line, "here"))) == question


@pytest.mark.parametrize("name", ["questions.jsonl", "questions.jsonl.gz"])
def test_file_round_trip(tmp_path: Path, name: str) -> None:
    wanted = tuple(
        Question(id=str(i), source="s", form=Form.STDIN, statement="\u2028 x", tags=("a",))
        for i in range(3)
    )
    write_questions(tmp_path / name, wanted)
    assert load_questions(tmp_path / name).questions == wanted


def test_key_is_of_the_content() -> None:
    question = Question(id="a", source="s", form=Form.STDIN, statement="x")
    assert replace(question, id="b", source="t", tags=("u",)).key == question.key
    assert replace(question, hidden=(Example("1", "2"),)).key != question.key


@given(st.lists(st.fixed_dictionaries({"input": st.text(), "output": st.text()}), max_size=4))
def test_private_tests_round_trip(tests: list[dict[str, str]]) -> None:
    assert decode_private_tests(encode_private_tests(tests), "here") == tests


def test_release_tags() -> None:
    assert releases("release_v2") == ("v1", "v2")
    assert releases("v5") == ("v5",)
    assert releases("v4_v6") == ("v4", "v5", "v6")
    for wrong in ("v7", "v6_v4", "release_v1_v2", "latest", ""):
        with pytest.raises(DataError, match="is no release"):
            releases(wrong)


def test_selection_refuses_what_it_cannot_honour(tmp_path: Path) -> None:
    dated = Question(id="a", source="s", form=Form.STDIN, statement="x", date="2024-08-01")
    assert Selection(since="2024-08-01").apply([dated]) == (dated,)
    assert Selection(before="2024-08-01").apply([dated]) == ()
    with pytest.raises(DataError, match="no date"):
        Selection(since="2024-08-01").apply([replace(dated, date=None)])
    with pytest.raises(DataError, match="1 of 2 ids are not in the set: b"):
        Selection(ids=("a", "b")).apply([dated])
    with pytest.raises(DataError, match="since must be a day"):
        Selection(since="August")
    (tmp_path / "ids").write_text("# chosen\n\na\n")
    assert Selection(ids=read_ids(tmp_path / "ids")).apply([dated]) == (dated,)


def test_unknown_sets_are_named(tmp_path: Path) -> None:
    for spec, message in (
        ("lcb-v9", "no set named 'lcb-v9'; known: lcb, "),
        ("lcb", "none of livecodebench"),
        ("mbpp=nowhere.jsonl", "no such file"),
        ("mbpp=hub", "only LiveCodeBench"),
    ):
        with pytest.raises(DataError, match=message):
            load_set(spec, Source(tmp_path))
    assert expand("lcb-v5, cruxeval=a.jsonl") == [
        "lcb-v5",
        "cruxeval-o=a.jsonl",
        "cruxeval-i=a.jsonl",
    ]


def test_overlap_sees_copies_and_not_strangers() -> None:
    text = "Given a list of n integers, print the largest sum of any contiguous part of the list."
    first = Question(id="1", source="a", form=Form.STDIN, statement=text)
    copy = replace(first, id="2", source="b", statement=text.upper() + "\n\n$n$ is at most 100.")
    same_id = replace(first, source="a+", statement="quite another text")
    other = replace(first, id="3", source="c", statement="Count the vertices of a tree of height h")
    assert [o.how for o in find_overlaps([first], [copy])] == ["n-gram"]
    assert [o.how for o in find_overlaps([first], [same_id])] == ["id"]
    assert find_overlaps([first], [other], embedding=True) == []


@needs_data
def test_livecodebench_windows_of_the_sample() -> None:
    """The shared sample holds 70%: 420 of the 601 before 2024-08, 195 of the 279 of v5 after."""
    every = load_livecodebench(DATA / "livecodebench" / "questions.jsonl.gz").questions
    assert len(every) == 737
    assert [q.id for q in every if not q.gradable] == ["abc350_c"]
    assert all((q.form is Form.METHOD) == bool(q.starter_code) for q in every)
    counts = {
        name: len(load_set(name, Source(DATA)).loaded.questions)
        for name in ("lcb-v5-all", "lcb-v5-train", "lcb-v5", "lcb-v6")
    }
    assert counts == {"lcb-v5-all": 615, "lcb-v5-train": 420, "lcb-v5": 195, "lcb-v6": 317}
    assert "from 2024-08-01, 195 questions" in load_set("lcb-v5", Source(DATA)).described


@needs_data
def test_private_tests_decode_and_encode_to_the_hubs_bytes() -> None:
    rows = list(read_rows(DATA / "livecodebench" / "full_rows_3.jsonl"))
    text = rows[0].text("private_test_cases")
    assert encode_private_tests(decode_private_tests(text, "here")) == text
    loaded = load_livecodebench(DATA / "livecodebench" / "full_rows_3.jsonl").questions
    assert [(q.id, len(q.shown), len(q.hidden)) for q in loaded] == [
        ("1873_A", 1, 4),
        ("abc301_a", 3, 12),
        ("2727", 2, 12),
    ]


@needs_data
def test_counts_of_the_other_sets() -> None:
    counts = {"humaneval": 115, "mbpp": 682, "cruxeval-o": 560, "cruxeval-i": 560}
    counts |= {"code-contests": 116, "code-contests-all": 191, "apps": 70}
    counts |= {"humaneval+": 115, "mbpp+": 264}
    for name, wanted in counts.items():
        assert len(load_set(name, Source(DATA)).loaded.questions) == wanted, name
    assert load_set("apps", Source(DATA)).loaded.skip_counts() == {"arguments are not literals": 19}


@needs_data
def test_training_and_evaluation_windows_share_nothing() -> None:
    train, test = (
        load_set(name, Source(DATA)).loaded.questions for name in ("lcb-v5-train", "lcb-v5")
    )
    assert find_overlaps(train, test, embedding=True) == []
