"""TRR++ and GRPO against numbers worked by hand, and the properties that define them."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gasp_rl.learning.advantages import grpo, trr

rollouts = st.lists(
    st.tuples(
        st.sampled_from([-1.0, -0.5, 0.0, 0.3, 1.0]),  # reward
        st.integers(1, 50),  # tokens
        st.sampled_from(["a", "b", "c"]),  # group
    ),
    min_size=1,
    max_size=30,
)


def columns(rows: list[tuple[float, int, str]]) -> tuple[list[float], list[int], list[str]]:
    rewards, lengths, groups = (list(column) for column in zip(*rows, strict=True))
    return rewards, lengths, groups


def test_token_weighted_by_hand() -> None:
    # mu = (1*1 + 3*0) / 4 = .25; var = (1*.5625 + 3*.0625) / 4 * 4/3 = .25
    assert trr([1, 0], [1, 3], "aa") == pytest.approx([1.5, -0.5])
    # tokens: 2 of -1, 2 of 1, 4 of 1: mu = .5, var = (2*2.25 + 6*.25) / 7 = 6/7
    expected = np.array([-1.5, 0.5, 0.5]) / np.sqrt(6 / 7)
    assert trr([-1, 1, 1], [2, 2, 4], "aaa") == pytest.approx(expected)


def test_plain_by_hand() -> None:
    # mu = 1/3, var = (4/9 + 1/9 + 1/9) / 2 = 1/3
    expected = np.array([2, -1, -1]) / 3 / np.sqrt(1 / 3)
    assert trr([1, 0, 0], [9, 1, 4], "aaa", "plain") == pytest.approx(expected)


def test_groups_do_not_see_each_other() -> None:
    mixed = trr([1, 5, 0, 7], [1, 2, 3, 2], ["a", "b", "a", "b"])
    assert mixed[[0, 2]] == pytest.approx([1.5, -0.5])
    assert mixed[[1, 3]] == pytest.approx(trr([5, 7], [2, 2], "bb"))


@pytest.mark.parametrize("weighting", ["token", "plain"])
def test_equal_rewards_and_lone_rollouts_give_zero(weighting) -> None:
    assert trr([0.1] * 7, [3, 1, 4, 1, 5, 9, 2], "aaaaaaa", weighting).tolist() == [0.0] * 7
    assert trr([1.0], [5], "a", weighting).tolist() == [0.0]


@given(rollouts)
def test_weighted_sum_is_zero_and_variance_one(rows) -> None:
    rewards, lengths, groups = columns(rows)
    advantages, tokens = trr(rewards, lengths, groups), np.array(lengths)
    for group in set(groups):
        own = [i for i, g in enumerate(groups) if g == group]
        total = tokens[own].sum()
        assert abs((tokens[own] * advantages[own]).sum()) < 1e-6 * total
        if len({rewards[i] for i in own}) > 1:
            variance = (tokens[own] * advantages[own] ** 2).sum() / (total - 1)
            assert variance == pytest.approx(1, abs=1e-4)


@given(rollouts, st.floats(0.1, 10), st.floats(-5, 5), st.sampled_from(["token", "plain"]))
def test_affine_changes_of_the_reward_change_nothing(rows, scale, shift, weighting) -> None:
    rewards, lengths, groups = columns(rows)
    changed = [scale * r + shift for r in rewards]
    # rewards that were equal stay equal bit for bit, so no rounding noise is whitened
    before = trr(rewards, lengths, groups, weighting)
    assert trr(changed, lengths, groups, weighting) == pytest.approx(before, rel=1e-3, abs=1e-4)


@given(rollouts, st.randoms(use_true_random=False), st.sampled_from(["token", "plain"]))
def test_the_order_of_rollouts_does_not_matter(rows, random, weighting) -> None:
    order = list(range(len(rows)))
    random.shuffle(order)
    before = trr(*columns(rows), weighting)
    after = trr(*columns([rows[i] for i in order]), weighting)
    assert after == pytest.approx(before[order], abs=1e-9)


@given(rollouts)
def test_token_weighting_is_plain_weighting_of_each_token(rows) -> None:
    rewards, lengths, groups = columns(rows)
    spread = [np.repeat(np.array(column), lengths).tolist() for column in (rewards, groups)]
    by_token = trr(spread[0], [1] * len(spread[0]), spread[1], "plain")
    expected = np.repeat(trr(rewards, lengths, groups), lengths)
    assert by_token == pytest.approx(expected, abs=1e-9)


def test_grpo_by_hand() -> None:
    # mean .25, population std sqrt(.1875)
    expected = np.array([0.75, -0.25, -0.25, -0.25]) / np.sqrt(0.1875)
    assert grpo([1, 0, 0, 0], "qqqq") == pytest.approx(expected)
    assert grpo([1, 1, 0, 1], ["q", "r", "q", "r"]) == pytest.approx([1, 0, -1, 0])


@given(rollouts)
def test_grpo_is_centred_and_bounded(rows) -> None:
    rewards, _, groups = columns(rows)
    assume(len(rewards) > 1)
    advantages = grpo(rewards, groups)
    for group in set(groups):
        own = advantages[[i for i, g in enumerate(groups) if g == group]]
        assert abs(own.sum()) < 1e-6
        assert np.abs(own).max() <= np.sqrt(len(own)) + 1e-6
