"""pass@k against brute force, intervals against textbook values."""

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gasp_rl.evals.passk import (
    clopper_pearson,
    mean_pass_at_k,
    mean_with_interval,
    pass_at_k,
    upper_bound,
)
from gasp_rl.types import PassRate


@given(st.integers(1, 9), st.data())
def test_pass_at_k_equals_brute_force(total: int, data: st.DataObject) -> None:
    """Over every way to pick k of the samples, the share of picks that hold a right one."""
    correct = data.draw(st.integers(0, total))
    k = data.draw(st.integers(1, total))
    samples = [True] * correct + [False] * (total - correct)
    picks = list(combinations(samples, k))
    assert pass_at_k(total, correct, k) == pytest.approx(sum(map(any, picks)) / len(picks))


@given(st.integers(1, 2000), st.data())
def test_pass_at_k_equals_the_product_form(total: int, data: st.DataObject) -> None:
    """Chen et al. 2021 compute it as a product."""
    correct = data.draw(st.integers(0, total))
    k = data.draw(st.integers(1, total))
    factors = range(total - correct + 1, total + 1)
    product = math.prod(1 - k / i for i in factors) if total - correct >= k else 0
    assert pass_at_k(total, correct, k) == pytest.approx(1 - product, abs=1e-9)


@pytest.mark.parametrize("case", [(10, 11, 1), (10, -1, 1), (10, 3, 0), (10, 3, 11)])
def test_impossible_counts_are_refused(case: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="pass@"):
        pass_at_k(*case)


def test_mean_needs_k_samples_of_every_question() -> None:
    with pytest.raises(ValueError, match="one has 3"):
        mean_pass_at_k([PassRate(1, 5), PassRate(1, 3)], 5)
    with pytest.raises(ValueError, match="no questions"):
        mean_pass_at_k([], 1)


def test_zero_solved_does_not_claim_certainty() -> None:
    estimate = mean_pass_at_k([PassRate(0, 100)] * 50, 20)
    assert estimate.interval_of == "wilson"
    assert (estimate.value, estimate.low) == (0, 0)
    assert 0.05 < estimate.high < 0.08


def test_bootstrap_interval_agrees_with_the_normal_one() -> None:
    values = np.random.default_rng(1).uniform(0, 1, 400)
    estimate = mean_with_interval(values)
    half = 1.96 * values.std() / 20
    assert estimate.interval_of == "bootstrap"
    assert estimate.low == pytest.approx(estimate.value - half, abs=0.005)
    assert estimate.high == pytest.approx(estimate.value + half, abs=0.005)
    assert mean_with_interval(values) == estimate


@settings(max_examples=20)
@given(st.floats(0.05, 0.95), st.integers(0, 1000))
def test_bootstrap_covers_about_as_often_as_it_says(p: float, seed: int) -> None:
    draws = np.random.default_rng(seed).binomial(20, p, size=(40, 60)) / 20
    covered = 0
    for values in draws:
        estimate = mean_with_interval(values, seed)
        covered += estimate.low <= p <= estimate.high
    assert covered >= 30  # 38 expected


def test_clopper_pearson_textbook_values() -> None:
    assert clopper_pearson(0, 100)[1] == pytest.approx(1 - 0.025 ** (1 / 100))
    assert clopper_pearson(100, 100) == (pytest.approx(0.025 ** (1 / 100)), 1.0)
    low, high = clopper_pearson(3, 10)
    assert (low, high) == (pytest.approx(0.0667, abs=1e-4), pytest.approx(0.6525, abs=1e-4))
    assert upper_bound(0, 100) == pytest.approx(1 - 0.05 ** (1 / 100))
    assert upper_bound(0, 20_000) == pytest.approx(1 - 0.05 ** (1 / 20_000))
    assert upper_bound(5, 5) == 1.0


@given(st.integers(1, 300), st.data())
def test_clopper_pearson_ends_have_their_tail(total: int, data: st.DataObject) -> None:
    correct = data.draw(st.integers(0, total))
    low, high = clopper_pearson(correct, total)
    assert low <= correct / total <= high
    if correct < total:
        tail = sum(
            math.comb(total, i) * high**i * (1 - high) ** (total - i) for i in range(correct + 1)
        )
        assert tail == pytest.approx(0.025, rel=1e-6)
