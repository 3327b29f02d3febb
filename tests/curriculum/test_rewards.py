"""Rewards against values worked out by hand and the properties that the paper states."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gasp_rl.config import BandConfig, StudentConfig, TeacherConfig
from gasp_rl.curriculum.rewards import (
    band_rejection,
    learnability,
    student_reward,
    teacher_reward,
)
from gasp_rl.types import Outcome, PassRate, Rejection

TEACHER = TeacherConfig()
LEMMA, LIFT = TEACHER.lemma, TEACHER.lift


@pytest.mark.parametrize("p", [i / 10 for i in range(11)])
def test_lemma_and_lift_rewards_are_the_printed_special_cases(p: float) -> None:
    assert learnability(p, 0.5, 5) == pytest.approx((4 * p * (1 - p)) ** 5)
    assert learnability(p, 0.1, 1) == pytest.approx(10 * p * ((1 - p) / 0.9) ** 9)


@given(a=st.floats(0.05, 0.95), b=st.floats(0.5, 6), p=st.floats(0, 1, allow_subnormal=False))
def test_learnability_peaks_at_a(a: float, b: float, p: float) -> None:
    assert learnability(a, a, b) == pytest.approx(1)
    assert 0 <= learnability(p, a, b) <= 1 + 1e-9
    assert learnability(0.0, a, b) == learnability(1.0, a, b) == 0


@pytest.mark.parametrize(
    ("correct", "expected"),
    [(2, Rejection.TOO_HARD), (3, None), (5, None), (7, None), (8, Rejection.TOO_EASY)],
)
def test_lemma_band_includes_its_bounds(correct: int, expected: Rejection | None) -> None:
    assert band_rejection(PassRate(correct, 10), LEMMA) is expected


@pytest.mark.parametrize(
    ("correct", "expected"),
    [(0, Rejection.TOO_HARD), (1, None), (5, None), (6, Rejection.TOO_EASY)],
)
def test_lift_band_includes_its_bounds(correct: int, expected: Rejection | None) -> None:
    assert band_rejection(PassRate(correct, 10), LIFT) is expected


@given(total=st.integers(1, 500), data=st.data())
def test_band_of_one_rate_accepts_exactly_that_rate(total: int, data: st.DataObject) -> None:
    correct = data.draw(st.integers(0, total))
    p = correct / total
    if 0 < p < 1:
        band = BandConfig(low=p, high=p, peak=p, sharpness=1)
        assert band_rejection(PassRate(correct, total), band) is None
        assert band_rejection(PassRate(correct - 1, total), band) is Rejection.TOO_HARD
        assert band_rejection(PassRate(correct + 1, total), band) is Rejection.TOO_EASY


def test_teacher_reward_by_what_became_of_the_proposal() -> None:
    rate = PassRate(5, 10)
    assert teacher_reward(None, rate, LEMMA, TEACHER) == pytest.approx(1)
    assert teacher_reward(Rejection.UNPARSABLE, None, LEMMA, TEACHER) == -1
    for reason in set(Rejection) - {Rejection.UNPARSABLE}:
        assert teacher_reward(reason, rate, LEMMA, TEACHER) == -0.5
    with pytest.raises(ValueError, match="probed"):
        teacher_reward(None, None, LEMMA, TEACHER)


def test_student_reward_follows_azr() -> None:
    config = StudentConfig()
    assert [student_reward(o, config) for o in Outcome] == [1.0, -0.5, -1.0]
