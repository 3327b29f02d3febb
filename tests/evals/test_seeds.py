"""Intervals over seeds and questions: tables of Student's t, coverage on simulated arms."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gasp_rl.evals.seeds import (
    difference_over_seeds,
    holm,
    mean_over_seeds,
    pooled_spread,
    t_distribution,
    t_quantile,
)
from gasp_rl.types import PassRate


@pytest.mark.parametrize(
    ("freedom", "expected"),
    [(1, 12.706), (2, 4.303), (4, 2.776), (9, 2.262), (30, 2.042), (math.inf, 1.960)],
)
def test_quantiles_of_students_t_are_those_of_the_tables(freedom: float, expected: float) -> None:
    assert t_quantile(0.975, freedom) == pytest.approx(expected, abs=6e-4)
    assert t_distribution(-expected, freedom) == pytest.approx(0.025, abs=1e-4)


def test_holm_by_hand() -> None:
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx(
        {"a": 0.03, "b": 0.06, "c": 0.06}
    )
    assert holm({}) == {}


def simulated(
    draw: np.random.Generator, seeds: int, hard_Q: np.ndarray, gain: float, spread: float
) -> np.ndarray:
    """Scores of an arm whose seeds differ by a normal deviate: question + gain + seed + noise."""
    noise = draw.normal(0, 0.05, (seeds, len(hard_Q)))
    return hard_Q + gain + draw.normal(0, spread, (seeds, 1)) + noise


@pytest.mark.parametrize(
    ("seeds", "spread"), [(5, 0.05), (3, 0.05), (5, 0.0)], ids=["five", "three", "no-spread"]
)
def test_intervals_cover_the_true_difference_about_as_often_as_they_say(
    seeds: int, spread: float
) -> None:
    """The gain differs from question to question, so that questions matter besides seeds."""
    draw, hits, trials = np.random.default_rng(7), 0, 150
    for _ in range(trials):
        hard_Q = draw.normal(0.4, 0.2, 60)
        gains_Q = draw.normal(0.1, 0.15, 60)
        base = simulated(draw, seeds, hard_Q, 0.0, spread)
        other = simulated(draw, seeds, hard_Q + gains_Q, 0.0, spread)
        estimate = difference_over_seeds(base, other)
        hits += estimate.low <= 0.1 <= estimate.high
    assert 0.91 <= hits / trials <= 0.995


@settings(max_examples=15, deadline=None)
@given(
    st.integers(1, 4).flatmap(
        lambda s: arrays(np.float64, (s, 7), elements=st.floats(0, 1, width=32))
    )
)
def test_an_arm_against_itself_and_the_order_of_arms(values_SQ: np.ndarray) -> None:
    other_SQ = np.clip(values_SQ[::-1] + 0.1, 0, 1)
    forth = difference_over_seeds(values_SQ, other_SQ)
    back = difference_over_seeds(other_SQ, values_SQ)
    assert forth.value == pytest.approx(-back.value)
    assert forth.low <= forth.value <= forth.high
    assert 0 <= forth.p_value <= 1 + 1e-9
    expected = other_SQ.mean() - values_SQ.mean()
    assert forth.value == pytest.approx(expected, abs=1e-9)
    own = difference_over_seeds(values_SQ, values_SQ)
    assert own.value == pytest.approx(0, abs=1e-12)
    assert own.low <= 1e-12 <= own.high + 1e-9
    shuffled = mean_over_seeds(values_SQ[:, ::-1])
    assert shuffled.value == pytest.approx(mean_over_seeds(values_SQ).value)


def test_one_seed_leaves_the_interval_to_the_questions() -> None:
    one = np.linspace(0, 1, 50)[None, :]
    estimate = mean_over_seeds(one)
    assert estimate.seeds == (1,)
    assert estimate.error == pytest.approx(one.std() / math.sqrt(50), rel=0.05)


def test_the_spread_of_seeds_widens_the_interval() -> None:
    hard = np.linspace(0, 1, 50)
    calm = np.stack([hard, hard, hard])
    wild = np.stack([hard - 0.2, hard, hard + 0.2])
    assert mean_over_seeds(wild).error > 1.5 * mean_over_seeds(calm).error


def test_different_questions_cannot_be_paired() -> None:
    with pytest.raises(ValueError, match="same questions"):
        difference_over_seeds(np.zeros((2, 3)), np.zeros((2, 4)))
    with pytest.raises(ValueError, match="no seeds"):
        mean_over_seeds(np.zeros((0, 3)))


def test_a_lone_seed_takes_the_spread_that_other_arms_show() -> None:
    hard = np.linspace(0, 1, 50)
    pair, three = np.stack([hard - 0.1, hard + 0.1]), np.stack([hard - 0.2, hard, hard + 0.2])
    spread = pooled_spread([pair, three, hard[None, :]])
    assert spread is not None
    assert spread.freedom == 3
    assert spread.variance == pytest.approx((2 * 0.1**2 + 2 * 0.2**2) / 3)
    alone, lent = (difference_over_seeds(three, hard[None, :], (None, s)) for s in (None, spread))
    assert lent.value == alone.value
    assert lent.error == pytest.approx(
        math.hypot(alone.error, math.sqrt(spread.variance)), rel=0.05
    )
    assert pooled_spread([hard[None, :]]) is None


@pytest.mark.parametrize("seeds", [1, 2])
def test_with_a_lent_spread_intervals_of_few_seeds_cover_the_truth(seeds: int) -> None:
    draw, hits, trials = np.random.default_rng(11), 0, 150
    for _ in range(trials):
        hard_Q = draw.normal(0.4, 0.2, 60)
        arms = [simulated(draw, 3, hard_Q, 0.0, 0.08) for _ in range(3)]
        few = simulated(draw, seeds, hard_Q, 0.1, 0.08)
        estimate = difference_over_seeds(arms[0], few, (None, pooled_spread([*arms, few])))
        hits += estimate.low <= 0.1 <= estimate.high
    assert 0.91 <= hits / trials <= 0.995


def test_two_seeds_that_agree_by_luck_do_not_shrink_the_interval() -> None:
    hard = np.linspace(0, 1, 50)
    wild = np.stack([hard - 0.2, hard, hard + 0.2])
    near, far = np.stack([hard, hard]), np.stack([hard - 0.3, hard + 0.3])
    spread = pooled_spread([wild])
    errors = [mean_over_seeds(two, spread).error for two in (near, far)]
    assert errors[0] == pytest.approx(errors[1], rel=0.05)
    assert mean_over_seeds(near).error < errors[0] < mean_over_seeds(far).error
    assert mean_over_seeds(wild, spread).error == mean_over_seeds(wild).error


def test_without_a_spread_to_take_two_seeds_speak_for_themselves() -> None:
    hard = np.linspace(0, 1, 50)
    calm, wild = np.stack([hard, hard]), np.stack([hard - 0.3, hard + 0.3])
    assert mean_over_seeds(wild).error > 3 * mean_over_seeds(calm).error


def test_an_arm_that_solved_nothing_may_solve_what_was_not_asked() -> None:
    nothing, everything = np.zeros((3, 143)), np.ones((1, 143))
    share = mean_over_seeds(nothing)
    assert (share.value, share.low) == (0, 0)
    assert share.high == pytest.approx(PassRate(0, 143).interval()[1])  # 2.6%
    assert mean_over_seeds(everything).low == pytest.approx(PassRate(143, 143).interval()[0])
    same = difference_over_seeds(nothing, nothing)
    assert same.high == -same.low == pytest.approx(share.high)
    assert (same.p_value, same.verdict) == (1, "no difference shown")
    apart = difference_over_seeds(nothing, everything)
    assert (apart.high, apart.verdict) == (pytest.approx(1), "better")
    one = difference_over_seeds(np.zeros((1, 1)), np.ones((1, 1)))
    assert one.verdict == "no difference shown"
    assert one.p_value > 0.05


def test_two_arms_that_solved_the_same_may_differ_elsewhere_and_one_that_varies_shows_it() -> None:
    nothing, some = np.zeros((1, 143)), np.zeros((1, 143))
    some[0, :9] = 1
    share = PassRate(0, 143).interval()[1]
    equal = difference_over_seeds(some, some)
    assert equal.high == -equal.low == pytest.approx(share)
    seen, alone = difference_over_seeds(nothing, some), mean_over_seeds(some)
    assert (seen.low, seen.high) == pytest.approx((alone.low, alone.high))
    lent = pooled_spread([np.stack([some[0], nothing[0]])])
    wide = difference_over_seeds(nothing, nothing, (lent, lent))
    assert lent is not None
    reach = t_quantile(0.975, 2) * math.sqrt(2 * lent.variance)
    assert wide.high == pytest.approx(math.hypot(reach, share), rel=0.1)


@pytest.mark.parametrize("rate", [0.004, 0.01, 0.99])
def test_shares_near_0_and_1_are_covered_also_when_nothing_was_seen(rate: float) -> None:
    draw, hits, empty, trials = np.random.default_rng(13), 0, 0, 200
    for _ in range(trials):
        solved = (draw.random((1, 143)) < rate).astype(float)
        empty += bool(np.ptp(solved) == 0)
        estimate = mean_over_seeds(solved)
        hits += estimate.low <= rate <= estimate.high
    assert empty > 0.15 * trials
    assert hits / trials >= 0.9
