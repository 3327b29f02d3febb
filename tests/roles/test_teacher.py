"""Proposals are read strictly, whatever the text; lifts cannot see goalposts."""

from dataclasses import replace
from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gasp_rl.errors import DataError
from gasp_rl.roles.prompts import load_prompts, parse_prompts
from gasp_rl.roles.teacher import Draft, Unparsable, parse_proposal
from gasp_rl.tasks import Form, Induction, Question
from gasp_rl.types import Axis, Example

PROGRAM = "def f(x):\n    return x + 1"


def proposal(
    program: str = PROGRAM, message: str = "Add one.", inputs: str = "1\n2\n3\n4\n5"
) -> str:
    return (
        f"thoughts\n```message\n{message}\n```\n"
        f"```python\n{program}\n```\n```inputs\n{inputs}\n```\n"
    )


def test_a_whole_proposal_is_read() -> None:
    draft = parse_proposal(proposal(), 5)
    assert draft == Draft(PROGRAM, "Add one.", ("1", "2", "3", "4", "5"))


def test_one_input_to_a_block_is_read_too() -> None:
    text = proposal(inputs="1") + "".join(f"```input\n{i}\n```\n" for i in range(2, 6))
    draft = parse_proposal(text, 5)
    assert isinstance(draft, Draft)
    assert draft.inputs == ("1", "2", "3", "4", "5")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no python block"),
        (proposal(program=" "), "no python block"),
        (proposal(message=""), "no message block"),
        (proposal(inputs="1\n2"), "2 different inputs"),
        (proposal(inputs="1\n1\n1\n1\n1"), "1 different inputs"),
        (proposal(inputs="1\n2\n3\n4\nopen('x')"), "not a list of literals"),
        (proposal(message=f"Write {PROGRAM}"), "gives the program away"),
        (proposal(program="def f(x):\n" + "    x\n" * 20_000), "characters"),
    ],
)
def test_what_is_missing_is_named(text: str, reason: str) -> None:
    draft = parse_proposal(text, 5)
    assert isinstance(draft, Unparsable)
    assert reason in draft.reason


@given(st.text(max_size=400))
def test_reading_never_raises(text: str) -> None:
    wrapped = (text, f"```python\n{text}\n```\n```message\n{text}\n```\n```inputs\n{text}\n```")
    for whole in wrapped:
        assert isinstance(parse_proposal(whole, 2), Draft | Unparsable)


GOALPOST = Question(
    id="h1",
    source="mine",
    form=Form.FUNCTION,
    statement="SECRET GOALPOST $message {braces}",
    shown=(Example("[1]", "[2]"),),
    hidden=(Example("[7]", "[8]"),),
)
LEMMA = Induction(PROGRAM, "Add one. $program", (Example("1", "2"),), (Example("41", "42 hidden"),))


def test_lemma_prompt_shows_the_goalpost_without_its_hidden_tests() -> None:
    prompt = load_prompts().lemma(GOALPOST, Axis.IO, 5)
    assert "SECRET GOALPOST $message {braces}" in prompt
    assert "[1]" in prompt
    assert "[8]" not in prompt
    assert "5 different inputs" in prompt


def test_lift_prompt_takes_a_lemma_and_nothing_else() -> None:
    book = load_prompts()
    prompt = book.lift(LEMMA, Axis.F, 5)
    assert "Add one. $program" in prompt
    assert PROGRAM in prompt
    assert "42 hidden" not in prompt
    with pytest.raises(TypeError, match="lemma"):
        book.lift(GOALPOST, Axis.F, 5)  # type: ignore[arg-type]


def test_the_axes_ask_for_different_things() -> None:
    book = load_prompts()
    assert book.lemma(GOALPOST, Axis.IO, 5) != book.lemma(GOALPOST, Axis.F, 5)
    assert book.lift(LEMMA, Axis.IO, 5) != book.lift(LEMMA, Axis.F, 5)


def test_a_broken_template_file_is_named() -> None:
    with pytest.raises(DataError, match=r"x\.toml: no template 'deduction'"):
        parse_prompts('[student]\ninduction = "a"', "x.toml")
    with pytest.raises(DataError, match=r"x\.toml: not valid TOML"):
        parse_prompts("[student", "x.toml")
    with pytest.raises(DataError, match=r"x\.toml: student is no section"):
        parse_prompts("student = 3", "x.toml")


ENGLISH = (resources.files("gasp_rl.roles") / "english.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("Message:\n$message", "Message:\n$messge", r"\[student\] induction: \$messge names no"),
        (
            "f($input) ==",
            "f($in) ==",
            r"\[format\] example: \$in names no field; .* \$input, \$out",
        ),
        ("- $inputs different", "- $input different", r"\[teacher\] form: \$input names no field"),
        ("$starter", "5$", r"\[student\] method: holds a \$ that names no field"),
        ('"f($input) == $output"', "7", r"\[format\] example is no text"),
    ],
)
def test_a_misspelt_field_is_named_when_the_file_is_read(right: str, wrong: str, said: str) -> None:
    assert right in ENGLISH
    with pytest.raises(DataError, match=r"mine\.toml: " + said):
        parse_prompts(ENGLISH.replace(right, wrong), "mine.toml")


def test_a_template_that_this_package_does_not_know_may_hold_any_field() -> None:
    text = ENGLISH.replace("[teacher]", "repair = 'mend $this'\n[teacher]", 1)
    assert parse_prompts(text, "mine.toml").student_templates["repair"] == "mend $this"


@pytest.mark.parametrize("form", [Form.STDIN, Form.METHOD])
def test_tests_that_are_no_arguments_are_shown_to_the_teacher_as_they_are(form: Form) -> None:
    goalpost = replace(GOALPOST, form=form, shown=(Example("2\n3 4\n", "7\n"),))
    prompt = load_prompts().lemma(goalpost, Axis.IO, 5)
    assert "Input:\n2\n3 4\nOutput:\n7\n" in prompt
    assert "f(2" not in prompt
