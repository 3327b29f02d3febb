"""The judge of alignment: what it reads, and scores read from any reply."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gasp_rl.engines.scripted import ScriptedEngine
from gasp_rl.evals.alignment_judge import AlignmentJudge, judge_prompt, read_score
from gasp_rl.evals.sampler import EngineSampler
from gasp_rl.tasks import Form, Induction, Question
from gasp_rl.types import Example

GOALPOST = Question(
    id="h",
    source="test",
    form=Form.FUNCTION,
    statement="Sort, {then} add.",
    shown=(Example("1", "2"),),
    hidden=(Example("31", "32"),),
    reference="def f(x):\n    return x + 1",
)


def task(message: str) -> Induction:
    return Induction("def f(x):\n    return {x}", message, (), (Example("77", "78"),))


def test_the_prompt_holds_both_and_no_test_or_reference() -> None:
    prompt = judge_prompt(GOALPOST, task("Write {braces}."))
    assert "Sort, {then} add." in prompt
    assert "Write {braces}." in prompt
    assert "return {x}" in prompt
    assert not any(secret in prompt for secret in ("x + 1", "31", "77", "78"))


@pytest.mark.parametrize(
    ("reply", "score"),
    [
        ("It helps. Score: 7", 0.7),
        ("Score: 2? No.\n**Score:** 10", 1.0),
        ("score = 0", 0.0),
        ("Score: 11", None),
        ("seven", None),
        ("", None),
    ],
)
def test_the_last_score_counts(reply: str, score: float | None) -> None:
    assert read_score(reply) == score


@given(st.text())
def test_any_reply_gives_a_share_or_nothing(reply: str) -> None:
    assert read_score(reply) is None or 0 <= read_score(reply) <= 1


def test_scores_belong_to_their_pairs() -> None:
    def write(prompt: str, sample: int, random: np.random.Generator) -> str:
        return f"Score: {prompt.count('!')}" if "!" in prompt else "I will not say."

    engine = ScriptedEngine(write)
    sampler = EngineSampler(
        engine, "judge", lambda turns: engine.tokenizer.encode(turns[0].content)
    )
    pairs = [(GOALPOST, task(m)) for m in ("add!!!", "sort", "add!")]
    assert AlignmentJudge(sampler)(pairs) == [0.3, None, 0.1]
