"""Renewal: solves come and go, so one good test retires nothing and what is forgotten comes back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gasp_rl.config import RenewalConfig
from gasp_rl.curriculum.renewal import Renewal
from gasp_rl.tasks import Form, Question
from gasp_rl.types import Example, PassRate

SETTINGS = RenewalConfig(every=1, active=3, samples=8, retire=3, tests=2, back=0)


def questions(count: int) -> list[Question]:
    return [
        Question(
            id=f"q{i}",
            source="test",
            form=Form.FUNCTION,
            statement=f"question {i}",
            hidden=(Example("1", str(i)),),
        )
        for i in range(count)
    ]


def one_test(renewal: Renewal, *right: int) -> None:
    """One test in which the tested questions have these numbers of right samples."""
    tested = [q.id for q in renewal.tested()]
    renewal.observe({id: PassRate(n, 8) for id, n in zip(tested, right, strict=True)})


def ids(renewal: Renewal) -> tuple[list[str], list[str], list[str]]:
    return (
        [q.id for q in renewal.active],
        [q.question.id for q in renewal.retired],
        [q.id for q in renewal.reserve],
    )


def test_two_passed_tests_in_a_row_retire_a_goalpost_and_the_next_takes_its_place() -> None:
    renewal = Renewal(SETTINGS, questions(5))
    one_test(renewal, 3, 0, 8)
    assert ids(renewal) == (["q0", "q1", "q2"], [], ["q3", "q4"])
    one_test(renewal, 2, 0, 3)
    assert ids(renewal) == (["q0", "q1", "q3"], ["q2"], ["q4"])
    one_test(renewal, 8, 0, 0, 1)  # q2 with one right sample stays where it is
    assert ids(renewal) == (["q0", "q1", "q3"], ["q2"], ["q4"])


def test_what_is_forgotten_waits_first_and_must_pass_anew() -> None:
    renewal = Renewal(SETTINGS, questions(5))
    one_test(renewal, 8, 0, 0)
    one_test(renewal, 8, 0, 0)
    one_test(renewal, 0, 0, 0, 0)
    assert ids(renewal) == (["q1", "q2", "q3"], [], ["q0", "q4"])
    one_test(renewal, 8, 0, 0)
    one_test(renewal, 8, 0, 0)
    assert ids(renewal) == (["q2", "q3", "q0"], ["q1"], ["q4"])
    one_test(renewal, 0, 0, 8, 1)
    assert ids(renewal)[1] == ["q1"]  # q0 needs two passed tests again


def test_without_renewal_every_guide_is_a_goalpost() -> None:
    assert ids(Renewal(RenewalConfig(), questions(100)))[0] == [f"q{i}" for i in range(100)]


counts = st.lists(st.integers(0, 8), min_size=6, max_size=6)


@given(st.lists(counts, max_size=12), st.integers(0, 12))
def test_no_question_is_lost_and_replaying_gives_the_same_state(
    history: list[list[int]], cut: int
) -> None:
    renewal, tests = Renewal(SETTINGS, questions(6)), []
    for step, rights in enumerate(history):
        rates = {q.id: PassRate(n, 8) for q, n in zip(renewal.tested(), rights, strict=False)}
        renewal.observe(rates)
        tests += [(step, id, rate) for id, rate in rates.items()]
        places = ids(renewal)
        assert sorted(id for place in places for id in place) == [f"q{i}" for i in range(6)]
        assert len(places[0]) == 3 or not places[2]
    again = Renewal(SETTINGS, questions(6))
    again.replay(tests)
    assert ids(again) == ids(renewal)
    assert again == renewal


def test_thresholds_must_leave_a_gap() -> None:
    for keys in ({"back": 3}, {"samples": 2}):
        with pytest.raises(ValueError, match="back < retire <= samples"):
            RenewalConfig(**{"retire": 3, **keys})
