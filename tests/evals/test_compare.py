"""Paired differences of two policies, over the questions that both were asked."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gasp_rl.evals.compare import paired_difference
from gasp_rl.types import PassRate

RATES = st.lists(st.integers(0, 4), min_size=1, max_size=12)


def rates(correct: list[int]) -> list[PassRate]:
    return [PassRate(c, 4) for c in correct]


@given(RATES)
def test_a_policy_against_itself_is_never_certain(correct: list[int]) -> None:
    same = paired_difference(rates(correct), rates(correct), 2)
    assert same.value == 0
    assert same.low < 0 < same.high
    assert same.low == -same.high


def test_nobody_solves_any_of_forty() -> None:
    """Wilson's upper end for 0 of 40 is z^2 / (40 + z^2) = .0876."""
    none = paired_difference(rates([0] * 40), rates([0] * 40), 1)
    assert (none.low, none.high) == (
        pytest.approx(-0.0876, abs=1e-4),
        pytest.approx(0.0876, abs=1e-4),
    )
    all_gained = paired_difference(rates([0] * 40), rates([4] * 40), 1)
    assert (all_gained.low, all_gained.high) == (pytest.approx(1 - 2 * 0.0876, abs=1e-3), 1.0)
    assert all_gained.verdict == "better"


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=12))
def test_the_interval_holds_the_value_and_turns_with_the_order(
    pairs: list[tuple[int, int]],
) -> None:
    first, second = (rates(list(side)) for side in zip(*pairs, strict=True))
    forth, back = paired_difference(first, second, 1), paired_difference(second, first, 1)
    assert forth.low - 1e-12 <= forth.value <= forth.high + 1e-12
    assert forth.value == pytest.approx(-back.value)
    assert forth.low == pytest.approx(-back.high, abs=0.02)
