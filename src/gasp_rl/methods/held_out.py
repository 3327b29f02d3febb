"""Questions that a run is measured by and never trains on: its validation and its test set."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from gasp_rl.config import Config
from gasp_rl.errors import DataError
from gasp_rl.goalposts.file import guard_against_leakage
from gasp_rl.miniature import assets
from gasp_rl.problems.load import expand
from gasp_rl.tasks import Form, Question

Split = Literal["validation", "test"]

BEYOND = "9"
"""Depth of an embedded world's test questions that no policy reaches: they would only cost samples."""


@dataclass(frozen=True, slots=True)
class HeldOut:
    """validation: chooses temperatures and checkpoints. test: is reported and chooses nothing."""

    validation: Sequence[Question]
    test: Sequence[Question]


def load_held_out(config: Config, training: Mapping[str, Sequence[Question]]) -> HeldOut:
    """The sets of `data.validation` and `data.test`; where these are empty an embedded pool's own
    splits, of other pools none.

    training: what the run trains on or towards, by the setting that names it.
    Raises `DataError` for a question that a run cannot judge, and when a set that the user named has
    questions in common with those or with the other set. An embedded world's own splits share easy
    questions by construction and are not looked at.
    """
    validation, foreign_validation = _load(config, "validation")
    test, foreign_test = _load(config, "test")
    for name, questions in (("data.validation", foreign_validation), ("data.test", foreign_test)):
        for origin, others in training.items():
            guard_against_leakage(others, questions, (origin, name))
    guard_against_leakage(foreign_validation, foreign_test, ("data.validation", "data.test"))
    return HeldOut(validation, test)


def named_sets(config: Config, split: Split) -> list[str]:
    """The sets that the setting names, else the embedded pool, else none."""
    names = config.data.validation if split == "validation" else config.data.test
    if names:
        return expand(names)
    return [config.data.pool] if assets.is_embedded(config.data.pool) else []


def _load(config: Config, split: Split) -> tuple[list[Question], list[Question]]:
    """A split's questions, and those among them that are of no embedded world's own split."""
    found: list[Question] = []
    foreign: list[Question] = []
    for spec in named_sets(config, split):
        world, _, part = spec.partition(":")
        questions = assets.questions(spec, split)
        if assets.is_embedded(spec) and split == "test":
            questions = [q for q in questions if q.difficulty != BEYOND]
        found += questions
        if not (assets.is_embedded(world) and part in ("", "validation", "test")):
            _refuse_unjudged(questions, f"data.{split}={spec}")
            foreign += questions
    ids = Counter(question.id for question in found)
    if repeated := next((i for i, count in ids.items() if count > 1), None):
        raise DataError(f"data.{split}: two questions have the id {repeated}; give each its own")
    return found, foreign


def _refuse_unjudged(questions: Sequence[Question], name: str) -> None:
    """Whatever could not be right would be shown as wrong, or end the run at its first trial."""
    reasons = [reason for question in questions if (reason := _unjudged(question))]
    if reasons:
        raise DataError(
            f"{name}: a run cannot judge {len(reasons)} of its {len(questions)} questions; leave "
            f"them out: {reasons[0]}"
        )


def _unjudged(question: Question) -> str:
    """Why an answer cannot be judged as a run judges goalposts: as a program, by the sandbox alone."""
    if question.form in (Form.OUTPUT, Form.INPUT):
        return f"{question.source} question {question.id} asks for no program"
    try:
        question.job("")
    except DataError as error:
        return str(error)
    return ""
